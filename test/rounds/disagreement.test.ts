import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { encodeFrame } from '#src/rounds/frames.js';
import type { Descriptor, SessionOptions } from '#src/rounds/session.js';
import {
  errorAt,
  type Intercept,
  MemoryCluster,
  outcomeOf,
  runParties,
  type TestOptions,
  testParty,
} from '../support/memory-network.js';
import { editFrame, firstOf, replaceBytes, setField, tamper } from '../support/tamper.js';
import { converse, first, PARTIES, ROUNDS } from './protocol.js';

const COMMON: Descriptor = { operation: 'sign', curve: 'P-256', message: '3f2a', quorum: 'alice, bob' };

/** How a session of all ends in which bob's options differ from everybody else's. */
const withOddBob = (odd: Partial<SessionOptions>, options: TestOptions = {}) =>
  runParties(
    PARTIES,
    (party) =>
      party.session({ rounds: ROUNDS, descriptor: COMMON, ...(party.self === 'bob' ? odd : {}) }, converse),
    options,
  );

const OTHERS = PARTIES.filter((name) => name !== 'bob');

/** Every party ends with DISAGREEMENT; the others name bob, and bob one of them. */
function assertDisagree(outcomes: Awaited<ReturnType<typeof withOddBob>>, others: RegExp, bob: RegExp): void {
  for (const name of OTHERS) {
    assert.equal(errorAt(outcomes, name).code, 'DISAGREEMENT', errorAt(outcomes, name).message);
    assert.match(errorAt(outcomes, name).message, others);
    assert.deepEqual(errorAt(outcomes, name).culprits, []);
    assert.ok(errorAt(outcomes, name).hint);
  }
  assert.equal(errorAt(outcomes, 'bob').code, 'DISAGREEMENT');
  assert.match(errorAt(outcomes, 'bob').message, bob);
}

test('a different value: every side names the peer and the field and shows both values', async () => {
  const outcomes = await withOddBob({ descriptor: { ...COMMON, message: '9c1b' } });
  assertDisagree(
    outcomes,
    /^bob and this party disagree: message: bob has "9c1b", this party "3f2a"$/,
    /^alice and this party disagree: message: alice has "3f2a", this party "9c1b"$/,
  );
});

test('several differences are all listed, in the order of the own descriptor', async () => {
  const outcomes = await withOddBob({ descriptor: { ...COMMON, message: '9c1b', operation: 'refresh' } });
  assertDisagree(
    outcomes,
    /disagree: operation: bob has "refresh", this party "sign"; message: bob has "9c1b", this party "3f2a"$/,
    /disagree: operation: .*; message: /,
  );
});

test('a field that one side lacks', async () => {
  const { quorum: _, ...rest } = COMMON;
  const outcomes = await withOddBob({ descriptor: { ...rest, receiver: 1 } });
  assertDisagree(
    outcomes,
    /quorum: bob has "nothing", this party "alice, bob"; receiver: bob has "1", this party "nothing"/,
    /receiver: alice has "nothing", this party "1"; quorum: alice has "alice, bob", this party "nothing"/,
  );
});

test('a number is not the text of it', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ descriptor: { level: party.self === 'bob' ? 112 : '112' } }, async () => {}),
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'DISAGREEMENT');
});

