// What runs just now.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import { RunningOperations } from '#src/daemon/running.js';

const never = new AbortController().signal;

test('an operation is listed, with how far it is, until it is over, and its time is told', async () => {
  const took: (readonly [operation: string, millis: number])[] = [];
  const running = new RunningOperations((...told) => took.push(told));
  await running.ended(never);
  const entry = running.enter({ id: 'r', operation: 'sign', key: 'k' });
  const [{ since, ...first }] = running.list() as [ReturnType<typeof running.list>[0]];
  assert.ok(Date.now() - since.getTime() < 60_000);
  assert.deepEqual(first, {
    ...{ id: 'r', operation: 'sign', key: 'k' },
    ...{ stage: 'beginning', done: 0, total: 1 },
  });
  entry.progress('presign', 2, 5);
  const [{ stage, done, total }] = running.list() as [ReturnType<typeof running.list>[0]];
  assert.deepEqual({ stage, done, total }, { stage: 'presign', done: 2, total: 5 });
  const ended = running.ended(never);
  {
    // Two of one request: an attempt may still be ending when the next begins.
    using _other = running.enter({ id: 'r', operation: 'sign', key: 'k' });
    assert.equal(running.list().length, 2);
    entry[Symbol.dispose]();
    assert.equal(running.list().length, 1);
  }
  await ended;
  entry.progress('too late', 1, 1);
  assert.deepEqual(running.list(), []);
  assert.deepEqual(
    took.map(([operation]) => operation),
    ['sign', 'sign'],
  );
  assert.ok(took.every(([, millis]) => millis >= 0 && millis < 60_000));
});

test('whoever waits for the end of all hears of the end of its patience', async () => {
  const running = new RunningOperations();
  using _entry = running.enter({ id: 'p', operation: 'presign' });
  const ends = new AbortController();
  const ended = running.ended(ends.signal);
  const late = new MpcError('TIMEOUT', 'it took too long');
  ends.abort(late);
  await assert.rejects(ended, late);
});
