import assert from 'node:assert/strict';
import crypto, { generatePrimeSync, getDiffieHellman } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import { bytesToBigint, randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { jacobi } from '#src/math/modular.js';
import { securityLevel } from '#src/math/params.js';
import { isSafePrime } from '#src/math/prime.js';
import * as mod from '#src/zk/mod.js';
import {
  Factor,
  fillingPrime,
  forgeMod,
  modulusOf,
  strangerKey,
  withSmallFactors,
} from '../support/forgeries.js';
import {
  assertBoundToContext,
  assertEveryAlterationRefused,
  assertSchemaBounds,
  CONTEXT,
  LEVEL,
  prover,
  verifier,
} from '../support/proofs.js';

const { key, publicKey } = prover;
const statement: mod.Statement = { level: LEVEL, key };
const proof = mod.prove(CONTEXT, statement, key, randomBytes);

test('Π^mod accepts an honest proof, as a stranger sees it', () => {
  assert.ok(mod.verify(CONTEXT, { level: LEVEL, key: publicKey }, proof));
});

test('Π^mod gives the fourth root that is itself a square, and all four kinds of y occur', () => {
  for (const x of proof.x) for (const p of [key.p1, key.p2]) assert.equal(jacobi(x, p), 1);
  const kinds = new Set(proof.a.map((a, i) => `${a}${proof.b[i]}`));
  assert.equal(kinds.size, 4);
});

test('Π^mod is proved without RSA decryption, too', (t) => {
  const { mock } = t.mock.method(crypto, 'privateDecrypt', () => {
    throw new Error('not supported');
  });
  syncBuiltinESMExports();
  try {
    const slow = mod.prove(CONTEXT, statement, key, randomBytes);
    assert.ok(mock.callCount() > 0);
    assert.ok(mod.verify(CONTEXT, { level: LEVEL, key: publicKey }, slow));
  } finally {
    mock.restore();
    syncBuiltinESMExports();
  }
});

test('Π^mod survives the codec', () => {
  const schema = mod.proofSchema(LEVEL);
  assert.deepEqual(decodeAs(schema, encodeAs(schema, proof), 100_000), proof);
});

test('Π^mod is bounded by its schema', () => {
  assertSchemaBounds(mod.proofSchema(LEVEL), proof, { w: 2048, a: 1, b: 1, x: 2048, z: 2048 });
});

test('Π^mod refuses every altered value', () => {
  assertEveryAlterationRefused(proof, [key.N, key.phi], (altered) => mod.verify(CONTEXT, statement, altered));
});

test('Π^mod is bound to its context', () => {
  assertBoundToContext((ctx) => mod.verify(ctx, statement, proof));
});

test('Π^mod is bound to its statement', () => {
  assert.equal(mod.verify(CONTEXT, { ...statement, key: verifier.key }, proof), false, 'another modulus');
  const level = securityLevel(128);
  assert.equal(
    mod.verify(CONTEXT, { ...statement, level }, proof),
    false,
    'a modulus too short for the level',
  );
});

// Moduli that are not what they should be, by a prover that does the best it can with the factors it knows.

/** The best that a prover who knows the factors can do, and how many of the 128 and the 8 equations hold. */
function forge(factors: readonly Factor[], choice?: Parameters<typeof forgeMod>[2]) {
  const { proof, ...counts } = forgeMod(CONTEXT, factors, choice);
  const key = strangerKey(modulusOf(factors));
  return { accepted: mod.verify(CONTEXT, { level: LEVEL, key }, proof), ...counts };
}

const allEquations = (accepted: boolean) => ({ accepted, fourthRoots: 128, nthRoots: 8 });

/** With the primes ≡ 3 mod 4 that are nearest to 2^16. */
const [BELOW, ABOVE] = [withSmallFactors([65519n]), withSmallFactors([65539n])];

test('the forger of these tests is able: it proves an honest modulus', () => {
  assert.deepEqual(forge([new Factor(key.p1), new Factor(key.p2)]), allEquations(true));
});

test('Π^mod refuses prime factors below 2^16, with all equations satisfied', () => {
  assert.deepEqual(forge(BELOW), allEquations(false));
  assert.deepEqual(forge(ABOVE), allEquations(true), 'left to Π^fac');
});

test('Π^mod refuses roots that are not units, with all equations satisfied', () => {
  // A y_i that is a multiple of p has roots modulo p, namely 0, whatever p is.
  assert.deepEqual(forge(ABOVE, { wanted: (y) => y.some((yi) => yi % 65539n === 0n) }), allEquations(false));
});

test('Π^mod refuses a w that is not reduced, with all equations satisfied', () => {
  const factors = [new Factor(key.p1), new Factor(key.p2)];
  assert.deepEqual(forge(factors, { lifted: true }), allEquations(false));
});

test('Π^mod refuses a prime, with all equations satisfied', () => {
  const p = bytesToBigint(getDiffieHellman('modp14').getPrime());
  assert.ok(isSafePrime(p));
  assert.deepEqual(forge([new Factor(p)]), allEquations(false));
});

test('Π^mod refuses the square of a prime', () => {
  assert.equal(forge([new Factor(key.p1, 2n)]).accepted, false);
});

test('Π^mod refuses a square factor, though all fourth roots exist', () => {
  const p = generatePrimeSync(512, { bigint: true, add: 4n, rem: 3n });
  const q = fillingPrime(p * p, 4n, 3n);
  assert.deepEqual(forge([new Factor(p, 2n), new Factor(q)]), { ...allEquations(false), nthRoots: 0 });
});

test('Π^mod refuses primes p | q − 1, though all fourth roots exist', () => {
  const p = generatePrimeSync(512, { bigint: true, add: 4n, rem: 3n });
  // q ≡ 1 mod p and, since p ≡ 3 mod 4, q ≡ 1 + 2p ≡ 3 mod 4.
  const q = fillingPrime(p, 4n * p, 1n + 2n * p);
  assert.deepEqual(forge([new Factor(p), new Factor(q)]), { ...allEquations(false), nthRoots: 0 });
});

test('Π^mod refuses prime factors ≡ 1 mod 4, one or both', () => {
  const p = generatePrimeSync(1024, { bigint: true, add: 8n, rem: 5n });
  for (const q of [fillingPrime(p, 4n, 3n), fillingPrime(p, 8n, 5n)]) {
    const { accepted, fourthRoots, nthRoots } = forge([new Factor(p), new Factor(q)]);
    assert.deepEqual([accepted, nthRoots], [false, 8]);
    assert.ok(fourthRoots < 110, `${fourthRoots} of 128`);
  }
});

test('Π^mod refuses three prime factors', () => {
  const p = generatePrimeSync(683, { bigint: true, add: 4n, rem: 3n });
  const q = generatePrimeSync(683, { bigint: true, add: 4n, rem: 3n });
  const r = fillingPrime(p * q, 4n, 3n);
  const { accepted, fourthRoots, nthRoots } = forge([new Factor(p), new Factor(q), new Factor(r)]);
  assert.deepEqual([accepted, nthRoots], [false, 8]);
  assert.ok(fourthRoots < 110, `${fourthRoots} of 128`);
});

test('Π^mod refuses, and does not throw on, moduli that are no moduli', () => {
  for (const N of [2n * key.p1 * key.p2, key.N + 1n, 2n ** 2047n, 1n, 0n, -key.N])
    assert.equal(mod.verify(CONTEXT, { level: LEVEL, key: { ...strangerKey(1n), N } }, proof), false);
});