test('values that differ far behind are shown where they differ', async () => {
  const policy = `Threshold(2, ${'x'.repeat(1000)}`;
  const outcomes = await withOddBob({ descriptor: { ...COMMON, curve: `${policy}one)` } });
  assert.match(errorAt(outcomes, 'alice').message, /bob has "Threshold/);
  const both = await runParties(['alice', 'bob'], (party) =>
    party.session({ descriptor: { policy: `${policy}${party.self})` } }, async () => {}),
  );
  assert.match(errorAt(both, 'alice').message, /bob has "\.\.\.x{20}bob\)", this party "\.\.\.x{20}alice\)"/);
});

test('a peer’s field and value are printed harmlessly', async () => {
  const outcomes = await withOddBob({ descriptor: { ...COMMON, curve: '\u001b[31m"P-256"\n' } });
  assert.match(errorAt(outcomes, 'alice').message, /curve: bob has "\?\[31m'P-256'\?", this party "P-256"$/);
});

test('different participants: every side names the difference, also who is left out', async () => {
  const odd = ['alice', 'bob', 'dave'];
  const outcomes = await withOddBob({ parties: odd });
  assertDisagree(
    outcomes,
    /parties: bob has "alice, bob, dave", this party "alice, bob, charlie, dave"/,
    /parties: (alice|charlie|dave) has "alice, bob, charlie, dave", this party "alice, bob, dave"/,
  );
});

test('a party that takes no part says hello: it learns of the disagreement, and the others go on', async () => {
  const cluster = new MemoryCluster(PARTIES);
  const parties = PARTIES.map((name) => testParty(cluster, name));
  const among = (party: PartyName) => (party === 'dave' ? PARTIES : PARTIES.slice(0, 3));
  const results = parties.map((party) =>
    outcomeOf(party.session({ rounds: ROUNDS, parties: among(party.self) }, converse)),
  );
  const outcomes = await Promise.all(results);
  for (const outcome of outcomes.slice(0, 3)) assert('value' in outcome);
  const last = outcomes[3]!;
  assert('error' in last);
  assert.equal(last.error.code, 'DISAGREEMENT');
  assert.match(last.error.message, /has "alice, bob, charlie", this party "alice, bob, charlie, dave"/);
});

test('different protocol versions: every side names both', async () => {
  const foreign = tamper({ from: 'bob', kind: 'hello' }, (bytes) => [otherVersion(bytes)]);
  const outcomes = await withOddBob({}, { intercept: foreign.intercept });
  for (const name of OTHERS) {
    assert.equal(errorAt(outcomes, name).code, 'DISAGREEMENT');
    assert.equal(
      errorAt(outcomes, name).message,
      'bob speaks version 2 of the protocol, this party version 1',
    );
  }
});

/** A hello as a later version might send it: its first fields stand, the rest is unknown here. */
function otherVersion(hello: Uint8Array): Uint8Array {
  const head = encode({ kind: 'hello', operation: 'test', version: 2, capabilities: ['new'] });
  assert(hello.length > head.length);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, head.length);
  return Uint8Array.from([...length, ...head, 1, 2, 3]);
}

test('the disagreement is reported, not the abort of a peer that saw it first', async () => {
  // Bob's hello reaches charlie and dave late, after alice has aborted for it.
  const cluster = new MemoryCluster(PARTIES, holdHellos('bob', ['charlie', 'dave']));
  const parties = PARTIES.map((name) => testParty(cluster, name));
  const outcomes = parties.map((party) =>
    outcomeOf(
      party.session(
        { rounds: ROUNDS, descriptor: { ...COMMON, level: party.self === 'bob' ? 128 : 112 } },
        converse,
      ),
    ),
  );
  const alice = await outcomes[0]!;
  assert('error' in alice && alice.error.code === 'DISAGREEMENT');
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  for (const [to, bytes] of held) cluster.deliver('bob', to, bytes);
  for (const outcome of await Promise.all(outcomes)) {
    assert('error' in outcome);
    assert.equal(outcome.error.code, 'DISAGREEMENT', outcome.error.message);
    assert.match(outcome.error.message, /level: (bob has "128"|alice has "112")/);
  }
});

const held = new Map<PartyName, Uint8Array>();

/** Holds back everything that `from` sends to some: its hello for later, the rest for good. */
const holdHellos =
  (from: PartyName, to: readonly PartyName[]): Intercept =>
  (sender, receiver, bytes) => {
    if (sender !== from || !to.includes(receiver)) return undefined;
    if (!held.has(receiver)) held.set(receiver, bytes);
    return [];
  };

