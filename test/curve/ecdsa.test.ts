import assert from 'node:assert/strict';
import { createPublicKey, createSign, createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import { bytesToBigint, fromHex, toHex } from '#src/core/bytes.js';
import { curveByName, type Point } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import {
  decodeDer,
  encodeDer,
  lowS,
  publicKeyFromPem,
  publicKeyPem,
  verify,
  verifyMessage,
} from '#src/curve/ecdsa.js';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const hex = (value: string): Uint8Array => fromHex(value.replaceAll(' ', ''))!;
const number = (value: string): bigint => BigInt(`0x${value}`);

const OPENSSL = { 'P-256': 'prime256v1', secp256k1: 'secp256k1' } as const;
const NOBLE = { 'P-256': p256, secp256k1 } as const;

test('RFC 6979 A.2.5: the published signatures of P-256 with SHA-256 verify, in their low-s form', () => {
  const curve = curveByName('P-256');
  const X = curve.multiplyBase(number('C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721'));
  assert.equal(X.x, number('60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6'));
  const samples = [
    [
      'sample',
      'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716',
      'F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8',
    ],
    [
      'test',
      'F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367',
      '019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083',
    ],
  ] as const;
  for (const [message, r, s] of samples) {
    const der = encodeDer(number(r), lowS(curve, number(s)));
    assert.ok(verify(curve, X, messageDigest(text(message)), der));
    assert.ok(!verify(curve, X, messageDigest(text(`${message}.`)), der));
  }
});

for (const name of ['P-256', 'secp256k1'] as const) {
  const curve = curveByName(name);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: OPENSSL[name] });
  const { point: X } = publicKeyFromPem(publicKey.export({ type: 'spki', format: 'pem' }) as string);
  const message = text('Hello, MPC World!');
  const digest = messageDigest(message);

  /** OpenSSL's opinion, which takes the message and either s. */
  const opensslVerify = (key: KeyObject, signature: Uint8Array): boolean =>
    createVerify('sha256').update(message).verify(key, signature);

  /** The opinion of both verifications, which must be the same. */
  function verifies(der: Uint8Array, key: Point = X): boolean {
    const verified = verify(curve, key, digest, der);
    assert.equal(verifyMessage(curve, key, message, der), verified, toHex(der));
    return verified;
  }

  /** OpenSSL's signature, both of its forms. */
  function sign(): { low: Uint8Array; high: Uint8Array; r: bigint; s: bigint } {
    const der = new Uint8Array(createSign('sha256').update(message).sign(privateKey));
    const { r, s } = decodeDer(der)!;
    const small = lowS(curve, s);
    return { low: encodeDer(r, small), high: encodeDer(r, curve.q - small), r, s: small };
  }

  test(`${name}: verification agrees with OpenSSL and noble, but for high s`, () => {
    for (let i = 0; i < 5; i++) {
      const { low, high } = sign();
      assert.ok(verifies(low));
      assert.ok(!verifies(high));
      assert.ok(opensslVerify(publicKey, low) && opensslVerify(publicKey, high));
      const noble = (der: Uint8Array) => NOBLE[name].verify(der, message, X.toBytes(), { format: 'der' });
      assert.ok(noble(low) && !noble(high));
    }
  });

  test(`${name}: no altered signature, digest or key verifies`, () => {
    const { low, r, s } = sign();
    for (let i = 0; i < low.length; i++) {
      const altered = Uint8Array.from(low, (byte, index) => (index === i ? byte ^ 1 : byte));
      assert.ok(!verifies(altered), `byte ${i}`);
      assert.ok(!opensslVerify(publicKey, altered), `byte ${i}`);
    }
    const { q } = curve;
    for (const [r2, s2] of [
      [s, r],
      [r + 1n, s],
      [r, s - 1n],
      [r + q, s],
      [r, s + q],
      [q, s],
      [r, q],
      [1n, 1n],
      [q - r, s],
    ] as const) {
      assert.ok(!verifies(encodeDer(r2, s2)), `${r2}, ${s2}`);
    }
    // Other encodings of the same r and s.
    const integers = low.subarray(2);
    const rLength = low[3]!;
    for (const other of [
      Uint8Array.of(...low, 0),
      Uint8Array.of(0x30, 0x81, ...low.subarray(1)),
      Uint8Array.of(0x30, integers.length + 1, 2, rLength + 1, 0, ...low.subarray(4)),
      Uint8Array.of(0x30, integers.length + 1, 2, 0x81, ...low.subarray(3)),
      Uint8Array.of(0x30, integers.length + 1, ...integers, 0),
      Uint8Array.of(0x30, 0x80, ...integers, 0, 0),
      Uint8Array.of(...curve.scalarBytes(r), ...curve.scalarBytes(s)),
    ]) {
      assert.ok(!verifies(other), toHex(other));
    }
    assert.ok(verifies(low));
    assert.ok(!verify(curve, X, messageDigest(text('hello')), low));
    assert.ok(!verifyMessage(curve, X, text('hello'), low));
    assert.ok(!verifies(low, X.negate()));
    assert.ok(!verifies(low, X.add(curve.G)));
    assert.throws(() => verify(curve, X, digest.subarray(1), low), { code: 'BUG' });
  });

  test(`${name}: random bytes never verify, and never throw`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        assert.ok(!verifies(bytes));
      }),
    );
  });

  test(`${name}: low s is the smaller of both, and unchanged by a second turn`, () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: curve.q - 1n }), (s) => {
        const low = lowS(curve, s);
        assert.ok(low === s || low === curve.q - s);
        assert.ok(2n * low < curve.q);
        assert.equal(lowS(curve, low), low);
      }),
    );
    assert.equal(lowS(curve, curve.q / 2n), curve.q / 2n);
    assert.equal(lowS(curve, curve.q / 2n + 1n), curve.q / 2n);
  });

  test(`${name}: public keys as PEM, read by OpenSSL and back`, () => {
    for (let k = 1n; k <= 20n; k++) {
      const P: Point = curve.multiplyBase(k * 0x1234567890abcdefn);
      const pem = publicKeyPem(curve, P);
      assert.match(pem, /^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n$/);
      const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
      assert.ok(toHex(der).endsWith(toHex(P.toUncompressed())));
      const read = publicKeyFromPem(pem);
      assert.equal(read.curve, curve);
      assert.ok(read.point.equals(P));
    }
    assert.ok(opensslVerify(createPublicKey(publicKeyPem(curve, X)), sign().high));
  });
}

