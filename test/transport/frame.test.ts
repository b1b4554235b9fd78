import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes } from '#src/core/bytes.js';
import { encodeFrame, type Frame, FrameDecoder, FrameError } from '#src/transport/frame.js';
import { MAX_FRAME_BYTES, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES } from '#src/transport/limits.js';

const HELLO: Frame = { kind: 'hello', body: Uint8Array.of(1, 2, 3) };

const bytesOf = (...frames: readonly Frame[]): Uint8Array => concatBytes(...frames.flatMap(encodeFrame));

/** The frames in `bytes`, pushed in pieces of the given sizes (over and over) one after the other. */
function decodeInPieces(bytes: Uint8Array, sizes: readonly number[]): Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] as number;
    decoder.push(bytes.subarray(at, at + size));
    at += size;
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
  }
  return frames;
}

const header = (length: number, code: number): Uint8Array => {
  const out = Buffer.alloc(5);
  out.writeUInt32BE(length, 0);
  out.writeUInt8(code, 4);
  return new Uint8Array(out);
};

const numberArbitrary = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const laterFrame: fc.Arbitrary<Frame> = fc.oneof(
  fc
    .tuple(numberArbitrary, fc.uint8Array({ minLength: 1, maxLength: 300 }))
    .map(([number, body]): Frame => ({ kind: 'message', number, body })),
  fc
    .tuple(fc.constantFrom('ack' as const, 'ping' as const, 'pong' as const), numberArbitrary)
    .map(([kind, number]): Frame => ({ kind, number })),
  fc.uint8Array({ minLength: 1, maxLength: 64 }).map((body): Frame => ({ kind: 'refusal', body })),
  fc.constant<Frame>({ kind: 'bye' }),
);

test('frames survive any cutting of the stream', () => {
  fc.assert(
    fc.property(
      fc.array(laterFrame, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
      (later, sizes) => {
        const frames = [HELLO, ...later];
        assert.deepEqual(decodeInPieces(bytesOf(...frames), sizes), frames);
      },
    ),
  );
});

test('any bytes at all give frames, a wait for more, or a FrameError', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 1, max: 50 }),
      (greeted, junk, size) => {
        try {
          decodeInPieces(greeted ? concatBytes(bytesOf(HELLO), junk) : junk, [size]);
        } catch (error) {
          assert.ok(error instanceof FrameError);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('frames with one byte altered never grow, and never break the decoder', () => {
  fc.assert(
    fc.property(
      fc.array(laterFrame, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (later, where, flip) => {
        const bytes = bytesOf(HELLO, ...later);
        const at = where % bytes.length;
        bytes[at] = (bytes[at] as number) ^ flip;
        try {
          for (const frame of decodeInPieces(bytes, [7])) {
            if ('body' in frame) assert.ok(frame.body.length <= bytes.length);
          }
        } catch (error) {
          assert.ok(error instanceof FrameError);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('the largest message passes, one byte more is refused by its length alone', () => {
  const largest = bytesOf(HELLO, { kind: 'message', number: 1, body: new Uint8Array(MAX_MESSAGE_BYTES) });
  assert.equal(largest.length, bytesOf(HELLO).length + 4 + MAX_FRAME_BYTES);
  assert.equal(decodeInPieces(largest, [65536]).length, 2);
  for (const length of [MAX_FRAME_BYTES + 1, 2 ** 31, 2 ** 32 - 1]) {
    assert.throws(() => decodeInPieces(concatBytes(bytesOf(HELLO), header(length, 3)), [64]), FrameError);
  }
});

test('each kind has its own bounds', () => {
  const refused: [string, number, number][] = [
    ['empty frame', 0, 3],
    ['message without a number', 1, 3],
    ['message without a body', 7, 3],
    ['ack with a body', 8, 4],
    ['short ack', 6, 4],
    ['ping with a body', 9, 5],
    ['short pong', 1, 6],
    ['bye with a body', 2, 7],
    ['long refusal', 66, 2],
    ['empty refusal', 1, 2],
    ['unknown kind 0', 1, 0],
    ['unknown kind 8', 1, 8],
  ];
  for (const [what, length, code] of refused) {
    assert.throws(
      () => decodeInPieces(concatBytes(bytesOf(HELLO), header(length, code)), [64]),
      FrameError,
      what,
    );
  }
});

test('before the hello nothing but a hello or a refusal, of bounded length, is taken', () => {
  for (const code of [3, 4, 5, 6, 7]) {
    assert.throws(() => decodeInPieces(header(7, code), [64]), /before the hello/);
  }
  assert.throws(() => decodeInPieces(header(MAX_HELLO_BYTES + 2, 1), [64]), FrameError);
  assert.throws(() => decodeInPieces(bytesOf(HELLO, HELLO), [64]), /second hello/);
  const refusal: Frame = { kind: 'refusal', body: Uint8Array.of(65) };
  assert.deepEqual(decodeInPieces(bytesOf(refusal), [64]), [refusal]);
});

test('a decoder that has thrown throws again', () => {
  const decoder = new FrameDecoder();
  decoder.push(header(1, 99));
  assert.throws(() => decoder.next(), FrameError);
  decoder.push(bytesOf(HELLO));
  assert.throws(() => decoder.next(), FrameError);
});

test('what is not a frame is not encoded', () => {
  const bug = { code: 'BUG' };
  assert.throws(() => encodeFrame({ kind: 'message', number: 1, body: new Uint8Array(0) }), bug);
  assert.throws(
    () => encodeFrame({ kind: 'message', number: 1, body: new Uint8Array(MAX_MESSAGE_BYTES + 1) }),
    bug,
  );
  assert.throws(() => encodeFrame({ kind: 'hello', body: new Uint8Array(MAX_HELLO_BYTES + 1) }), bug);
});