test('an abort for a disagreement that never shows itself is reported as that peer’s', async () => {
  const claim = encodeFrame({
    kind: 'abort',
    operation: 'test',
    code: 'DISAGREEMENT',
    culprits: [],
    reason: 'bob and this party disagree: message',
  });
  const lie = tamper({ from: 'charlie', kind: 'hello', to: 'alice' }, (bytes) => [claim, bytes]);
  const outcomes = await runParties(PARTIES, (party) => party.session({ rounds: ROUNDS }, converse), {
    intercept: lie.intercept,
  });
  assert.equal(errorAt(outcomes, 'alice').code, 'PEER_ABORTED');
  assert.match(
    errorAt(outcomes, 'alice').message,
    /^charlie aborted; it reports DISAGREEMENT: "bob and this/,
  );
});

// Views of the hellos

test('a hello that differs from peer to peer ends the session before any round, and nobody is blamed', async () => {
  const cheat = tamper({ from: 'bob', to: 'dave', kind: 'hello' }, setField('nonce', new Uint8Array(32)));
  let completed = 0;
  const outcomes = await runParties(
    PARTIES,
    (party) =>
      party.session({ rounds: ROUNDS }, async (run) => {
        await run.broadcast(first, run.random(32));
        completed += 1;
      }),
    { intercept: cheat.intercept },
  );
  assert.equal(cheat.hits, 1);
  assert.equal(completed, 0);
  const codes = PARTIES.map((name) => errorAt(outcomes, name).code);
  assert.ok(codes.includes('EQUIVOCATION'));
  for (const name of PARTIES) {
    const error = errorAt(outcomes, name);
    assert.deepEqual(error.culprits, []);
    if (error.code === 'EQUIVOCATION')
      assert.match(error.message, new RegExp(`^${name}'s view of the hellos differs from \\w+'s: someone`));
    else assert.equal(error.code, 'PEER_ABORTED');
  }
});

test('sharings, listed differently to different peers, are equivocation too', async () => {
  const held = [{ epoch: 0, shid: new Uint8Array(32) }];
  const cheat = tamper(
    { from: 'bob', to: 'dave', kind: 'hello' },
    editFrame((frame) => {
      frame.sharings = [...held, { epoch: 1, shid: new Uint8Array(32).fill(1) }];
    }),
  );
  const outcomes = await runParties(
    PARTIES,
    (party) => party.session({ rounds: ROUNDS, sharings: held }, converse),
    { intercept: cheat.intercept },
  );
  assert.ok(PARTIES.some((name) => errorAt(outcomes, name).code === 'EQUIVOCATION'));
});

test('no round completes before every hello echo has come and is equal', async () => {
  const missing = tamper({ from: 'bob', to: 'alice', kind: 'hello echo' }, () => []);
  const early = tamper({ from: 'bob', to: 'alice', kind: 'round' }, () => []);
  const controller = new AbortController();
  const outcomes = runParties(
    ['alice', 'bob'],
    (party) =>
      party.session({ rounds: ROUNDS, signal: controller.signal }, async (run) => {
        await converse(run);
        return 'completed';
      }),
    { intercept: firstOf(missing, early) },
  );
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  controller.abort(new Error('enough'));
  assert.match(errorAt(await outcomes, 'alice').message, /enough/);
});

test('a wrong hello echo is a difference of views', async () => {
  const cheat = tamper(
    { from: 'bob', to: 'alice', kind: 'hello echo' },
    setField('digest', new Uint8Array(32)),
  );
  const outcomes = await runParties(
    ['alice', 'bob'],
    (party) => party.session({ rounds: ROUNDS }, converse),
    { intercept: cheat.intercept },
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'EQUIVOCATION');
  assert.equal(
    errorAt(outcomes, 'alice').message,
    "alice's view of the hellos differs from bob's: someone equivocated",
  );
});

test('a nonce is 32 bytes', async () => {
  const short = tamper(
    { from: 'bob', kind: 'hello' },
    replaceBytes((bytes) => bytes.subarray(0, bytes.length - 1)),
  );
  const outcomes = await runParties(
    ['alice', 'bob'],
    (party) => party.session({ rounds: ROUNDS }, converse),
    { intercept: short.intercept },
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'PROTOCOL');
  assert.deepEqual(errorAt(outcomes, 'alice').culprits, ['bob']);
});
