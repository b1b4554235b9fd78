/** Peers that leave, abort, restart or fall silent, in the middle and at the edges of a session. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { abortFrame } from '#src/rounds/blame.js';
import { decodeFrame, encodeFrame } from '#src/rounds/frames.js';
import { Mailbox } from '#src/rounds/mailbox.js';
import type { Network } from '#src/rounds/network.js';
import type { Run } from '#src/rounds/run.js';
import { confirmRound } from '#src/rounds/run.js';
import { withSession } from '#src/rounds/session.js';
import { inlineCompute } from '#src/work/inline.js';
import {
  errorAt,
  type Intercept,
  MemoryCluster,
  type Outcome,
  outcomeOf,
  runParties,
  type TestParty,
  testParty,
  valueAt,
} from '../support/memory-network.js';
import { drop, firstOf, tamper } from '../support/tamper.js';
import { BRIEF, converse, first, last, PARTIES, ROUNDS, summary } from './protocol.js';

async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
}

/** Parties over one cluster, by name. */
function gathering(names: readonly PartyName[], intercept?: Intercept) {
  const cluster = new MemoryCluster(names, intercept);
  const parties = new Map(names.map((name) => [name, testParty(cluster, name)]));
  return { cluster, party: (name: PartyName) => parties.get(name) as TestParty };
}

const failure = async (result: Promise<unknown>): Promise<MpcError> => {
  const outcome: Outcome<unknown> = await outcomeOf(result);
  assert('error' in outcome, 'it did not fail');
  return outcome.error;
};

// Time-outs

test('a time-out names who was not heard from, where, and whom others say they wait for', async () => {
  // Dave falls silent after the first round, towards alice already before.
  const silence: Intercept = (from, to, bytes) => {
    if (from !== 'dave') return undefined;
    return silenced.intercept(from, to, bytes) ?? toAlice.intercept(from, to, bytes);
  };
  const silenced = tamper({ from: 'dave', round: '2' }, drop);
  const toAlice = tamper({ from: 'dave', to: 'alice', round: '1 echo' }, drop);
  const { party } = gathering(PARTIES, silence);
  const timer = new AbortController();
  const results = PARTIES.map((name) =>
    outcomeOf(party(name).session({ rounds: ROUNDS, signal: timer.signal }, converse)),
  );
  await settle();
  for (const name of PARTIES) party(name).mailbox.announceWaiting();
  await settle();
  timer.abort(new MpcError('TIMEOUT', 'timed out after 90s', { hint: 'look after the missing party' }));
  const outcomes = new Map(PARTIES.map((name, at) => [name, results[at] as Promise<Outcome<unknown>>]));
  const alice = await failureOf(outcomes.get('alice')!);
  assert.equal(alice.code, 'TIMEOUT');
  assert.deepEqual(alice.culprits, ['dave']);
  assert.equal(
    alice.message,
    'timed out after 90s: not heard from dave (test round 1 echo); ' +
      'bob says that it waits for alice, dave (test round 2); ' +
      'charlie says that it waits for alice, dave (test round 2); ' +
      'dave says that it waits for alice (test round 2)'.replace('alice, bob, charlie', 'alice'),
  );
  assert.equal(alice.hint, 'look after the missing party');
});

async function failureOf(result: Promise<Outcome<unknown>>): Promise<MpcError> {
  const outcome = await result;
  assert('error' in outcome);
  return outcome.error;
}

test('a time-out in the opening names who never said hello', async () => {
  const { party } = gathering(PARTIES);
  const timer = new AbortController();
  const results = ['alice', 'bob'].map((name) =>
    failure(party(name).session({ signal: timer.signal }, async () => {})),
  );
  await settle();
  timer.abort(new MpcError('TIMEOUT', 'timed out after 90s'));
  for (const error of await Promise.all(results)) {
    assert.equal(error.code, 'TIMEOUT');
    assert.deepEqual(error.culprits, ['charlie', 'dave']);
    assert.equal(error.message, 'timed out after 90s: not heard from charlie (the hello), dave (the hello)');
  }
});

