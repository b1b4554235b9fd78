import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encode, type Plain, UndecodableError } from '#src/core/codec.js';
import {
  decodeFrame,
  encodeFrame,
  type LetterFrame,
  MAX_LETTER,
  type SentFrame,
} from '#src/rounds/frames.js';
import { MAX_MESSAGE_BYTES } from '#src/transport/limits.js';

const label = fc.stringMatching(/^[ -~]{1,80}$/);
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const part = fc.option(fc.uint8Array({ maxLength: 300 }));

/** A record as an object literal would make it, not one without a prototype. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true });

const frames: fc.Arbitrary<SentFrame | LetterFrame> = fc.oneof(
  record({
    kind: fc.constant('hello' as const),
    operation: label,
    version: fc.constant(1 as const),
    descriptor: fc.dictionary(
      label.filter((key) => key !== '__proto__'),
      fc.oneof(fc.string(), fc.maxSafeInteger()),
      { maxKeys: 20, noNullPrototype: true },
    ),
    sharings: fc.array(record({ epoch: fc.nat(), shid: digest }), { maxLength: 64 }),
    nonce: digest,
  }),
  record({ kind: fc.constant('hello echo' as const), operation: label, digest }),
  record({
    kind: fc.constant('round' as const),
    operation: label,
    sid: digest,
    step: label,
    round: label,
    broadcast: part,
    direct: part,
  }),
  record({
    kind: fc.constant('abort' as const),
    operation: label,
    code: label,
    culprits: fc.array(label),
    reason: fc.string({ maxLength: 500 }),
  }),
  record({
    kind: fc.constant('waiting' as const),
    operation: label,
    place: label,
    peers: fc.array(label),
  }),
  record({
    kind: fc.constant('letter' as const),
    subject: label,
    body: fc.uint8Array({ maxLength: 300 }),
  }),
);

test('every frame survives its encoding, also within a larger buffer', () => {
  fc.assert(
    fc.property(frames, fc.nat(20), (frame, offset) => {
      const bytes = encodeFrame(frame);
      assert.deepEqual(decodeFrame(bytes), frame);
      const larger = new Uint8Array(bytes.length + 2 * offset);
      larger.set(bytes, offset);
      assert.deepEqual(decodeFrame(larger.subarray(offset, offset + bytes.length)), frame);
    }),
  );
});

test('any change to a header is another frame or none', () => {
  fc.assert(
    fc.property(frames, fc.nat(), fc.integer({ min: 1, max: 255 }), (frame, at, change) => {
      const bytes = encodeFrame(frame);
      const changed = Uint8Array.from(bytes);
      changed[at % bytes.length]! ^= change;
      try {
        assert.notDeepEqual(decodeFrame(changed), frame);
      } catch (error) {
        assert(error instanceof UndecodableError || error instanceof assert.AssertionError);
        if (error instanceof assert.AssertionError) throw error;
      }
    }),
  );
});

test('random bytes decode to UndecodableError, and never to another failure', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const head = Uint8Array.from([0, 0, 0, bytes.length & 255, ...bytes]);
      for (const candidate of [bytes, head]) assert.throws(() => decodeFrame(candidate), UndecodableError);
    }),
  );
});

const framed = (value: Plain): Uint8Array => {
  const head = encode(value);
  return Uint8Array.from([0, 0, head.length >> 8, head.length & 255, ...head]);
};

test('a header has exactly the fields of its kind', () => {
  const good = { kind: 'hello echo', operation: 'a', digest: new Uint8Array(32) };
  assert.deepEqual(decodeFrame(framed(good)), good);
  for (const bad of [
    { ...good, extra: 1 },
    { kind: 'hello echo', operation: 'a' },
    { ...good, digest: new Uint8Array(31) },
    { ...good, operation: '' },
    { ...good, operation: 'x'.repeat(81) },
    { ...good, operation: 'line\nbreak' },
    { ...good, kind: 'hello' },
    { kind: 'abort', operation: 'a', code: 'BUG', culprits: [], reason: 'x'.repeat(501) },
    { kind: 'waiting', operation: 'a', place: 'here', peers: Array.from({ length: 65 }, () => 'bob') },
    {
      kind: 'round',
      operation: 'a',
      sid: new Uint8Array(32),
      step: '1',
      round: '1',
      broadcast: -1,
      direct: null,
    },
    {
      kind: 'round',
      operation: 'a',
      sid: new Uint8Array(32),
      step: '1',
      round: '1',
      broadcast: 5,
      direct: null,
    },
    [],
    'hello',
  ])
    assert.throws(() => decodeFrame(framed(bad)), UndecodableError);
});

test('a hello of another version is understood as far as it must be', () => {
  const later = { kind: 'hello', operation: 'a', version: 7, other: [1, 2] };
  assert.deepEqual(decodeFrame(framed(later)), { kind: 'foreign hello', operation: 'a', version: 7 });
  assert.throws(() => decodeFrame(framed({ ...later, version: 1 })), UndecodableError);
});

test('a letter has a body of the length that its header says, at most 2 MiB, which the network takes', () => {
  const letter = (body: Uint8Array): LetterFrame => ({ kind: 'letter', subject: 'propose', body });
  const longest = encodeFrame(letter(new Uint8Array(MAX_LETTER).fill(7)));
  assert.deepEqual(decodeFrame(longest), letter(new Uint8Array(MAX_LETTER).fill(7)));
  assert(longest.length <= MAX_MESSAGE_BYTES);
  assert.throws(() => encodeFrame(letter(new Uint8Array(MAX_LETTER + 1))), {
    code: 'BUG',
    message: 'a letter of 2097153 bytes',
  });
  const head = (length: number) => framed({ kind: 'letter', subject: 'propose', length });
  const withBody = (length: number, bytes: number) =>
    Uint8Array.from([...head(length), ...new Uint8Array(bytes)]);
  assert.deepEqual(decodeFrame(withBody(0, 0)), letter(new Uint8Array()));
  for (const [length, bytes] of [
    [1, 0],
    [0, 1],
    [9, 8],
    [9, 10],
  ] as const)
    assert.throws(() => decodeFrame(withBody(length, bytes)), UndecodableError);
  const tooLong = new Uint8Array(head(MAX_LETTER + 1).length + MAX_LETTER + 1);
  tooLong.set(head(MAX_LETTER + 1));
  assert.throws(() => decodeFrame(tooLong), UndecodableError);
});
