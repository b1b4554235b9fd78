/** A cheat: takes a party's outgoing frames apart and changes, drops, repeats, holds back or replaces them. */
import { decode, encode, type Plain } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { decodeFrame, encodeFrame, type Frame, type SentFrame } from '#src/rounds/frames.js';
import type { Intercept } from './memory-network.js';

/** Which frames: all that fit every field given. */
export interface Target {
  readonly from: PartyName;
  readonly to?: PartyName;
  readonly kind?: SentFrame['kind'];
  readonly operation?: string;
  readonly step?: string;
  readonly round?: string;
}

/** What becomes of a frame that the target fits; `count` says how many fitted before on this way. */
export type Action = (bytes: Uint8Array, context: Context) => readonly Uint8Array[];

export interface Context {
  readonly from: PartyName;
  readonly to: PartyName;
  readonly count: number;
}

/** An interception that counts what it caught: a test of a cheat that never cheated proves nothing. */
export interface Tamper {
  readonly intercept: Intercept;
  readonly hits: number;
}

export function tamper(target: Target, action: Action): Tamper {
  const counts = new Map<PartyName, number>();
  let hits = 0;
  return {
    get hits() {
      return hits;
    },
    intercept: (from, to, bytes) => {
      if (!fits(target, from, to, bytes)) return undefined;
      const count = counts.get(to) ?? 0;
      counts.set(to, count + 1);
      hits += 1;
      return action(bytes, { from, to, count });
    },
  };
}

/** The first of several that catches a frame acts on it. */
export const firstOf =
  (...tampers: readonly Tamper[]): Intercept =>
  (from, to, bytes) => {
    for (const { intercept } of tampers) {
      const result = intercept(from, to, bytes);
      if (result) return result;
    }
    return undefined;
  };

function fits(target: Target, from: PartyName, to: PartyName, bytes: Uint8Array): boolean {
  if (target.from !== from || (target.to !== undefined && target.to !== to)) return false;
  const frame: Partial<Record<string, unknown>> = { ...decodeFrame(bytes) };
  const { kind, operation, step, round } = target;
  return Object.entries({ kind, operation, step, round }).every(
    ([field, wanted]) => wanted === undefined || frame[field] === wanted,
  );
}

export const drop: Action = () => [];

export const repeat: Action = (bytes) => [bytes, bytes];

export const replaceBytes =
  (change: (bytes: Uint8Array, context: Context) => Uint8Array): Action =>
  (bytes, context) => [change(bytes, context)];

/** Holds the first frame back until the next `behind` ones on its way have gone. Needs a new action for each test. */
export function delay(behind: number): Action {
  const held = new Map<PartyName, Uint8Array>();
  return (bytes, { to, count }) => {
    if (count > 0) return count === behind ? [bytes, held.get(to) as Uint8Array] : [bytes];
    held.set(to, bytes);
    return [];
  };
}

/** A frame as plain data that may be changed: its fields, and of a round's message the decoded parts. */
export type Editable = { [field: string]: Plain };

/** Changes the frame by `edit`; of a round's message, `broadcast` and `direct` are the decoded parts. */
export const editFrame =
  (edit: (frame: Editable, context: Context) => void): Action =>
  (bytes, context) => {
    const frame = opened(decodeFrame(bytes));
    edit(frame, context);
    return [encodeFrame(closed(frame))];
  };

/** Puts `value`, or what it makes of the old value, where `path` leads: 'direct.opening.0', 'descriptor.curve'. */
export const setField = (path: string, value: Plain | ((old: Plain, context: Context) => Plain)): Action =>
  editFrame((frame, context) => {
    const keys = path.split('.');
    const last = keys.pop() as string;
    const holder = keys.reduce<Plain>((at, key) => child(at, key, path), frame) as Editable;
    const old = child(holder, last, path);
    holder[last] = typeof value === 'function' ? value(old, context) : value;
  });

/** The byte string where `path` leads with its last bit turned over. */
export const flipBit = (path: string): Action =>
  setField(path, (old) => {
    if (!(old instanceof Uint8Array) || old.length === 0) throw new Error(`no bytes at ${path}`);
    const changed = Uint8Array.from(old);
    changed[changed.length - 1]! ^= 1;
    return changed;
  });

function child(holder: Plain, key: string, path: string): Plain {
  const value = (holder as Editable)[key];
  if (value === undefined) throw new Error(`nothing at ${key} of ${path}`);
  return value;
}

const LIMIT = 1 << 24;

const opened = (frame: Frame): Editable => {
  const { kind } = frame;
  if (kind !== 'round') return structuredClone(frame) as unknown as Editable;
  const part = (bytes: Uint8Array | null) => bytes && decode(bytes, LIMIT);
  return { ...frame, broadcast: part(frame.broadcast), direct: part(frame.direct) };
};

const closed = (frame: Editable): SentFrame => {
  if (frame.kind !== 'round') return frame as unknown as SentFrame;
  const part = (value: Plain | undefined) => (value === null || value === undefined ? null : encode(value));
  return { ...frame, broadcast: part(frame.broadcast), direct: part(frame.direct) } as unknown as SentFrame;
};
