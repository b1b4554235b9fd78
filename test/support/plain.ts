/** Looking into decoded messages, and changing them at one place. */

import { equalBytes } from '#src/core/bytes.js';
import { encode, type Plain } from '#src/core/codec.js';
import type { FieldPath } from './schemas.js';

/** Stands for no value at all: a key that is left out. */
export const ABSENT = Symbol('absent');
export type Absent = typeof ABSENT;

export type PlainMap = { readonly [key: string]: Plain };

export const isList = (value: Plain): value is readonly Plain[] => Array.isArray(value);

export const isMap = (value: Plain): value is PlainMap =>
  typeof value === 'object' && value !== null && !isList(value) && !(value instanceof Uint8Array);

export const samePlain = (a: Plain | Absent, b: Plain | Absent): boolean =>
  a === ABSENT || b === ABSENT ? a === b : equalBytes(encode(a), encode(b));

/** What stands at `path`. */
export function at(value: Plain, path: FieldPath): Plain | Absent {
  let here: Plain | undefined = value;
  for (const key of path) {
    if (here === undefined || here === null || typeof here !== 'object') return ABSENT;
    here = (here as PlainMap)[key];
  }
  return here === undefined ? ABSENT : here;
}

/** `value` with `put` at `path`. */
export function withAt(value: Plain, [key, ...rest]: FieldPath, put: Plain | Absent): Plain | Absent {
  if (key === undefined) return put;
  const holder = value as PlainMap;
  const inner = withAt(holder[key] as Plain, rest, put);
  if (isList(value)) {
    const index = key as number;
    return inner === ABSENT ? value.filter((_, k) => k !== index) : value.with(index, inner);
  }
  const { [key]: _, ...others } = holder;
  return inner === ABSENT ? others : { ...others, [key]: inner };
}

/** The paths of everything in `value` that is neither list nor map; of a list only the first and the last item. */
export function leafPaths(value: Plain, path: FieldPath = []): readonly FieldPath[] {
  if (isMap(value)) return Object.entries(value).flatMap(([key, item]) => leafPaths(item, [...path, key]));
  if (!isList(value)) return [path];
  const ends = [...new Set([0, value.length - 1])].filter((index) => index in value);
  return ends.flatMap((index) => leafPaths(value[index]!, [...path, index]));
}
