// Letters that no honest daemon would send, or not at that time: they end no daemon, have nothing done twice, take
// no key from the others for good, and fill no log.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { fromHex, randomBytes } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import {
  encodeLetter,
  type LetterBody,
  type RequestContent,
  requestId,
  type Subject,
} from '#src/daemon/letters.js';
import { printId } from '#src/protocol/key-share.js';
import { Presignature } from '#src/protocol/presign.js';
import { decodeFrame } from '#src/rounds/frames.js';
import {
  always,
  ask,
  assertAgreement,
  assertSigned,
  DaemonsWithKey,
  nobody,
  recordsOf,
  refreshContent,
  settled,
  signContent,
  type TestDaemon,
  undecided,
  until,
} from '../support/daemons.js';
import { garbled, type Intercept } from '../support/memory-network.js';

const shared = new DaemonsWithKey(['alice', 'bob', 'charlie'], 2);
after(() => shared[Symbol.dispose]());

const never = new AbortController().signal;

/** Lets everything happen that waits for no timer. */
async function ticks(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise(setImmediate);
}

const idOf = (from: PartyName, content: RequestContent): Uint8Array => fromHex(requestId(from, content))!;

/** A letter of `from` arrives. */
function receive<S extends Subject>(
  { daemon }: TestDaemon,
  from: PartyName,
  subject: S,
  body: LetterBody<S>,
) {
  daemon.receive(from, subject, encodeLetter(subject, body));
}

/** All daemons; at bob's, alice has asked for `content` and been told that he takes part. */
async function approved(
  contentOf = signContent as (...of: Parameters<typeof signContent>) => RequestContent,
) {
  const { daemons, sharing } = await shared.make();
  await daemons.startAll();
  const bob = daemons.at('bob');
  const content = contentOf(sharing);
  const id = idOf('alice', content);
  receive(bob, 'alice', 'request', { content });
  await ticks();
  assert.equal(bob.daemon.answerer.list()[0]?.isApproved, true);
  const begin = (attempt: number, alone = false) =>
    receive(bob, 'alice', 'begin', { id, attempt, alone, presignature: null });
  return { daemons, sharing, bob, content, id, begin };
}

/** Nothing is left of it, and the daemon goes on. */
async function assertOver({ daemon, tools, faults, audit }: TestDaemon): Promise<void> {
  await ticks();
  assert.deepEqual(tools.running.list(), []);
  assert.deepEqual(daemon.answerer.list(), []);
  assert.equal(audit.unfinished().size, 0);
  assert.deepEqual(faults, []);
}

describe('requests', () => {
  test('whose quorum names a party twice are no requests', async () => {
    const { daemons, sharing } = await shared.make();
    const bob = await daemons.start('bob');
    const { n } = bob.tools.audit.head;
    // As those letters are encoded; encodeLetter makes none that nobody can read.
    const encoded = encodeLetter('request', { content: signContent(sharing) });
    const quorum = Buffer.from('\x82ealicecbob', 'latin1');
    const at = Buffer.from(encoded).indexOf(quorum);
    assert.ok(at > 0);
    const twice = Buffer.from('\x82ealiceealice', 'latin1');
    const parts = [encoded.subarray(0, at), twice, encoded.subarray(at + quorum.length)];
    bob.daemon.receive('alice', 'request', Buffer.concat(parts));
    await assertOver(bob);
    assert.equal(bob.tools.audit.head.n, n);
  });

  test('that have been signed are refused, and leave no trace', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const content = signContent(sharing);
    await daemons.at('alice').daemon.ask(content, nobody());
    const bob = daemons.at('bob');
    await until(() => bob.daemon.answerer.list().length === 0);
    const { n } = bob.tools.audit.head;
    for (let again = 0; again < 3; again += 1) receive(bob, 'alice', 'request', { content });
    await assertOver(bob);
    assert.equal(bob.tools.audit.head.n, n);
    await assertAgreement(daemons);
  });

  test('in a flood are refused before they fill the log', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const bob = daemons.at('bob');
    const { n } = bob.tools.audit.head;
    for (let i = 0; i < 2000; i += 1)
      receive(bob, 'alice', 'request', { content: signContent(sharing, { key: randomBytes(16) }) });
    await ticks();
    const records = bob.tools.audit.head.n - n;
    assert.ok(records < 2 * 300, `${records} records`);
    // Whoever else asks is heard.
    assertSigned(sharing, await ask(daemons, 'charlie', sharing, { quorum: ['bob', 'charlie'] }));
    assert.deepEqual(bob.faults, []);
  });

  test('that come back while this daemon stops are not taken up', async () => {
    const { bob, content, id, begin, daemons } = await approved();
    begin(1);
    await ticks();
    assert.equal(bob.tools.running.list().length, 1);
    const { n } = bob.tools.audit.head;
    receive(bob, 'alice', 'end', { id, done: false, code: 'INTERRUPTED', reason: '' });
    receive(bob, 'alice', 'request', { content });
    bob.daemon.stop();
    await bob.daemon.settled(AbortSignal.timeout(60_000));
    await assertOver(bob);
    assert.equal(bob.tools.audit.head.n, n + 1);
    assert.equal(recordsOf(daemons, 'bob', 'failed').length, 1);
  });
});