test('a time-out while nobody is waited for names nobody', async () => {
  const timer = new AbortController();
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: BRIEF, signal: timer.signal }, async (run) => {
      await run.broadcast(first, run.random(32));
      await settle();
      timer.abort(new MpcError('TIMEOUT', 'timed out after 90s'));
      await run.confirm(last, run.sid);
    }),
  );
  const errors = ['alice', 'bob'].map((name) => errorAt(outcomes, name));
  for (const error of errors) {
    assert.equal(error.code, 'TIMEOUT');
    assert.deepEqual(error.culprits, []);
    assert.equal(error.message, 'timed out after 90s: this party was still at work after test round 1 echo');
  }
});

test('a peer that says it is at work is reported so, and its note goes when it speaks', async () => {
  const timer = new AbortController();
  const { party } = gathering(['alice', 'bob']);
  let finish = () => {};
  const alice = failure(party('alice').session({ rounds: ROUNDS, signal: timer.signal }, converse));
  const bob = party('bob').session({ rounds: ROUNDS, signal: timer.signal }, async (run) => {
    await run.broadcast(first, run.random(32));
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    await run.confirm(last, run.sid);
  });
  await settle();
  party('bob').mailbox.announceWaiting();
  party('bob').mailbox.announceWaiting();
  await settle();
  timer.abort(new MpcError('TIMEOUT', 'timed out'));
  finish();
  assert.equal(
    (await alice).message,
    'timed out: not heard from bob (test round 2); bob says that it is at work (test round 1 echo)',
  );
  assert.equal((await failure(bob)).code, 'TIMEOUT');
});

test('what a peer said it waits for is out of date once it speaks', async () => {
  const timer = new AbortController();
  const { party } = gathering(['alice', 'bob']);
  const alice = failure(party('alice').session({ rounds: BRIEF, signal: timer.signal }, idle));
  const bob = failure(party('bob').session({ rounds: BRIEF, signal: timer.signal }, idle));
  party('bob').mailbox.announceWaiting();
  await settle();
  timer.abort(new MpcError('TIMEOUT', 'timed out'));
  const messages = [(await alice).message, (await bob).message];
  for (const message of messages)
    assert.equal(message, 'timed out: this party was still at work after the opening');
});

/** Does nothing until the session fails. */
async function idle(run: Run): Promise<never> {
  while (!run.signal.aborted) await new Promise(setImmediate);
  throw run.signal.reason;
}

test('any other reason to give up is the failure itself, at once', async () => {
  const stop = new AbortController();
  const { party } = gathering(['alice', 'bob']);
  const result = failure(party('alice').session({ signal: stop.signal }, async () => {}));
  const reason = new MpcError('INTERRUPTED', 'interrupted');
  stop.abort(reason);
  assert.equal(await result, reason);
  const late = failure(party('alice').session({ operation: 'late', signal: stop.signal }, async () => {}));
  assert.equal(await late, reason);
});

test('listeners of the signal are removed when the session ends', async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...args);
  };
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: ROUNDS, signal }, converse),
  );
  assert.equal(valueAt(outcomes, 'alice').sum, 1n);
  assert.equal(listeners, 0);
});

// Aborts

test('an interrupted peer has left; the others do not wait for the time-out', async () => {
  const stop = new AbortController();
  const { party } = gathering(PARTIES);
  const results = PARTIES.map((name) =>
    failure(
      party(name).session(
        { rounds: BRIEF, ...(name === 'bob' ? { signal: stop.signal } : {}) },
        async (run) => {
          await run.broadcast(first, run.random(32));
          if (name === 'bob') stop.abort(new MpcError('INTERRUPTED', 'interrupted'));
          await run.confirm(last, run.sid);
        },
      ),
    ),
  );
  const [alice, bob] = await Promise.all(results);
  assert.equal(bob!.code, 'INTERRUPTED');
  assert.equal(alice!.code, 'PEER_LEFT');
  assert.deepEqual(alice!.culprits, ['bob']);
  assert.equal(alice!.message, 'bob left; it reports INTERRUPTED: "interrupted by the user"');
});

test('an abort is passed on: a peer that tells only some does not leave the others waiting', async () => {
  const selective = tamper({ from: 'bob', to: 'alice', kind: 'abort' }, drop);
  const outcomes = await runParties(
    ['alice', 'bob', 'charlie'],
    (party) =>
      party.session({ rounds: ROUNDS }, async (run) => {
        if (run.self === 'bob') throw new MpcError('FILE', 'disk full');
        return converse(run);
      }),
    { intercept: selective.intercept },
  );
  assert.equal(
    errorAt(outcomes, 'charlie').message,
    'bob aborted; it reports FILE: "a file cannot be read or written"',
  );
  assert.match(
    errorAt(outcomes, 'alice').message,
    /^charlie aborted; it reports PEER_ABORTED: "bob aborted; it reports FILE: '/,
  );
});

