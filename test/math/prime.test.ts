import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitLength, type Random, randomBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { hash } from '#src/core/transcript.js';
import { hasSmallFactor, isPrime, isSafePrime, safePrime } from '#src/math/prime.js';
import { sampleBits } from '#src/math/sample.js';
import { testSafePrimes } from '../support/primes.js';

const never = (): boolean => false;

/** A generator of repeatable bytes. */
function seeded(seed: string): Random {
  let count = 0n;
  return (length) => {
    count += 1n;
    return hash(`test/${seed}`, [count], length);
  };
}

test('small primes, and safe ones among them (OEIS A005385)', () => {
  const upTo200 = Array.from({ length: 200 }, (_, n) => BigInt(n));
  assert.equal(upTo200.filter(isPrime).length, 46);
  assert.deepEqual(upTo200.filter(isSafePrime), [5n, 7n, 11n, 23n, 47n, 59n, 83n, 107n, 167n, 179n]);
});

test('composites made to look prime are found out', () => {
  // A Carmichael number, and the least strong pseudoprimes to the first four and the first nine primes (OEIS A014233).
  for (const n of [561n, 3_215_031_751n, 3_825_123_056_546_413_051n, -7n, 0n, 1n]) assert(!isPrime(n));
  const [p, q] = [testSafePrimes[1024][0]!, testSafePrimes[1024][1]!];
  assert(!isPrime(p * q) && !isPrime(p ** 2n));
  assert(!isSafePrime(2n ** 127n - 1n), 'a prime that is not safe');
});

test('the stored primes of the tests are distinct safe primes of their length, top two bits set', () => {
  for (const bits of [1024, 1536] as const) {
    const primes = testSafePrimes[bits];
    assert.equal(new Set(primes).size, primes.length);
    for (const p of primes) assert(p >> BigInt(bits - 2) === 3n && isSafePrime(p));
  }
});

test('prime factors below 2^16 are seen, larger ones are not', () => {
  const [p, q] = [testSafePrimes[1024][0]!, testSafePrimes[1024][1]!];
  for (const factor of [2n, 3n, 5n, 251n, 65_521n]) assert(hasSmallFactor(p * factor));
  assert(!hasSmallFactor(p * q));
  assert(!hasSmallFactor(p * 65_537n));
});

test('safe primes of full strength', () => {
  const p = safePrime(1024, randomBytes, never);
  assert(isSafePrime(p));
  assert.equal(p >> 1022n, 3n);
});

test('safe primes have exactly the length asked for, and differ', () => {
  const primes = Array.from({ length: 12 }, (_, i) => ({
    bits: 250 + i,
    p: safePrime(250 + i, randomBytes, never),
  }));
  for (const { bits, p } of primes) {
    assert(isSafePrime(p));
    assert.equal(bitLength(p), bits);
    assert.equal((p >> BigInt(bits - 2)) & 1n, 1n);
  }
  assert.equal(new Set(primes.map(({ p }) => p % 2n ** 200n)).size, primes.length);
});

test('candidates that run over the length asked for are refused', () => {
  for (let bits = 128; bits < 160; bits += 1) {
    const then = seeded(`overflow ${bits}`);
    let calls = 0;
    const ones: Random = (length) => {
      calls += 1;
      return calls === 1 ? new Uint8Array(length).fill(255) : then(length);
    };
    assert.equal(bitLength(safePrime(bits, ones, never)), bits);
  }
});

test('the sieve strikes no safe prime: the search finds what trying every candidate finds', () => {
  const bits = 128;
  const topBits = 3n << BigInt(bits - 2);
  const tryAll = (random: Random): bigint => {
    for (;;) {
      const x = topBits + sampleBits(bits - 2, random);
      // The candidates ≡ 11 mod 12 of a window of bits²/64, from the block of twelve above topBits that x is in.
      const blockStart = x - ((x - topBits) % 12n);
      const first = blockStart + 11n - (topBits % 12n);
      for (let k = 0n; k < BigInt(bits ** 2 / 64); k += 1n) {
        const p = first + 12n * k;
        if (isSafePrime(p)) return p;
      }
    }
  };
  for (let i = 0; i < 20; i += 1) {
    assert.equal(safePrime(bits, seeded(`sieve ${i}`), never), tryAll(seeded(`sieve ${i}`)));
  }
});

test('the search reads `aborted` between candidates and ends as interrupted', () => {
  let candidates = 0;
  const isInterrupted = (error: unknown): boolean =>
    error instanceof MpcError && error.code === 'INTERRUPTED';
  const afterFive = (): boolean => {
    candidates += 1;
    return candidates > 5;
  };
  assert.throws(() => safePrime(1536, seeded('aborted'), () => true), isInterrupted);
  assert.throws(() => safePrime(1536, seeded('aborted'), afterFive), isInterrupted);
  assert.equal(candidates, 6);
});

test('primes too short for the sieve are a bug of the caller', () => {
  assert.throws(
    () => safePrime(127, randomBytes, never),
    (error) => error instanceof MpcError && error.code === 'BUG',
  );
});
