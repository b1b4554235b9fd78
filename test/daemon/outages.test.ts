// Daemons that lose each other in the middle of things, are stopped, run out of time, or cannot write their logs: each
// request ends, none is signed a second time, and whatever comes next finds its key free.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { MpcError, type PartyName } from '#src/core/errors.js';
import type { Approval } from '#src/daemon/approval-request.js';
import { decodeLetter, type Letter } from '#src/daemon/letters.js';
import { printId, type Sharing } from '#src/protocol/key-share.js';
import { decodeFrame } from '#src/rounds/frames.js';
import {
  always,
  ask,
  assertAgreement,
  assertSigned,
  type Daemons,
  DaemonsWithKey,
  failure,
  nobody,
  recordsOf,
  refreshContent,
  settled,
  signContent,
  type TestDaemon,
  undecided,
  until,
} from '../support/daemons.js';
import type { Intercept } from '../support/memory-network.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const shared = new DaemonsWithKey(PARTIES, 2);
const three = new DaemonsWithKey(PARTIES, 3);
after(() => {
  for (const each of [shared, three]) each[Symbol.dispose]();
});

const never = new AbortController().signal;
const gone = () => new MpcError('INTERRUPTED', 'interrupted');

/** Whether `bytes` are a message of the last session of a signature, in which shares are given out. */
function isOfShares(bytes: Uint8Array): boolean {
  const frame = decodeFrame(bytes);
  return frame.kind === 'round' && frame.operation.endsWith('signature');
}

/** Whether they say that their sender has stored what the others have stored as well. */
function isConfirmation(bytes: Uint8Array): boolean {
  const frame = decodeFrame(bytes);
  return frame.kind === 'round' && frame.step === 'refresh' && frame.round === 'confirm';
}

function letterIn(bytes: Uint8Array): Letter | undefined {
  const frame = decodeFrame(bytes);
  return frame.kind === 'letter' ? decodeLetter(frame.subject, frame.body) : undefined;
}

/** A link from one party to another on which such frames are lost, until it is mended. */
function lossy(from: PartyName, to: PartyName, isLost: (bytes: Uint8Array) => boolean) {
  const link: { isMended: boolean; readonly intercept: Intercept } = {
    isMended: false,
    intercept: (sender, receiver, bytes) =>
      !link.isMended && sender === from && receiver === to && isLost(bytes) ? [] : undefined,
  };
  return link;
}

async function eraseSetups(daemons: Daemons, { keyId }: Sharing, parties: readonly PartyName[]) {
  for (const self of parties) {
    using store = await daemons.homes.open(self);
    for (const { sharing, setups } of store.key(keyId)!.sharings)
      for (const { id } of setups) store.eraseSetup(keyId, sharing.shid, id);
  }
}

/** Nothing is left of any request, and nothing has made it impossible to go on. */
async function assertAtRest(daemons: Daemons): Promise<void> {
  const all = PARTIES.map((self) => daemons.at(self));
  const isAtRest = ({ daemon, tools, audit }: TestDaemon): boolean =>
    daemon.asker.list().length + daemon.answerer.list().length + tools.running.list().length === 0 &&
    audit.unfinished().size === 0;
  await until(() => all.every(isAtRest));
  assert.deepEqual(
    all.flatMap(({ faults }) => faults),
    [],
  );
  await assertAgreement(daemons);
}