describe('a request that was approved', () => {
  test('is not begun once more after its asker has ended it as done', async () => {
    const { bob, id, begin, daemons } = await approved();
    begin(1);
    await ticks();
    receive(bob, 'alice', 'end', { id, done: true, code: '', reason: '' });
    assert.equal(bob.tools.running.list().length, 1);
    begin(2);
    await assertOver(bob);
    begin(3);
    await assertOver(bob);
    assert.equal(recordsOf(daemons, 'bob', 'failed').length, 1);
    await assertAgreement(daemons);
  });

  test('is not begun once more when its time is over', async ({ mock }) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { bob, id, begin, sharing } = await approved();
    receive(bob, 'alice', 'hold', { id, turn: 1, on: true });
    begin(1, true);
    await ticks();
    mock.timers.tick(60_000);
    await ticks();
    assert.equal(bob.tools.running.list().length, 1);
    begin(2);
    await assertOver(bob);
    (await bob.tools.gates.of(printId(sharing.keyId)).start(never))[Symbol.dispose]();
  });

  test('has its key held for three minutes at most, also when it runs meanwhile', async ({ mock }) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { daemons, sharing } = await shared.make();
    const bob = await daemons.start('bob', { requestTimeoutMillis: 3_600_000 });
    const content = signContent(sharing);
    const id = idOf('alice', content);
    receive(bob, 'alice', 'request', { content });
    await ticks();
    receive(bob, 'alice', 'hold', { id, turn: 1, on: true });
    await ticks();
    receive(bob, 'alice', 'begin', { id, attempt: 1, alone: true, presignature: null });
    await ticks();
    receive(bob, 'alice', 'begin', { id, attempt: 2, alone: false, presignature: null });
    await ticks();
    let isFree = false;
    const own = bob.tools.gates
      .of(printId(sharing.keyId))
      .start(never)
      .then((gate) => {
        isFree = true;
        gate[Symbol.dispose]();
      });
    mock.timers.tick(179_999);
    await ticks();
    assert.equal(isFree, false);
    mock.timers.tick(1);
    await ticks();
    assert.equal(isFree, true);
    await own;
  });

  test('for a refresh is not begun beside other operations', async () => {
    const { bob, begin } = await approved(refreshContent);
    begin(1);
    await ticks();
    assert.deepEqual(bob.tools.running.list(), []);
    assert.deepEqual(bob.faults, []);
  });
});

test('presignatures made under the id of a request do not stand in its way', async () => {
  const { daemons, sharing } = await shared.make();
  await daemons.start('alice');
  let approve = () => {};
  const bob = await daemons.start('bob', {
    approval: async (...request) => {
      await new Promise<void>((resolve) => {
        approve = resolve;
      });
      return always(...request);
    },
  });
  const content = signContent(sharing);
  const id = idOf('alice', content);
  const asked = daemons.at('alice').daemon.ask(content, nobody());
  await until(() => bob.daemon.answerer.list().length === 1);
  const quorum = ['alice', 'bob'];
  bob.tools.post('alice', 'presign', { id, key: sharing.keyId, quorum, count: 1 });
  const made = await bob.tools.during(
    { curve: sharing.curve, policy: sharing.policy },
    never,
    (resources) => {
      const work = { resources: { ...resources, progress: () => {} }, tell: () => {} };
      const name = `presign ${requestId('alice', content)}`;
      return bob.tools.keys.presign(work, name, sharing.keyId, quorum, 1, { shared: true });
    },
  );
  for (const each of made) each[Symbol.dispose]();
  approve();
  assertSigned(sharing, { ...(await asked), message: content.message });
  assert.deepEqual([...daemons.at('alice').faults, ...bob.faults], []);
});

