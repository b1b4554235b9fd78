import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import type { ApprovalRequest } from '#src/daemon/approval-request.js';
import { Desk } from '#src/daemon/desk.js';

const HOUR = 3_600_000;
const quiet = new AbortController().signal;

const request = (id: string, more: Partial<ApprovalRequest> = {}): ApprovalRequest => ({
  ...{ id: id.padStart(32, '0'), from: 'bob', operation: 'sign', key: 'ab'.repeat(32) },
  ...{ message: Buffer.from('pay 1'), messageHash: 'cd'.repeat(32), quorum: ['alice', 'bob'] },
  ...more,
});
const A = request('a');
const B = request('b', { operation: 'refresh' });

test('requests wait until the user decides on each', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const [first, second] = [desk.wait(A, quiet), desk.wait(B, quiet)];
  assert.deepEqual(
    desk.waiting.map((entry) => entry.request),
    [A, B],
  );
  const [{ since, until } = assert.fail()] = desk.waiting;
  assert.equal(until.getTime() - since.getTime(), HOUR);
  assert.equal(desk.reject(B.id, 'not on a\nSunday ü'), B);
  assert.deepEqual(await second, { decision: 'rejected', by: 'user', reason: 'not on a?Sunday ?' });
  assert.equal(desk.approve(A.id), A);
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

test('an id stands for one content: what the user has seen is what is approved', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const controller = new AbortController();
  const shown = desk.wait(A, controller.signal);
  const others: Partial<ApprovalRequest>[] = [
    { message: Buffer.from('pay 2') },
    { messageHash: 'ef'.repeat(32) },
    { from: 'charlie' },
    { key: 'ac'.repeat(32) },
    { operation: 'keygen' },
    { quorum: ['alice', 'charlie'] },
    { quorum: ['alice,bob'] },
    { receivers: ['bob'] },
  ];
  const refusal = { decision: 'rejected', by: 'rule', reason: 'another request has had this id' };
  for (const other of others) assert.deepEqual(await desk.wait({ ...A, ...other }, quiet), refusal);
  assert.equal((await desk.wait({ ...A }, quiet)).reason, 'this request waits already');
  assert.deepEqual(desk.waiting.length, 1);
  // Nor does another slip in while the user makes up their mind.
  controller.abort(new MpcError('PEER_LEFT', 'bob has gone'));
  await assert.rejects(shown, { code: 'PEER_LEFT' });
  assert.deepEqual(await desk.wait({ ...A, ...others[0] }, quiet), refusal);
  assert.throws(() => desk.approve(A.id), { code: 'USAGE' });
  // The same again is the same.
  const again = desk.wait(A, quiet);
  desk.approve(A.id);
  assert.equal((await again).decision, 'approved');
});

test('of many ids the oldest are forgotten, but none that waits', async () => {
  const desk = new Desk({ timeoutMillis: HOUR });
  const kept = desk.wait(A, quiet);
  for (let number = 0; number < 10_001; number++) {
    const passing = desk.wait(request(`1${number}`), quiet);
    desk.reject(request(`1${number}`).id);
    await passing;
  }
  const other = { message: Buffer.from('pay 2') };
  assert.equal((await desk.wait({ ...A, ...other }, quiet)).reason, 'another request has had this id');
  assert.equal((await desk.wait(request('110000', other), quiet)).reason, 'another request has had this id');
  const forgotten = desk.wait(request('10', other), quiet);
  desk.approve(request('10').id);
  assert.equal((await forgotten).decision, 'approved');
  desk.approve(A.id);
  await kept;
});
