/** Points, DER signatures and PEM public keys from elsewhere: read from one encoding only, and refused otherwise. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CurveName, curveByName } from '#src/curve/curve.js';
import { decodeDer, encodeDer, publicKeyFromPem, publicKeyPem, verify } from '#src/curve/ecdsa.js';
import { anythingFor, cases, refusalWith, unlessRefused } from '../support/fuzz.js';
import { spoiledPem } from '../support/fuzz-pem.js';

const CURVES: readonly CurveName[] = ['P-256', 'secp256k1'];

for (const name of CURVES) {
  const curve = curveByName(name);
  const scalar = fc.bigInt({ min: 1n, max: curve.q - 1n });

  test(`${name}: bytes are the one encoding of a point, or of none`, () => {
    const encodings = scalar.chain((k) => {
      const point = curve.multiplyBase(k);
      return fc.constantFrom(point.toBytes(), point.toUncompressed());
    });
    const halves = fc
      .tuple(fc.integer({ min: 0, max: 5 }), fc.uint8Array({ minLength: 32, maxLength: 32 }))
      .map(([head, x]) => Uint8Array.of(head, ...x));
    fc.assert(
      fc.property(fc.oneof(anythingFor(encodings), halves), (bytes) => {
        const point = curve.point(bytes);
        if (point) assert.deepEqual(point.toBytes(), Uint8Array.from(bytes));
      }),
      cases(),
    );
  });

  test(`${name}: bytes are the DER of a signature, or of none, and verify for one message only`, () => {
    const X = curve.multiplyBase(7n);
    const signatures = fc.tuple(scalar, scalar).map(([r, s]) => encodeDer(r, s));
    fc.assert(
      fc.property(anythingFor(signatures), fc.uint8Array({ minLength: 32, maxLength: 32 }), (der, digest) => {
        const signature = decodeDer(der);
        if (signature) assert.deepEqual(encodeDer(signature.r, signature.s), Uint8Array.from(der));
        assert.equal(verify(curve, X, digest, der), false);
      }),
      cases(150),
    );
  });
}

test('a PEM public key is a point of one of the curves, or a FILE error', () => {
  const spki = ({ publicKey }: KeyPairKeyObjectResult): string =>
    publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const ofP256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pems = [
    ...CURVES.map((name) => publicKeyPem(curveByName(name), curveByName(name).multiplyBase(11n))),
    ofP256.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    spki(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })),
    spki(generateKeyPairSync('ec', { namedCurve: 'P-384' })),
    spki(generateKeyPairSync('ed25519')),
    spki(generateKeyPairSync('rsa', { modulusLength: 1024 })),
  ];
  let read = 0;
  fc.assert(
    fc.property(spoiledPem(pems), (pem) => {
      const key = unlessRefused(() => publicKeyFromPem(pem), refusalWith('FILE'));
      if (key === undefined) return;
      read += 1;
      assert.ok(key.curve.point(key.point.toBytes())?.equals(key.point));
    }),
    cases(),
  );
  assert.ok(read > 0);
});