test('an abort for an operation that is not open here yet ends it when it is opened', async () => {
  const { party } = gathering(['alice', 'bob']);
  const stop = new AbortController();
  const bob = failure(party('bob').session({ signal: stop.signal }, async () => {}));
  await settle();
  stop.abort(new MpcError('INTERRUPTED', 'interrupted'));
  assert.equal((await bob).code, 'INTERRUPTED');
  await settle();
  const alice = await failure(party('alice').session({}, async () => {}));
  assert.equal(summary(alice), 'PEER_LEFT [bob] bob left; it reports INTERRUPTED: "interrupted by the user"');
});

test('an abort after the end changes nothing', async () => {
  const { cluster, party } = gathering(['alice', 'bob']);
  const results = ['alice', 'bob'].map((name) => party(name).session({ rounds: ROUNDS }, converse));
  await Promise.all(results);
  const abort = abortFrame('test', new MpcError('PROTOCOL', 'too late', { culprits: ['alice'] }));
  cluster.deliver('bob', 'alice', encodeFrame(abort));
  await settle();
  assert.deepEqual(party('alice').notices, []);
});

test('a failure before the opening is complete is told as well', async () => {
  const { party } = gathering(['alice', 'bob']);
  const stop = new AbortController();
  stop.abort(new MpcError('INTERRUPTED', 'interrupted'));
  const bob = failure(party('bob').session({}, async () => {}));
  await failure(party('alice').session({ signal: stop.signal }, async () => {}));
  assert.equal((await bob).code, 'PEER_LEFT');
});

test('an abort for a disagreement that cannot be seen here: reported at the time-out, but not when interrupted', async () => {
  for (const code of ['TIMEOUT', 'INTERRUPTED'] as const) {
    const { party } = gathering(['alice', 'bob', 'charlie']);
    const [stop, seen] = [new AbortController(), new AbortController()];
    const alice = failure(party('alice').session({ signal: stop.signal }, async () => {}));
    const bob = failure(party('bob').session({ signal: seen.signal }, async () => {}));
    await settle();
    seen.abort(new MpcError('DISAGREEMENT', 'charlie and this party disagree'));
    await bob;
    await settle();
    stop.abort(new MpcError(code, 'enough'));
    assert.equal((await alice).code, code === 'TIMEOUT' ? 'PEER_ABORTED' : 'INTERRUPTED');
  }
});

test('an abort for a disagreement without a hello before it: nothing of it can be seen, and it ends at once', async () => {
  const { cluster, party } = gathering(['alice', 'bob', 'charlie']);
  const alice = failure(party('alice').session({}, async () => {}));
  const refusal = new MpcError('DISAGREEMENT', 'bob runs as a daemon');
  cluster.deliver('bob', 'alice', encodeFrame(abortFrame('test', refusal)));
  assert.equal(
    summary(await alice),
    'PEER_ABORTED [] bob aborted; it reports DISAGREEMENT: "bob runs as a daemon"',
  );
});

test('a peer that gives up over one whose loss is known here: the lost one is reported', async () => {
  const { cluster, party } = gathering(['alice', 'bob', 'charlie']);
  let begun = 0;
  // Charlie waits for bob, alice is at work, and so is bob.
  const results = ['alice', 'bob', 'charlie'].map((name) =>
    failure(
      party(name).session({ rounds: BRIEF }, async (run) => {
        await run.broadcast(first, run.random(32));
        begun += 1;
        if (name === 'charlie') await run.confirm(last, run.sid);
        while (!run.signal.aborted) await new Promise(setImmediate);
        throw run.signal.reason;
      }),
    ),
  );
  while (begun < 3) await settle(1);
  cluster.lose('bob');
  const [alice] = await Promise.all(results);
  const where = 'while bob was waited for in test round 1 echo';
  assert.equal(summary(alice!), `PEER_LEFT [bob] bob has restarted, ${where}`);
});

// Losses

