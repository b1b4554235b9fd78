// Daemons in memory: signatures, refreshes and new keys that one asks for and the others approve; refused, given up,
// and cut off at any time. Every signature is verified by OpenSSL, and the audit logs must agree.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { fromHex, randomBytes, toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import type { PeerRequestState } from '#src/daemon/answerer.js';
import type { ApprovalRequest } from '#src/daemon/approval-request.js';
import {
  encodeLetter,
  type LetterBody,
  type RequestContent,
  requestId,
  type Subject,
} from '#src/daemon/letters.js';
import {
  ask,
  assertAgreement,
  assertSigned,
  DaemonsWithKey,
  failure,
  nobody,
  recordsOf,
  settled,
  undecided,
} from '../support/daemons.js';

const shared = new DaemonsWithKey(['alice', 'bob', 'charlie'], 2);
after(() => shared[Symbol.dispose]());

describe('signatures', () => {
  test('one after the other, and many at once of several askers', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    assertSigned(sharing, await ask(daemons, 'bob', sharing));
    const quorums = [
      ['alice', 'bob'],
      ['alice', 'charlie'],
      ['bob', 'charlie'],
    ];
    const many = Array.from({ length: 12 }, (_, i) => {
      const quorum = quorums[i % 3]!;
      return ask(daemons, quorum[i % 2]!, sharing, { quorum });
    });
    for (const one of await Promise.all(many)) assertSigned(sharing, one);
    await assertAgreement(daemons);
  });

  test('with presignatures made ahead, which are made again', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll({ presignatures: 2 });
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    const { tools } = daemons.at('alice');
    const stock = { keyId: sharing.keyId, quorum: ['alice', 'bob'] };
    for (let round = 0; round < 2; round += 1) {
      while (tools.presignatures.level(stock) < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      const [one, other] = await Promise.all([
        ask(daemons, 'alice', sharing),
        ask(daemons, 'alice', sharing),
      ]);
      assertSigned(sharing, one!);
      assertSigned(sharing, other!);
    }
    await assertAgreement(daemons);
  });

  test('a peer that rejects is named, with its reason', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.start('alice');
    await daemons.start('bob', {
      approval: async () => ({ decision: 'rejected', by: 'user', reason: 'not on a Sunday' }),
    });
    const error = await failure(ask(daemons, 'alice', sharing));
    assert.equal(error.code, 'PEER_ABORTED');
    assert.match(error.message, /^bob does not take part: not on a Sunday$/);
    assert.deepEqual(error.culprits, ['bob']);
    await assertAgreement(daemons);
  });

  test('the approver sees the whole message, who asks, and the key', async () => {
    const { daemons, sharing } = await shared.make();
    const seen: ApprovalRequest[] = [];
    await daemons.start('alice');
    await daemons.start('bob', {
      approval: async (request) => {
        seen.push(request);
        return { decision: 'approved', by: 'rule' };
      },
    });
    const { message } = await ask(daemons, 'alice', sharing);
    assert.equal(seen.length, 1);
    const [{ from, operation, key, quorum, receivers, messageHash, message: shown }] = seen as [
      ApprovalRequest,
    ];
    assert.deepEqual(
      { from, operation, quorum, receivers },
      { from: 'alice', operation: 'sign', quorum: ['alice', 'bob'], receivers: ['alice'] },
    );
    assert.equal(key, toHex(sharing.keyId));
    assert.deepEqual(shown, message);
    assert.equal(messageHash, createHash('sha256').update(message).digest('hex'));
  });

  test('a peer that comes later is asked then', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.start('alice');
    const asked = ask(daemons, 'alice', sharing);
    await daemons.start('bob');
    assertSigned(sharing, await asked);
  });

  test('a peer that restarts before it has answered is asked again', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.start('alice');
    let requested = () => {};
    const arrived = new Promise<void>((resolve) => {
      requested = resolve;
    });
    await daemons.start('bob', {
      approval: () => {
        requested();
        return new Promise(() => {});
      },
    });
    const asked = ask(daemons, 'alice', sharing);
    await arrived;
    daemons.kill('bob');
    await daemons.start('bob');
    assertSigned(sharing, await asked);
    await assertAgreement(daemons);
  });

  test('a peer that is lost several times in a row costs no more than one attempt', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const { running } = daemons.at('bob').tools;
    const asked = ask(daemons, 'alice', sharing);
    while (running.list().length === 0) await new Promise(setImmediate);
    for (let times = 0; times < 6; times += 1) {
      await daemons.separate('alice', 'bob');
      // Long enough for an attempt to begin, if one does at once.
      for (let turns = 0; turns < 50 && running.list().length === 0; turns += 1)
        await new Promise(setImmediate);
    }
    assertSigned(sharing, await asked);
    await assertAgreement(daemons);
  });

  test('an asker that is gone takes its request with it', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.start('alice');
    const { daemon } = await daemons.start('bob', { approval: undecided });
    const asked = failure(ask(daemons, 'alice', sharing));
    while (daemon.answerer.list().length === 0) await new Promise(setImmediate);
    daemons.kill('alice');
    await asked;
    while (daemon.answerer.list().length > 0) await new Promise(setImmediate);
    await daemons.start('alice');
    await assertAgreement(daemons);
  });

  test('a caller that gives up takes its request with it', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.start('alice');
    const { daemon } = await daemons.start('bob', { approval: undecided });
    const caller = new AbortController();
    const asked = failure(ask(daemons, 'alice', sharing, { signal: caller.signal }));
    while (daemon.answerer.list().length === 0) await new Promise(setImmediate);
    caller.abort(new MpcError('INTERRUPTED', 'interrupted'));
    assert.equal((await asked).code, 'INTERRUPTED');
    while (daemon.answerer.list().length > 0) await new Promise(setImmediate);
    await assertAgreement(daemons);
  });

  test('a request that nobody approves ends when its time is over', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.start('alice', { requestTimeoutMillis: 50 });
    await daemons.start('bob', { approval: undecided });
    const error = await failure(ask(daemons, 'alice', sharing));
    assert.equal(error.code, 'TIMEOUT');
    assert.match(error.message, /bob did not approve it/);
    assert.deepEqual(error.culprits, ['bob']);
  });
});

