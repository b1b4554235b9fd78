/**
 * One process at a time per folder. The lock is the file `lock.N` of the highest N: it names its holder, or is empty
 * once that has given it up. Whoever finds it given up, or its holder gone, takes it by making `lock.N+1`, which a
 * hard link lets exactly one process do; so a holder that was killed leaves nothing for the user to clear away, and
 * no starter ever removes a lock that might be in force. The highest number never vanishes, only lower ones do.
 *
 * Advisory, as every lock in a file: it keeps two processes of this program apart, on one machine.
 */
import { linkSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { invariant, MpcError } from '../core/errors.js';
import { displayPath, fileError, listFolder, SECRET, writeTemporary } from '../files/files.js';
import { readPrivate } from '../files/private.js';

const holderSchema = z.strictObject({
  pid: z.int().min(1),
  host: z.string().max(256),
  /** The boot of the machine and the start of the process, in the words of /proc; absent where there is none. */
  boot: z.string().max(64).optional(),
  start: z.string().max(32).optional(),
});
type Holder = z.output<typeof holderSchema>;

const MAX_BYTES = 1024;
/** Each retry means that another process has got on. */
const MAX_TRIES = 1000;

const lockName = (number: number): string => `lock.${number}`;

/** N of `lock.N`, or 0 for any other name. */
const numberOf = (name: string): number => Number(/^lock\.([1-9]\d{0,14})$/.exec(name)?.[1] ?? 0);

/** The lock files of a folder by number, in ascending order. */
const lockNumbers = (folder: string): number[] =>
  readdirSync(folder)
    .map(numberOf)
    .filter((number) => number > 0)
    .sort((a, b) => a - b);

/** What /proc says of a process: when it started, in ticks since the boot, and whether it has ended all the same. */
function processFacts(pid: number): { readonly start: string; readonly ended: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, and may hold both spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { start: fields[19] ?? '', ended: ['Z', 'X'].includes(fields[0] ?? '') };
  } catch {
    return undefined;
  }
}

function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

function thisProcess(): Holder {
  const boot = bootId();
  const start = processFacts(process.pid)?.start;
  return {
    ...{ pid: process.pid, host: hostname() },
    ...(boot === undefined ? {} : { boot }),
    ...(start === undefined ? {} : { start }),
  };
}

/** Whether the process that `holder` names still runs, as far as this machine can tell. */
function isAlive(holder: Holder): boolean {
  if (holder.host !== hostname()) return true;
  if (holder.boot !== undefined && holder.boot !== bootId()) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // Not permitted: there is such a process.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const facts = processFacts(holder.pid);
  if (facts === undefined) return true;
  // Another process may have got the number since.
  return !facts.ended && (holder.start === undefined || holder.start === facts.start);
}

/** Who holds the lock in the file at `path`: nobody when it is given up or gone. Throws `FILE` when it says nothing. */
function readHolder(path: string): Holder | undefined {
  const hint = `delete ${displayPath(path)} if no process uses the folder`;
  const bytes = readPrivate(path, MAX_BYTES, hint);
  if (bytes === undefined || bytes.length === 0) return undefined;
  const parsed = holderSchema.safeParse(parseJson(new TextDecoder().decode(bytes)));
  if (!parsed.success) throw new MpcError('FILE', `${displayPath(path)} does not say who holds it`, { hint });
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Throws `FILE`, naming the holder, when the process that holds the lock at `path` still runs. */
function checkFree(folder: string, path: string): void {
  const holder = readHolder(path);
  if (holder === undefined || !isAlive(holder)) return;
  const elsewhere = holder.host !== hostname();
  throw new MpcError(
    'FILE',
    `${displayPath(folder)} is in use by process ${holder.pid}${elsewhere ? ` on ${printable(holder.host)}` : ''}`,
    {
      hint: elsewhere
        ? `end it; if it no longer runs, delete ${displayPath(path)}`
        : 'wait until it has ended, or end it',
    },
  );
}

const printable = (text: string): string => text.replace(/[^ -~]/g, '?');

/** Makes `lock.number`, held by this process; false when somebody else has made it. */
function make(folder: string, number: number): boolean {
  const path = join(folder, lockName(number));
  const temporary = writeTemporary(path, `${JSON.stringify(thisProcess())}\n`, SECRET);
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    // ENOENT: a holder of the lock took the temporary file for a leftover.
    if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** The lock of a folder, held by this process until it is disposed. */
export interface Lock extends Disposable {
  /**
   * Throws `FILE` when another process has taken it all the same: in a container that sees other processes than this
   * one does, or since a user has deleted it.
   */
  check(): void;
}

/** Takes the lock if it is free; `undefined` when somebody else was faster. */
function tryToTake(folder: string): Lock | undefined {
  const last = lockNumbers(folder).at(-1) ?? 0;
  if (last > 0) checkFree(folder, join(folder, lockName(last)));
  const own = last + 1;
  if (!make(folder, own)) return undefined;
  const path = join(folder, lockName(own));
  const numbers = lockNumbers(folder);
  // Others may have taken and given up this very number, and higher ones, since the first look.
  if (numbers.at(-1) !== own) {
    rmSync(path, { force: true });
    return undefined;
  }
  for (const number of numbers) if (number < own) rmSync(join(folder, lockName(number)), { force: true });
  return { check: () => checkHeld(folder, own), [Symbol.dispose]: () => release(path) };
}

function checkHeld(folder: string, own: number): void {
  if (Math.max(...listFolder(folder).map(numberOf)) === own) return;
  throw new MpcError(
    'FILE',
    `${displayPath(folder)} has been taken over by another process, or its lock deleted`,
    {
      hint: 'nothing was changed: see that one process at a time uses the folder, and start again',
    },
  );
}

function release(path: string): void {
  try {
    truncateSync(path);
  } catch {
    // The lock ends with this process.
  }
}

/** Takes the lock of `folder` until it is disposed; throws `FILE` when a running process holds it. */
export function takeLock(folder: string): Lock {
  try {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const lock = tryToTake(folder);
      if (lock !== undefined) return lock;
    }
  } catch (error) {
    if (error instanceof MpcError) throw error;
    throw fileError(folder, error, 'FILE', 'make room and see that this user may write there');
  }
  invariant(false, 'the lock cannot be taken');
}
