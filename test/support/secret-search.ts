/** Searches texts and files for secrets, however they may have been written. */
import { bytesToBigint } from '#src/core/bytes.js';

/** Characters of a form that are looked for: no random value has as many in common with another. */
const HEX = 20;
const DECIMAL = 24;
const NUMBERS = 28;
const BASE64 = 14;
const RAW = 10;

/** All pieces of `text` of that length. */
function piecesOf(text: string, length: number): ReadonlySet<string> {
  const pieces = new Set<string>();
  for (let at = 0; at + length <= text.length; at += 1) pieces.add(text.slice(at, at + length));
  return pieces;
}

/**
 * A piece of `text` from its middle, because its ends depend on what stands beside it, or on leading zeros; none of
 * what is too short or too plain to be told from other text.
 */
function middle(text: string, length: number): string | undefined {
  const start = Math.floor((text.length - length) / 2);
  const piece = text.slice(start, start + length);
  return start < 0 || new Set(piece).size < length / 4 ? undefined : piece;
}

/** A number drawn with a few bits too many is used without them. */
const MASKED_BITS = 8;

/** Base64 of bytes that stand at the beginning of a longer text, or one or two bytes further on. */
const base64Forms = (bytes: Uint8Array): string[] =>
  [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  );

function decimalForms(bytes: Uint8Array): string[] {
  const value = bytesToBigint(bytes);
  const masks = Array.from({ length: MASKED_BITS }, (_, bits) =>
    BigInt.asUintN(8 * bytes.length - bits, value),
  );
  return [...new Set(masks)].map(String);
}

type Form = 'hex' | 'bytes' | 'base64' | 'decimal' | 'numbers';

/** A secret in every form that is looked for: a piece of each. */
export type Sought = readonly (readonly [form: Form, piece: string])[];

export function soughtOf(secret: Uint8Array): Sought {
  const bytes = Buffer.from(secret);
  const forms: readonly (readonly [Form, string, number])[] = [
    ['hex', bytes.toString('hex'), HEX],
    ['bytes', bytes.toString('latin1'), RAW],
    ['numbers', bytes.join(), NUMBERS],
    ...base64Forms(bytes).map((form) => ['base64', form, BASE64] as const),
    ...decimalForms(bytes).map((form) => ['decimal', form, DECIMAL] as const),
  ];
  return forms.flatMap(([form, text, length]) => {
    const piece = middle(text, length);
    return piece === undefined ? [] : [[form, piece] as const];
  });
}

/** Something that was put out, to be searched for any number of secrets. */
export class Searched {
  readonly #pieces: Readonly<Record<Form, ReadonlySet<string>>>;

  constructor(contents: Uint8Array | string) {
    const text = Buffer.from(contents as Uint8Array).toString('latin1');
    // Lines may be broken anywhere, in PEM for one, and line breaks written out in JSON.
    const joined = text.replace(/\s|\\n/g, '');
    this.#pieces = {
      hex: piecesOf(joined.toLowerCase(), HEX),
      bytes: piecesOf(text, RAW),
      base64: piecesOf(joined.replaceAll('-', '+').replaceAll('_', '/'), BASE64),
      decimal: piecesOf(joined, DECIMAL),
      // [12, 34, …] as inspect prints an array, and {"0":12,"1":34,…} as JSON does.
      numbers: piecesOf(joined.replace(/"\d+":/g, ''), NUMBERS),
    };
  }

  /** In which form the secret stands here, if it does. */
  find(sought: Sought): Form | undefined {
    return sought.find(([form, piece]) => this.#pieces[form].has(piece))?.[0];
  }
}
