/**
 * Frames: what travels inside a TLS connection.
 *
 *     length (4 bytes, of what follows) ‖ kind (1 byte) ‖ body
 *
 * Numbers are 6 bytes. All integers are big-endian. The kind and the length are judged together before the body
 * is waited for, so a peer cannot make this side hold more than its kind of frame is allowed.
 */
import { invariant } from '../core/errors.js';
import { MAX_FRAME_BYTES, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES } from './limits.js';

const HEADER_BYTES = 5;
const NUMBER_BYTES = 6;

/**
 * - `hello`: who is speaking, to whom, and where to resume (hello.ts); the first frame, and only the first.
 * - `refusal`: why this connection will not be used (identity.ts); the last frame of its sender.
 * - `message`: one message of a caller, numbered from 1 in each direction.
 * - `ack`: every message up to this number was delivered.
 * - `ping`, `pong`: the peer answers each ping with a pong of the same number.
 * - `bye`: the sender has left on purpose; its last frame.
 */
export type Frame =
  | { readonly kind: 'hello'; readonly body: Uint8Array }
  | { readonly kind: 'refusal'; readonly body: Uint8Array }
  | { readonly kind: 'message'; readonly number: number; readonly body: Uint8Array }
  | { readonly kind: 'ack'; readonly number: number }
  | { readonly kind: 'ping'; readonly number: number }
  | { readonly kind: 'pong'; readonly number: number }
  | { readonly kind: 'bye' };

type Kind = Frame['kind'];

interface Layout {
  readonly code: number;
  readonly numbered: boolean;
  /** Least and most bytes after the number. */
  readonly body: readonly [least: number, most: number];
}

/** `hello` and `refusal` keep their codes in every version, so that unequal versions can still say so. */
const LAYOUTS: Readonly<Record<Kind, Layout>> = {
  hello: { code: 1, numbered: false, body: [1, MAX_HELLO_BYTES] },
  refusal: { code: 2, numbered: false, body: [1, 64] },
  message: { code: 3, numbered: true, body: [1, MAX_MESSAGE_BYTES] },
  ack: { code: 4, numbered: true, body: [0, 0] },
  ping: { code: 5, numbered: true, body: [0, 0] },
  pong: { code: 6, numbered: true, body: [0, 0] },
  bye: { code: 7, numbered: false, body: [0, 0] },
};

const KIND_BY_CODE: ReadonlyMap<number, Kind> = new Map(
  (Object.keys(LAYOUTS) as Kind[]).map((kind) => [LAYOUTS[kind].code, kind]),
);

/** Bytes that are no frame: their sender is broken, or no party of ours. */
export class FrameError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'FrameError';
  }
}

/** The bytes of `frame` in the parts to be written one after the other; a message's body is not copied. */
export function encodeFrame(frame: Frame): Uint8Array[] {
  const { code, numbered, body } = LAYOUTS[frame.kind];
  const rest = 'body' in frame ? frame.body : new Uint8Array(0);
  invariant(rest.length >= body[0] && rest.length <= body[1], `a ${frame.kind} of ${rest.length} bytes`);
  const head = Buffer.alloc(HEADER_BYTES + (numbered ? NUMBER_BYTES : 0));
  head.writeUInt32BE(head.length - 4 + rest.length, 0);
  head.writeUInt8(code, 4);
  if ('number' in frame) head.writeUIntBE(frame.number, HEADER_BYTES, NUMBER_BYTES);
  return rest.length === 0 ? [head] : [head, rest];
}

/**
 * Cuts a byte stream into frames. Holds at most the frame that is under way and the last chunk pushed, in one buffer
 * of at most twice their size: however small the pieces are in which a peer sends, they cost no more.
 */
export class FrameDecoder {
  #buffer = Buffer.alloc(0);
  /** What is held lies between these two in the buffer. */
  #start = 0;
  #end = 0;
  #first = true;

  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#buffer.length) this.#makeRoom(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The next whole frame, or `undefined` until more is pushed. Throws {@link FrameError}, then for ever. */
  next(): Frame | undefined {
    if (this.#end - this.#start < HEADER_BYTES) return undefined;
    const length = this.#buffer.readUInt32BE(this.#start);
    const kind = this.#checkHeader(this.#buffer.readUInt8(this.#start + 4), length);
    const end = this.#start + 4 + length;
    if (this.#end < end) return undefined;
    const frame = parse(kind, this.#buffer.subarray(this.#start + HEADER_BYTES, end));
    this.#start = end;
    this.#first = false;
    return frame;
  }

  #makeRoom(length: number): void {
    const held = this.#buffer.subarray(this.#start, this.#end);
    this.#buffer = Buffer.allocUnsafeSlow(2 * (held.length + length));
    this.#buffer.set(held);
    this.#start = 0;
    this.#end = held.length;
  }

  /** The kind announced by a header, once its length fits that kind and its place in the stream. */
  #checkHeader(code: number, length: number): Kind {
    if (length > MAX_FRAME_BYTES) throw new FrameError(`a frame of ${length} bytes announced`);
    const kind = KIND_BY_CODE.get(code);
    if (kind === undefined) throw new FrameError(`a frame of unknown kind ${code}`);
    if ((kind === 'hello') !== this.#first && kind !== 'refusal') {
      throw new FrameError(this.#first ? `a ${kind} before the hello` : 'a second hello');
    }
    const { numbered, body } = LAYOUTS[kind];
    const rest = length - 1 - (numbered ? NUMBER_BYTES : 0);
    if (rest < body[0] || rest > body[1]) throw new FrameError(`a ${kind} of ${length} bytes announced`);
    return kind;
  }
}

/** The frame of the bytes after a header that was checked. Its body is a copy. */
function parse(kind: Kind, bytes: Buffer): Frame {
  switch (kind) {
    case 'hello':
    case 'refusal':
      return { kind, body: new Uint8Array(bytes) };
    case 'bye':
      return { kind };
    case 'message':
      return {
        kind,
        number: bytes.readUIntBE(0, NUMBER_BYTES),
        body: new Uint8Array(bytes.subarray(NUMBER_BYTES)),
      };
    default:
      return { kind, number: bytes.readUIntBE(0, NUMBER_BYTES) };
  }
}
