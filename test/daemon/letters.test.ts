// Letters among daemons: one encoding, bounds, and names of requests that stand for all of their content.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomBytes } from '#src/core/bytes.js';
import { UndecodableError } from '#src/core/codec.js';
import {
  decodeLetter,
  encodeLetter,
  MAX_MESSAGE_BYTES,
  type RequestContent,
  requestId,
  type SignContent,
} from '#src/daemon/letters.js';

const id = randomBytes(32);
const content: SignContent = {
  ...{ operation: 'sign', nonce: randomBytes(16), key: randomBytes(16), message: randomBytes(100) },
  ...{ quorum: ['alice', 'bob'], receivers: ['alice'] },
};
const LETTERS: readonly (readonly [subject: string, bytes: Uint8Array])[] = [
  ['greeting', encodeLetter('greeting', { version: '0.1.0' })],
  ['request', encodeLetter('request', { content })],
  ['answer', encodeLetter('answer', { id, approved: true, reason: '' })],
  ['begin', encodeLetter('begin', { id, attempt: 1, alone: false, presignature: randomBytes(32) })],
  ['failed', encodeLetter('failed', { id, attempt: 0, code: 'BUSY', reason: 'busy' })],
  ['hold', encodeLetter('hold', { id, turn: 1, on: true })],
  ['held', encodeLetter('held', { id, turn: 1, answer: 'held' })],
  ['end', encodeLetter('end', { id, done: true, code: '', reason: '' })],
  ['presign', encodeLetter('presign', { id, key: randomBytes(16), quorum: ['alice', 'bob'], count: 8 })],
];

test('every letter decodes to what was encoded, under its own subject only', () => {
  for (const [subject, bytes] of LETTERS) {
    const letter = decodeLetter(subject, bytes);
    assert.deepEqual(encodeLetter(letter.subject, letter.body as never), bytes);
    for (const [other] of LETTERS)
      if (other !== subject)
        assert.throws(() => decodeLetter(other, bytes), UndecodableError, `${subject} as ${other}`);
  }
  for (const subject of ['', 'letter', '__proto__', 'constructor'])
    assert.throws(() => decodeLetter(subject, LETTERS[0]![1]), UndecodableError);
});

test('what is spoilt is undecodable, or says something else, and never another error', () => {
  const spoilt = fc.record({
    letter: fc.constantFrom(...LETTERS),
    at: fc.nat(),
    by: fc.integer({ min: 1, max: 255 }),
    cut: fc.boolean(),
  });
  fc.assert(
    fc.property(spoilt, ({ letter: [subject, honest], at, by, cut }) => {
      const place = at % honest.length;
      const bytes = Uint8Array.from(honest.subarray(0, cut ? place : honest.length));
      if (!cut) bytes[place]! ^= by;
      try {
        const { body } = decodeLetter(subject, bytes);
        assert.deepEqual(encodeLetter(subject as never, body as never), bytes);
      } catch (error) {
        assert.ok(error instanceof UndecodableError, String(error));
      }
    }),
  );
});

test('a message of the greatest length fits, and no longer one', () => {
  const longest = { ...content, message: new Uint8Array(MAX_MESSAGE_BYTES) };
  const bytes = encodeLetter('request', { content: longest });
  assert.deepEqual(decodeLetter('request', bytes).body, { content: longest });
  assert.throws(() =>
    encodeLetter('request', { content: { ...content, message: new Uint8Array(MAX_MESSAGE_BYTES + 1) } }),
  );
});

test('the name of a request stands for who asks and all of the content', () => {
  const others: readonly RequestContent[] = [
    { ...content, nonce: randomBytes(16) },
    { ...content, key: randomBytes(16) },
    { ...content, message: Uint8Array.from([...content.message, 0]) },
    { ...content, quorum: ['alice', 'charlie'] },
    { ...content, receivers: ['bob'] },
    { ...content, quorum: ['alice'], receivers: ['bob', 'alice'] },
    { operation: 'refresh', nonce: content.nonce, key: content.key },
    { operation: 'keygen', nonce: content.nonce },
  ];
  const ids = [
    requestId('alice', content),
    requestId('bob', content),
    ...others.map((other) => requestId('alice', other)),
  ];
  assert.equal(new Set(ids).size, ids.length);
  assert.match(ids[0]!, /^[0-9a-f]{64}$/);
  assert.equal(requestId('alice', { ...content }), ids[0]);
});