test('a peer that is lost while it is waited for ends the sessions that it takes part in, and no other', async () => {
  const { cluster, party } = gathering(PARTIES);
  const withDave = failure(party('alice').session({ operation: 'all', rounds: ROUNDS }, converse));
  const without = ['alice', 'bob', 'charlie'].map((name) =>
    party(name).session(
      { operation: 'three', parties: PARTIES.slice(0, 3), rounds: [first] },
      async (run) => {
        await settle();
        return run.broadcast(first, run.random(32));
      },
    ),
  );
  cluster.lose('dave');
  const error = await withDave;
  assert.equal(error.code, 'PEER_LEFT');
  assert.deepEqual(error.culprits, ['dave']);
  assert.equal(error.message, 'dave has restarted, while dave was waited for in the hello');
  assert.equal(error.hint, 'start again');
  assert.equal((await Promise.all(without)).length, 3);
});

test('a peer that finished and left after sending all it had to does not fail this party', async () => {
  const { cluster, party } = gathering(['alice', 'bob', 'charlie']);
  const answer = confirmRound('test', 'answer');
  const rounds = [last, answer];
  /** Bob is asked nothing in the second round: it ends and leaves while the others go on. */
  const body = async (run: Run) => {
    await run.confirm(last, run.sid);
    if (run.self === 'bob') return run.self;
    await settle();
    const others = new Map(run.peers.filter((peer) => peer !== 'bob').map((peer) => [peer, run.sid]));
    await run.exchange(answer, others, [...others.keys()]);
    return run.self;
  };
  const results = ['alice', 'bob', 'charlie'].map((name) => party(name).session({ rounds }, body));
  await results[1];
  cluster.lose('bob', { forGood: true });
  assert.deepEqual(await Promise.all(results), ['alice', 'bob', 'charlie']);
});

test('a message to a peer that has left for good does not fail a party that needs nothing from it', async () => {
  const { cluster, party } = gathering(['alice', 'bob']);
  const note = confirmRound('test', 'note');
  const alice = party('alice').session({ rounds: [last, note] }, async (run) => {
    await run.confirm(last, run.sid);
    await settle();
    await run.exchange(note, new Map([['bob', run.sid]]), []);
    return 'done';
  });
  await party('bob').session({ rounds: [last, note] }, (run) => run.confirm(last, run.sid));
  cluster.lose('bob', { forGood: true });
  assert.equal(await alice, 'done');
});

test('what a peer sent before it was lost is used; the loss counts at the next thing that is missing', async () => {
  const { cluster, party } = gathering(['alice', 'bob']);
  const reached: string[] = [];
  const alice = failure(
    party('alice').session({ rounds: [first, last] }, async (run) => {
      await settle();
      await run.broadcast(first, run.random(32));
      reached.push('first');
      await run.confirm(last, run.sid);
    }),
  );
  const bob = failure(
    party('bob').session({ rounds: [first, last] }, async (run) => {
      await run.broadcast(first, run.random(32));
      await new Promise<never>(() => {});
    }),
  );
  void bob;
  while (reached.length === 0) await settle(1);
  cluster.lose('bob');
  const error = await alice;
  assert.equal(error.code, 'PEER_LEFT');
  assert.equal(error.message, 'bob has restarted, while bob was waited for in test round confirm');
});

test('a peer that aborted and left before the operation was opened here still tells why', async () => {
  const { cluster, party } = gathering(['alice', 'bob', 'charlie']);
  const bob = failure(party('bob').session({ descriptor: { message: 'one' } }, async () => {}));
  const charlie = failure(party('charlie').session({ descriptor: { message: 'other' } }, async () => {}));
  assert.deepEqual([(await bob).code, (await charlie).code], ['DISAGREEMENT', 'DISAGREEMENT']);
  await settle();
  cluster.lose('bob', { forGood: true });
  cluster.lose('charlie', { forGood: true });
  await settle();
  const error = await failure(party('alice').session({ descriptor: { message: 'one' } }, async () => {}));
  assert.ok(['DISAGREEMENT', 'PEER_ABORTED'].includes(error.code), error.code);
  assert.match(error.message, /message/);
});

