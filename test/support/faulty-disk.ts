/**
 * A disk that fails, or a process that dies, at a chosen call of node:fs. The functions of the module itself are
 * replaced for the time of an action, so the code under test needs no hook.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';

type Functions = Record<string, (...args: unknown[]) => unknown>;
const fs = createRequire(import.meta.url)('node:fs') as Functions;

/** Calls that change the disk, or make a change durable; `openSync` only where it creates or writes. */
const CHANGES = [
  'openSync',
  'writeFileSync',
  'fsyncSync',
  'fdatasyncSync',
  'renameSync',
  'linkSync',
  'unlinkSync',
  'rmSync',
  'mkdirSync',
  'truncateSync',
  'ftruncateSync',
] as const;

export interface Call {
  readonly name: (typeof CHANGES)[number];
  readonly args: readonly unknown[];
  /** The path that its first argument is, or is open at. */
  readonly path: string;
}

/** What the disk does at the call of that number, counted from 0. */
export interface Fault {
  readonly at: number;
  /**
   * `dies`: the call does nothing, and so does every later one; `dies writing`: likewise, but half of what the call
   * was to write is written; `fails`: this call alone fails; `fails writing`: likewise, and half of it is written.
   */
  readonly kind: 'dies' | 'dies writing' | 'fails' | 'fails writing';
}

export class DiskFault extends Error {
  readonly code = 'EIO';
}

const isChange = (name: string, args: readonly unknown[]): boolean =>
  name !== 'openSync' || (args[1] !== 'r' && (typeof args[1] !== 'number' || (args[1] & 3) !== 0));

/**
 * Puts `handle` in the place of every call that changes the disk, until the returned function is called. The call
 * happens when `handle` performs it, as it was meant or with other arguments.
 */
export function interceptChanges(
  handle: (call: Call, perform: (...args: readonly unknown[]) => unknown) => unknown,
): () => void {
  const originals = new Map(CHANGES.map((name) => [name, fs[name]!]));
  const paths = new Map<unknown, unknown>();
  for (const [name, original] of originals) {
    const perform = (...args: readonly unknown[]): unknown => {
      const result = original(...args);
      if (name === 'openSync') paths.set(result, args[0]);
      return result;
    };
    fs[name] = (...args) => {
      if (!isChange(name, args)) return perform(...args);
      const path = String(typeof args[0] === 'number' ? paths.get(args[0]) : args[0]);
      return handle({ name, args, path }, perform);
    };
  }
  syncBuiltinESMExports();
  return () => {
    for (const [name, original] of originals) fs[name] = original;
    syncBuiltinESMExports();
  };
}

/** What is left of what was to be written when half of it is. */
export const halfOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length / 2);

/** Runs `action` on a disk with that fault; returns the calls that succeeded, and what the action threw, if it did. */
export function onFaultyDisk(
  action: () => void,
  fault?: Fault,
): { readonly calls: Call[]; readonly error?: unknown } {
  const calls: Call[] = [];
  let count = 0;
  const restore = interceptChanges((call, perform) => {
    const { name, args } = call;
    const number = count++;
    const isNow = number === fault?.at;
    const isDead = fault?.kind.startsWith('dies') && number >= fault.at;
    if (isNow && fault.kind.endsWith('writing') && args[1] instanceof Uint8Array)
      perform(args[0], halfOf(args[1]));
    if (isNow || isDead) throw new DiskFault(`${name}, call ${number}`);
    const result = perform(...args);
    calls.push(call);
    return result;
  });
  try {
    action();
    return { calls };
  } catch (error) {
    return { calls, error };
  } finally {
    restore();
  }
}