describe('presignatures', () => {
  const quorum = ['alice', 'bob'];

  async function filled() {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll({ presignatures: 2 });
    await ask(daemons, 'alice', sharing);
    const { presignatures } = daemons.at('alice').tools;
    const stock = { keyId: sharing.keyId, quorum };
    while (presignatures.level(stock) < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    return { daemons, sharing, stock, presignatures };
  }

  test('are gone with a peer that has restarted, and made again', async () => {
    const { daemons, sharing, stock, presignatures } = await filled();
    daemons.kill('bob');
    while (presignatures.level(stock) > 0) await new Promise(setImmediate);
    await daemons.start('bob');
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    await assertAgreement(daemons);
  });

  test('are used by whoever had them made, and by nobody else', async () => {
    const { daemons, sharing, stock, presignatures } = await filled();
    const held = daemons.at('bob').tools.presignatures;
    assert.equal(held.heldFor('alice'), 2);
    assert.equal(held.level(stock), 0);
    assertSigned(sharing, await ask(daemons, 'bob', sharing));
    assert.equal(held.heldFor('alice'), 2);
    assert.equal(presignatures.level(stock), 2);
  });

  test('that a peer has no longer do not stand in the way of a signature', async () => {
    const { daemons, sharing } = await filled();
    daemons.at('bob').tools.presignatures.dropPeer('alice');
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    await assertAgreement(daemons);
  });
});

describe('a peer that does not keep to the rules', () => {
  /** bob approves nothing; alice, who is honest elsewhere, has asked him. */
  async function waiting() {
    const { daemons, sharing } = await shared.make();
    const alice = await daemons.start('alice');
    await daemons.start('charlie');
    const bob = await daemons.start('bob', { approval: undecided });
    const caller = new AbortController();
    const asked = failure(ask(daemons, 'alice', sharing, { signal: caller.signal }));
    while (bob.daemon.answerer.list().length === 0) await new Promise(setImmediate);
    const [{ request }] = bob.daemon.answerer.list() as [PeerRequestState];
    return {
      daemons,
      sharing,
      alice,
      bob,
      request,
      asked,
      id: fromHex(request.id)!,
      end: () => caller.abort(gone()),
    };
  }
  const gone = () => new MpcError('INTERRUPTED', 'interrupted');

  test('begins nothing that was not approved', async () => {
    const { daemons, alice, bob, id, asked, end } = await waiting();
    alice.tools.post('bob', 'begin', { id, attempt: 1, alone: false, presignature: null });
    await settled();
    assert.deepEqual(bob.tools.running.list(), []);
    end();
    await asked;
    await assertAgreement(daemons);
    assert.deepEqual(bob.faults, []);
  });

  test('begins, holds and ends nothing of another’s', async () => {
    const { daemons, bob, id, request, asked, end } = await waiting();
    const { tools: charlie } = daemons.at('charlie');
    charlie.post('bob', 'begin', { id, attempt: 1, alone: false, presignature: null });
    charlie.post('bob', 'hold', { id, turn: 1, on: true });
    charlie.post('bob', 'end', { id, done: false, code: 'X', reason: '' });
    charlie.post('alice', 'answer', { id, approved: false, reason: '' });
    charlie.post('alice', 'held', { id, turn: 1, answer: 'busy' });
    charlie.post('alice', 'failed', { id, attempt: 0, code: 'X', reason: '' });
    await settled();
    assert.deepEqual(bob.tools.running.list(), []);
    assert.equal(bob.daemon.answerer.list().length, 1);
    using _gate = await bob.tools.gates.of(request.key).start(new AbortController().signal);
    end();
    assert.equal((await asked).code, 'INTERRUPTED');
  });

  test('holds no key for a request that is not approved', async () => {
    const { alice, bob, id, request, asked, end } = await waiting();
    alice.tools.post('bob', 'hold', { id, turn: 1, on: true });
    await settled();
    using _gate = await bob.tools.gates.of(request.key).start(new AbortController().signal);
    end();
    await asked;
  });

  test('has no request signed a second time, not even by a daemon that has restarted', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const asked: RequestContent[] = [];
    await daemons.restart('bob', {
      approval: async () => {
        asked.push(daemons.at('bob').daemon.answerer.list()[0]!.request.content);
        return { decision: 'approved', by: 'rule' };
      },
    });
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    await daemons.restart('bob');
    const { tools: alice } = daemons.at('alice');
    for (let again = 0; again < 2; again += 1) {
      alice.post('bob', 'request', { content: asked[0]! });
      await settled();
      assert.deepEqual(daemons.at('bob').daemon.answerer.list(), []);
      alice.post('bob', 'begin', {
        ...{ id: fromHex(requestId('alice', asked[0]!))!, attempt: 2 },
        ...{ alone: false, presignature: null },
      });
      await settled();
    }
    assert.deepEqual(daemons.at('bob').faults, []);
    const records = recordsOf(daemons, 'bob', 'signing');
    assert.equal(records.length, 1);
    await assertAgreement(daemons);
  });

  test('has presignatures made for keys, quorums and numbers that it may ask for, and no others', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const { tools: charlie } = daemons.at('charlie');
    const id = randomBytes(32);
    for (const [key, parties] of [
      [randomBytes(16), ['bob', 'charlie']],
      [sharing.keyId, ['alice', 'bob']],
      [sharing.keyId, ['alice', 'charlie']],
      [sharing.keyId, ['alice', 'bob', 'charlie']],
      [sharing.keyId, ['charlie', 'bob']],
    ] as const) {
      charlie.post('bob', 'presign', { id, key, quorum: [...parties], count: 1 });
      await settled();
      assert.deepEqual(daemons.at('bob').tools.running.list(), []);
    }
    assert.deepEqual(daemons.at('bob').faults, []);
  });
});

