/** Byte strings: hex, concatenation, big-endian integers, constant-time comparison, and wiped secrets. */
import { randomFillSync, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';
import { invariant } from './errors.js';

/** A source of `length` uniformly random bytes. Code below the party layer is given one and never picks its own. */
export type Random = (length: number) => Uint8Array;

/** The operating system's generator. It fills the very array that the caller gets, and may wipe. */
export const randomBytes: Random = (length) => randomFillSync(new Uint8Array(length));

/** Lower-case hex of `bytes`. */
export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

/** Bytes of a lower- or upper-case hex string of even length, or `undefined` when it is not one. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return parseHex(text);
}

/**
 * Bytes of well-formed hex, and no second copy of them: `Buffer.from` would leave one in the pool that all of Node
 * shares, where nobody can wipe it.
 */
function parseHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  Buffer.from(bytes.buffer).write(hex, 'hex');
  return bytes;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Equality in time that depends on the lengths only. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b);

/** Non-negative integer of big-endian bytes; the empty string is 0. */
export const bytesToBigint = (bytes: Uint8Array): bigint =>
  bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`);

/**
 * Big-endian bytes of a non-negative integer: minimal (0 is empty), or left-padded to `length` when given.
 * Throws `BUG` when `value` is negative or does not fit.
 */
export function bigintToBytes(value: bigint, length?: number): Uint8Array {
  invariant(value >= 0n, 'bigintToBytes: negative value');
  let hex = value === 0n ? '' : value.toString(16);
  if (hex.length % 2 !== 0) hex = `0${hex}`;
  if (length !== undefined) {
    invariant(hex.length <= 2 * length, 'bigintToBytes: value too long');
    hex = hex.padStart(2 * length, '0');
  }
  return parseHex(hex);
}

/** Number of bits of |value|; 0 for 0. */
export function bitLength(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude === 0n) return 0;
  const hex = magnitude.toString(16);
  return (hex.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hex.charAt(0), 16)));
}

/**
 * A secret byte string, wiped when disposed: hold it in a `using` declaration, or dispose it in `finally`.
 * It prints as `[Secret]`, refuses JSON and structured cloning of its content, and throws once wiped.
 */
export class Secret implements Disposable {
  static #live = 0;
  #bytes: Uint8Array | undefined;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    Secret.#live += 1;
  }

  /** Takes ownership of `bytes`: the caller keeps no other use of the array. */
  static own(bytes: Uint8Array): Secret {
    return new Secret(bytes);
  }

  /** A secret of `length` fresh random bytes. */
  static random(length: number): Secret {
    return new Secret(randomBytes(length));
  }

  /** The big-endian bytes of `value`, `length` long. The BigInt itself cannot be wiped. */
  static fromBigint(value: bigint, length: number): Secret {
    return new Secret(bigintToBytes(value, length));
  }

  /** How many secrets are alive in this thread; for tests. */
  static get live(): number {
    return Secret.#live;
  }

  /** The bytes themselves, not a copy; do not keep them. Throws `BUG` after disposal. */
  get bytes(): Uint8Array {
    invariant(this.#bytes !== undefined, 'a wiped secret was used');
    return this.#bytes;
  }

  get disposed(): boolean {
    return this.#bytes === undefined;
  }

  /** The bytes as a big-endian integer: transient, for arithmetic only. */
  toBigint(): bigint {
    return bytesToBigint(this.bytes);
  }

  /** An independent copy, to be disposed separately. */
  clone(): Secret {
    return new Secret(Uint8Array.from(this.bytes));
  }

  dispose(): void {
    if (this.#bytes === undefined) return;
    this.#bytes.fill(0);
    this.#bytes = undefined;
    Secret.#live -= 1;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return '[Secret]';
  }

  toJSON(): string {
    return '[Secret]';
  }

  [inspect.custom](): string {
    return '[Secret]';
  }
}
