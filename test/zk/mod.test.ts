import assert from 'node:assert/strict';
import { generatePrimeSync, getDiffieHellman } from 'node:crypto';
import { test } from 'node:test';
import { bitLength, bytesToBigint, randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { hashStream } from '#src/core/transcript.js';
import { modPow } from '#src/math/modpow.js';
import { areUnits, gcd, jacobi, modInverse, mod as reduce } from '#src/math/modular.js';
import { securityLevel } from '#src/math/params.js';
import { isSafePrime } from '#src/math/prime.js';
import type { PaillierKey } from '#src/paillier/keys.js';
import { contextFields } from '#src/zk/context.js';
import * as mod from '#src/zk/mod.js';
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

const strangerKey = (N: bigint): PaillierKey => ({
  N,
  NN: N * N,
  pow: (base, exponent) => modPow(base, exponent, N),
  powSquare: (base, exponent) => modPow(base, exponent, N * N),
  nthPower: (rho) => modPow(rho, N, N * N),
});

/** p^power, a factor of a modulus; p ≢ 1 mod 8. */
class Factor {
  readonly p: bigint;
  readonly modulus: bigint;
  readonly #order: bigint;
  readonly #quarter: bigint;

  constructor(p: bigint, power = 1n) {
    this.p = p;
    this.modulus = p ** power;
    this.#order = p ** (power - 1n) * (p - 1n);
    let odd = this.#order;
    while (odd % 2n === 0n) odd /= 2n;
    this.#quarter = modInverse(4n, odd)!;
  }

  /** The fourth root of v, if v has one: then its order is odd. A homomorphism, so that it may be combined first. */
  quarter(v: bigint): bigint {
    return modPow(v, this.#quarter, this.modulus);
  }

  /** The n-th root of v where each number has exactly one; elsewhere few have any, and the forger gives up. */
  nthRoot(v: bigint, n: bigint): bigint {
    const inverse = modInverse(n, this.#order);
    return inverse === undefined ? 1n : modPow(v, inverse, this.modulus);
  }
}

interface Choice {
  /** Which challenges the prover waits for; units, if nothing else is said. */
  readonly wanted?: (y: readonly bigint[]) => boolean;
  /** Whether it sends w + N for w. */
  readonly lifted?: boolean;
}

/** The best that a prover who knows the factors can do, and how many of the 128 and the 8 equations hold. */
function forge(factors: readonly Factor[], { wanted, lifted = false }: Choice = {}) {
  const N = factors.reduce((product, { modulus }) => product * modulus, 1n);
  const combine = (residue: (factor: Factor) => bigint): bigint =>
    factors.reduce((sum, factor) => {
      const rest = N / factor.modulus;
      return sum + residue(factor) * rest * modInverse(rest, factor.modulus)!;
    }, 0n) % N;

  const { w, y } = chooseW(N, factors, wanted ?? ((y) => areUnits(y, N)), lifted ? N : 0n);
  const rootOf = (v: bigint) => combine((factor) => factor.quarter(v));
  const [rootOfMinusOne, rootOfW] = [rootOf(N - 1n), rootOf(w)];
  const rows = y.map((yi) => {
    const rootOfY = rootOf(yi);
    const choices = BITS.flatMap((a) => BITS.map((b) => ({ a, b })));
    const candidates = choices.map(({ a, b }) => {
      const x = (rootOfMinusOne ** BigInt(a) * rootOfW ** BigInt(b) * rootOfY) % N;
      return { a, b, x, holds: modPow(x, 4n, N) === reduce((-1n) ** BigInt(a) * w ** BigInt(b) * yi, N) };
    });
    return candidates.find(({ holds }) => holds) ?? candidates[0]!;
  });
  const z = y.slice(0, 8).map((yi) => combine((factor) => factor.nthRoot(yi, N)));

  const forged = { w, a: rows.map(({ a }) => a), b: rows.map(({ b }) => b), x: rows.map(({ x }) => x), z };
  return {
    accepted: mod.verify(CONTEXT, { level: LEVEL, key: strangerKey(N) }, forged),
    fourthRoots: rows.filter(({ holds }) => holds).length,
    nthRoots: z.filter((zi, i) => modPow(zi, N, N) === y[i]).length,
  };
}

const BITS = [0, 1] as const;

/** A non-residue modulo the last factor only, plus `lift`, whose challenges y_i are as wanted: none serves better. */
function chooseW(
  N: bigint,
  factors: readonly Factor[],
  wanted: (y: readonly bigint[]) => boolean,
  lift: bigint,
) {
  const symbols = factors.map((_, i) => (i === factors.length - 1 ? -1 : 1));
  let w = 2n;
  while (factors.some(({ p }, i) => jacobi(w, p) !== symbols[i])) w += 1n;
  // Times 4, a square modulo anything, until the hash is right.
  for (; ; w = (4n * w) % N) {
    const width = bitLength(N) / 8 + 16;
    const stream = hashStream('proof mod', [...contextFields(CONTEXT), N, w + lift], 128 * width);
    const part = (i: number) => bytesToBigint(stream.subarray(i * width, (i + 1) * width));
    const y = Array.from({ length: 128 }, (_, i) => part(i) % N);
    if (wanted(y)) return { w: w + lift, y };
  }
}

const allEquations = (accepted: boolean) => ({ accepted, fourthRoots: 128, nthRoots: 8 });

/** A prime ≡ rem mod add with which the product of `others` has exactly 2048 bits. */
function fillingPrime(others: bigint, add: bigint, rem: bigint): bigint {
  for (let spare = 0; ; spare = 1 - spare) {
    const q = generatePrimeSync(2048 - bitLength(others) + spare, { bigint: true, add, rem });
    if (bitLength(q * others) === 2048) return q;
  }
}

/** A modulus with the given small factor p ≡ 3 mod 4, of which everything else holds. */
function withSmallFactor(p: bigint): readonly Factor[] {
  for (;;) {
    const q = fillingPrime(p, 4n, 3n);
    if (gcd(q - 1n, p) === 1n) return [new Factor(p), new Factor(q)];
  }
}
/** With the primes ≡ 3 mod 4 that are nearest to 2^16. */
const [BELOW, ABOVE] = [withSmallFactor(65519n), withSmallFactor(65539n)];

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
