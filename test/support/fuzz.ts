/**
 * What the fuzz tests have in common: how many cases they try, spoiled copies of honest bytes and of honest data,
 * and a measure of what a decoder allocates.
 *
 * `make test` tries a few hundred cases of everything, `make fuzz` 10,000. A failure prints the seed and the path with
 * which fast-check tries the same case again.
 */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { concatBytes } from '#src/core/bytes.js';
import type { Plain } from '#src/core/codec.js';
import { type ErrorCode, MpcError } from '#src/core/errors.js';

/** Parameters of a fuzz test: FUZZ_RUNS cases, but not fewer than the `brief` ones of `make test`. */
export function cases(brief = 300): { readonly numRuns: number } {
  const wanted = process.env.FUZZ_RUNS ?? '';
  assert.match(wanted, /^\d*$/, 'FUZZ_RUNS is a number of cases');
  return { numRuns: Math.max(brief, Number(wanted)) };
}

/** What `read` makes of its input, or `undefined` when it refuses it in the one way in which it may. */
export function unlessRefused<T>(read: () => T, isRefusal: (error: unknown) => boolean): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** A refusal with one of these codes, in a message that can be shown: one line, bounded, nothing that escapes. */
export const refusalWith =
  (...codes: readonly ErrorCode[]) =>
  (error: unknown): boolean =>
    error instanceof MpcError &&
    codes.includes(error.code) &&
    error.message.length < 2000 &&
    !/\p{Cc}/u.test(error.message);

// Bytes

/** A place in something whose length is not known yet; beginnings are the most frequent, there the headers are. */
const place = fc.oneof(fc.nat(48), fc.nat());

/** Numbers that lengths and counts go wrong at, in 1, 2, 4 or 8 bytes. */
const extreme = fc
  .tuple(
    fc.constantFrom(1, 2, 4, 8),
    fc.constantFrom(0n, 1n, 0x7fn, 0x80n, 0xffn, 1n << 15n, 1n << 16n, 1n << 22n, 1n << 31n, 1n << 53n, -1n),
    fc.integer({ min: -2, max: 2 }),
  )
  .map(([size, value, offset]) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value + BigInt(offset)));
    return bytes.subarray(8 - size);
  });

/** Heads of CBOR items: of every major type, with every kind of argument, also reserved and indefinite ones. */
const cborHead = fc
  .tuple(fc.nat(7), fc.oneof(fc.nat(31), fc.constantFrom(24, 25, 26, 27, 31)), extreme)
  .map(([major, info, argument]) => Uint8Array.of((major << 5) | info, ...argument));

/** Bytes that look like CBOR here and there. */
export const cborNoise: fc.Arbitrary<Uint8Array> = fc
  .array(fc.oneof(cborHead, fc.uint8Array({ maxLength: 6 })), { maxLength: 12 })
  .map((parts) => concatBytes(...parts));

type Change = (bytes: Uint8Array) => Uint8Array;