describe('a signature whose share went out', () => {
  for (const [what, happens] of [
    ['is not made again by a signer that restarts', (daemons: Daemons) => daemons.restart('bob')],
    ['is not made again after an outage', (daemons: Daemons) => daemons.separate('bob', 'alice')],
  ] as const)
    test(what, async () => {
      const link = lossy('bob', 'alice', isOfShares);
      const { daemons, sharing } = await shared.make(link.intercept);
      await daemons.startAll();
      const asked = failure(ask(daemons, 'alice', sharing));
      const both = ['alice', 'bob'].map((self) => daemons.at(self).tools.audit);
      await until(() => both.every((audit) => audit.begunIds().size > 0));
      link.isMended = true;
      await happens(daemons);
      const { code, culprits } = await asked;
      assert.deepEqual({ code, culprits }, { code: 'PEER_LEFT', culprits: ['bob'] });
      for (const self of ['alice', 'bob']) assert.equal(recordsOf(daemons, self, 'signing').length, 1);
      assertSigned(sharing, await ask(daemons, 'alice', sharing));
      await assertAtRest(daemons);
    });

  test('does not go out where that cannot be recorded, and the daemon ends', async () => {
    const sent: PartyName[] = [];
    const { daemons, sharing } = await shared.make((from, _to, bytes) => {
      if (isOfShares(bytes)) sent.push(from);
      return undefined;
    });
    await daemons.startAll();
    const { audit, faults } = daemons.at('bob');
    const append = audit.append.bind(audit);
    const full = new MpcError('FILE', '/home/bob/audit.log: no space left');
    audit.append = (event) => {
      if (event.event === 'signing') throw full;
      append(event);
    };
    const { code, message } = await failure(ask(daemons, 'alice', sharing));
    assert.equal(code, 'PEER_ABORTED');
    assert.doesNotMatch(message, /home/);
    assert.deepEqual(faults, [full]);
    assert.deepEqual(
      sent.filter((from) => from === 'bob'),
      [],
    );
    assert.deepEqual(recordsOf(daemons, 'bob', 'signing'), []);
    audit.append = append;
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    assert.ok(sent.includes('bob'));
  });
});

describe('a refresh', () => {
  test('that only some have seen the end of leaves a key that can be used', async () => {
    const link = lossy('charlie', 'alice', isConfirmation);
    const { daemons, sharing } = await shared.make(link.intercept);
    await daemons.startAll();
    const asked = failure(daemons.at('alice').daemon.ask(refreshContent(sharing), nobody()));
    await until(() => daemons.at('bob').events.some(({ event }) => event === 'request-ended'));
    link.isMended = true;
    await daemons.restart('charlie');
    await asked;
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    await assertAtRest(daemons);
  });

  test('that its asker has ended as done, and that then fails here, is over here as well', async () => {
    const link = lossy('charlie', 'bob', isConfirmation);
    const { daemons, sharing } = await shared.make(link.intercept);
    await daemons.startAll();
    await daemons.at('alice').daemon.ask(refreshContent(sharing), nobody());
    const { daemon } = daemons.at('bob');
    await settled();
    assert.equal(daemon.answerer.list().length, 1);
    link.isMended = true;
    await daemons.restart('charlie');
    await until(() => daemon.answerer.list().length === 0);
    assertSigned(sharing, await ask(daemons, 'bob', sharing));
    await assertAtRest(daemons);
  });

  test('holds no key while a peer that was lost has to approve it again', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const alice = daemons.at('alice');
    const caller = new AbortController();
    const asked = failure(alice.daemon.ask(refreshContent(sharing), nobody(caller.signal)));
    await until(() => alice.tools.running.list().length > 0);
    await daemons.restart('charlie', { approval: undecided });
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    caller.abort(gone());
    assert.equal((await asked).code, 'INTERRUPTED');
    await assertAtRest(daemons);
  });

  test('has nobody hold a key for it who was lost, and has to approve it again, while it waited', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const { daemon, tools } = daemons.at('alice');
    const gate = tools.gates.of(printId(sharing.keyId));
    await gate.hold('another request', never);
    const asked = daemon.ask(refreshContent(sharing), nobody());
    await until(() => daemon.asker.list()[0]?.waitingFor.length === 0);
    let approve = () => {};
    const late: Approval = async () => {
      await new Promise<void>((resolve) => {
        approve = resolve;
      });
      return { decision: 'approved', by: 'user' };
    };
    await daemons.restart('charlie', { approval: late });
    await until(() => daemons.at('charlie').daemon.answerer.list().length > 0);
    gate.release('another request');
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    approve();
    assert.equal((await asked).sharing.epoch, 1);
    await assertAtRest(daemons);
  });

  test('that finds the key held elsewhere is told so, and tries again', async () => {
    let heldUp = false;
    const { daemons, sharing } = await shared.make((from, _to, bytes) => {
      const letter = letterIn(bytes);
      if (from === 'bob' && letter?.subject === 'held' && letter.body.answer === 'busy') heldUp = true;
      return undefined;
    });
    await daemons.startAll();
    const gate = daemons.at('bob').tools.gates.of(printId(sharing.keyId));
    await gate.hold('another request', never);
    const asked = daemons.at('alice').daemon.ask(refreshContent(sharing), nobody());
    await until(() => heldUp);
    gate.release('another request');
    assert.equal((await asked).sharing.epoch, 1);
    await assertAtRest(daemons);
  });

  test('runs on when the time for which it may wait is over', async ({ mock }) => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll({ requestTimeoutMillis: 60_000 });
    const all = PARTIES.map((self) => daemons.at(self).tools);
    await until(() => daemons.at('alice').daemon.versionOf('charlie') !== undefined);
    mock.timers.enable({ apis: ['setTimeout'] });
    const asked = daemons.at('alice').daemon.ask(refreshContent(sharing), nobody());
    while (all.some(({ running }) => running.list().length === 0)) await new Promise(setImmediate);
    mock.timers.tick(60_000);
    mock.timers.reset();
    assert.equal((await asked).sharing.epoch, 1);
    await assertAtRest(daemons);
  });
});

