import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { after, test } from 'node:test';
import { threadId } from 'node:worker_threads';
import { MpcError } from '#src/core/errors.js';
import { WorkerPool } from '#src/work/pool.js';
import * as jobs from './jobs.js';

const pools: WorkerPool[] = [];
after(() => Promise.all(pools.map((pool) => pool.close())));

function poolOf(threads?: number): WorkerPool {
  const pool = new WorkerPool(threads);
  pools.push(pool);
  return pool;
}

/** The threads that `count` jobs are in which all run at a time. */
function meeting(pool: WorkerPool, count: number): Promise<number[]> {
  const here = new Int32Array(new SharedArrayBuffer(4));
  return Promise.all(Array.from({ length: count }, () => pool.compute(jobs.meet, { here, count })));
}

test('jobs run in other threads, as many at a time as the pool has', async () => {
  const seen = await meeting(poolOf(3), 3);
  assert.equal(new Set(seen).size, 3);
  assert.ok(!seen.includes(threadId));
});

test('a pool has a thread at least, and by default one for each processor', async () => {
  assert.equal((await meeting(poolOf(0), 1)).length, 1);
  const seen = await meeting(poolOf(), availableParallelism());
  assert.equal(new Set(seen).size, availableParallelism());
});

test('a thread that is free takes the next job, whatever the others are at', async () => {
  const pool = poolOf(2);
  const controller = new AbortController();
  const { signal } = controller;
  const long = pool.compute(jobs.untilAborted, { mark: 'long' }, { signal });
  for (let x = 0n; x < 5n; x += 1n) assert.deepEqual(await pool.compute(jobs.double, { x }), { y: 2n * x });
  controller.abort(new MpcError('INTERRUPTED', 'interrupted'));
  await assert.rejects(long, { code: 'INTERRUPTED' });
});

test('an abort rejects at once, also while the job has not noticed; its late secrets are wiped', async () => {
  const pool = poolOf(1);
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new MpcError('INTERRUPTED', 'interrupted');
  const running = new Int32Array(new SharedArrayBuffer(4));
  const outcomes = Promise.allSettled([
    pool.compute(jobs.untilAborted, { mark: 'first', running }, { signal }),
    pool.compute(jobs.untilAborted, { mark: 'second' }, { signal }),
  ]);
  while (Atomics.load(running, 0) === 0) await new Promise(setImmediate);
  controller.abort(reason);
  assert.deepEqual(await outcomes, [
    { status: 'rejected', reason },
    { status: 'rejected', reason },
  ]);
  // The one that ran has noticed; the one in the queue was never begun.
  assert.deepEqual(await pool.compute(jobs.marksLeft, null), ['first']);
});

test('a job that its signal does not concern goes on', async () => {
  const pool = poolOf(1);
  const one = new AbortController();
  const other = new AbortController();
  const first = pool.compute(jobs.untilAborted, { mark: 'first' }, { signal: one.signal });
  const second = pool.compute(jobs.double, { x: 4n }, { signal: other.signal });
  one.abort(new MpcError('INTERRUPTED', 'interrupted'));
  await assert.rejects(first, { code: 'INTERRUPTED' });
  assert.deepEqual(await second, { y: 8n });
});

test('closing ends everything at once, in the middle of a job that never looks up', async () => {
  const pool = poolOf(2);
  const running = [0, 1].map(() => new Int32Array(new SharedArrayBuffer(4)));
  const results = [
    ...running.map((flag) => pool.compute(jobs.forever, flag)),
    pool.compute(jobs.double, { x: 1n }),
    pool.compute(jobs.sumSecret, { key: { secret: new Uint8Array(4) } }),
  ].map((result: Promise<unknown>) => assert.rejects(result, { code: 'INTERRUPTED' }));
  while (running.some((flag) => Atomics.load(flag, 0) === 0)) await new Promise(setImmediate);
  await pool.close();
  await Promise.all(results);
  await assert.rejects(pool.compute(jobs.double, { x: 1n }), { code: 'INTERRUPTED' });
  await pool.close();
});

test('closing a pool that never worked, or that nobody waits for, leaves nothing behind', async () => {
  await poolOf(3).close();
  const pool = poolOf(1);
  pool.compute(jobs.forever, null).catch(() => {});
  await pool.close();
  await new Promise(setImmediate);
});

test('a thread that dies rejects its job and is replaced, also for those in the queue', async () => {
  const pool = poolOf(1);
  const crashed = assert.rejects(pool.compute(jobs.crash, null), { code: 'BUG', message: /exited/ });
  const queued = pool.compute(jobs.double, { x: 2n });
  await crashed;
  assert.deepEqual(await queued, { y: 4n });
  assert.deepEqual(await pool.compute(jobs.double, { x: 3n }), { y: 6n });
});

test('a job that its module does not define is a bug', async () => {
  const stray = { ...jobs.double, name: 'nobody defined this' };
  await assert.rejects(poolOf(1).compute(stray, { x: 1n }), { code: 'BUG', message: /defines no job/ });
  const lost = { ...jobs.double, module: new URL('./missing.js', import.meta.url).href };
  await assert.rejects(poolOf(1).compute(lost, { x: 1n }), { code: 'BUG', message: /missing\.js/ });
});
