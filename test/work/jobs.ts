/** Jobs for the tests of this folder; worker threads import this module as well. */
import { threadId } from 'node:worker_threads';
import { MpcError } from '#src/core/errors.js';
import type { JobContext } from '#src/rounds/run.js';
import { defineJob } from '#src/work/job.js';

/** A job of this module. */
const job = <I, O>(name: string, run: (input: I, context: JobContext) => O | Promise<O>) =>
  defineJob<I, O>(import.meta.url, `test ${name}`, run);

export const double = job('double', ({ x }: { readonly x: bigint }) => ({ y: 2n * x }));

export const whereAmI = job('where am I', (_: null) => threadId);

/** Waits until `count` jobs are here at a time, each in a thread of its own. */
export const meet = job('meet', ({ here, count }: { readonly here: Int32Array; readonly count: number }) => {
  Atomics.add(here, 0, 1);
  while (Atomics.load(here, 0) < count) Atomics.wait(here, 0, Atomics.load(here, 0), 5);
  return threadId;
});

export const someRandom = job('some random', (length: number, { random }) => random(length));

let held: Uint8Array | undefined;

/** Returns the sum of its secrets and keeps hold of one of them, to see later whether it was wiped. */
export const sumSecret = job('sum secret', (input: { readonly key: { readonly secret: Uint8Array } }) => {
  held = input.key.secret;
  return held.reduce((sum, byte) => sum + byte, 0);
});

/** What the job before it left of its secret, in this thread. */
export const leftover = job('leftover', (_: null) => [...(held ?? [])]);

export const failWithSecret = job('fail with secret', (input: { readonly secret: Uint8Array }) => {
  held = input.secret;
  throw new MpcError('PROTOCOL', 'bob broke it', { hint: 'try again', culprits: ['bob'] });
});

/** A secret that lies within a larger buffer, and one that is the input's own. */
export const makeSecret = job('make secret', (input: { readonly secret: Uint8Array }) => {
  const buffer = new Uint8Array(64).fill(7);
  held = buffer;
  return { made: { secret: buffer.subarray(8, 16) }, secret: [input.secret], public: buffer.slice(0, 4) };
});

export const fail = job('fail', (what: 'range' | 'text') => {
  if (what === 'range') throw new RangeError('out of range');
  throw 'a text';
});

/** Says when it is running, goes on until it is aborted, and then leaves `mark` in its thread. */
export const untilAborted = job(
  'until aborted',
  ({ mark, running }: { readonly mark: string; readonly running?: Int32Array }, { aborted }) => {
    if (running) Atomics.store(running, 0, 1);
    while (!aborted()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    marks.push(mark);
    return { secret: new Uint8Array(4).fill(9) };
  },
);

const marks: string[] = [];

export const marksLeft = job('marks left', (_: null) => marks);

/** Says when it is running, and never looks up. */
export const forever = job('forever', (running: Int32Array | null) => {
  if (running) Atomics.store(running, 0, 1);
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
});

export const waitBriefly = job('wait briefly', async (_: null, { aborted }) => {
  while (!aborted()) await new Promise(setImmediate);
});

export const crash = job('crash', (_: null) => process.exit(3));

export const returnFunction = job('return function', (_: null) => () => 1);