test('DER: what X.690 allows, and nothing else', () => {
  const half = '7f'.padEnd(64, 'a');
  const accepted: readonly (readonly [string, bigint, bigint])[] = [
    ['3006 020101 020102', 1n, 2n],
    ['3007 02020080 020101', 128n, 1n],
    ['3007 020101 02020080', 1n, 128n],
    [`3044 0220${half} 0220${half}`, number(half), number(half)],
  ];
  for (const [bytes, r, s] of accepted) {
    assert.deepEqual(decodeDer(hex(bytes)), { r, s }, bytes);
    assert.equal(toHex(encodeDer(r, s)), bytes.replaceAll(' ', ''));
  }
  const refused: Readonly<Record<string, string>> = {
    empty: '',
    'no content': '3000',
    'one integer': '3003 020101',
    'three integers': '3009 020101 020101 020101',
    'byte after the sequence': '3006 020101 020102 00',
    'byte inside the sequence': '3007 020101 020102 00',
    'length too small': '3005 020101 020102',
    'length too large': '3007 020101 020102',
    'long form of a short length': '308106 020101 020102',
    'long form of an integer’s length': '3007 02810101 020102',
    'indefinite length': '3080 020101 020102 0000',
    'leading zero': '3007 02020001 020102',
    'leading zero in s': '3007 020101 02020001',
    'negative r': '3006 0201ff 020102',
    'negative s': '3006 020101 0201ff',
    'zero r': '3006 020100 020102',
    'zero s': '3006 020101 020100',
    'empty integer': '3005 0200 020102',
    'not a sequence': '3106 020101 020102',
    'not an integer': '3006 030101 020102',
    'integer of 34 bytes': `3027 0222${'01'.padEnd(68, '0')} 020101`,
  };
  for (const [why, bytes] of Object.entries(refused)) assert.equal(decodeDer(hex(bytes)), undefined, why);
});

test('DER: decoding undoes encoding, and every accepted encoding is the one we make', () => {
  const scalar = fc.bigInt({ min: 1n, max: 2n ** 256n - 1n });
  fc.assert(
    fc.property(scalar, scalar, (r, s) => {
      assert.deepEqual(decodeDer(encodeDer(r, s)), { r, s });
      assert.ok(encodeDer(r, s).length <= 72);
    }),
  );
  fc.assert(
    fc.property(scalar, scalar, fc.nat(71), fc.nat(255), (r, s, at, byte) => {
      const altered = encodeDer(r, s);
      altered[at % altered.length] = byte;
      const read = decodeDer(altered);
      if (read !== undefined) assert.deepEqual(encodeDer(read.r, read.s), altered);
    }),
    { numRuns: 500 },
  );
  for (const [r, s] of [
    [0n, 1n],
    [1n, 0n],
    [-1n, 1n],
  ] as const) {
    assert.throws(() => encodeDer(r, s), { code: 'BUG' });
  }
});

test('PEM: what is not a public key of one of the curves is refused', () => {
  const curve = curveByName('P-256');
  const good = publicKeyPem(curve, curve.G);
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;
  const cases: Readonly<Record<string, string>> = {
    empty: '',
    text: 'hello',
    truncated: good.slice(0, 80),
    'something before it': `x\n${good}`,
    'private key': ec.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    'private key, SEC 1': ec.privateKey.export({ type: 'sec1', format: 'pem' }) as string,
    RSA: pemOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
    'P-384': pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
    Ed25519: pemOf(generateKeyPairSync('ed25519').publicKey),
    // The last base64 digits are those of y: another y is not on the curve.
    'off the curve': good.replace(/.{8}\n-----END/, 'AAAAAA==\n-----END'),
  };
  assert.ok(publicKeyFromPem(good).point.equals(curve.G));
  assert.equal(bytesToBigint(curve.G.toBytes().subarray(1)), curve.G.x);
  for (const [why, pem] of Object.entries(cases)) {
    assert.throws(() => publicKeyFromPem(pem), { name: 'MpcError', code: 'FILE' }, why);
  }
});
