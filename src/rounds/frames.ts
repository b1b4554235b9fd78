/**
 * What parties send each other, as bytes: a header in canonical CBOR, its length before it, and after it the encoded
 * parts of a round's message, or the body of a letter. The header is small whatever follows, so that a round's size
 * limit is checked before anything of the message itself is decoded.
 *
 *     frame = header length (4 bytes, big-endian) ‖ header ‖ broadcast part ‖ direct part
 *     letter = header length (4 bytes, big-endian) ‖ header ‖ body
 */
import { z } from 'zod';
import { concatBytes } from '../core/bytes.js';
import { bytesField, decodeAs, encodeAs, UndecodableError } from '../core/codec.js';
import { invariant } from '../core/errors.js';
import { DIGEST_BYTES } from './run.js';

/** Version of docs/protocol.md; parties of different versions refuse each other. */
export const PROTOCOL_VERSION = 1;

export const NONCE_BYTES = 32;

/** Most sharings that a hello lists. */
export const MAX_SHARINGS = 64;

/** Most participants of a session. */
export const MAX_PARTIES = 64;

/** Most characters of a name in a frame: operation, step, round, party, place, descriptor field. */
export const MAX_LABEL = 80;

/** Most characters of a reason given with an abort. */
export const MAX_REASON = 500;

/** Most bytes of a letter's body. */
export const MAX_LETTER = 2 * 1024 * 1024;

const HEADER_MAX_BYTES = 32 * 1024;
const LENGTH_BYTES = 4;

const label = z
  .string()
  .max(MAX_LABEL)
  .regex(/^[\x20-\x7e]+$/, 'not a printable name');
const names = z.array(label).max(MAX_PARTIES);
const partLength = z.int().min(0).nullable();

/** What a party opens a session with. The fields of every version start with `kind`, `operation`, `version`. */
const hello = z.strictObject({
  kind: z.literal('hello'),
  operation: label,
  version: z.literal(PROTOCOL_VERSION),
  descriptor: z.record(label, z.union([z.string(), z.int()])),
  sharings: z
    .array(z.strictObject({ epoch: z.int().min(0), shid: bytesField(DIGEST_BYTES) }))
    .max(MAX_SHARINGS),
  nonce: bytesField(NONCE_BYTES),
});

/** H("hello echo"; …) of the sender's view of all hellos. */
const helloEcho = z.strictObject({
  kind: z.literal('hello echo'),
  operation: label,
  digest: bytesField(DIGEST_BYTES),
});

const roundHeader = z.strictObject({
  kind: z.literal('round'),
  operation: label,
  sid: bytesField(DIGEST_BYTES),
  step: label,
  round: label,
  /** Length of each part, null where there is none. */
  broadcast: partLength,
  direct: partLength,
});

/** The sender has ended the operation. Whom it blames and why is hearsay; the code may be one of a later version. */
const abort = z.strictObject({
  kind: z.literal('abort'),
  operation: label,
  code: label,
  culprits: names,
  reason: z.string().max(MAX_REASON),
});

/** Whom the sender waits for, and in which round; nobody while it computes. */
const waiting = z.strictObject({
  kind: z.literal('waiting'),
  operation: label,
  place: label,
  peers: names,
});

/** Something said outside of any session. */
const letterHeader = z.strictObject({
  kind: z.literal('letter'),
  subject: label,
  /** Length of the body. */
  length: z.int().min(0).max(MAX_LETTER),
});

/** What every frame starts with; exported for the tests, which make cases of all its fields. */
export const header = z.discriminatedUnion('kind', [
  hello,
  helloEcho,
  roundHeader,
  abort,
  waiting,
  letterHeader,
]);
const foreignHello = z.object({ kind: z.literal('hello'), operation: label, version: z.int() });

export type HelloFrame = z.output<typeof hello>;
export type HelloEchoFrame = z.output<typeof helloEcho>;
export type AbortFrame = z.output<typeof abort>;
export type WaitingFrame = z.output<typeof waiting>;