describe('several at once', () => {
  test('of one party: four run at a time', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const { running } = daemons.at('alice').tools;
    const enter = running.enter.bind(running);
    let most = 0;
    running.enter = (facts) => {
      const entry = enter(facts);
      most = Math.max(most, running.list().length);
      return entry;
    };
    await Promise.all(Array.from({ length: 8 }, () => ask(daemons, 'alice', sharing)));
    assert.equal(most, 4);
    await assertAtRest(daemons);
  });

  test('a third party signs on while two make their set-up alone', async () => {
    const { daemons, sharing } = await shared.make();
    await eraseSetups(daemons, sharing, ['alice']);
    await daemons.startAll();
    let isOver = false;
    const first = ask(daemons, 'alice', sharing).finally(() => {
      isOver = true;
    });
    do assertSigned(sharing, await ask(daemons, 'charlie', sharing, { quorum: ['bob', 'charlie'] }));
    while (!isOver);
    assertSigned(sharing, await first);
    await assertAtRest(daemons);
  });

  test('that all need the key alone, with different peers, come one after the other', async () => {
    const { daemons, sharing } = await shared.make();
    await eraseSetups(daemons, sharing, PARTIES);
    await daemons.startAll();
    const quorums = [
      ['alice', 'bob'],
      ['bob', 'charlie'],
      ['alice', 'charlie'],
    ];
    const all = quorums.map((quorum, i) => ask(daemons, quorum[i % 2]!, sharing, { quorum }));
    for (const one of await Promise.all(all)) assertSigned(sharing, one);
    await assertAtRest(daemons);
  });

  // What three begin together only two go on with, since one has lost its part of the presignature.
  for (const [how, together] of [
    ['', false],
    [', though its letters and frames arrive together', true],
  ] as const)
    test(`a retry finds a party in the first attempt still${how}`, async () => {
      const late: Uint8Array[] = [];
      let isLate = false;
      const { daemons, sharing } = await three.make((from, to, bytes) => {
        if (!isLate || from !== 'alice' || to !== 'bob') return undefined;
        late.push(bytes);
        return [];
      });
      const delivering = setInterval(() => daemons.deliver('alice', 'bob', ...late.splice(0)), 10);
      try {
        await daemons.startAll({ presignatures: 1 });
        const { presignatures } = daemons.at('alice').tools;
        const stock = { keyId: sharing.keyId, quorum: PARTIES };
        assertSigned(sharing, await ask(daemons, 'alice', sharing, { quorum: PARTIES }));
        isLate = together;
        await until(() => presignatures.level(stock) === 1);
        daemons.at('charlie').tools.presignatures.dropPeer('alice');
        assertSigned(sharing, await ask(daemons, 'alice', sharing, { quorum: PARTIES }));
        await assertAtRest(daemons);
      } finally {
        clearInterval(delivering);
      }
    });
});

