/**
 * Arithmetic in GF(2^128) = F_2[X]/(X^128 + X^7 + X^2 + X + 1), in time that depends on no secret.
 *
 * An element is 16 bytes; bit k of byte ⌊k/8⌋, least significant first, is the coefficient of X^k. (GHASH has the same
 * field with the bits of each byte the other way round.) Computed with are four 32-bit words, X^0 first.
 *
 * A product has one factor that everybody may know, w. Its multiples w·X^k are tabulated once; the secret factor then
 * chooses among all of them by masks.
 */

export const ELEMENT_BYTES = 16;

const WORDS = 4;

/** w·X^k for k = 0 … 127, four words each. */
export type Multiples = Uint32Array;

/** The multiples of the element in `bytes`, which everybody may know. */
export function multiplesOf(bytes: Uint8Array): Multiples {
  const view = new DataView(bytes.buffer, bytes.byteOffset, ELEMENT_BYTES);
  const multiples = new Uint32Array(128 * WORDS);
  for (let word = 0; word < WORDS; word += 1) multiples[word] = view.getUint32(4 * word, true);
  for (let at = WORDS; at < multiples.length; at += WORDS) {
    let carry = 0;
    for (let word = at; word < at + WORDS; word += 1) {
      const value = multiples[word - WORDS]!;
      multiples[word] = (value << 1) | carry;
      carry = value >>> 31;
    }
    // X^128 = X^7 + X^2 + X + 1
    multiples[at] = multiples[at]! ^ (-carry & 0x87);
  }
  return multiples;
}

/** sum ← sum + w·c, for the secret element c of `bytes` at `offset`. */
export function addProduct(sum: Uint32Array, w: Multiples, bytes: DataView, offset: number): void {
  let [s0, s1, s2, s3] = sum as unknown as [number, number, number, number];
  let at = 0;
  for (let word = 0; word < WORDS; word += 1) {
    const c = bytes.getUint32(offset + 4 * word, true);
    for (let bit = 0; bit < 32; bit += 1) {
      const mask = -((c >>> bit) & 1);
      s0 ^= mask & w[at]!;
      s1 ^= mask & w[at + 1]!;
      s2 ^= mask & w[at + 2]!;
      s3 ^= mask & w[at + 3]!;
      at += WORDS;
    }
  }
  sum[0] = s0;
  sum[1] = s1;
  sum[2] = s2;
  sum[3] = s3;
}

/** sum ← sum + c, for the element c of `bytes` at `offset`. */
export function addElement(sum: Uint32Array, bytes: DataView, offset: number): void {
  for (let word = 0; word < WORDS; word += 1)
    sum[word] = sum[word]! ^ bytes.getUint32(offset + 4 * word, true);
}

/** Writes the element of four words to `bytes` at `offset`. */
export function writeElement(element: Uint32Array, bytes: DataView, offset: number): void {
  for (let word = 0; word < WORDS; word += 1) bytes.setUint32(offset + 4 * word, element[word]!, true);
}