test('a peer that aborted, restarted and says hello again is heard', async () => {
  const cluster = new MemoryCluster(['alice', 'bob']);
  const alice = testParty(cluster, 'alice');
  const before = testParty(cluster, 'bob');
  const given = new AbortController();
  const gone = failure(before.session({ signal: given.signal }, async () => {}));
  await settle();
  given.abort(new MpcError('INTERRUPTED', 'interrupted'));
  await gone;
  before.mailbox.close();
  await settle();
  cluster.lose('bob');
  await settle();
  const again = testParty(cluster, 'bob').session({}, async () => 'both');
  await settle();
  assert.equal(await alice.session({}, async () => 'both'), 'both');
  assert.equal(await again, 'both');
});

test('a peer lost before all hellos are here cannot have ended well', async () => {
  const { cluster, party } = gathering(['alice', 'bob', 'charlie']);
  const alice = failure(party('alice').session({}, async () => {}));
  const bob = failure(party('bob').session({}, async () => {}));
  await settle();
  cluster.lose('bob');
  assert.equal((await alice).code, 'PEER_LEFT');
  assert.deepEqual((await alice).culprits, ['bob']);
  party('bob').mailbox.close();
  await bob;
});

/** How alice's session with bob ends over a network whose `send` is this one. */
function overNetwork(send: Network['send'], signal: AbortSignal, mailbox?: (mailbox: Mailbox) => void) {
  const cluster = new MemoryCluster(['alice', 'bob']);
  const bob = testParty(cluster, 'bob');
  const network = cluster.network('alice');
  const through = network.send;
  network.send = async (to, bytes) => {
    await send(to, bytes);
    return through(to, bytes);
  };
  const { parties } = network;
  const compute = inlineCompute(randomBytes);
  const options = {
    operation: 'test',
    parties,
    descriptor: {},
    rounds: ROUNDS,
    random: randomBytes,
    compute,
  };
  const opened = new Mailbox(network);
  mailbox?.(opened);
  failure(bob.session({ rounds: ROUNDS, signal }, converse)).catch(() => {});
  return outcomeOf(withSession(opened, { ...options, signal }, converse));
}

test('a network that fails otherwise is no peer’s fault', async () => {
  const onFire = async () => {
    throw new Error('socket on fire');
  };
  const outcome = await overNetwork(onFire, new AbortController().signal);
  assert('error' in outcome);
  assert.equal(summary(outcome.error), 'BUG [] socket on fire');
});

test('a message that the network refuses since its peer has left: only what comes from it would be missed', async () => {
  const refusing: Network['send'] = async (to, bytes) => {
    const frame = decodeFrame(bytes);
    const left = new MpcError('PEER_LEFT', `${to} is gone for good`, { culprits: [to] });
    if (frame.kind === 'round' && frame.round === 'note') throw left;
  };
  const cluster = new MemoryCluster(['alice', 'bob']);
  const network = cluster.network('alice');
  const through = network.send;
  network.send = (to, bytes) => refusing(to, bytes).then(() => through(to, bytes));
  const note = confirmRound('test', 'note');
  const rounds = [last, note, first];
  const { parties } = network;
  const { signal } = new AbortController();
  const compute = inlineCompute(randomBytes);
  const options = {
    operation: 'test',
    parties,
    descriptor: {},
    rounds,
    random: randomBytes,
    compute,
    signal,
  };
  const reached: string[] = [];
  const alice = failure(
    withSession(new Mailbox(network), options, async (run) => {
      await run.confirm(last, run.sid);
      await run.exchange(note, new Map([['bob', run.sid]]), []);
      reached.push('note');
      await run.broadcast(first, run.random(32));
    }),
  );
  const bob = failure(
    testParty(cluster, 'bob').session({ rounds }, async (run) => {
      await run.confirm(last, run.sid);
      await idle(run);
    }),
  );
  assert.equal(
    summary(await alice),
    'PEER_LEFT [bob] bob is gone for good, while bob was waited for in test round 1',
  );
  assert.deepEqual(reached, ['note']);
  await bob;
});

test('a session that has failed sends nothing more', async () => {
  const sent: string[] = [];
  const record: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (from === 'alice') sent.push(frame.kind === 'round' ? frame.round : frame.kind);
    return undefined;
  };
  const outcomes = await runParties(
    ['alice', 'bob'],
    (party) =>
      party.session({ rounds: BRIEF }, async (run) => {
        await run.broadcast(first, run.random(32));
        if (run.self === 'bob') throw new Error('bob is broken');
        await idle(run).catch(() => {});
        await run.confirm(last, run.sid);
      }),
    { intercept: record },
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'PEER_ABORTED');
  assert.deepEqual(sent, ['hello', 'hello echo', '1', '1 echo', 'abort']);
});

