/** What a peer may send, what is dropped, and what is refused and blamed on it: docs/protocol.md §1, messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesField, decode, encode } from '#src/core/codec.js';
import { decodeFrame, encodeFrame, type RoundFrame, type SentFrame } from '#src/rounds/frames.js';
import { broadcastRound } from '#src/rounds/run.js';
import { errorAt, MemoryCluster, runParties, testParty, valueAt } from '../support/memory-network.js';
import {
  type Action,
  delay,
  drop,
  editFrame,
  flipBit,
  repeat,
  setField,
  type Tamper,
  type Target,
  tamper,
} from '../support/tamper.js';
import { converse, PARTIES, ROUNDS } from './protocol.js';

const FROM_BOB = { from: 'bob', to: 'alice' } as const;

/** Runs the test protocol among four with `cheat`, which must have come to act. */
async function conversation(cheat: Tamper) {
  const outcomes = await runParties(PARTIES, (party) => party.session({ rounds: ROUNDS }, converse), {
    intercept: cheat.intercept,
  });
  assert.notEqual(cheat.hits, 0, 'nothing was tampered with');
  return outcomes;
}

/** Alice names bob, and the others report that alice has aborted, at first or second hand. */
const refused = (what: string, target: Omit<Target, 'from' | 'to'>, action: Action, message: RegExp) =>
  test(`refused: ${what}`, async () => {
    const outcomes = await conversation(tamper({ ...FROM_BOB, ...target }, action));
    const error = errorAt(outcomes, 'alice');
    assert.equal(error.code, 'PROTOCOL', error.message);
    assert.deepEqual(error.culprits, ['bob']);
    assert.match(error.message, /^bob broke the protocol: /);
    assert.match(error.message, message);
    for (const name of ['bob', 'charlie', 'dave']) {
      assert.equal(errorAt(outcomes, name).code, 'PEER_ABORTED');
      assert.deepEqual(errorAt(outcomes, name).culprits, []);
    }
  });

const harmless = (what: string, target: Omit<Target, 'from' | 'to'>, action: Action) =>
  test(`harmless: ${what}`, async () => {
    const outcomes = await conversation(tamper({ ...FROM_BOB, ...target }, action));
    for (const name of PARTIES) assert.equal(valueAt(outcomes, name).sum, 6n);
  });

/** The frame, and after it what `change` makes of it. */
const andAlso =
  (change: Action): Action =>
  (bytes, context) => [bytes, ...change(bytes, context)];

const edited = (change: (frame: RoundFrame) => Partial<RoundFrame>): Action => {
  return (bytes) => {
    const frame = decodeFrame(bytes);
    assert(frame.kind === 'round');
    return [encodeFrame({ ...frame, ...change(frame) })];
  };
};

// Byte-identical repeats are dropped in silence

harmless('a repeated hello', { kind: 'hello' }, repeat);
harmless('a repeated hello echo', { kind: 'hello echo' }, repeat);
for (const round of ['1', '1 echo', '2', '3', 'confirm'])
  harmless(`a repeated message of round ${round}`, { kind: 'round', round }, repeat);

harmless('a message that changes places with the next', { kind: 'round' }, delay(1));

test('harmless: a message as long as its round allows', async () => {
  const exact = broadcastRound({ step: 'test', name: 'exact', maxBytes: 34, broadcast: bytesField(32) });
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: [exact] }, (run) => run.broadcast(exact, run.random(32))),
  );
  assert.equal(valueAt(outcomes, 'alice').size, 1);
});

// A different second message

refused(
  'a different second hello',
  { kind: 'hello' },
  andAlso(setField('nonce', new Uint8Array(32))),
  /two different hellos/,
);
refused(
  'a different second hello echo',
  { kind: 'hello echo' },
  andAlso(flipBit('digest')),
  /two different hello echoes/,
);
refused(
  'a different second message of the first round',
  { round: '1' },
  andAlso(flipBit('broadcast')),
  /two different messages of test round 1|more than one message before/,
);
refused(
  'a different second message of a later round',
  { round: '2' },
  andAlso(setField('direct.y', Uint8Array.of(99))),
  /two different messages of test round 2/,
);
refused(
  'a different second message, when the first was read long ago',
  { round: '3' },
  (bytes) => [
    ...edited((frame) => ({ round: '1', direct: null, broadcast: encode(frame.sid) }))(bytes, {
      ...FROM_BOB,
      count: 0,
    }),
    bytes,
  ],
  /two different messages of test round 1/,
);

// The wrong size or shape

