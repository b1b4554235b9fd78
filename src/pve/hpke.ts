/**
 * HPKE (RFC 9180) in base mode with one suite: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message per
 * key. Over node:crypto, because libraries let the caller choose the ephemeral key only for tests.
 *
 * Names are the RFC's. Every expansion here is at most 32 bytes, so HKDF-Expand is its first block.
 */
import { createCipheriv, createDecipheriv, createECDH, createHmac } from 'node:crypto';
import { concatBytes, fromHex, Secret } from '../core/bytes.js';
import { MpcError } from '../core/errors.js';

/** Nenc: length of an encapsulated key, an uncompressed point. */
export const NENC = 65;
/** Nt: length of the AEAD's tag. */
export const NT = 16;

/** The group order of P-256, 32 bytes big-endian. */
const ORDER = fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')!;
const EMPTY = new Uint8Array(0);

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const VERSION_LABEL = ascii('HPKE-v1');
/** suite_id of §4.1 (KEM 0x0010) and of §5.1 (KEM 0x0010, KDF 0x0001, AEAD 0x0002). */
const KEM_SUITE = concatBytes(ascii('KEM'), Uint8Array.of(0x00, 0x10));
const HPKE_SUITE = concatBytes(ascii('HPKE'), Uint8Array.of(0x00, 0x10, 0x00, 0x01, 0x00, 0x02));

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

const labeledExtract = (suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array =>
  hmac(salt, VERSION_LABEL, suite, ascii(label), ikm);

function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const labeledInfo = [Uint8Array.of(0, length), VERSION_LABEL, suite, ascii(label), info];
  return hmac(prk, ...labeledInfo, Uint8Array.of(1)).subarray(0, length);
}

/** DeriveKeyPair of §7.1.3, the private half: a scalar 0 < sk < n, 32 bytes. */
export function derivePrivateKey(ikm: Uint8Array): Secret {
  using prk = Secret.own(labeledExtract(KEM_SUITE, EMPTY, 'dkp_prk', ikm));
  for (let counter = 0; counter <= 255; counter++) {
    const sk = labeledExpand(KEM_SUITE, prk.bytes, 'candidate', Uint8Array.of(counter), 32);
    if (sk.some((byte) => byte !== 0) && Buffer.compare(sk, ORDER) < 0) return Secret.own(sk);
  }
  throw new MpcError('BUG', 'DeriveKeyPairError: 256 candidates out of range'); // probability 2^-8192
}

/** ExtractAndExpand of §4.1: the KEM's shared secret from the Diffie–Hellman value. */
export function extractAndExpand(dh: Secret, enc: Uint8Array, pkR: Uint8Array): Secret {
  using prk = Secret.own(labeledExtract(KEM_SUITE, EMPTY, 'eae_prk', dh.bytes));
  return Secret.own(labeledExpand(KEM_SUITE, prk.bytes, 'shared_secret', concatBytes(enc, pkR), 32));
}

/** key_schedule_context of §5.1, base mode. Depends on `info` alone. */
export function keyScheduleContext(info: Uint8Array): Uint8Array {
  const pskIdHash = labeledExtract(HPKE_SUITE, EMPTY, 'psk_id_hash', EMPTY);
  const infoHash = labeledExtract(HPKE_SUITE, EMPTY, 'info_hash', info);
  return concatBytes(Uint8Array.of(0), pskIdHash, infoHash);
}

/** The AEAD's key and first nonce, good for one message; wiped when disposed. */
interface MessageKey extends Disposable {
  readonly key: Secret;
  readonly nonce: Uint8Array;
}

/** KeySchedule of §5.1, base mode. */
export function keySchedule(sharedSecret: Secret, context: Uint8Array): MessageKey {
  using secret = Secret.own(labeledExtract(HPKE_SUITE, sharedSecret.bytes, 'secret', EMPTY));
  const key = Secret.own(labeledExpand(HPKE_SUITE, secret.bytes, 'key', context, 32));
  const nonce = labeledExpand(HPKE_SUITE, secret.bytes, 'base_nonce', context, 12);
  return { key, nonce, [Symbol.dispose]: () => key.dispose() };
}

/**
 * SealBase of §6.1 with the ephemeral key DeriveKeyPair(`ikmE`): enc ‖ ciphertext ‖ tag, the same for the same
 * inputs. `pkR` is a valid uncompressed point, `context` the {@link keyScheduleContext}, `ikmE` 32 secret bytes.
 */
export function seal(
  pkR: Uint8Array,
  context: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  ikmE: Uint8Array,
): Uint8Array {
  using skE = derivePrivateKey(ikmE);
  const ephemeral = createECDH('prime256v1');
  ephemeral.setPrivateKey(skE.bytes);
  const enc = ephemeral.getPublicKey();
  using dh = Secret.own(ephemeral.computeSecret(pkR));
  using sharedSecret = extractAndExpand(dh, enc, pkR);
  using message = keySchedule(sharedSecret, context);
  const cipher = createCipheriv('aes-256-gcm', message.key.bytes, message.nonce);
  cipher.setAAD(aad);
  return concatBytes(enc, cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

/**
 * OpenBase of §6.1: the plaintext, or `undefined` when `sealed` is not a sealing for this key, context and `aad`.
 * `agree` is the recipient's Diffie–Hellman with an encapsulated key; it throws on what is not a point.
 */
export function open(
  agree: (enc: Uint8Array) => Uint8Array,
  pkR: Uint8Array,
  context: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Secret | undefined {
  const enc = sealed.subarray(0, NENC);
  try {
    using dh = Secret.own(agree(enc));
    using sharedSecret = extractAndExpand(dh, enc, pkR);
    using message = keySchedule(sharedSecret, context);
    const { key, nonce } = message;
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: NT });
    decipher.setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-NT));
    const plaintext = decipher.update(sealed.subarray(NENC, -NT));
    decipher.final(); // throws when the tag is wrong; adds nothing to the plaintext
    return Secret.own(plaintext);
  } catch {
    return undefined;
  }
}
