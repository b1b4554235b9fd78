/**
 * The one encoding of everything that leaves the process: canonical CBOR (RFC 8949 §4.2.1) of plain data, and
 * the schema fields that turn its byte strings into integers.
 *
 * Accepted is only what encodes back to the same bytes, so each value has exactly one encoding.
 */
import * as cborg from 'cborg';
import { z } from 'zod';
import { bigintToBytes, bitLength, bytesToBigint, concatBytes, equalBytes } from './bytes.js';
import { MpcError } from './errors.js';

/** What can be encoded: no floats, no undefined, no tags; integers beyond 2^53 travel as byte strings. */
export type Plain =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Plain[]
  | { readonly [key: string]: Plain };

/** Deepest nesting of arrays and maps that is decoded. */
const MAX_DEPTH = 8;

/**
 * Input that is not the one canonical encoding of plain data; who sent it decides whom to blame.
 * Reasons may quote the input (a map key, say), so control characters are replaced and the length is bounded.
 */
export class UndecodableError extends Error {
  constructor(reason: string) {
    super(reason.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?').slice(0, 200));
    this.name = 'UndecodableError';
  }
}

/** Canonical CBOR of `value`: map keys sorted by length, then bytewise. The bytes are the caller's own. */
export const encode = (value: Plain): Uint8Array =>
  // cborg may return a view of Node's shared buffer pool, which must be neither kept nor transferred.
  new Uint8Array(cborg.encode(value, cborg.rfc8949EncodeOptions));

/** Throws {@link UndecodableError} for anything but plain data within the depth limit. */
function checkPlain(value: unknown, depth: number): asserts value is Plain {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value === 'number' && Number.isSafeInteger(value) && !Object.is(value, -0)) return;
  if (value instanceof Uint8Array) return;
  if (typeof value !== 'object') throw new UndecodableError('a value of a kind that is never sent');
  if (depth >= MAX_DEPTH) throw new UndecodableError('nested too deeply');
  for (const item of Array.isArray(value) ? value : Object.values(value)) checkPlain(item, depth + 1);
}

/**
 * Plain data of its canonical encoding.
 * Throws {@link UndecodableError} when `bytes` are longer than `maxBytes` or not such an encoding.
 */
export function decode(bytes: Uint8Array, maxBytes: number): Plain {
  if (bytes.length > maxBytes)
    throw new UndecodableError(`${bytes.length} bytes, at most ${maxBytes} allowed`);
  try {
    const value: unknown = cborg.decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: false,
      rejectDuplicateMapKeys: true,
    });
    checkPlain(value, 0);
    if (!equalBytes(encode(value), bytes)) throw new UndecodableError('not the canonical encoding');
    return value;
  } catch (error) {
    if (error instanceof UndecodableError) throw error;
    throw new UndecodableError(error instanceof Error ? error.message : 'undecodable');
  }
}

const byteString = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not a byte string');

/** A byte string of exactly `length` bytes. */
export const bytesField = (length: number) =>
  byteString.refine((value) => value.length === length, `not ${length} bytes long`);

/** An integer 0 ≤ x < 2^bits, as minimal big-endian bytes (0 is the empty string). */
export const naturalField = (bits: number) =>
  z.codec(
    byteString.refine(
      (value) => value.length <= Math.ceil(bits / 8) && value[0] !== 0,
      'not minimal or too long',
    ),
    z.bigint().refine((value) => value >= 0n && bitLength(value) <= bits, `not in 0 … 2^${bits} − 1`),
    { decode: (bytes) => bytesToBigint(bytes), encode: (value) => bigintToBytes(value) },
  );

/** An integer |x| < 2^bits, as a sign byte (0 or 1) and the minimal magnitude; no negative zero. */
export const integerField = (bits: number) =>
  z.codec(
    byteString.refine(
      (value) =>
        value.length <= 1 + Math.ceil(bits / 8) &&
        value[1] !== 0 &&
        (value[0] === 0 || (value[0] === 1 && value.length > 1)),
      'not a sign byte and a minimal magnitude, or too long',
    ),
    z.bigint().refine((value) => bitLength(value) <= bits, `not within ±2^${bits}`),
    {
      decode: (bytes) => (bytes[0] === 1 ? -1n : 1n) * bytesToBigint(bytes.subarray(1)),
      encode: (value) =>
        concatBytes(Uint8Array.of(value < 0n ? 1 : 0), bigintToBytes(value < 0n ? -value : value)),
    },
  );

/**
 * A list of exactly `length` items. Read-only to the type checker alone: zod's `readonly()` freezes what it was given
 * even when that is no list, and throws on a byte string.
 */
export const listField = <T extends z.ZodType>(
  item: T,
  length: number,
): z.ZodType<readonly z.output<T>[], readonly z.input<T>[]> => z.array(item).length(length);

/** The typed value of `schema` in `bytes`; throws {@link UndecodableError} when they do not hold one. */
export function decodeAs<S extends z.ZodType>(schema: S, bytes: Uint8Array, maxBytes: number): z.output<S> {
  const result = parse(schema, decode(bytes, maxBytes));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new UndecodableError(`${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'does not fit'}`);
}

/**
 * zod's verdict. Data of another kind than the schema asks for (bytes for a list, say) makes zod itself throw; an
 * invariant that a field of the schema finds broken is a bug here all the same.
 */
function parse<S extends z.ZodType>(schema: S, value: Plain) {
  try {
    return z.safeDecode(schema, value as z.input<S>);
  } catch (error) {
    if (error instanceof MpcError) throw error;
    throw new UndecodableError('message: of another shape');
  }
}

/** The encoding of a typed value of `schema`; throws when `value` does not fit it. */
export const encodeAs = <S extends z.ZodType>(schema: S, value: z.output<S>): Uint8Array =>
  encode(z.encode(schema, value) as Plain);