describe('presignatures', () => {
  test('that cannot be made for one quorum are made for the others', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll({ presignatures: 1 });
    const { daemon, tools } = daemons.at('alice');
    const quorum = ['alice', 'bob'];
    const unknown = { keyId: new Uint8Array(16), quorum };
    const known = { keyId: sharing.keyId, quorum };
    for (const stock of [unknown, known]) tools.presignatures.want(stock);
    daemon.linkUp('bob');
    await until(() => tools.presignatures.level(known) === 1);
    assert.equal(tools.presignatures.level(unknown), 0);
  });

  test('made while a request waits for its approval are used for it', async () => {
    const named: boolean[] = [];
    const { daemons, sharing } = await shared.make((_from, _to, bytes) => {
      const letter = letterIn(bytes);
      if (letter?.subject === 'begin') named.push(letter.body.presignature !== null);
      return undefined;
    });
    const approvals: (() => void)[] = [];
    const byHand: Approval = async (...request) => {
      await new Promise<void>((resolve) => approvals.push(resolve));
      return always(...request);
    };
    await daemons.start('alice', { presignatures: 1 });
    await daemons.start('bob', { approval: byHand });
    const { daemon, tools } = daemons.at('alice');
    const asked = ask(daemons, 'alice', sharing);
    await until(() => approvals.length === 1);
    daemon.linkUp('bob');
    await until(() => tools.presignatures.level({ keyId: sharing.keyId, quorum: ['alice', 'bob'] }) === 1);
    approvals[0]!();
    assertSigned(sharing, await asked);
    assert.deepEqual(named, [true]);
    await assertAgreement(daemons);
  });
});

describe('a daemon that stops', () => {
  test('ends what it has not begun, and takes nothing more up', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const [alice, bob] = [daemons.at('alice'), daemons.at('bob')];
    using _signing = await bob.tools.gates.of(printId(sharing.keyId)).start(never);
    const asked = failure(alice.daemon.ask(refreshContent(sharing), nobody()));
    await settled();
    alice.daemon.stop();
    await alice.daemon.settled(AbortSignal.timeout(60_000));
    assert.equal((await asked).code, 'INTERRUPTED');
    assert.equal((await failure(ask(daemons, 'alice', sharing))).code, 'INTERRUPTED');
    const caller = new AbortController();
    const late = failure(ask(daemons, 'bob', sharing, { signal: caller.signal }));
    await settled();
    assert.deepEqual(alice.daemon.answerer.list(), []);
    assert.equal(alice.audit.unfinished().size, 0);
    caller.abort(gone());
    await late;
  });

  test('lets what runs come to its end', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const { daemon, tools } = daemons.at('bob');
    const asked = ask(daemons, 'alice', sharing);
    await until(() => tools.running.list().length > 0);
    daemon.stop();
    await daemon.settled(AbortSignal.timeout(60_000));
    assertSigned(sharing, await asked);
    assert.equal(recordsOf(daemons, 'bob', 'signed').length, 1);
  });
});

test('a daemon that ends at once has nobody decide any more, and the next one records the end', async () => {
  const { daemons, sharing } = await shared.make();
  await daemons.start('alice');
  let deciding: AbortSignal | undefined;
  const approval: Approval = (request, signal) => {
    deciding = signal;
    return undecided(request, signal);
  };
  const bob = await daemons.start('bob', { approval });
  const caller = new AbortController();
  const asked = failure(ask(daemons, 'alice', sharing, { signal: caller.signal }));
  await until(() => deciding !== undefined);
  daemons.kill('bob');
  assert.equal(deciding?.aborted, true);
  await settled();
  assert.deepEqual(bob.faults, []);
  await daemons.start('bob', { approval: undecided });
  assert.match(recordsOf(daemons, 'bob', 'failed').at(-1)!, /INTERRUPTED/);
  caller.abort(gone());
  await asked;
  await assertAgreement(daemons);
});

test('a reason of any length reaches the asker, cut off', async () => {
  const { daemons, sharing } = await shared.make();
  await daemons.start('alice');
  const reason = 'x'.repeat(1000);
  await daemons.start('bob', { approval: async () => ({ decision: 'rejected', by: 'command', reason }) });
  const { message } = await failure(daemons.at('alice').daemon.ask(signContent(sharing), nobody()));
  assert.match(message, /^bob does not take part: x{290}/);
  assert.ok(message.length < 400);
});
