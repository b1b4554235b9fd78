import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Secret } from '#src/core/bytes.js';
import { primesBelow, residues, Sieve } from '#src/math/sieve.js';

const noPause = (): void => {};

test('the primes below a bound', () => {
  assert.deepEqual([...primesBelow(30)], [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
  assert.deepEqual([...primesBelow(29)], [2, 3, 5, 7, 11, 13, 17, 19, 23]);
  assert.deepEqual([...primesBelow(3)], [2]);
  for (const prime of [5, 7, 11, 13]) {
    assert.equal(primesBelow(prime ** 2 + 1).at(-1)! < prime ** 2, true);
    assert.equal(primesBelow(prime ** 2 + 2).includes(prime ** 2), false);
  }
  assert.equal(primesBelow(1_000_000).length, 78_498);
});

test('residues are those of BigInt, modulo the least and the greatest primes', () => {
  const primes = primesBelow(2 ** 23);
  const some = Uint32Array.of(...primes.slice(0, 40), ...primes.slice(-400));
  const edges = [
    0n,
    1n,
    2n ** 30n,
    2n ** 1024n - 1n,
    2n ** 1050n - 1n,
    2n ** 1050n,
    BigInt(some.at(-1)!) ** 60n - 1n,
  ];
  const value = fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min: 0n, max: 1n << 2100n }));
  fc.assert(
    fc.property(value, (v) => {
      assert.deepEqual(
        residues(v, some, noPause),
        Float64Array.from(some, (prime) => Number(v % BigInt(prime))),
      );
    }),
    { numRuns: 300 },
  );
});

test('there is a pause before every 30 bits', () => {
  for (const [bits, least] of [
    [1024n, 35],
    [1536n, 52],
  ] as const) {
    let pauses = 0;
    residues((1n << bits) - 1n, Uint32Array.of(5), () => {
      pauses += 1;
    });
    assert.equal(pauses, least);
  }
  const stop = (): void => {
    throw new Error('stop');
  };
  assert.throws(() => new Sieve((1n << 130n) - 5n, 1000, stop), /stop/);
});

test('what survives has no small factor, nor has its half; what does not has one', () => {
  const bound = 3000;
  const hasSmallFactor = (n: bigint): boolean => {
    for (let d = 5n; d < bound; d += 2n) if (n % d === 0n) return true;
    return false;
  };
  const anything = fc.record({
    centre: fc.bigInt({ min: 1n << 100n, max: 1n << 1100n }).map((n) => 12n * n - 1n),
    first: fc.oneof(
      fc.constantFrom(0, 1, 2 ** 48 - 1, 2 ** 52),
      fc.maxSafeNat().map((n) => n % 2 ** 52),
    ),
    length: fc.integer({ min: 0, max: 60 }),
  });
  fc.assert(
    fc.property(anything, ({ centre, first, length }) => {
      using sieve = new Sieve(centre, bound, noPause);
      const expected = Array.from({ length }, (_, i) => i).filter((i) => {
        const p = centre + 12n * (BigInt(first) - BigInt(i));
        return !hasSmallFactor(p) && !hasSmallFactor((p - 1n) / 2n);
      });
      assert.deepEqual(sieve.survivors(first, length), expected);
    }),
    { numRuns: 60 },
  );
});

test('a window far longer than the primes is struck to its end', () => {
  const [centre, first, length] = [12n * 10n ** 50n - 1n, 2 ** 40, 20_000];
  using sieve = new Sieve(centre, 100, noPause);
  const primes = [...primesBelow(100)].map(BigInt).slice(2);
  const expected = Array.from({ length }, (_, i) => i).filter((i) => {
    const p = centre + 12n * BigInt(first - i);
    return primes.every((prime) => p % prime > 1n);
  });
  assert.deepEqual(sieve.survivors(first, length), expected);
});

test('the residues are wiped at the end, and of no use then', () => {
  const live = Secret.live;
  const sieve = new Sieve((1n << 130n) - 5n, 1000, noPause);
  assert.equal(Secret.live, live + 1);
  sieve[Symbol.dispose]();
  assert.equal(Secret.live, live);
  assert.throws(() => sieve.survivors(0, 10), { code: 'BUG' });
});

test('primes of more than 23 bits are a bug of the caller', () => {
  assert.throws(() => new Sieve((1n << 130n) - 5n, 2 ** 23 + 1, noPause), { code: 'BUG' });
});
