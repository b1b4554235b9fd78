import assert from 'node:assert/strict';
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  ECDH,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
} from 'node:crypto';
import { before, test } from 'node:test';
import { randomBytes, Secret, toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import {
  CIPHERTEXT_BYTES,
  fingerprint,
  oaepEncode,
  privateKeyFromPem,
  recipientFromPem,
  recipientFromSpki,
  SCHEMES,
  type Scheme,
} from '#src/pve/recipient.js';
import { newRecoveryKey, type RecoveryKey } from '../support/backups.js';

const keys = new Map<Scheme, RecoveryKey>();
before(async () => {
  for (const scheme of SCHEMES) keys.set(scheme, await newRecoveryKey(scheme));
});

const info = new Uint8Array(32).fill(1);
const plaintext = Uint8Array.from({ length: 32 }, (_, i) => i);
const coins = new Uint8Array(32).fill(3);

for (const scheme of SCHEMES) {
  test(`${scheme}: deterministic, of fixed length, and only its own key opens it under the same info`, async () => {
    const { recipient, privateKey } = keys.get(scheme)!;
    const encrypt = recipient.encryptor(info);
    const ciphertext = encrypt(plaintext, coins);
    assert.equal(recipient.scheme, scheme);
    assert.equal(ciphertext.length, CIPHERTEXT_BYTES[scheme]);
    assert.deepEqual(encrypt(plaintext, coins), ciphertext);
    assert.notDeepEqual(encrypt(plaintext, new Uint8Array(32)), ciphertext);
    assert.notDeepEqual(recipient.encryptor(coins)(plaintext, coins), ciphertext);

    using opened = privateKey.decrypt(info, ciphertext);
    assert.deepEqual(Uint8Array.from(opened!.bytes), plaintext);
    assert.equal(privateKey.decrypt(coins, ciphertext), undefined);
    assert.equal(privateKey.decrypt(info, ciphertext.subarray(1)), undefined);
    const another = await newRecoveryKey(scheme);
    assert.equal(another.privateKey.decrypt(info, ciphertext), undefined);
    for (const i of [0, 64, 65, ciphertext.length - 1]) {
      const altered = Uint8Array.from(ciphertext);
      altered[i]! ^= 1;
      assert.equal(privateKey.decrypt(info, altered), undefined, `byte ${i}`);
    }
  });

  test(`${scheme}: a key reads back from its public bytes, and leaves no secret behind`, () => {
    const live = Secret.live;
    const { recipient, privateKey, privatePem } = keys.get(scheme)!;
    const again = recipientFromSpki(recipient.spki)!;
    assert.equal(again.scheme, scheme);
    assert.deepEqual(privateKey.recipient.spki, recipient.spki);
    assert.match(privatePem, /^-----BEGIN PRIVATE KEY-----\n/);
    assert.equal(fingerprint(again), createHash('sha256').update(recipient.spki).digest('hex'));
    privateKey.decrypt(info, again.encryptor(info)(plaintext, coins))!.dispose();
    assert.equal(Secret.live, live);
  });

  test(`${scheme}: an encrypted recovery key needs its passphrase`, () => {
    const { recipient, privatePem } = keys.get(scheme)!;
    const encrypted = createPrivateKey(privatePem).export({
      ...{ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'open sesame' },
    } as const) as string;
    const pem = new TextEncoder().encode(encrypted);
    assert.deepEqual(privateKeyFromPem(pem, 'open sesame').recipient.spki, recipient.spki);
    for (const wrong of [undefined, 'sesame', '']) {
      assert.throws(() => privateKeyFromPem(pem, wrong), fileError(/passphrase/));
    }
  });
}

const fileError = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof MpcError);
  assert.equal(error.code, 'FILE');
  assert.match(error.message, message);
  assert.ok(error.hint);
  return true;
};

// RSA-OAEP

const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

/** MGF1 of RFC 8017 §B.2.1. */
const mgf1 = (seed: Uint8Array, length: number): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(length / 32) }, (_, counter) =>
      sha256(seed, Buffer.from([0, 0, 0, counter])),
    ),
  ).subarray(0, length);

const xor = (a: Uint8Array, b: Uint8Array) => Buffer.from(a.map((byte, i) => byte ^ b[i]!));

test('the OAEP encoding is that of RFC 8017 §7.1.1, with the coins as its seed', () => {
  const message = new Uint8Array(64).fill(9);
  const EM = oaepEncode(message, coins);
  const seed = xor(EM.subarray(1, 33), mgf1(EM.subarray(33), 32));
  const DB = xor(EM.subarray(33), mgf1(seed, 384 - 33));
  assert.equal(EM[0], 0);
  assert.deepEqual(seed, Buffer.from(coins));
  const padding = Buffer.alloc(384 - 2 * 32 - 2 - 64);
  assert.deepEqual(DB, Buffer.concat([sha256(), padding, Buffer.from([1]), message]));
});