/** A round's message, with its encoded parts. */
export interface RoundFrame {
  readonly kind: 'round';
  readonly operation: string;
  readonly sid: Uint8Array;
  readonly step: string;
  readonly round: string;
  readonly broadcast: Uint8Array | null;
  readonly direct: Uint8Array | null;
}

/** A letter, with its body. */
export interface LetterFrame {
  readonly kind: 'letter';
  readonly subject: string;
  readonly body: Uint8Array;
}

/** A hello of another protocol version: only its first fields are understood. */
export interface ForeignHelloFrame {
  readonly kind: 'foreign hello';
  readonly operation: string;
  readonly version: number;
}

/** What belongs to an operation, and is sent. */
export type SentFrame = HelloFrame | HelloEchoFrame | RoundFrame | AbortFrame | WaitingFrame;
/** What belongs to an operation, and is received. */
export type OperationFrame = SentFrame | ForeignHelloFrame;
export type Frame = OperationFrame | LetterFrame;

function withLength(head: Uint8Array): Uint8Array {
  invariant(head.length <= HEADER_MAX_BYTES, `a header of ${head.length} bytes`);
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, head.length);
  return concatBytes(length, head);
}

/**
 * The bytes of `frame`. Throws `BUG` when its header or a letter's body is too long, and when a field does not fit its
 * schema.
 */
export function encodeFrame(frame: SentFrame | LetterFrame): Uint8Array {
  if (frame.kind === 'letter') return encodeLetter(frame);
  if (frame.kind !== 'round') return withLength(encodeAs(header, frame));
  const { broadcast, direct } = frame;
  const lengths = { broadcast: broadcast?.length ?? null, direct: direct?.length ?? null };
  const head = withLength(encodeAs(roundHeader, { ...frame, ...lengths }));
  return concatBytes(head, ...[broadcast, direct].filter((part) => part !== null));
}

function encodeLetter({ kind, subject, body }: LetterFrame): Uint8Array {
  invariant(body.length <= MAX_LETTER, `a letter of ${body.length} bytes`);
  return concatBytes(withLength(encodeAs(letterHeader, { kind, subject, length: body.length })), body);
}

/** The frame in `bytes`, its parts not looked into. Throws {@link UndecodableError}. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < LENGTH_BYTES) throw new UndecodableError('shorter than a frame');
  const headEnd = LENGTH_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  if (headEnd > bytes.length) throw new UndecodableError('shorter than its header');
  const head = bytes.subarray(LENGTH_BYTES, headEnd);
  try {
    return withParts(decodeAs(header, head, HEADER_MAX_BYTES), bytes.subarray(headEnd));
  } catch (error) {
    const foreign = asForeignHello(head);
    if (foreign) return foreign;
    throw error;
  }
}

/** The first fields of a hello, if it is one that is not of this version. */
function asForeignHello(head: Uint8Array): ForeignHelloFrame | undefined {
  try {
    const { operation, version } = decodeAs(foreignHello, head, HEADER_MAX_BYTES);
    return version === PROTOCOL_VERSION ? undefined : { kind: 'foreign hello', operation, version };
  } catch (error) {
    if (error instanceof UndecodableError) return undefined;
    throw error;
  }
}

function withParts(head: z.output<typeof header>, parts: Uint8Array): Frame {
  if (head.kind === 'letter') {
    const { kind, subject, length } = head;
    if (parts.length !== length)
      throw new UndecodableError('a letter of another length than its header says');
    return { kind, subject, body: parts };
  }
  if (head.kind !== 'round') {
    if (parts.length > 0) throw new UndecodableError('bytes after the header');
    return head;
  }
  const broadcastEnd = head.broadcast ?? 0;
  if (parts.length !== broadcastEnd + (head.direct ?? 0))
    throw new UndecodableError('parts of other lengths than the header says');
  return {
    ...head,
    broadcast: head.broadcast === null ? null : parts.subarray(0, broadcastEnd),
    direct: head.direct === null ? null : parts.subarray(broadcastEnd),
  };
}
