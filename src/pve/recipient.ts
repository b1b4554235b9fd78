/**
 * To whom a backup is encrypted: deterministic public-key encryption `Encrypt(ek, info, plaintext; coins)` of
 * docs/protocol.md §10, in two schemes, with recovery keys that may live in an HSM or a cloud KMS.
 *
 * - `rsa-oaep`: RSA-OAEP-SHA256 (RFC 8017 §7.1, MGF1-SHA256, empty label) with the coins as its seed, of
 *   plaintext ‖ H("pve bind"; info). Any standard implementation decrypts it.
 * - `hpke-p256`: HPKE base mode (RFC 9180) with the ephemeral key DeriveKeyPair(coins) and `info` as its info.
 */
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto';
import { promisify } from 'node:util';
import { bytesToBigint, concatBytes, equalBytes, fromHex, Secret } from '../core/bytes.js';
import { invariant, MpcError } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import { keyScheduleContext, NENC, NT, open, seal } from './hpke.js';

export const SCHEMES = ['rsa-oaep', 'hpke-p256'] as const;
export type Scheme = (typeof SCHEMES)[number];

/** Length of what is encrypted, and of the coins. */
export const PLAINTEXT_BYTES = 32;
export const COINS_BYTES = 32;

const RSA_BITS = 3072;
const RSA_BYTES = RSA_BITS / 8;
const RSA_EXPONENT = 65537;

/** Length of every ciphertext of a scheme. */
export const CIPHERTEXT_BYTES: Readonly<Record<Scheme, number>> = {
  'rsa-oaep': RSA_BYTES,
  'hpke-p256': NENC + PLAINTEXT_BYTES + NT,
};

/** The encryption of 32 bytes with 32 bytes of coins: the same output for the same inputs. */
export type Encryptor = (plaintext: Uint8Array, coins: Uint8Array) => Uint8Array;

/** A public key that backups can be encrypted to. */
export interface Recipient {
  readonly scheme: Scheme;
  /** The key as SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Encryption bound to `info`. */
  encryptor(info: Uint8Array): Encryptor;
}

/** The private half. Another implementation may ask an HSM. */
export interface RecipientPrivateKey {
  readonly recipient: Recipient;
  /** The 32 bytes in `ciphertext`, or `undefined` when it was not encrypted to this key under `info`. */
  decrypt(info: Uint8Array, ciphertext: Uint8Array): Secret | undefined;
}

/** SHA-256 of the key's SubjectPublicKeyInfo, hex: its name for people. */
export const fingerprint = (recipient: Recipient): string =>
  createHash('sha256').update(recipient.spki).digest('hex');

// RSA-OAEP

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return digest.digest();
};

const HASH_BYTES = 32;
const EMPTY_LABEL_HASH = sha256();

/** XORs MGF1(seed) of RFC 8017 §B.2.1 into `target`. */
function applyMask(target: Uint8Array, seed: Uint8Array): void {
  for (let block = 0; block * HASH_BYTES < target.length; block++) {
    const mask = sha256(seed, Uint8Array.of(0, 0, 0, block));
    const part = target.subarray(block * HASH_BYTES, (block + 1) * HASH_BYTES);
    for (let i = 0; i < part.length; i++) part[i]! ^= mask[i]!;
    mask.fill(0);
  }
}

/** EME-OAEP encoding of RFC 8017 §7.1.1 step 2, with the seed given: EM, as long as the modulus. */
export function oaepEncode(message: Uint8Array, seed: Uint8Array): Uint8Array {
  invariant(seed.length === HASH_BYTES, 'the seed is as long as a hash');
  invariant(message.length <= RSA_BYTES - 2 * HASH_BYTES - 2, 'message too long for OAEP');
  const EM = new Uint8Array(RSA_BYTES);
  const maskedSeed = EM.subarray(1, 1 + HASH_BYTES);
  const maskedDB = EM.subarray(1 + HASH_BYTES);
  maskedDB.set(EMPTY_LABEL_HASH);
  maskedDB[maskedDB.length - message.length - 1] = 1;
  maskedDB.set(message, maskedDB.length - message.length);
  maskedSeed.set(seed);
  applyMask(maskedDB, seed);
  applyMask(maskedSeed, maskedDB);
  return EM;
}

