import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MpcError } from '#src/core/errors.js';
import { modPow } from '#src/math/modpow.js';
import { mod } from '#src/math/modular.js';
import { publicPower, publicPowers } from '#src/math/public-power.js';
import { testSafePrimes } from '../support/primes.js';

/** base^exponent mod modulus by squaring and multiplying, for exponent ≥ 0: nothing in common with OpenSSL. */
function reference(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = mod(1n, modulus);
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = mod(result * base, modulus);
  }
  return result;
}

const [p, q] = testSafePrimes[1024] as [bigint, bigint];
const N = p * q;

test('public powers equal those by squaring and multiplying, for odd and even moduli of all lengths', () => {
  const small = fc.bigInt({ min: 1n, max: 1n << 80n });
  const large = fc.bigInt({ min: 1n << 500n, max: 1n << 700n });
  const base = fc.bigInt({ min: -(1n << 750n), max: 1n << 750n });
  const exponent = fc.bigInt({ min: 0n, max: 1n << 800n });
  fc.assert(
    fc.property(fc.oneof(small, large), base, exponent, (modulus, b, e) => {
      assert.equal(publicPower(b, e, modulus), reference(b, e, modulus));
    }),
    { numRuns: 200 },
  );
});

test('public powers equal those of the other engine at every length in use', () => {
  const [p3, q3] = testSafePrimes[1536] as [bigint, bigint];
  for (const modulus of [p, N, N ** 2n, p3, p3 * q3, (p3 * q3) ** 2n]) {
    for (const exponent of [modulus / 5n, modulus - 1n, modulus, 3n * modulus, (1n << 128n) - 1n]) {
      assert.equal(publicPower(modulus / 3n, exponent, modulus), modPow(modulus / 3n, exponent, modulus));
    }
  }
});

test('bases and exponents at their ends, non-units and results 0, 1 and −1', () => {
  for (const base of [0n, 1n, -1n, 2n, N - 1n, N, N + 1n, p, q * 5n]) {
    for (const exponent of [0n, 1n, 2n, 3n, p - 1n, N - 1n, N, N + 1n]) {
      assert.equal(publicPower(base, exponent, N), reference(base, exponent, N), `${base} ${exponent}`);
    }
  }
  assert.equal(publicPower(2n, p - 1n, p), 1n);
  assert.equal(publicPower(p, 2n, p ** 2n), 0n);
  assert.equal(publicPower(5n, 3n, 1n), 0n);
});

test('a negative exponent, and a modulus that is not positive, are bugs of the caller', () => {
  const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';
  assert.throws(() => publicPower(3n, -1n, N), isBug);
  assert.throws(() => publicPower(3n, 5n, 0n), isBug);
  assert.throws(() => publicPower(3n, 5n, -7n), isBug);
});

test('many powers of one base equal those made one by one, whatever the modulus and the lengths of the exponents', () => {
  const modulus = fc.oneof(fc.bigInt({ min: 1n, max: 1n << 80n }), fc.bigInt({ min: 1n, max: 1n << 600n }));
  const base = fc.bigInt({ min: -(1n << 650n), max: 1n << 650n });
  const exponent = fc.oneof(
    fc.bigInt({ min: 0n, max: 20n }),
    fc.bigInt({ min: 0n, max: 1n << 60n }),
    fc.bigInt({ min: 0n, max: 1n << 700n }),
  );
  fc.assert(
    fc.property(modulus, base, fc.array(exponent, { maxLength: 10 }), (m, b, exponents) => {
      assert.deepEqual(
        publicPowers(b, exponents, m),
        exponents.map((e) => reference(b, e, m)),
      );
    }),
    { numRuns: 200 },
  );
});

test('many powers of one base for every number of exponents up to three groups of eight', () => {
  for (let count = 0; count <= 24; count += 1) {
    const exponents = Array.from({ length: count }, (_, i) => (N * BigInt(i + 1)) >> BigInt(1800 + 3 * i));
    assert.deepEqual(
      publicPowers(5n, exponents, N),
      exponents.map((e) => reference(5n, e, N)),
      `${count} exponents`,
    );
  }
});

test('many powers of one base at every length of exponents and modulus', () => {
  for (let bits = 0n; bits <= 70n; bits += 1n) {
    const exponents = [0n, 1n, 1n << bits, (1n << bits) - 1n, (1n << bits) / 3n];
    for (const modulus of [1n, 2n, 1n << bits, (1n << bits) + 1n, N]) {
      assert.deepEqual(
        publicPowers(modulus - 2n, exponents, modulus),
        exponents.map((e) => reference(modulus - 2n, e, modulus)),
        `${bits} bits modulo ${modulus}`,
      );
    }
  }
});

test('a thousand products in a row, none of them reduced, whatever the modulus', () => {
  for (const modulus of [1n, 2n, 3n, 255n, (1n << 64n) - 1n, N]) {
    const exponent = (1n << 1000n) - 1n;
    const powers = publicPowers(modulus - 2n, [exponent, exponent], modulus);
    const expected = reference(modulus - 2n, exponent, modulus);
    assert.deepEqual(powers, [expected, expected]);
  }
});

test('many powers modulo N, of units and others, with the exponents that a verification meets', () => {
  const exponents = [0n, 1n, p - 1n, (p - 1n) * (q - 1n), N - 1n, N / 3n, (1n << 2048n) - 1n];
  for (const base of [0n, 1n, N - 1n, N + 2n, p, N / 7n]) {
    const expected = exponents.map((e) => modPow(base, e, N));
    assert.deepEqual(publicPowers(base, exponents, N), expected);
  }
  assert.deepEqual(publicPowers(3n, [], N), []);
  assert.throws(() => publicPowers(3n, [1n, -1n], N), { code: 'BUG' });
  assert.throws(() => publicPowers(3n, [1n], 0n), { code: 'BUG' });
});
