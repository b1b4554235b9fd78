/** Whatever bytes come over a connection: frames or a FrameError, hellos or an UndecodableError, within the limits. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { concatBytes, randomBytes } from '#src/core/bytes.js';
import { UndecodableError } from '#src/core/codec.js';
import { encodeFrame, type Frame, FrameDecoder, FrameError } from '#src/transport/frame.js';
import { decodeHello, encodeHello, helloVersion } from '#src/transport/hello.js';
import { APPLICATION_PROTOCOL, judge, REFUSALS } from '#src/transport/identity.js';
import { MAX_FRAME_BYTES, MAX_MESSAGE_BYTES } from '#src/transport/limits.js';
import { TestAuthority } from '../support/certs.js';
import { allocatedBy, anythingFor, cases, keptBy, unlessRefused } from '../support/fuzz.js';
import { spoiledPem } from '../support/fuzz-pem.js';

const MIB = 1024 * 1024;
const number = fc.nat(2 ** 31 - 1);
const body = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength });

const laterFrames: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ kind: fc.constant('message' as const), number, body: body(300) }),
  fc.record({ kind: fc.constantFrom('ack' as const, 'ping' as const, 'pong' as const), number }),
  fc.record({ kind: fc.constant('refusal' as const), body: body(64) }),
  fc.constant<Frame>({ kind: 'bye' }),
);

/** What an honest party sends: a hello, and then anything but that. */
const streams = fc
  .tuple(body(100), fc.array(laterFrames, { maxLength: 6 }))
  .map(([hello, later]) =>
    concatBytes(...[{ kind: 'hello' as const, body: hello }, ...later].flatMap(encodeFrame)),
  );

/** The frames in `stream`, which comes in pieces of these sizes, and what ended them. */
function read(stream: Uint8Array, sizes: readonly number[]): { frames: Frame[]; error?: unknown } {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  let at = 0;
  for (let k = 0; at < stream.length; k += 1) {
    const size = sizes[k % sizes.length]!;
    decoder.push(stream.subarray(at, at + size));
    at += size;
    try {
      for (let frame = decoder.next(); frame; frame = decoder.next()) frames.push(frame);
    } catch (error) {
      assert.throws(() => decoder.next(), error as Error, 'once refused, for ever refused');
      return { frames, error };
    }
  }
  return { frames };
}

const pieces = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 });

test('a spoiled stream gives frames of the format, or a FrameError, however it is cut', () => {
  fc.assert(
    fc.property(anythingFor(streams), pieces, (stream, sizes) => {
      const { frames, error } = read(stream, sizes);
      assert.ok(error === undefined || error instanceof FrameError, String(error));
      // What was read is what the bytes say: written again, it is the beginning of the stream.
      const again = concatBytes(...frames.flatMap(encodeFrame));
      assert.deepEqual(again, stream.slice(0, again.length));
      assert.ok(
        frames.every(({ kind }, index) => kind === 'refusal' || (kind === 'hello') === (index === 0)),
      );
      assert.deepEqual(read(stream, [stream.length || 1]), { frames, ...(error !== undefined && { error }) });
    }),
    cases(),
  );
});

const lengths = fc.oneof(
  fc.nat(600),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc.constantFrom(MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1, 2 ** 31, 2 ** 32 - 1),
);

test('no announced length makes a decoder take more memory than it was sent', () => {
  fc.assert(
    fc.property(lengths, fc.nat(9), fc.uint8Array({ maxLength: 64 }), (length, kind, rest) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(length);
      head.writeUInt8(kind, 4);
      const stream = concatBytes(...encodeFrame({ kind: 'hello', body: Uint8Array.of(1) }), head, rest);
      let error: unknown;
      const allocated = allocatedBy(() => {
        error = read(stream, [7]).error;
      });
      assert.ok(allocated < 16 * 1024, `${allocated} bytes`);
      assert.ok(error === undefined || error instanceof FrameError);
      assert.ok(length <= MAX_FRAME_BYTES || error instanceof FrameError);
    }),
    cases(),
  );
});

