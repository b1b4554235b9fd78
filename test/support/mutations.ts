/**
 * The ways to falsify one field of a message: turned over, zero, random, largest, too long, of another kind, left
 * out, or what stands in the same place of another message. Each is a value, so that the schema can be asked whether
 * it would pass for one.
 */
import { concatBytes, randomBytes } from '#src/core/bytes.js';
import type { Plain } from '#src/core/codec.js';
import { ABSENT, type Absent, isList, isMap } from './plain.js';

export interface Mutation {
  readonly name: string;
  readonly value: Plain | Absent;
}

/** What stands in the same place of other messages. */
export type Elsewhere = Readonly<Record<string, Plain | Absent>>;

/** Whether the schema takes this value in this place. */
type Fits = (value: Plain) => boolean;

const ATTEMPTS = 200;

const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, k) => (k === at ? byte ^ 1 : byte));

/** Zero in whichever form the field has it. */
const zeroOf = (honest: Uint8Array, fits: Fits): Uint8Array => {
  const forms = [new Uint8Array(honest.length), new Uint8Array(0), new Uint8Array(1)];
  return forms.find(fits) ?? forms[0]!;
};

/** Another value that the schema takes, as long as the honest one. */
function randomLike(honest: Uint8Array, fits: Fits): Uint8Array | Absent {
  for (let k = 0; k < ATTEMPTS; k += 1) {
    const random = randomBytes(honest.length);
    // Signs, the parity of points and the shortness of numbers stand in the first byte.
    const alike = concatBytes(honest.subarray(0, 1), random.subarray(1));
    for (const candidate of [random, alike]) if (fits(candidate)) return candidate;
  }
  return ABSENT;
}

/** The longest run of ones after the honest first byte that the schema takes, or no more than what it takes at all. */
function largest(honest: Uint8Array, fits: Fits): Uint8Array | Absent {
  const heads = [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(1)];
  const found = heads.flatMap((head) => {
    const ones = (lead: number, length: number) =>
      concatBytes(head, Uint8Array.of(lead), new Uint8Array(length).fill(0xff));
    let length = Math.max(0, honest.length - 2);
    if (!fits(ones(1, length))) return [];
    while (fits(ones(1, length + 1))) length += 1;
    const lead = [0xff, 0x7f, 0x3f, 0x1f, 0x0f, 7, 3, 1].find((byte) => fits(ones(byte, length)));
    return lead === undefined ? [] : [ones(lead, length)];
  });
  return found.at(-1) ?? ABSENT;
}

function tooLong(honest: Uint8Array, fits: Fits): Uint8Array {
  let longer = concatBytes(honest, Uint8Array.of(1));
  while (fits(longer)) longer = concatBytes(longer, longer);
  return longer;
}

const ofBytes = (honest: Uint8Array, fits: Fits): Record<string, Plain | Absent> => ({
  'last bit turned over': flipped(honest, honest.length - 1),
  'first bit turned over': flipped(honest, 0),
  zero: zeroOf(honest, fits),
  'all bits zero': new Uint8Array(honest.length),
  'all bits one': new Uint8Array(honest.length).fill(0xff),
  'random of the same shape': randomLike(honest, fits),
  largest: largest(honest, fits),
  'a byte shorter': honest.subarray(0, -1),
  'a byte longer': concatBytes(honest, Uint8Array.of(1)),
  'a zero before it': concatBytes(new Uint8Array(1), honest),
  'too long': tooLong(honest, fits),
  empty: new Uint8Array(0),
  text: 'text',
  'a number': 1,
});

const ofNumber = (honest: number): Record<string, Plain | Absent> => ({
  'turned over': honest === 0 ? 1 : 0,
  'one more': honest + 1,
  negative: -1,
  largest: Number.MAX_SAFE_INTEGER,
  'a fraction': 0.5,
  bytes: Uint8Array.of(honest & 0xff),
  text: String(honest),
});

const ofBoolean = (honest: boolean): Record<string, Plain | Absent> => ({
  'turned over': !honest,
  zero: 0,
  one: 1,
  text: String(honest),
});

const ofText = (honest: string): Record<string, Plain | Absent> => ({
  'last letter changed': `${honest.slice(0, -1)}${honest.endsWith('~') ? '}' : '~'}`,
  'a letter more': `${honest}x`,
  'a control character': `${honest}\u0007`,
  'endlessly long': 'x'.repeat(1000),
  empty: '',
  bytes: new TextEncoder().encode(honest),
  'a number': 0,
});

const ofList = (honest: readonly Plain[]): Record<string, Plain | Absent> => ({
  'turned round': honest.toReversed(),
  'an item fewer': honest.slice(0, -1),
  'an item more': [...honest, honest[0] ?? new Uint8Array(32)],
  'no items': [],
  'a thousand items': Array.from({ length: 1000 }, () => honest[0] ?? new Uint8Array(32)),
  'its first item alone': honest[0] ?? ABSENT,
});

const ofMap = (honest: { readonly [key: string]: Plain }): Record<string, Plain | Absent> => ({
  'a field more': { ...honest, more: 1 },
  'no fields': {},
  'a list of its fields': Object.values(honest),
  bytes: new Uint8Array(32),
});

function shapesOf(honest: Plain, fits: Fits): Record<string, Plain | Absent> {
  if (honest instanceof Uint8Array) return ofBytes(honest, fits);
  if (typeof honest === 'number') return ofNumber(honest);
  if (typeof honest === 'boolean') return ofBoolean(honest);
  if (typeof honest === 'string') return ofText(honest);
  if (honest === null) return { zero: 0, bytes: new Uint8Array(1) };
  if (isList(honest)) return ofList(honest);
  if (isMap(honest)) return ofMap(honest);
  throw new Error('a value of a kind that no message has');
}

/** What has no value in a place: the honest one changed, another kind, nothing, and what stands there elsewhere. */
export function mutationsOf(honest: Plain, elsewhere: Elsewhere, fits: Fits): readonly Mutation[] {
  const values: Record<string, Plain | Absent> = {
    ...shapesOf(honest, fits),
    nothing: null,
    'left out': ABSENT,
    ...elsewhere,
  };
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
