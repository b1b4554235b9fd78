/**
 * The transcript hash H(tag; f1, …, fk) of docs/protocol.md: SHAKE256 over the injective tuple encoding of
 * NIST SP 800-185 (encode_string, right_encode), and its extension to long streams by AES-256-CTR.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { bigintToBytes, bytesToBigint, concatBytes } from './bytes.js';
import { invariant } from './errors.js';

const DOMAIN = 'ecdsa-mpc/v1/';
const text = new TextEncoder();

/** An integer that may be negative; absorbed as one field, sign byte (0 or 1) then magnitude. */
export interface SignedField {
  readonly signed: bigint;
}

/**
 * One field: bytes as they are, text as UTF-8, a non-negative integer big-endian minimal, a {@link SignedField},
 * or a list, which is its count and then each of its items as fields of their own.
 */
export type Field = Uint8Array | string | bigint | SignedField | readonly Field[];

/** left_encode / right_encode of SP 800-185 §2.3.1: the value in minimal bytes, with its length before or after. */
function lengthEncode(value: number, side: 'left' | 'right'): Uint8Array {
  let length = 1;
  for (let rest = value; rest >= 256; rest = Math.floor(rest / 256)) length += 1;
  const bytes = new Uint8Array(length + 1);
  const first = side === 'left' ? 1 : 0;
  for (let [k, rest] = [length - 1, value]; k >= 0; k -= 1) {
    bytes[first + k] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[side === 'left' ? 0 : length] = length;
  return bytes;
}

/** Appends encode_string of SP 800-185 §2.3.2. */
const pushString = (parts: Uint8Array[], bytes: Uint8Array): void => {
  parts.push(lengthEncode(bytes.length * 8, 'left'), bytes);
};

function pushField(parts: Uint8Array[], field: Field): void {
  if (field instanceof Uint8Array) pushString(parts, field);
  else if (typeof field === 'string') pushString(parts, text.encode(field));
  else if (typeof field === 'bigint') pushString(parts, bigintToBytes(field));
  else if ('signed' in field) {
    const negative = field.signed < 0n;
    pushString(
      parts,
      concatBytes(Uint8Array.of(negative ? 1 : 0), bigintToBytes(negative ? -field.signed : field.signed)),
    );
  } else {
    pushField(parts, BigInt(field.length));
    for (const item of field) pushField(parts, item);
  }
}

/**
 * H(tag; fields), `length` bytes (default 32, at most 256).
 *
 * Different tags, byte strings of the fields, or lengths never hash the same bytes. What a field *is* is not
 * hashed ('a', the byte 0x61 and the integer 97 are one field; a list is its count and its items), so one tag
 * always takes fields of the same kinds in the same places.
 */
export const hash = (tag: string, fields: readonly Field[], length = 32): Uint8Array =>
  digestOf(prefixOf(tag, fields), [], length);

/** H(tag; first, fields), for hashes that begin alike: what they have in common is encoded once. */
export type Hasher = (fields: readonly Field[], length?: number) => Uint8Array;

/** The {@link Hasher} of a tag and the fields that come first, none of them secret: its encoding is kept. */
export function hasher(tag: string, first: readonly Field[]): Hasher {
  const prefix = concatBytes(...prefixOf(tag, first));
  return (fields, length = 32) => digestOf([prefix], fields, length);
}

function prefixOf(tag: string, fields: readonly Field[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  pushField(parts, DOMAIN + tag);
  for (const field of fields) pushField(parts, field);
  return parts;
}

function digestOf(parts: Uint8Array[], fields: readonly Field[], length: number): Uint8Array {
  invariant(length > 0 && length <= 256, 'hash: use hashStream for long outputs');
  for (const field of fields) pushField(parts, field);
  parts.push(lengthEncode(length * 8, 'right'));
  // Joined, because each call of OpenSSL costs more than hashing a field; wiped, because fields may be secret, as may
  // be what they hash to.
  const input = concatBytes(...parts);
  const digest = createHash('shake256', { outputLength: length }).update(input).digest();
  input.fill(0);
  const output = new Uint8Array(digest);
  digest.fill(0);
  return output;
}

/** H(tag; fields) as an integer: 48 bytes modulo `q`, the map from hashes to scalars used everywhere. */
export const hashToScalar = (tag: string, fields: readonly Field[], q: bigint): bigint =>
  bytesToBigint(hash(tag, fields, 48)) % q;

/**
 * A stream of `length` bytes (any length) keyed by H(tag; fields): AES-256-CTR from a zero counter.
 */
export function hashStream(tag: string, fields: readonly Field[], length: number): Uint8Array {
  const cipher = createCipheriv('aes-256-ctr', hash(tag, fields), new Uint8Array(16));
  return new Uint8Array(cipher.update(new Uint8Array(length)));
}

/** The 128-bit Fiat–Shamir challenge e: the first 16 bytes of H(tag; fields) as an integer. */
export const challenge = (tag: string, fields: readonly Field[]): bigint =>
  bytesToBigint(hash(tag, fields).subarray(0, 16));
