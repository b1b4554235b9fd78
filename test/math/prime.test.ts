import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bigintToBytes, bitLength, type Random, randomBytes, Secret } from '#src/core/bytes.js';
import { hash } from '#src/core/transcript.js';
import { hasSmallFactor, isPrime, isSafePrime, safePrime } from '#src/math/prime.js';
import { sampleBelow, sampleBits } from '#src/math/sample.js';
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

/** How far from the ends of their range searches start, in steps of 12. */
const REACH = 1n << 48n;
const startsOf = (bits: number): bigint => (1n << BigInt(bits - 2)) / 12n - 2n * REACH;

test('no window reaches out of the range: not from the first centre downwards, not from the last upwards', () => {
  /** A search with one window at an end of its reach, and then others. */
  const searchFrom = (bits: number, starts: readonly bigint[], first: number): bigint => {
    const length = Math.ceil(bitLength(startsOf(bits) - 1n) / 8);
    const draws = [...starts.map((start) => bigintToBytes(start, length)), new Uint8Array(6).fill(first)];
    const then = seeded(`ends ${bits}`);
    return safePrime(bits, (length) => draws.shift() ?? then(length), never);
  };
  for (let bits = 128; bits < 160; bits += 1) {
    assert.equal(searchFrom(bits, [0n], 0) >> BigInt(bits - 2), 3n);
    const greatest = searchFrom(bits, [startsOf(bits) - 1n], 255);
    assert.equal(greatest >> BigInt(bits - 2), 3n);
    assert.equal(searchFrom(bits, [startsOf(bits), startsOf(bits) - 1n], 255), greatest);
  }
});

test('the sieve strikes no safe prime: the search finds what trying every candidate finds', () => {
  const bits = 128;
  const tryAll = (random: Random): bigint => {
    const start = sampleBelow(startsOf(bits), random);
    for (;;) {
      const k = REACH + start + sampleBits(48, random);
      for (let i = 0n; i < BigInt(bits ** 2 / 64); i += 1n) {
        const p = (3n << BigInt(bits - 2)) + 12n * (k - i) - 1n;
        if (isSafePrime(p)) return p;
      }
    }
  };
  for (let i = 0; i < 20; i += 1) {
    assert.equal(safePrime(bits, seeded(`sieve ${i}`), never), tryAll(seeded(`sieve ${i}`)));
  }
});

test('the search reads `aborted` in the sieve and between candidates, and ends as interrupted', () => {
  /** How often `aborted` was read, and random bytes were drawn, when it ends from the given reading on. */
  const abortedAfter = (readings: number) => {
    const seen = { readings: 0, draws: 0 };
    const random = seeded('aborted');
    const draw: Random = (length) => {
      seen.draws += 1;
      return random(length);
    };
    const aborted = (): boolean => {
      seen.readings += 1;
      return seen.readings > readings;
    };
    assert.throws(() => safePrime(1536, draw, aborted), { code: 'INTERRUPTED' });
    assert.equal(seen.readings, readings + 1);
    return seen.draws;
  };
  const live = Secret.live;
  const draws = abortedAfter(0);
  assert.equal(abortedAfter(51), draws, 'the sieve has 52 limbs, and draws nothing');
  assert.equal(abortedAfter(52), draws + 1, 'the first candidate of the first window');
  assert.equal(abortedAfter(60), draws + 1);
  assert.equal(Secret.live, live);
});

test('a search leaves no secret behind', () => {
  const live = Secret.live;
  safePrime(128, seeded('live'), never);
  assert.equal(Secret.live, live);
});

test('lengths that the sieve does not allow are a bug of the caller', () => {
  for (const bits of [127, 2049]) assert.throws(() => safePrime(bits, randomBytes, never), { code: 'BUG' });
});
