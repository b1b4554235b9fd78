import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Random, randomBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { isUnit } from '#src/math/modular.js';
import { sampleBelow, sampleBits, sampleSigned, sampleUnit } from '#src/math/sample.js';
import { testPrivateKey } from '../support/primes.js';

/** A generator that gives out the chunks in turn. */
function scripted(...chunks: readonly (readonly number[])[]): Random {
  let next = 0;
  return (length) => {
    const chunk = chunks[next];
    next += 1;
    assert.equal(chunk?.length, length, 'asked for another number of bytes than scripted');
    return Uint8Array.from(chunk);
  };
}

const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';

test('sampleBits keeps the low bits, big-endian', () => {
  assert.equal(sampleBits(16, scripted([0x12, 0x34])), 0x1234n);
  assert.equal(sampleBits(12, scripted([0xf2, 0x34])), 0x234n);
  assert.equal(sampleBits(0, scripted([])), 0n);
});

test('every value below n comes from equally many bytes: nothing is reduced, the rest is refused', () => {
  for (const n of [1n, 2n, 5n, 100n, 255n, 256n]) {
    const counts = new Map<bigint, number>();
    for (let byte = 0; byte < 256; byte += 1) {
      const masked = n === 1n ? [] : [byte];
      const value = sampleBelow(n, scripted(masked, [0]));
      if (n !== 1n && BigInt(byte % 2 ** (n - 1n).toString(2).length) >= n) continue; // refused, 0 came next
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    assert.equal(counts.size, Number(n));
    assert.equal(new Set(counts.values()).size, 1);
  }
});

test('a value of n or above is refused and another drawn', () => {
  assert.equal(sampleBelow(200n, scripted([200], [255], [199])), 199n);
});

test('samples stay in their ranges', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 1n << 600n }), (n) => {
      const below = sampleBelow(n, randomBytes);
      assert(below >= 0n && below < n);
      const signed = sampleSigned(n, randomBytes);
      assert(signed >= -n && signed <= n);
    }),
  );
  assert.equal(sampleSigned(0n, randomBytes), 0n);
});

test('signed samples reach both ends', () => {
  assert.equal(sampleSigned(127n, scripted([0])), -127n);
  assert.equal(sampleSigned(127n, scripted([255], [254])), 127n);
});

test('units are units; 0 and multiples of the factors are refused', () => {
  const { N } = testPrivateKey(0);
  for (let i = 0; i < 10; i += 1) assert(isUnit(sampleUnit(N, randomBytes), N));
  assert.equal(sampleUnit(15n, scripted([0], [3], [5], [12], [15], [14])), 14n);
});

test('an empty range, and a generator that is stuck, are reported rather than waited for', () => {
  assert.throws(() => sampleBelow(0n, randomBytes), isBug);
  assert.throws(() => sampleSigned(-1n, randomBytes), isBug);
  assert.throws(() => sampleBelow(200n, (length) => new Uint8Array(length).fill(255)), isBug);
  assert.throws(() => sampleUnit(15n, (length) => new Uint8Array(length)), isBug);
});
