// Waiting for something to become true.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import { Condition } from '#src/daemon/condition.js';

const never = new AbortController().signal;
const over = new MpcError('INTERRUPTED', 'it is over');

test('of several who wait for one thing, one takes it', async () => {
  const condition = new Condition();
  let free = 0;
  const taken: string[] = [];
  const take = (who: string) =>
    condition
      .until(() => {
        if (free === 0) return false;
        free -= 1;
        return true;
      }, never)
      .then(() => void taken.push(who));
  const both = [take('one'), take('other')];
  free = 1;
  condition.changed();
  await both[0];
  await new Promise(setImmediate);
  assert.deepEqual(taken, ['one']);
  free = 1;
  condition.changed();
  await both[1];
});

test('whoever waits hears of the end, also when something has changed just before', async () => {
  const condition = new Condition();
  const ends = new AbortController();
  const waiting = [condition.until(() => false, ends.signal), condition.until(() => false, ends.signal)];
  condition.changed();
  ends.abort(over);
  for (const each of waiting) await assert.rejects(each, over);
  await assert.rejects(
    condition.until(() => true, ends.signal),
    over,
  );
});
