/**
 * Loaded with `--import` into a process of the command: kills it, as SIGKILL does, at a chosen call of node:fs that
 * changes something in a state folder below its working directory.
 */
import { resolve, sep } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { halfOf, interceptChanges } from './faulty-disk.js';

/** In the environment: the number of the call, counted from 0, and when, as in `7 before`. */
export const KILLED_AT = 'ECDSA_MPC_TEST_KILLED_AT';

/** Of the call; `writing` is half-way where it writes, and before it otherwise. */
export type Moment = 'before' | 'writing' | 'after';

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

/** Ends this process at that call. */
function dieAt(at: number, moment: Moment): void {
  const folder = resolve('state') + sep;
  let count = 0;
  interceptChanges(({ args, path }, perform) => {
    if (!resolve(path).startsWith(folder) || count++ !== at) return perform(...args);
    if (moment === 'writing' && args[1] instanceof Uint8Array) perform(args[0], halfOf(args[1]));
    if (moment !== 'after') die();
    perform(...args);
    return die();
  });
}

// Worker threads load this, too: only the main one touches the disk.
const point = process.env[KILLED_AT];
if (isMainThread && point !== undefined) {
  const [at, moment] = point.split(' ');
  dieAt(Number(at), moment as Moment);
}