test('any RSA-OAEP-SHA256 decrypts: the plaintext and 32 bytes that bind it', () => {
  const { recipient, privatePem } = keys.get('rsa-oaep')!;
  const ciphertext = recipient.encryptor(info)(plaintext, coins);
  const opened = privateDecrypt(
    { key: privatePem, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
    ciphertext,
  );
  assert.equal(opened.length, 64);
  assert.equal(toHex(opened.subarray(0, 32)), toHex(plaintext));
});

test('a plaintext of another length than 32 bytes is refused', () => {
  for (const { recipient, privateKey } of keys.values()) {
    for (const length of [0, 31, 33, 190]) {
      const ciphertext = recipient.encryptor(info)(new Uint8Array(length), coins);
      assert.equal(privateKey.decrypt(info, ciphertext), undefined, `${recipient.scheme}, ${length}`);
    }
  }
});

// Keys that are refused

const spkiOf = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ format: 'der', type: 'spki' }));
const pemOf = (key: KeyObject): string => key.export({ format: 'pem', type: 'spki' }).toString();

/** A public key with a random modulus of `bits` bits: nobody can decrypt with it, but it reads like any other. */
function rsaKey(bits: number, { exponent = 'AQAB', odd = true } = {}): KeyObject {
  const n = randomBytes(Math.ceil(bits / 8));
  const top = (bits - 1) % 8;
  n[0] = (n[0]! | (1 << top)) & ((2 << top) - 1);
  n[n.length - 1] = (n[n.length - 1]! & 0xfe) | (odd ? 1 : 0);
  const key = { kty: 'RSA', n: Buffer.from(n).toString('base64url'), e: exponent };
  return createPublicKey({ key, format: 'jwk' });
}

/** The same key, marked for PSS only (RFC 4055 §3.1: another identifier, no parameters). */
function pssKey(): KeyObject {
  const spki = Buffer.from(spkiOf(rsaKey(3072)));
  const body = Buffer.concat([Buffer.from('300b06092a864886f70d01010a', 'hex'), spki.subarray(19)]);
  const header = Buffer.from([0x30, 0x82, body.length >> 8, body.length & 0xff]);
  return createPublicKey({ key: Buffer.concat([header, body]), format: 'der', type: 'spki' });
}

test('the keys made up here would be taken, were it not for their faults', () => {
  assert.equal(recipientFromSpki(spkiOf(rsaKey(3072)))?.scheme, 'rsa-oaep');
  assert.equal(pssKey().asymmetricKeyType, 'rsa-pss');
});

const REFUSED: Readonly<Record<string, () => KeyObject>> = {
  'RSA of 2048 bits': () => rsaKey(2048),
  'RSA of 3071 bits': () => rsaKey(3071),
  'RSA of 3073 bits': () => rsaKey(3073),
  'RSA of 4096 bits': () => rsaKey(4096),
  'RSA with e = 3': () => rsaKey(3072, { exponent: 'Aw' }),
  'RSA for PSS': pssKey,
  'RSA with an even modulus': () => rsaKey(3072, { odd: false }),
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey,
  // Its encoding differs from P-256's in one byte of the header, and in length.
  prime239v1: () => generateKeyPairSync('ec', { namedCurve: 'prime239v1' }).publicKey,
  secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey,
  'P-256 with explicit parameters': () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey,
  Ed25519: () => generateKeyPairSync('ed25519').publicKey,
};

for (const [name, make] of Object.entries(REFUSED)) {
  test(`refused as a recipient: ${name}`, () => {
    const key = make();
    assert.equal(recipientFromSpki(spkiOf(key)), undefined);
    assert.throws(() => recipientFromPem(pemOf(key)), fileError(/cannot receive backups/));
  });
}

test('only the one encoding of a public key is taken', () => {
  const rsa = keys.get('rsa-oaep')!.recipient.spki;
  const p256 = keys.get('hpke-p256')!.recipient.spki;
  const point = p256.subarray(-65);
  const compressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'compressed') as Buffer;
  const compressedSpki = Buffer.concat([
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
    compressed,
  ]);
  assert.ok(createPublicKey({ key: compressedSpki, format: 'der', type: 'spki' }), 'OpenSSL reads it');
  assert.equal(recipientFromSpki(compressedSpki), undefined);

  const hybrid = Uint8Array.from(p256);
  hybrid[26] = 6 + (p256[90]! & 1);
  assert.ok(createPublicKey({ key: Buffer.from(hybrid), format: 'der', type: 'spki' }), 'OpenSSL reads it');
  assert.equal(recipientFromSpki(hybrid), undefined);

  const offCurve = Uint8Array.from(p256);
  offCurve[90]! ^= 1;
  assert.equal(recipientFromSpki(offCurve), undefined);

  for (const spki of [rsa, p256]) {
    assert.equal(recipientFromSpki(Buffer.concat([spki, Buffer.from([0])])), undefined, 'a byte more');
    assert.equal(recipientFromSpki(spki.subarray(0, -1)), undefined, 'a byte less');
  }
  assert.equal(recipientFromSpki(new Uint8Array(0)), undefined);
});

test('a private key in the place of a public one is refused, and the other way round', () => {
  const { recipient, privatePem } = keys.get('hpke-p256')!;
  assert.throws(() => recipientFromPem(privatePem), fileError(/not a public key/));
  const publicPem = pemOf(createPublicKey({ key: Buffer.from(recipient.spki), format: 'der', type: 'spki' }));
  assert.throws(() => privateKeyFromPem(new TextEncoder().encode(publicPem)), fileError(/not a private key/));
  assert.throws(
    () => recipientFromPem('-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n'),
    fileError(/cannot be read/),
  );
  assert.throws(() => privateKeyFromPem(new Uint8Array(0)), fileError(/not a private key/));
});