test('a decoder holds the frame under way and a chunk, at most twice, whatever it has read before', () => {
  const chunk = 64 * 1024;
  const message = concatBytes(
    ...encodeFrame({ kind: 'message', number: 1, body: randomBytes(MAX_MESSAGE_BYTES) }),
  );
  const decoder = new FrameDecoder();
  decoder.push(concatBytes(...encodeFrame({ kind: 'hello', body: Uint8Array.of(1) })));
  let frames = 0;
  const kept = keptBy(() => {
    for (let round = 0; round < 8; round += 1) {
      for (let at = 0; at < message.length; at += chunk) {
        decoder.push(message.subarray(at, at + chunk));
        while (decoder.next()) frames += 1;
      }
    }
  });
  assert.equal(frames, 9);
  assert.ok(kept <= 2 * (MAX_FRAME_BYTES + chunk) + MIB, `${kept} bytes`);
});

const names = fc.constantFrom('alice', 'bob', 'x'.repeat(32), 'a-b');
const incarnation = fc.uint8Array({ minLength: 16, maxLength: 16 });
const hellos = fc
  .record({
    from: names,
    parties: fc.array(names, { maxLength: 5 }),
    incarnation,
    resume: fc.option(fc.record({ incarnation, received: number }, { noNullPrototype: true })),
  })
  .map(encodeHello);

test('a spoiled hello is another hello, or undecodable', () => {
  const isRefusal = (error: unknown) => error instanceof UndecodableError;
  fc.assert(
    fc.property(anythingFor(hellos), (bytes) => {
      const hello = unlessRefused(() => decodeHello(bytes), isRefusal);
      if (hello) assert.deepEqual(encodeHello(hello), bytes);
      const version = unlessRefused(() => helloVersion(bytes), isRefusal);
      assert.ok(version === undefined || Number.isSafeInteger(version));
      if (hello) assert.equal(version, 1);
    }),
    cases(),
  );
});

test('a hello that announces 4 GiB of anything allocates nothing', () => {
  for (const head of [0x5a, 0x7a, 0x9a, 0xba]) {
    for (const prefix of [[], [0xa1, 0x67, ...Buffer.from('version')]]) {
      const bytes = Uint8Array.of(...prefix, head, 0xff, 0xff, 0xff, 0xff);
      const allocated = allocatedBy(() => assert.throws(() => decodeHello(bytes), UndecodableError));
      assert.ok(allocated < MIB, `${allocated} bytes`);
    }
  }
});

test('a spoiled certificate names a party, or is refused', async () => {
  const authority = await TestAuthority.create();
  const issued = [
    await authority.issue(['bob']),
    await authority.issue(['bob', 'charlie', '*.example'], { ips: ['127.0.0.1'] }),
    await authority.issue([], { commonName: 'bob', usages: [] }),
  ];
  const parties = ['alice', 'bob', 'charlie'].map((name) => ({ name, fingerprint: 'ab'.repeat(32) }));
  let judged = 0;
  fc.assert(
    fc.property(spoiledPem(issued.map(({ cert }) => cert)), fc.boolean(), (pem, authorized) => {
      const certificate = unlessRefused(
        () => new X509Certificate(pem),
        () => true,
      );
      if (certificate === undefined) return;
      judged += 1;
      // What the handshake leaves to be judged: a stranger's certificate comes this far, too.
      const socket = {
        getPeerX509Certificate: () => certificate,
        getProtocol: () => 'TLSv1.3',
        isSessionReused: () => false,
        ...{ alpnProtocol: APPLICATION_PROTOCOL, authorized, authorizationError: 'CERT_SIGNATURE_FAILURE' },
      } as unknown as TLSSocket;
      const { refusal } = judge(socket, 'alice', parties);
      assert.ok(refusal !== undefined && Object.hasOwn(REFUSALS, refusal));
    }),
    cases(),
  );
  assert.ok(judged > 0);
});