refused(
  'a message longer than its round allows, whatever it holds',
  { round: '2' },
  edited(() => ({ direct: new Uint8Array(300).fill(255) })),
  /\d+ bytes in test round 2, at most 256 allowed/,
);
refused(
  'two parts that are longer together than the round allows',
  { round: '2' },
  edited(({ broadcast, direct }) => ({
    direct: Uint8Array.from([...direct!, ...new Uint8Array(257 - direct!.length - broadcast!.length)]),
  })),
  /257 bytes in test round 2, at most 256 allowed/,
);
refused(
  'a message without its direct part',
  { round: '2' },
  edited(() => ({ direct: null })),
  /without the parts/,
);
refused(
  'a message without its broadcast part',
  { round: '2' },
  edited(() => ({ broadcast: null })),
  /without the parts/,
);
refused(
  'a message with a part that its round has not',
  { round: '3' },
  edited(({ direct }) => ({ broadcast: direct, direct: new Uint8Array(0) })),
  /without the parts/,
);

// An undecodable body

refused(
  'bytes that encode nothing',
  { round: '2' },
  edited(() => ({ direct: Uint8Array.of(0xff) })),
  /an undecodable message of test round 2/,
);
refused(
  'an empty part',
  { round: '2' },
  edited(() => ({ direct: new Uint8Array(0) })),
  /an undecodable message of test round 2/,
);
refused(
  'an encoding that is not the canonical one',
  { round: '1' },
  edited(({ broadcast }) => ({ broadcast: Uint8Array.from([0x59, 0, 32, ...broadcast!.subarray(2)]) })),
  /undecodable/,
);
refused(
  'a body with bytes after it',
  { round: '1' },
  edited(({ broadcast }) => ({ broadcast: Uint8Array.from([...broadcast!, 0]) })),
  /undecodable/,
);
refused(
  'a field of the wrong type',
  { round: '2' },
  setField('direct.to', 7),
  /undecodable message of test round 2 \(to: /,
);
refused(
  'a number beyond its range',
  { round: '2' },
  setField('direct.y', new Uint8Array(9).fill(1)),
  /\(y: /,
);
refused(
  'a field too many',
  { round: '2' },
  editFrame((frame) => {
    (frame.direct as Record<string, unknown>).extra = 1;
  }),
  /undecodable/,
);
refused(
  'an echo of the wrong length',
  { round: '1 echo' },
  setField('direct', new Uint8Array(31)),
  /undecodable/,
);

// Rounds that are not, or not yet

refused(
  'a round that this protocol does not have',
  { round: '2' },
  andAlso(edited(() => ({ round: '5' }))),
  /a message of "test round 5", which this protocol does not have/,
);
refused(
  'a step that this protocol does not have',
  { round: '2' },
  andAlso(edited(() => ({ step: 'other' }))),
  /a message of "other round 2", which this protocol does not have/,
);
refused(
  'a message more than one round ahead',
  { round: '1' },
  andAlso(edited(({ sid }) => ({ round: '3', broadcast: null, direct: encode({ echo: sid }) }))),
  /test round 3, more than one round ahead|more than one message before/,
);
refused(
  'a message two rounds ahead in a later round',
  { round: '2' },
  andAlso(edited(({ sid }) => ({ round: 'confirm', broadcast: null, direct: encode(sid) }))),
  /test round confirm, more than one round ahead/,
);

// The opening in its order

refused('a message before the hello echo', { kind: 'hello echo' }, drop, /a message before its hello echo/);
refused('a hello echo before the hello', { kind: 'hello' }, drop, /a hello echo before its hello/);
refused('a hello after the hello echo', { kind: 'hello' }, delay(1), /before its hello/);

test('refused: more than the first round of a session that is not open yet', async () => {
  const cluster = new MemoryCluster(PARTIES);
  const [alice, bob, charlie] = ['alice', 'bob', 'charlie'].map((name) => testParty(cluster, name));
  // Without charlie's hello alice's session has no identifier yet.
  const waiting = alice!.session({ rounds: ROUNDS, parties: ['alice', 'bob', 'charlie'] }, converse);
  const controller = new AbortController();
  const opened = bob!.session(
    { rounds: ROUNDS, parties: ['alice', 'bob', 'charlie'], signal: controller.signal },
    converse,
  );
  opened.catch(() => {});
  await settle();
  const message = { kind: 'round', operation: 'test', sid: new Uint8Array(32), step: 'test' } as const;
  const send = (frame: SentFrame) => cluster.deliver('bob', 'alice', encodeFrame(frame));
  send({ kind: 'hello echo', operation: 'test', digest: new Uint8Array(32) });
  send({ ...message, round: '1', broadcast: Uint8Array.of(1), direct: null });
  send({ ...message, round: '1', broadcast: Uint8Array.of(1), direct: null });
  send({ ...message, round: '1 echo', broadcast: null, direct: Uint8Array.of(1) });
  await assert.rejects(waiting, {
    code: 'PROTOCOL',
    culprits: ['bob'],
    message: /more than one message before it had this party's hello echo/,
  });
  controller.abort();
  charlie!.mailbox.close();
});

// Frames

refused(
  'a frame that is none',
  { round: '2' },
  () => [Uint8Array.of(1, 2, 3)],
  /an undecodable frame \(shorter than a frame\)/,
);
refused(
  'a header that does not end',
  { round: '2' },
  () => [Uint8Array.of(0, 0, 1, 0, 1)],
  /an undecodable frame \(shorter than its header\)/,
);
refused(
  'a header beyond its limit',
  { round: '2' },
  () => {
    const bytes = new Uint8Array(40000);
    new DataView(bytes.buffer).setUint32(0, 39996);
    return [bytes];
  },
  /an undecodable frame \(39996 bytes, at most 32768 allowed\)/,
);
refused(
  'parts of other lengths than the header says',
  { round: '2' },
  (bytes) => [bytes.subarray(0, bytes.length - 1)],
  /undecodable frame \(parts of other lengths/,
);
refused(
  'bytes after a frame without parts',
  { kind: 'hello' },
  (bytes) => [Uint8Array.from([...bytes, 0])],
  /undecodable frame \(bytes after the header/,
);
refused(
  'a frame of no known kind',
  { round: '2' },
  () => {
    const head = encode({ kind: 'gossip', operation: 'test' });
    return [Uint8Array.from([0, 0, 0, head.length, ...head])];
  },
  /an undecodable frame/,
);

test('an undecodable frame ends the sessions with its sender, and no other', async () => {
  const junk = tamper({ from: 'bob', to: 'alice', round: '2' }, () => [new Uint8Array(2)]);
  const outcomes = await runParties(
    PARTIES,
    async (party) => {
      const others = PARTIES.filter((name) => name !== 'bob');
      const withoutBob = others.includes(party.self)
        ? party.session({ operation: 'without bob', parties: others, rounds: ROUNDS }, converse)
        : undefined;
      const all = await party.session({ rounds: ROUNDS }, converse).catch((error: Error) => error);
      return { all, withoutBob: await withoutBob };
    },
    { intercept: junk.intercept },
  );
  for (const name of PARTIES) assert(valueAt(outcomes, name).all instanceof Error);
  for (const name of ['alice', 'charlie', 'dave']) assert.equal(valueAt(outcomes, name).withoutBob?.sum, 3n);
});

// What is dropped

test('a message of an unknown session is dropped and logged, and the session goes on', async () => {
  const stray = tamper({ ...FROM_BOB, round: '2' }, andAlso(flipBit('sid')));
  const notices: string[] = [];
  const outcomes = await runParties(
    PARTIES,
    async (party) => {
      const result = await party.session({ rounds: ROUNDS }, converse);
      notices.push(...party.notices);
      return result;
    },
    { intercept: stray.intercept },
  );
  for (const name of PARTIES) assert.equal(valueAt(outcomes, name).sum, 6n);
  assert.deepEqual(notices, [
    'dropped from bob: a message for test, which has no session of that identifier',
  ]);
});

test('messages of an ended session are dropped in silence', async () => {
  const kept: Uint8Array[] = [];
  const record = tamper({ from: 'bob', to: 'alice' }, (bytes) => {
    kept.push(bytes);
    return [bytes];
  });
  const cluster = new MemoryCluster(['alice', 'bob'], record.intercept);
  const parties = ['alice', 'bob'].map((name) => testParty(cluster, name));
  await Promise.all(parties.map((party) => party.session({ rounds: ROUNDS }, converse)));
  for (const bytes of kept) {
    cluster.deliver('bob', 'alice', bytes);
    const frame = decodeFrame(bytes);
    if (frame.kind === 'round') cluster.deliver('bob', 'alice', encodeFrame({ ...frame, step: 'other' }));
  }
  await settle();
  assert.deepEqual(parties[0]!.notices, []);
  const again = parties.map((party) => party.session({ operation: 'again', rounds: ROUNDS }, converse));
  for (const { sum } of await Promise.all(again)) assert.equal(sum, 1n);
});

test('the tamperer sees what was sent', () => {
  const frame: RoundFrame = {
    kind: 'round',
    operation: 'test',
    sid: new Uint8Array(32),
    step: 'test',
    round: '1',
    broadcast: encode({ list: [1, 2], name: 'x' }),
    direct: null,
  };
  const change = setField('broadcast.list.1', (old) => (old as number) + 5);
  const [changed] = change(encodeFrame(frame), { ...FROM_BOB, count: 0 });
  const result = decodeFrame(changed!);
  assert(result.kind === 'round');
  assert.deepEqual(decode(result.broadcast!, 100), { list: [1, 7], name: 'x' });
  assert.throws(() => setField('direct.x', 1)(encodeFrame(frame), { ...FROM_BOB, count: 0 }));
});

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
}
