/** The tools of the fuzz tests can fail: they spoil what they are given, and they see what is allocated and kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encode, type Plain } from '#src/core/codec.js';
import { MpcError } from '#src/core/errors.js';
import { allocatedBy, keptBy, plainData, refusalWith, spoiled, spoiledData } from '../support/fuzz.js';

const MIB = 1024 * 1024;

test('most of what is spoiled differs from what it was, and some does not', () => {
  const honest = encode({ a: [1, 2, new Uint8Array(40)], b: 'text' });
  const sample = fc.sample(spoiled(fc.constant(honest)), 1000).map((bytes) => Buffer.compare(bytes, honest));
  const same = sample.filter((difference) => difference === 0).length;
  assert.ok(same > 10 && same < 500, `${same} of 1000`);
});

test('data is spoiled in its shape, too', () => {
  const honest: Plain = { a: [1, 2], b: { c: new Uint8Array(4) } };
  const sample = fc.sample(spoiledData(fc.constant(honest), plainData), 1000);
  const shapes = new Set(sample.map((data) => JSON.stringify(data)));
  assert.ok(shapes.size > 100, `${shapes.size} of 1000`);
});

test('what a decoder allocates is seen, also when it keeps none of it', () => {
  const ways: readonly ((length: number) => Uint8Array | ArrayBuffer)[] = [
    (length) => new Uint8Array(length),
    (length) => new ArrayBuffer(length),
    (length) => Buffer.alloc(length),
    (length) => Buffer.allocUnsafe(length),
    (length) => Buffer.allocUnsafeSlow(length),
  ];
  for (const make of ways) {
    assert.ok(allocatedBy(() => make(256 * MIB)) >= 256 * MIB, String(make));
    assert.ok(allocatedBy(() => make(1)) < MIB, String(make));
  }
});

test('what is kept is seen, and what is not is not', () => {
  const kept: Uint8Array[] = [];
  const flood = (keep: boolean) => () => {
    for (let k = 0; k < 64; k += 1) {
      const bytes = new Uint8Array(MIB);
      if (keep) kept.push(bytes);
    }
  };
  assert.ok(keptBy(flood(true)) >= 64 * MIB);
  assert.ok(keptBy(flood(false)) < MIB);
  assert.equal(kept.length, 64);
});

test('a refusal has the right code, and a message that can be shown', () => {
  const isRefusal = refusalWith('FILE', 'CONFIG');
  assert.ok(isRefusal(new MpcError('CONFIG', 'faulty')));
  for (const error of [
    new Error('faulty'),
    new MpcError('BUG', 'faulty'),
    new MpcError('FILE', 'two\nlines'),
    new MpcError('FILE', 'x'.repeat(5000)),
  ])
    assert.ok(!isRefusal(error), error.message);
});
