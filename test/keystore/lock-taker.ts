/** Run as a process of its own: takes and gives up the lock of folders, as its parent says. */
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MpcError } from '#src/core/errors.js';
import { takeLock } from '#src/keystore/lock.js';

export type Order =
  /** Take it at that time, and hold it until the next order. */
  | { readonly take: string; readonly at: number }
  /** Take it and give it up again, as often as possible, until that time. */
  | { readonly churn: string; readonly until: number };

export interface Report {
  readonly taken: number;
  /** How often another process was inside at the same time. */
  readonly clashes: number;
  readonly errors: readonly string[];
}

let held: Disposable | undefined;

/** The lock, or why it was refused. */
function tryToTake(folder: string): Disposable | string {
  try {
    return takeLock(folder);
  } catch (error) {
    return error instanceof MpcError && error.code === 'FILE' ? error.message : `unexpected: ${error}`;
  }
}

function takeAt(folder: string, time: number): Report {
  held?.[Symbol.dispose]();
  held = undefined;
  while (Date.now() < time);
  const outcome = tryToTake(folder);
  if (typeof outcome === 'string') return { taken: 0, clashes: 0, errors: [outcome] };
  held = outcome;
  return { taken: 1, clashes: 0, errors: [] };
}

function churn(folder: string, until: number): Report {
  const inside = join(folder, 'inside');
  const errors = new Set<string>();
  let [taken, clashes] = [0, 0];
  while (Date.now() < until) {
    const outcome = tryToTake(folder);
    if (typeof outcome === 'string') {
      errors.add(outcome.replace(/\d+/g, 'N'));
      continue;
    }
    taken += 1;
    try {
      closeSync(openSync(inside, 'wx'));
      rmSync(inside);
    } catch {
      clashes += 1;
    }
    outcome[Symbol.dispose]();
  }
  return { taken, clashes, errors: [...errors] };
}

process.on('message', (order: Order) => {
  process.send!('take' in order ? takeAt(order.take, order.at) : churn(order.churn, order.until));
});
process.send!('ready');
