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
  'renameSync',
  'linkSync',
  'unlinkSync',
  'rmSync',
  'mkdirSync',
  'truncateSync',
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
   * was to write is written; `fails`: this call alone fails.
   */
  readonly kind: 'dies' | 'dies writing' | 'fails';
}

export class DiskFault extends Error {
  readonly code = 'EIO';
}

const isChange = (name: string, args: readonly unknown[]): boolean =>
  name !== 'openSync' || (args[1] !== 'r' && (typeof args[1] !== 'number' || (args[1] & 3) !== 0));

/** Runs `action` on a disk with that fault; returns the calls that succeeded, and what the action threw, if it did. */
export function onFaultyDisk(
  action: () => void,
  fault?: Fault,
): { readonly calls: Call[]; readonly error?: unknown } {
  const calls: Call[] = [];
  const originals = new Map(CHANGES.map((name) => [name, fs[name]!]));
  const paths = new Map<unknown, unknown>();
  const opened = (handle: unknown, [path]: readonly unknown[]): unknown => {
    paths.set(handle, path);
    return handle;
  };
  let count = 0;
  for (const [name, original] of originals) {
    fs[name] = (...args) => {
      if (!isChange(name, args)) return opened(original(...args), args);
      const number = count++;
      const isNow = number === fault?.at;
      const isDead = fault !== undefined && fault.kind !== 'fails' && number >= fault.at;
      if (isNow && fault.kind === 'dies writing' && args[1] instanceof Uint8Array)
        original(args[0], args[1].subarray(0, args[1].length / 2));
      if (isNow || isDead) throw new DiskFault(`${name}, call ${number}`);
      const result = original(...args);
      const path = String(typeof args[0] === 'number' ? paths.get(args[0]) : args[0]);
      calls.push({ name, args, path });
      return name === 'openSync' ? opened(result, args) : result;
    };
  }
  syncBuiltinESMExports();
  try {
    action();
    return { calls };
  } catch (error) {
    return { calls, error };
  } finally {
    for (const [name, original] of originals) fs[name] = original;
    syncBuiltinESMExports();
  }
}
