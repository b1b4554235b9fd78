import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MpcError } from '#src/core/errors.js';
import { Outbox } from '#src/transport/outbox.js';

const body = (length: number, fill = 0): Uint8Array => new Uint8Array(length).fill(fill);

/** Whether `promise` has resolved by now. */
async function isDone(promise: Promise<void>): Promise<boolean> {
  return Promise.race([
    promise.then(() => true),
    Promise.resolve()
      .then(() => undefined)
      .then(() => false),
  ]);
}

test('numbers messages from 1, gives each out once, forgets the acknowledged', async () => {
  const outbox = new Outbox(10_000);
  await outbox.add(body(1, 1));
  await outbox.add(body(1, 2));
  assert.deepEqual(outbox.take(), { number: 1, body: body(1, 1) });
  assert.deepEqual(outbox.take(), { number: 2, body: body(1, 2) });
  assert.equal(outbox.take(), undefined);
  assert.ok(outbox.acknowledge(1));
  assert.ok(!outbox.empty);
  assert.ok(outbox.acknowledge(2));
  assert.ok(outbox.empty);
  assert.equal(outbox.bytes, 0);
});

test('gives out again, after a reconnect, what was not received', async () => {
  const outbox = new Outbox(10_000);
  for (let fill = 1; fill <= 3; fill += 1) await outbox.add(body(1, fill));
  for (let count = 0; count < 3; count += 1) outbox.take();
  assert.ok(outbox.resume(1));
  assert.equal(outbox.take()?.number, 2);
  assert.equal(outbox.take()?.number, 3);
  assert.equal(outbox.take(), undefined);
});

test('refuses to acknowledge what was not sent, or less than before', async () => {
  const outbox = new Outbox(10_000);
  for (let count = 0; count < 3; count += 1) await outbox.add(body(1));
  outbox.take();
  outbox.take();
  assert.ok(!outbox.acknowledge(3));
  assert.ok(outbox.acknowledge(2));
  assert.ok(!outbox.acknowledge(1));
  assert.ok(!outbox.resume(0));
});

test('makes senders wait, in order, when it is full', async () => {
  const outbox = new Outbox(1000);
  await outbox.add(body(500));
  const second = outbox.add(body(500));
  const third = outbox.add(body(1));
  assert.ok(!(await isDone(second)));
  assert.ok(!(await isDone(third)), 'a small message does not overtake');
  outbox.take();
  assert.ok(outbox.bytes <= 1000);
  outbox.acknowledge(1);
  await second;
  await third;
});

test('lets a message beyond the whole limit through alone', async () => {
  const outbox = new Outbox(1000);
  await outbox.add(body(5000));
  const next = outbox.add(body(1));
  assert.ok(!(await isDone(next)));
  outbox.take();
  outbox.acknowledge(1);
  await next;
});

test('clearing rejects who waits, drops the rest and numbers from 1', async () => {
  const outbox = new Outbox(1000);
  await outbox.add(body(900));
  const waiting = outbox.add(body(900));
  outbox.clear(new MpcError('PEER_LEFT', 'gone'));
  await assert.rejects(waiting, { code: 'PEER_LEFT' });
  assert.ok(outbox.empty);
  await outbox.add(body(1, 7));
  assert.deepEqual(outbox.take(), { number: 1, body: body(1, 7) });
});

test('whatever connections break, the receiver gets every message once and in order', async () => {
  const step = fc.oneof(
    fc.record({ act: fc.constant('add' as const), length: fc.integer({ min: 1, max: 400 }) }),
    fc.record({ act: fc.constant('deliver' as const), length: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ act: fc.constantFrom('acknowledge' as const, 'cut' as const), length: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const outbox = new Outbox(2000);
      const promises: Promise<void>[] = [];
      const received: number[] = [];
      const deliver = () => {
        const message = outbox.take();
        if (message === undefined) return false;
        if (message.number === received.length + 1) received.push(message.body.length);
        return true;
      };
      const sent: number[] = [];
      for (const { act, length } of steps) {
        if (act === 'add') {
          sent.push(length);
          promises.push(outbox.add(body(length)));
        } else if (act === 'deliver') for (let count = 0; count < length; count += 1) deliver();
        else assert.ok(act === 'cut' ? outbox.resume(received.length) : outbox.acknowledge(received.length));
        assert.ok(outbox.bytes <= 2000);
      }
      while (!outbox.empty) {
        while (deliver());
        assert.ok(outbox.acknowledge(received.length));
      }
      await Promise.all(promises);
      assert.deepEqual(received, sent);
    }),
  );
});
