import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkerPool } from '#src/work/pool.js';
import { double } from './jobs.js';

test('a job in a worker', async () => {
  const pool = new WorkerPool(2);
  assert.deepEqual(await pool.compute(double, { x: 5n }), { y: 10n });
  assert.deepEqual(await pool.compute(double, { x: 5n }), { y: 10n });
  await pool.close();
});