/** What ties an RSA plaintext to its backup; HPKE does that by itself. */
const binding = (info: Uint8Array): Uint8Array => hash('pve bind', [info]);

class RsaRecipient implements Recipient {
  readonly scheme = 'rsa-oaep';

  constructor(
    readonly spki: Uint8Array,
    private readonly key: KeyObject,
  ) {}

  encryptor(info: Uint8Array): Encryptor {
    const bind = binding(info);
    return (plaintext, coins) => {
      using message = Secret.own(concatBytes(plaintext, bind));
      using EM = Secret.own(oaepEncode(message.bytes, coins));
      // RSAEP of §5.1.1. EM begins with a zero byte, so it is below the modulus.
      return publicEncrypt({ key: this.key, padding: constants.RSA_NO_PADDING }, EM.bytes);
    };
  }
}

class RsaPrivateKey implements RecipientPrivateKey {
  constructor(
    readonly recipient: Recipient,
    private readonly key: KeyObject,
  ) {}

  decrypt(info: Uint8Array, ciphertext: Uint8Array): Secret | undefined {
    using message = this.#rsaDecrypt(ciphertext);
    if (message === undefined) return undefined;
    if (!equalBytes(message.bytes.subarray(PLAINTEXT_BYTES), binding(info))) return undefined;
    return Secret.own(Uint8Array.from(message.bytes.subarray(0, PLAINTEXT_BYTES)));
  }

  #rsaDecrypt(ciphertext: Uint8Array): Secret | undefined {
    const { RSA_PKCS1_OAEP_PADDING: padding } = constants;
    try {
      return Secret.own(privateDecrypt({ key: this.key, padding, oaepHash: 'sha256' }, ciphertext));
    } catch {
      return undefined;
    }
  }
}

// HPKE

/** SubjectPublicKeyInfo of a P-256 point of 65 bytes, without the point (RFC 5480). */
const P256_SPKI_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')!;
const NO_AAD = new Uint8Array(0);

class HpkeRecipient implements Recipient {
  readonly scheme = 'hpke-p256';

  constructor(readonly spki: Uint8Array) {}

  /** The public key as an uncompressed point. */
  get point(): Uint8Array {
    return this.spki.subarray(-NENC);
  }

  encryptor(info: Uint8Array): Encryptor {
    const context = keyScheduleContext(info);
    return (plaintext, coins) => seal(this.point, context, NO_AAD, plaintext, coins);
  }
}

class HpkePrivateKey implements RecipientPrivateKey {
  constructor(
    readonly recipient: HpkeRecipient,
    private readonly key: KeyObject,
  ) {}

  decrypt(info: Uint8Array, ciphertext: Uint8Array): Secret | undefined {
    if (ciphertext.length !== CIPHERTEXT_BYTES['hpke-p256']) return undefined;
    const agree = (enc: Uint8Array): Uint8Array => {
      const publicKey = publicKeyFromDer(concatBytes(P256_SPKI_PREFIX, enc));
      return diffieHellman({ privateKey: this.key, publicKey });
    };
    return open(agree, this.recipient.point, keyScheduleContext(info), NO_AAD, ciphertext);
  }
}

// Reading and making keys

const publicKeyFromDer = (spki: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });

const exportSpki = (key: KeyObject): Uint8Array =>
  new Uint8Array(key.export({ format: 'der', type: 'spki' }));

function isRsa(key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType !== 'rsa' || details?.modulusLength !== RSA_BITS) return false;
  if (details.publicExponent !== BigInt(RSA_EXPONENT)) return false;
  // OpenSSL reads an even modulus, and fails when it is used.
  const modulus = Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url');
  return bytesToBigint(modulus) % 2n === 1n;
}

/** Of P-256, the point uncompressed and not in hybrid form; OpenSSL has checked that it is on the curve. */
const isP256 = (spki: Uint8Array): boolean =>
  equalBytes(spki.subarray(0, -NENC), P256_SPKI_PREFIX) && spki[P256_SPKI_PREFIX.length] === 4;