test('an abort that arrives together with the last hello echo is not missed', async () => {
  const abort = encodeFrame(abortFrame('test', new MpcError('PROTOCOL', 'charlie cheats')));
  const together = tamper({ from: 'bob', kind: 'hello echo' }, (bytes) => [bytes, abort]);
  const silent = tamper({ from: 'bob', kind: 'round' }, drop);
  const { party } = gathering(['alice', 'bob'], firstOf(together, silent));
  const results = ['alice', 'bob'].map((name) => failure(party(name).session({ rounds: ROUNDS }, converse)));
  assert.equal((await results[0]!).code, 'PEER_ABORTED');
  await results[1];
});

test('a peer that takes no messages is waited for, and named at the time-out', async () => {
  const timer = new AbortController();
  let sent = 0;
  const fullQueue: Network['send'] = (_to, bytes) => {
    const { kind } = decodeFrame(bytes);
    if (kind === 'waiting') sent += 1;
    return kind === 'hello' ? Promise.resolve() : new Promise(() => {});
  };
  let announce = () => {};
  const result = overNetwork(fullQueue, timer.signal, (mailbox) => {
    announce = () => mailbox.announceWaiting();
  });
  await settle();
  // Notes do not pile up behind the messages.
  for (let times = 0; times < 5; times += 1) announce();
  assert.equal(sent, 1);
  timer.abort(new MpcError('TIMEOUT', 'timed out'));
  const outcome = await result;
  assert('error' in outcome);
  assert.equal(summary(outcome.error), 'TIMEOUT [bob] timed out: not heard from bob (taking a message)');
});

test('a session that has failed before it began sends nothing but that', async () => {
  const kinds: string[] = [];
  const record: Network['send'] = async (_to, bytes) => {
    kinds.push(decodeFrame(bytes).kind);
  };
  await overNetwork(record, AbortSignal.abort(new MpcError('INTERRUPTED', 'interrupted')));
  assert.deepEqual(kinds, ['abort']);
});

// Restarts

test('who restarts and opens the same operation again is not blamed, and need not wait', async () => {
  const { cluster, party } = gathering(['alice', 'bob', 'charlie']);
  const gate = new AbortController();
  const names = ['alice', 'bob', 'charlie'];
  const results = names.map((name) =>
    failure(
      party(name).session({ rounds: BRIEF }, async (run) => {
        await run.broadcast(first, run.random(32));
        await new Promise((resolve) => gate.signal.addEventListener('abort', resolve));
        await run.confirm(last, run.sid);
      }),
    ),
  );
  await settle();
  // Bob's process is gone; a new one takes its place on the network and opens the same operation.
  const again = testParty(cluster, 'bob');
  const reopened = await failure(again.session({ rounds: ROUNDS }, converse));
  assert.equal(reopened.code, 'PEER_LEFT');
  assert.match(
    reopened.message,
    /left; it reports PEER_LEFT: "this operation has begun or ended here without bob"/,
  );
  gate.abort();
  for (const name of ['alice', 'charlie']) {
    const error = await (results[names.indexOf(name)] as Promise<MpcError>);
    assert.equal(error.code, 'PEER_LEFT');
    assert.deepEqual(error.culprits, ['bob']);
  }
});

test('who comes back when the operation has ended here learns so', async () => {
  const { cluster, party } = gathering(['alice', 'bob']);
  await Promise.all(['alice', 'bob'].map((name) => party(name).session({ rounds: ROUNDS }, converse)));
  const again = testParty(cluster, 'bob');
  const error = await failure(again.session({ rounds: ROUNDS }, converse));
  assert.equal(error.code, 'PEER_LEFT');
  assert.deepEqual(error.culprits, ['alice']);
});

test('what a restarted peer had sent ahead is forgotten', async () => {
  const { cluster, party } = gathering(['alice', 'bob']);
  const before = failure(party('bob').session({}, async () => {}));
  await settle();
  const again = testParty(cluster, 'bob');
  await settle();
  party('bob').mailbox.close();
  await before;
  const results = [party('alice'), again].map((each) => each.session({ rounds: ROUNDS }, converse));
  for (const { sum } of await Promise.all(results)) assert.equal(sum, 1n);
});