describe('a request that its asker ends early', () => {
  /** What alice, of whom there is no more than this, says to bob, who approves all. */
  async function approving() {
    const { daemons, sharing } = await shared.make();
    const { daemon, tools, faults } = await daemons.start('bob');
    const content: RequestContent = {
      ...{ operation: 'sign', nonce: randomBytes(16), key: sharing.keyId, message: randomBytes(20) },
      ...{ quorum: ['alice', 'bob'], receivers: ['alice'] },
    };
    const id = fromHex(requestId('alice', content))!;
    const say = <S extends Subject>(subject: S, body: LetterBody<S>): void =>
      daemon.receive('alice', subject, encodeLetter(subject, body));
    return {
      request: () => say('request', { content }),
      begin: (attempt: number) => say('begin', { id, attempt, alone: false, presignature: null }),
      end: (done: boolean) => say('end', { id, done, code: '', reason: '' }),
      isRunning: async () => {
        while (tools.running.list().length === 0) await new Promise(setImmediate);
      },
      isOver: async () => {
        while (daemon.answerer.list().length > 0) await new Promise(setImmediate);
        await assertAgreement(daemons);
        assert.deepEqual([daemon.answerer.list(), tools.running.list(), faults], [[], [], []]);
        assert.match(recordsOf(daemons, 'bob').at(-1)!, /"event":"failed"/);
      },
    };
  }

  test('in the same breath is not left behind', async () => {
    const { request, end, isOver } = await approving();
    request();
    end(false);
    await isOver();
  });

  test('while what is left of it ends, and it has been asked for again, is not left behind', async () => {
    const { request, begin, end, isRunning, isOver } = await approving();
    request();
    await new Promise(setImmediate);
    begin(1);
    await isRunning();
    end(false);
    request();
    end(false);
    await isOver();
  });

  test('as done is not kept for a further attempt when the one here fails', async () => {
    const { request, begin, end, isRunning, isOver } = await approving();
    request();
    await new Promise(setImmediate);
    begin(1);
    await isRunning();
    end(true);
    begin(2);
    await isOver();
  });
});