function recipientFromKey(key: KeyObject): RsaRecipient | HpkeRecipient | undefined {
  const spki = exportSpki(key);
  if (isRsa(key)) return new RsaRecipient(spki, key);
  return isP256(spki) ? new HpkeRecipient(spki) : undefined;
}

/**
 * The recipient of exactly this SubjectPublicKeyInfo: RSA of 3072 bits with e = 65537, or an uncompressed point of
 * P-256, in its one DER encoding. `undefined` for anything else.
 */
export function recipientFromSpki(spki: Uint8Array): Recipient | undefined {
  try {
    const recipient = recipientFromKey(publicKeyFromDer(spki));
    return recipient !== undefined && equalBytes(recipient.spki, spki) ? recipient : undefined;
  } catch {
    return undefined;
  }
}

const KEY_HINT = 'use RSA of 3072 bits with exponent 65537, or P-256: ecdsa-mpc backup keygen makes both';

function recipientOfKey(key: KeyObject): RsaRecipient | HpkeRecipient {
  const recipient = recipientFromKey(key);
  if (recipient !== undefined) return recipient;
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  const kind = [key.asymmetricKeyType, modulusLength, namedCurve].filter((part) => part !== undefined);
  throw new MpcError('FILE', `a key of this kind cannot receive backups: ${kind.join(' ')}`, {
    hint: KEY_HINT,
  });
}

/** The recipient of a public key in PEM (`BEGIN PUBLIC KEY`). Throws `FILE` when it is none that can be used. */
export function recipientFromPem(pem: string): Recipient {
  // createPublicKey would also take a private key, which has no business in the place of a public one.
  if (!pem.includes('-----BEGIN PUBLIC KEY-----')) {
    throw new MpcError('FILE', 'not a public key in PEM', {
      hint: 'give the file that begins with -----BEGIN PUBLIC KEY-----',
    });
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new MpcError('FILE', 'the public key cannot be read', { hint: KEY_HINT, cause });
  }
  return recipientOfKey(key);
}

/**
 * The recovery key in PEM (PKCS #8, PKCS #1 or SEC 1; encrypted with `passphrase`).
 * Throws `FILE` when it cannot be read, or is of a kind that receives no backups.
 */
export function privateKeyFromPem(pem: Uint8Array, passphrase?: string): RecipientPrivateKey {
  let key: KeyObject;
  try {
    const encoded = Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength);
    key = createPrivateKey({ key: encoded, format: 'pem', ...(passphrase !== undefined && { passphrase }) });
  } catch {
    // No cause: what OpenSSL says of a private key stays here.
    throw new MpcError('FILE', 'not a private key in PEM, or its passphrase is missing or wrong', {
      hint: 'give the file that begins with -----BEGIN PRIVATE KEY-----',
    });
  }
  const recipient = recipientOfKey(createPublicKey(key));
  return recipient instanceof RsaRecipient
    ? new RsaPrivateKey(recipient, key)
    : new HpkePrivateKey(recipient, key);
}

export const RECIPIENT_KEY_TYPES = ['rsa-3072', 'p256'] as const;
export type RecipientKeyType = (typeof RECIPIENT_KEY_TYPES)[number];

export interface RecipientKeyPair {
  /** `BEGIN PUBLIC KEY`. */
  readonly publicPem: string;
  /** `BEGIN PRIVATE KEY`, PKCS #8, the bytes of the file; the caller disposes it. */
  readonly privatePem: Secret;
}

const generate = promisify(generateKeyPair);

/** A new recovery key, from OpenSSL's generator, made off the main thread (RSA takes about a second). */
export async function generateRecipientKey(type: RecipientKeyType): Promise<RecipientKeyPair> {
  const { publicKey, privateKey } =
    type === 'rsa-3072'
      ? await generate('rsa', { modulusLength: RSA_BITS, publicExponent: RSA_EXPONENT })
      : await generate('ec', { namedCurve: 'P-256' });
  const privatePem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return {
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    privatePem: Secret.own(new TextEncoder().encode(privatePem)),
  };
}