const replaced = (bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array =>
  concatBytes(bytes.subarray(0, from), by, bytes.subarray(Math.min(to, bytes.length)));

const changeOf = (at: number, length: number, other: number, inserted: Uint8Array): readonly Change[] => {
  const within = (bytes: Uint8Array, where = at) => where % (bytes.length + 1);
  return [
    // a bit
    (bytes) =>
      bytes.length === 0
        ? bytes
        : bytes.with(at % bytes.length, bytes[at % bytes.length]! ^ (1 << (other % 8))),
    // a byte
    (bytes) => (bytes.length === 0 ? bytes : bytes.with(at % bytes.length, other & 255)),
    // something new, between or over what is there
    (bytes) => replaced(bytes, within(bytes), within(bytes), inserted),
    (bytes) => replaced(bytes, within(bytes), within(bytes) + inserted.length, inserted),
    // a piece less, a piece twice, a piece elsewhere
    (bytes) => replaced(bytes, within(bytes), within(bytes) + length, new Uint8Array()),
    (bytes) =>
      replaced(bytes, within(bytes), within(bytes), bytes.slice(within(bytes), within(bytes) + length)),
    (bytes) =>
      replaced(
        bytes,
        within(bytes, other),
        within(bytes, other),
        bytes.slice(within(bytes), within(bytes) + length),
      ),
    // the end missing
    (bytes) => bytes.slice(0, within(bytes)),
  ];
};

const change: fc.Arbitrary<Change> = fc
  .tuple(
    fc.nat(7),
    place,
    fc.oneof(fc.nat(8), fc.nat(2000)),
    fc.nat(),
    fc.oneof(extreme, cborHead, fc.uint8Array({ maxLength: 40 })),
  )
  .map(([kind, at, length, other, inserted]) => changeOf(at, length, other, inserted)[kind]!);

/** One of `honest`, spoiled in one to four places; now and then as it is, so that what follows an acceptance runs. */
export const spoiled = (honest: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(
      honest,
      fc.oneof({ weight: 15, arbitrary: fc.array(change, { minLength: 1, maxLength: 4 }) }, fc.constant([])),
    )
    .map(([bytes, changes]) => changes.reduce((spoilt, each) => each(spoilt), bytes));

/** {@link spoiled} text; each character counts as a byte. */
export const spoiledText = (honest: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  spoiled(honest.map((text) => Buffer.from(text, 'latin1'))).map((bytes) =>
    Buffer.from(bytes).toString('latin1'),
  );

/** Anything that comes for `honest` bytes: spoiled ones, noise that looks like CBOR, and random bytes. */
export const anythingFor = (honest: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.oneof({ weight: 6, arbitrary: spoiled(honest) }, cborNoise, fc.uint8Array({ maxLength: 300 }));

// Data

/** Keys that mean something to JavaScript, among others. */
const key = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'length', '0', ''),
);

/** Plain data of the codec, also deeper than it allows. */
export const plainData: fc.Arbitrary<Plain> = fc.letrec<{ plain: Plain }>((tie) => ({
  plain: fc.oneof(
    { maxDepth: 10, depthSize: 'medium' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ maxLength: 20, unit: 'binary' }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('plain'), { maxLength: 4 }),
    fc.dictionary(key, tie('plain'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).plain;

/** Every place in a tree of arrays and objects, as the keys that lead there; the root first. */
function placesOf(tree: unknown, path: readonly PropertyKey[] = []): (readonly PropertyKey[])[] {
  if (typeof tree !== 'object' || tree === null || tree instanceof Uint8Array) return [path];
  const entries: [PropertyKey, unknown][] = Array.isArray(tree) ? [...tree.entries()] : Object.entries(tree);
  return [path, ...entries.flatMap(([name, item]) => placesOf(item, [...path, name]))];
}

/** `tree` with what `edit` makes of the items of the array or object at `path`. */
function edited<T>(tree: T, path: readonly PropertyKey[], edit: (old: unknown) => unknown): T {
  const [first, ...rest] = path;
  if (first === undefined) return edit(tree) as T;
  if (Array.isArray(tree)) return tree.with(first as number, edited(tree[first as number], rest, edit)) as T;
  const record = tree as Record<PropertyKey, unknown>;
  return { ...record, [first]: edited(record[first], rest, edit) } as T;
}

/** What may become of a value: something else, gone with its neighbours, more of it, nested, longer. */
const edit = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<(old: unknown) => unknown> =>
  fc.oneof(
    value.map((other) => () => other),
    fc.constant((old: unknown) => [old]),
    // what a length is asked of without being a list or a text
    fc.constant((old: unknown) => (Array.isArray(old) ? new Uint8Array(old.length) : old)),
    fc.constant(() => ({ length: { toString: 1 } })),
    fc.constant((old: unknown) => (Array.isArray(old) ? [...old, ...old] : old)),
    fc
      .nat()
      .map((at) => (old: unknown) => (Array.isArray(old) ? old.toSpliced(at % (old.length + 1), 1) : old)),
    fc.tuple(key, value).map(
      ([name, item]) =>
        (old: unknown) =>
          isRecord(old) ? { ...old, [name]: item } : old,
    ),
    fc.nat().map((at) => (old: unknown) => {
      if (!isRecord(old)) return old;
      const entries = Object.entries(old);
      return Object.fromEntries(entries.toSpliced(at % (entries.length + 1), 1));
    }),
    spoiled(fc.constant(new Uint8Array(40))).map(
      (bytes) => (old: unknown) => (old instanceof Uint8Array ? bytes : old),
    ),
    change.map((spoil) => (old: unknown) => {
      if (old instanceof Uint8Array) return spoil(old);
      return typeof old === 'string' ? Buffer.from(spoil(Buffer.from(old))).toString() : old;
    }),
    fc
      .constantFrom(-1, 1, 2 ** 31, 2 ** 53, 0.5, Number.NaN)
      .map((more) => (old: unknown) => (typeof old === 'number' ? old + more : old)),
  );

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

/** One of the trees `honest`, in one to three places of which stands something else, taken from `value` or the like. */
export const spoiledData = <T>(honest: fc.Arbitrary<T>, value: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc
    .tuple(honest, fc.array(fc.tuple(fc.nat(), edit(value)), { minLength: 1, maxLength: 3 }))
    .map(([tree, edits]) =>
      edits.reduce((spoilt, [at, each]) => {
        const places = placesOf(spoilt);
        return edited(spoilt, places[at % places.length]!, each);
      }, tree),
    );

// Memory

/**
 * Bytes of the arrays and buffers that `work` makes, whether it keeps them or not. It counts what is asked for while it
 * runs: the process's own figures would miss what has been collected meanwhile.
 */
export function allocatedBy(work: () => void): number {
  let allocated = 0;
  const count = <T extends ArrayBufferLike | ArrayBufferView>(made: T): T => {
    allocated += made.byteLength;
    return made;
  };
  const counting = <T extends object>(type: T): T =>
    new Proxy(type, {
      construct: (target, [first, ...rest], newTarget) => {
        const made = Reflect.construct(target as never, [first, ...rest], newTarget);
        // A view of a buffer that exists is no more memory.
        return first instanceof ArrayBuffer ? made : count(made);
      },
    });
  const globals = { Uint8Array, ArrayBuffer };
  const { alloc, allocUnsafe, allocUnsafeSlow } = Buffer;
  Object.assign(globalThis, { Uint8Array: counting(Uint8Array), ArrayBuffer: counting(ArrayBuffer) });
  Object.assign(Buffer, {
    alloc: (size: number) => count(alloc(size)),
    allocUnsafe: (size: number) => count(allocUnsafe(size)),
    allocUnsafeSlow: (size: number) => count(allocUnsafeSlow(size)),
  });
  try {
    work();
  } finally {
    Object.assign(globalThis, globals);
    Object.assign(Buffer, { alloc, allocUnsafe, allocUnsafeSlow });
  }
  return allocated;
}

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Twice, because array buffers are freed on another thread, which the next collection waits for. */
function collectGarbage(): void {
  gc();
  gc();
}

/** Bytes of array buffers that are still held when `work` has ended. */
export function keptBy(work: () => void): number {
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  work();
  collectGarbage();
  return process.memoryUsage().arrayBuffers - before;
}
