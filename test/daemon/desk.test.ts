import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import type { ApprovalRequest } from '#src/daemon/approval-request.js';
import { Desk } from '#src/daemon/desk.js';

const HOUR = 3_600_000;
const quiet = new AbortController().signal;

const A: ApprovalRequest = {
  ...{ id: 'a'.repeat(64), from: 'bob', operation: 'sign', key: 'ab'.repeat(16) },
  ...{ message: Buffer.from('pay 1'), messageHash: 'cd'.repeat(32), quorum: ['alice', 'bob'] },
};
const B: ApprovalRequest = { ...A, id: 'b'.repeat(64), operation: 'refresh' };

test('requests wait until the user decides on each', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const [first, second] = [desk.wait(A, quiet), desk.wait(B, quiet)];
  assert.deepEqual(desk.waiting, [A.id, B.id]);
  desk.reject(B.id, 'not on a\nSunday ü');
  assert.deepEqual(await second, { decision: 'rejected', by: 'user', reason: 'not on a?Sunday ?' });
  desk.approve(A.id);
  assert.deepEqual(await first, { decision: 'approved', by: 'user' });
  assert.deepEqual(desk.waiting, []);
  const third = desk.wait(A, quiet);
  desk.reject(A.id);
  assert.deepEqual(await third, { decision: 'rejected', by: 'user' });
  const fourth = desk.wait(A, quiet);
  desk.reject(A.id, 'x'.repeat(10_000));
  assert.equal((await fourth).reason?.length, 200);
});

test('a decision on what does not wait, or no more, is an error', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const decided = desk.wait(A, quiet);
  desk.approve(A.id);
  for (const decide of [() => desk.reject(A.id), () => desk.approve(A.id), () => desk.approve('\u001b[2J')])
    assert.throws(decide, {
      code: 'USAGE',
      message: /^no request ".*" waits for a decision here$/,
      hint: /requests/,
    });
  assert.throws(
    () => desk.approve('\u001b[2J'),
    (error: Error) => !error.message.includes('\u001b'),
  );
  // The first decision holds.
  assert.equal((await decided).decision, 'approved');
});

test('a request whose time is over is rejected', async () => {
  const desk = new Desk({ timeoutMillis: 20 });
  const alive = setTimeout(() => {}, 60_000);
  assert.deepEqual(await desk.wait(A, quiet), {
    ...{ decision: 'rejected', by: 'rule', reason: 'nobody has decided within 20ms' },
  });
  clearTimeout(alive);
  assert.deepEqual(desk.waiting, []);
});

test('a request that nobody waits for any more goes from the desk', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const controller = new AbortController();
  const gone = new MpcError('PEER_LEFT', 'bob has gone');
  const waiting = desk.wait(A, controller.signal);
  controller.abort(gone);
  await assert.rejects(waiting, gone);
  assert.deepEqual(desk.waiting, []);
  await assert.rejects(desk.wait(A, controller.signal), gone);
  assert.throws(() => desk.approve(A.id), { code: 'USAGE' });
});

test('a request that waits already is no second one', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const waiting = desk.wait(A, quiet);
  assert.equal((await desk.wait({ ...A }, quiet)).reason, 'this request waits already');
  desk.approve(A.id);
  assert.equal((await waiting).decision, 'approved');
});
