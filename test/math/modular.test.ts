import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MpcError } from '#src/core/errors.js';
import { modPow } from '#src/math/modpow.js';
import { areUnits, crt, gcd, isqrt, isUnit, jacobi, mod, modInverse } from '#src/math/modular.js';
import { testSafePrimes } from '../support/primes.js';

const big = fc.bigInt({ min: -(1n << 300n), max: 1n << 300n });
const positive = fc.bigInt({ min: 1n, max: 1n << 300n });
const odd = positive.map((n) => 2n * n + 1n);
const [p, q] = [testSafePrimes[1024][0]!, testSafePrimes[1024][1]!];
const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';

/** Euclid's algorithm, as a reference. */
function euclid(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

test('mod is the representative in 0 … n − 1', () => {
  fc.assert(
    fc.property(big, positive, (a, n) => {
      const r = mod(a, n);
      assert(r >= 0n && r < n && (a - r) % n === 0n);
    }),
  );
});

test('gcd equals Euclid’s', () => {
  assert.equal(gcd(0n, 0n), 0n);
  fc.assert(
    fc.property(big, big, positive, (a, b, c) => assert.equal(gcd(a * c, b * c), euclid(a * c, b * c))),
  );
});

test('inverses exist for units only', () => {
  assert.equal(modInverse(3n, 7n), 5n);
  assert.equal(modInverse(-3n, 7n), 2n);
  assert.equal(modInverse(0n, 7n), undefined);
  assert.equal(modInverse(p, p * q), undefined);
  fc.assert(
    fc.property(big, fc.bigInt({ min: 2n, max: 1n << 300n }), (a, n) => {
      const inverse = modInverse(a, n);
      assert.equal(inverse !== undefined, euclid(a, n) === 1n);
      if (inverse !== undefined) assert(inverse >= 0n && inverse < n && mod(a * inverse, n) === 1n);
    }),
  );
});

test('units lie strictly between 0 and N and share no factor with it', () => {
  const N = p * q;
  for (const x of [1n, 2n, N - 1n, p + 1n]) assert(isUnit(x, N));
  for (const x of [0n, -1n, N, N + 1n, p, 2n * q, p * (q - 1n)]) {
    assert(!isUnit(x, N));
    assert(!areUnits([2n, x, 3n], N));
  }
  assert(areUnits([1n, 2n, N - 1n], N));
  assert(areUnits([], N));
});

test('Jacobi symbols of a known row and of the residues modulo 15', () => {
  // Cohen, table of (a/n): n = 15 is the smallest modulus where symbol 1 does not mean square.
  assert.deepEqual(
    Array.from({ length: 15 }, (_, a) => jacobi(BigInt(a), 15n)),
    [0, 1, 1, 0, 1, 0, 0, -1, 1, 0, 0, -1, 0, -1, -1],
  );
  assert.equal(jacobi(1001n, 9907n), -1);
  assert.equal(jacobi(5n, 1n), 1);
  assert.equal(jacobi(0n, 1n), 1);
});

test('Jacobi symbols modulo a prime follow Euler’s criterion', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -p, max: p }), (a) => {
      const power = modPow(a, (p - 1n) / 2n, p);
      assert.equal(jacobi(a, p), power === p - 1n ? -1 : Number(power));
    }),
    { numRuns: 30 },
  );
  assert.equal(jacobi(p, p), 0);
  assert.equal(jacobi(-1n, p), -1);
});

test('Jacobi symbols are multiplicative in both arguments, and periodic', () => {
  fc.assert(
    fc.property(big, big, odd, odd, (a, b, m, n) => {
      assert.equal(jacobi(a * b, m), jacobi(a, m) * jacobi(b, m) + 0);
      assert.equal(jacobi(a, m * n), jacobi(a, m) * jacobi(a, n) + 0);
      assert.equal(jacobi(a + m, m), jacobi(a, m));
      assert.equal(jacobi(a, m) === 0, euclid(a, m) !== 1n);
    }),
  );
});

test('a Jacobi symbol over an even or non-positive modulus is a bug of the caller', () => {
  for (const n of [0n, 4n, -3n]) assert.throws(() => jacobi(1n, n), isBug);
});

test('isqrt is the floor of the square root', () => {
  for (const n of [0n, 1n, 2n, 3n, 4n, 8n, 9n])
    assert.equal(isqrt(n), BigInt(Math.floor(Math.sqrt(Number(n)))));
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 1n << 3072n }), (n) => {
      const root = isqrt(n);
      assert(root ** 2n <= n && n < (root + 1n) ** 2n);
      for (const around of [-1n, 0n, 1n]) {
        if (n > 1n) assert.equal(isqrt(n ** 2n + around), around < 0n ? n - 1n : n);
      }
    }),
    { numRuns: 50 },
  );
  assert.throws(() => isqrt(-1n), isBug);
});

test('crt is the one residue with both remainders', () => {
  const inverse = modInverse(q, p);
  assert(inverse !== undefined);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: p * q - 1n }), (x) => {
      assert.equal(crt(x % p, p, x % q, q, inverse), x);
    }),
    { numRuns: 50 },
  );
});