// What was approved for one key, or with some parties, must not be signed with another key, or others.
test('a presignature of another key or quorum than the approved one is refused, and used up', async (context) => {
  const quorum = ['alice', 'bob'];
  const elsewhere = [
    { keyId: randomBytes(16), quorum },
    { keyId: undefined, quorum: ['bob', 'charlie'] },
    { keyId: undefined, quorum: ['alice', 'bob', 'charlie'] },
  ];
  for (const { keyId, quorum } of elsewhere) {
    const { daemons, sharing, bob, id } = await approved();
    const { curve, shid } = sharing;
    const sid = randomBytes(32);
    const binding = { keyId: keyId ?? sharing.keyId, shid, quorum, sid };
    const held = new Presignature(curve, binding, curve.G, { phi: 1n, u: 2n, v: 3n });
    bob.tools.presignatures.hold('alice', [held]);
    const { mock: posted } = context.mock.method(bob.tools, 'post');
    receive(bob, 'alice', 'begin', { id, attempt: 1, alone: false, presignature: sid });
    await until(() => posted.callCount() > 0);
    const [to, subject, body] = posted.calls[0]!.arguments;
    assert.deepEqual([to, subject], ['alice', 'failed']);
    assert.match((body as LetterBody<'failed'>).reason, /^the presignature is of another key or quorum$/);
    assert.throws(() => held.reserve(), { code: 'BUG' });
    assert.equal(bob.tools.presignatures.heldFor('alice'), 0);
    assert.deepEqual(recordsOf(daemons, 'bob', 'signing'), []);
    assert.deepEqual(bob.faults, []);
  }
});

test('a peer that has many requests wait has no more of them taken up', async () => {
  const { daemons, sharing } = await shared.make();
  const bob = await daemons.start('bob', { approval: undecided });
  for (let i = 0; i < 50; i += 1)
    receive(bob, 'alice', 'request', { content: signContent(sharing, { message: randomBytes(512 * 1024) }) });
  await settled();
  assert.equal(bob.daemon.answerer.list().length, 33);
  receive(bob, 'charlie', 'request', {
    content: signContent(sharing, { quorum: ['bob', 'charlie'], receivers: ['charlie'] }),
  });
  await settled();
  assert.equal(bob.daemon.answerer.list().length, 34);
  assert.deepEqual(bob.faults, []);
  // However small they are.
  await daemons.restart('bob', { approval: undecided });
  const again = daemons.at('bob');
  for (let i = 0; i < 140; i += 1) receive(again, 'alice', 'request', { content: signContent(sharing) });
  await settled();
  assert.equal(again.daemon.answerer.list().length, 128);
  const reasons = again.events.flatMap((event) => (event.event === 'decision' ? [event.reason] : []));
  assert.deepEqual([...new Set(reasons)], ['too many requests of alice wait here already']);
});

for (const what of ['a request', 'presignatures'] as const)
  test(`a peer that cheats in ${what} of its own is named here, with what is to be done`, async () => {
    const intercept: Intercept = (from, _to, bytes) => {
      const frame = decodeFrame(bytes);
      if (from !== 'alice' || frame.kind !== 'round' || frame.step !== 'presign') return undefined;
      if (frame.operation.startsWith('presign') !== (what === 'presignatures')) return undefined;
      // The last byte is one of the sums of the columns.
      return [garbled(frame)];
    };
    const { daemons, sharing } = await shared.make(intercept);
    const warnings: string[] = [];
    await daemons.start('bob', { warned: (reason) => warnings.push(reason) });
    await daemons.start('alice', { presignatures: 1 });
    void ask(daemons, 'alice', sharing).catch(() => {});
    await until(() => warnings.length > 0);
    assert.match(warnings[0]!, /^alice broke the protocol: .* makes the set-up void: find out what happened/);
    assert.deepEqual(daemons.at('bob').faults, []);
  });

test('letters that cannot be read are dropped, and told of a hundred times at most', async () => {
  const { daemons } = await shared.make();
  const told: string[] = [];
  const { daemon, faults } = await daemons.start('bob', { warned: (reason) => told.push(reason) });
  for (let i = 0; i < 150; i += 1) daemon.receive('alice', 'request', randomBytes(20));
  daemon.receive('alice', 'love', new Uint8Array());
  assert.equal(told.length, 100);
  daemon.receive('charlie', 'love', new Uint8Array());
  assert.deepEqual(told.slice(100), ['a letter of an unknown subject']);
  assert.deepEqual(faults, []);
});
