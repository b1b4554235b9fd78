/** Frames taken apart and put together again without asking whether they are right: src/rounds/frames.ts. */
import { concatBytes } from '#src/core/bytes.js';
import { decode, encode, type Plain } from '#src/core/codec.js';

const LENGTH_BYTES = 4;
const LIMIT = 1 << 24;

export interface RawFrame {
  readonly header: Plain;
  /** The encoded parts of a round's message, one after the other. */
  readonly parts: Uint8Array;
}

export function takeApart(bytes: Uint8Array): RawFrame {
  const end = LENGTH_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { header: decode(bytes.subarray(LENGTH_BYTES, end), LIMIT), parts: bytes.subarray(end) };
}

export function putTogether({ header, parts }: RawFrame): Uint8Array {
  const head = encode(header);
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, head.length);
  return concatBytes(length, head, parts);
}