describe('operations that run alone', () => {
  test('a refresh waits for signatures, blocks new ones, and takes the presignatures with it', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll({ presignatures: 1 });
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    const before = Array.from({ length: 4 }, () => ask(daemons, 'alice', sharing));
    const refreshed = daemons
      .at('charlie')
      .daemon.ask({ operation: 'refresh', nonce: randomBytes(16), key: sharing.keyId }, nobody());
    const after = Array.from({ length: 4 }, () => ask(daemons, 'bob', sharing));
    for (const one of [...(await Promise.all(before)), ...(await Promise.all(after))])
      assertSigned(sharing, one);
    assert.equal((await refreshed).sharing.epoch, 1);
    assertSigned(sharing, await ask(daemons, 'alice', sharing));
    await assertAgreement(daemons);
  });

  test('two refreshes of one key at once come one after the other', async () => {
    const { daemons, sharing } = await shared.make();
    await daemons.startAll();
    const content = () => ({ operation: 'refresh', nonce: randomBytes(16), key: sharing.keyId }) as const;
    const both = ['alice', 'bob'].map((self) => daemons.at(self).daemon.ask(content(), nobody()));
    const epochs = (await Promise.all(both)).map(({ sharing: { epoch } }) => epoch);
    assert.deepEqual(epochs.toSorted(), [1, 2]);
    await assertAgreement(daemons);
  });

  test('a key is made', async () => {
    const { daemons } = await shared.make();
    await daemons.startAll();
    const { sharing } = await daemons
      .at('bob')
      .daemon.ask({ operation: 'keygen', nonce: randomBytes(16) }, nobody());
    assertSigned(sharing, await ask(daemons, 'charlie', sharing, { quorum: ['alice', 'charlie'] }));
    await assertAgreement(daemons);
  });

  test('a set-up that has to be made is made alone, and once', async () => {
    const { daemons, sharing } = await shared.make();
    // As after a recovery: bob has no set-up any more.
    const store = await daemons.homes.open('bob');
    for (const { sharing: each, setups } of store.key(sharing.keyId)!.sharings)
      for (const { id } of setups) store.eraseSetup(each.keyId, each.shid, id);
    store[Symbol.dispose]();
    await daemons.startAll();
    const many = Array.from({ length: 4 }, (_, i) => ask(daemons, ['alice', 'bob'][i % 2]!, sharing));
    for (const one of await Promise.all(many)) assertSigned(sharing, one);
    await assertAgreement(daemons);
  });
});
