/** What peers say outside of sessions: letters, the loss of a peer, and operations that a party refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '#src/core/codec.js';
import { ERROR_CODES, MpcError } from '#src/core/errors.js';
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  type HelloFrame,
  MAX_LETTER,
  PROTOCOL_VERSION,
  type SentFrame,
} from '#src/rounds/frames.js';
import { Mailbox, type MailboxOptions } from '#src/rounds/mailbox.js';
import { withSession } from '#src/rounds/session.js';
import { MemoryCluster, outcomeOf, type TestParty, testParty } from '../support/memory-network.js';
import { putTogether } from '../support/raw-frames.js';
import { BRIEF, converse, first, last, ROUNDS, summary } from './protocol.js';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (letters: string): Uint8Array => new TextEncoder().encode(letters);

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

const hello = (operation: string): HelloFrame => ({
  kind: 'hello',
  operation,
  version: PROTOCOL_VERSION,
  descriptor: {},
  sharings: [],
  nonce: new Uint8Array(32),
});

/** Alice's mailbox, with what it logs, among bob and charlie, and what arrives from her at each of them. */
function aliceAmong(options: MailboxOptions = {}) {
  const sent: { readonly to: string; readonly frame: Frame }[] = [];
  const cluster = new MemoryCluster(['alice', 'bob', 'charlie'], (from, to, bytes) => {
    if (from === 'alice') sent.push({ to, frame: decodeFrame(bytes) });
    return undefined;
  });
  const notices: string[] = [];
  const mailbox = new Mailbox(cluster.network('alice'), {
    notice: (line) => notices.push(line),
    ...options,
  });
  const [bob, charlie] = ['bob', 'charlie'].map((name) => testParty(cluster, name)) as [TestParty, TestParty];
  return { cluster, mailbox, notices, sent, bob, charlie };
}

const refusal = new MpcError('DISAGREEMENT', 'alice runs as a daemon');
const refuseCommands = (operation: string): MpcError | undefined =>
  operation.startsWith('command') ? refusal : undefined;

test('letters arrive in order, with their sender, their subject and their body', async () => {
  const letters: string[] = [];
  const { bob, charlie, notices } = aliceAmong({
    letter: (from, subject, body) => letters.push(`${from}: ${subject}: ${text(body)}`),
  });
  await bob.mailbox.sendLetter('alice', 'propose', bytesOf('one'));
  await bob.mailbox.sendLetter('alice', 'propose', bytesOf('two'));
  await charlie.mailbox.sendLetter('alice', 'withdraw', new Uint8Array());
  await settle();
  assert.deepEqual(letters, ['bob: propose: one', 'bob: propose: two', 'charlie: withdraw: ']);
  assert.deepEqual(notices, []);
});

test('a letter that nobody takes is dropped and logged', async () => {
  const { bob, notices } = aliceAmong();
  await bob.mailbox.sendLetter('alice', 'propose "x"', bytesOf('one'));
  await settle();
  assert.deepEqual(notices, ["dropped from bob: a letter (propose 'x'), which nobody here takes"]);
});

test('a letter that cannot be one is refused here, and one that cannot be sent there', async () => {
  const { cluster, bob, mailbox } = aliceAmong();
  for (const subject of ['', 'line\nbreak', 'x'.repeat(81)])
    await assert.rejects(mailbox.sendLetter('bob', subject, new Uint8Array()), /subject/);
  const tooLong = mailbox.sendLetter('bob', 'propose', new Uint8Array(MAX_LETTER + 1));
  await assert.rejects(tooLong, { code: 'BUG' });
  cluster.lose('alice', { forGood: true });
  await assert.rejects(bob.mailbox.sendLetter('alice', 'propose', new Uint8Array()), { code: 'PEER_LEFT' });
});

test('an undecodable letter is blamed in every operation that its sender takes part in', async () => {
  const cluster = new MemoryCluster(['alice', 'bob']);
  cluster.network('bob');
  const alice = testParty(cluster, 'alice');
  const outcome = outcomeOf(alice.session({ rounds: ROUNDS }, converse));
  const header = { kind: 'letter', subject: 'propose', length: 2 };
  cluster.deliver('bob', 'alice', putTogether({ header, parts: encode(0) }));
  const ended = await outcome;
  assert('error' in ended);
  assert.equal(
    summary(ended.error),
    'PROTOCOL [bob] bob broke the protocol: an undecodable frame (a letter of another length than its header says)',
  );
});

test('a handler that throws is logged, and neither the mailbox nor a session notices', async () => {
  const { mailbox, notices, bob, charlie, cluster } = aliceAmong({
    letter: () => {
      throw new Error('no\nluck');
    },
    lost: () => {
      throw new MpcError('BUG', 'no better luck');
    },
    refuse: () => {
      throw new Error('none at all');
    },
  });
  const { random, compute } = bob;
  const signal = new AbortController().signal;
  const common = { operation: 'test', parties: ['alice', 'bob'], descriptor: {}, rounds: ROUNDS, signal };
  const theirs = bob.session(common, async (run) => {
    await bob.mailbox.sendLetter('alice', 'propose', bytesOf('one'));
    return converse(run);
  });
  // Its hello is there before alice opens the operation: she is asked, and it waits for all that.
  await settle();
  const ours = withSession(mailbox, { ...common, random, compute }, converse);
  assert.equal((await ours).sum, (await theirs).sum);
  await charlie.mailbox.sendLetter('alice', 'propose', bytesOf('two'));
  cluster.lose('charlie');
  await settle();
  assert.deepEqual(notices, [
    'dropped from bob: what a handler failed at (none at all)',
    'dropped from bob: what a handler failed at (no?luck)',
    'dropped from charlie: what a handler failed at (no?luck)',
    'dropped from charlie: what a handler failed at (no better luck)',
  ]);
});

test('letters of a name that an operation has do not reach it', async () => {
  const cluster = new MemoryCluster(['alice', 'bob']);
  const [alice, bob] = ['alice', 'bob'].map((name) => testParty(cluster, name));
  const talk = (party: TestParty, peer: string) =>
    party.session({ operation: 'test', rounds: BRIEF }, async (run) => {
      await party.mailbox.sendLetter(peer, 'test', encodeFrame(hello('test')));
      await run.broadcast(first, run.random(32));
      await party.mailbox.sendLetter(peer, 'test', encodeFrame(hello('test')));
      await run.confirm(last, run.sid);
      return run.sid;
    });
  const [one, other] = await Promise.all([talk(alice!, 'bob'), talk(bob!, 'alice')]);
  assert.deepEqual(one, other);
});

test('that a peer is lost is told after the sessions that it takes part in', async () => {
  const told: string[] = [];
  const { cluster, mailbox, bob } = aliceAmong({
    lost: (peer, error) => told.push(`${peer} is lost: ${error.code}`),
  });
  const { random, compute } = bob;
  const signal = new AbortController().signal;
  const common = { operation: 'test', parties: ['alice', 'bob'], descriptor: {}, rounds: ROUNDS, signal };
  const channel = outcomeOf(
    withSession(mailbox, { ...common, random, compute }, async (run) => {
      run.signal.addEventListener('abort', () => told.push('the session has failed'));
      return converse(run);
    }),
  );
  void outcomeOf(bob.session({ ...common, rounds: ROUNDS }, () => new Promise(() => {})));
  await settle();
  cluster.lose('charlie');
  cluster.lose('bob');
  await channel;
  assert.deepEqual(told, ['charlie is lost: PEER_LEFT', 'the session has failed', 'bob is lost: PEER_LEFT']);
});

test('a refused operation ends at once where it was begun, with the reason as hearsay', async () => {
  const early: string[] = [];
  const { bob, sent, notices } = aliceAmong({
    refuse: refuseCommands,
    abortedEarly: (operation) => early.push(operation),
  });
  // Charlie is not there yet: his hello could show no more of it.
  const ended = await outcomeOf(bob.session({ operation: 'command sign', rounds: ROUNDS }, converse));
  assert('error' in ended);
  assert.equal(
    summary(ended.error),
    'PEER_ABORTED [] alice aborted; it reports DISAGREEMENT: "alice runs as a daemon"',
  );
  await settle();
  // Bob's own abort, which answers hers, is neither kept nor told.
  assert.deepEqual(early, []);
  assert.deepEqual(
    sent.map(({ to, frame }) => `${frame.kind} to ${to}`),
    ['abort to bob'],
  );
  assert.deepEqual(notices, []);
});

test('what is refused in another code than of disagreement ends the session, too', async () => {
  const { bob } = aliceAmong({ refuse: () => new MpcError('CONFIG', 'in /home/alice') });
  const ended = await outcomeOf(bob.session({ rounds: ROUNDS }, converse));
  assert('error' in ended);
  assert.equal(
    summary(ended.error),
    `PEER_ABORTED [] alice aborted; it reports CONFIG: "${ERROR_CODES.CONFIG.meaning}"`,
  );
});

test('who refuses is asked about hellos of operations that are not open here, and about nothing else', async () => {
  const asked: string[] = [];
  const { mailbox, bob, charlie, cluster } = aliceAmong({
    refuse: (operation, from) => {
      asked.push(`${operation} of ${from}`);
      return undefined;
    },
  });
  const { random, compute } = bob;
  const signal = new AbortController().signal;
  const common = { operation: 'one', parties: ['alice', 'bob'], descriptor: {}, rounds: ROUNDS, signal };
  const ours = withSession(mailbox, { ...common, random, compute }, converse);
  await bob.session(common, converse);
  await ours;
  cluster.deliver('charlie', 'alice', encodeFrame(hello('one')));
  const echo = { kind: 'hello echo', operation: 'two', digest: new Uint8Array(32) } as const;
  cluster.deliver(
    'charlie',
    'alice',
    encodeFrame(echo),
    encodeFrame(hello('two')),
    encodeFrame(hello('two')),
  );
  await settle();
  await charlie.mailbox.sendLetter('alice', 'two', new Uint8Array());
  assert.deepEqual(asked, ['two of charlie', 'two of charlie']);
});

test('a refusal is given once, until its peer is lost, and drops what had come before', async () => {
  const early: string[] = [];
  const { cluster, sent, mailbox, bob } = aliceAmong({
    refuse: refuseCommands,
    abortedEarly: (operation) => early.push(operation),
  });
  const operation = 'command';
  const waits: SentFrame = { kind: 'waiting', operation, place: 'the hello', peers: [] };
  const abort: SentFrame = { kind: 'abort', operation, code: 'TIMEOUT', culprits: [], reason: '' };
  const echo: SentFrame = { kind: 'hello echo', operation, digest: new Uint8Array(32) };
  const repeated: SentFrame[] = [echo, hello('command'), hello('command'), waits, echo, abort];
  cluster.deliver('bob', 'alice', ...repeated.map(encodeFrame));
  cluster.deliver('charlie', 'alice', ...repeated.map(encodeFrame));
  await settle();
  const refused = () => sent.map(({ to, frame }) => `${frame.kind} to ${to}`);
  assert.deepEqual(refused(), ['abort to bob', 'abort to charlie']);
  assert.deepEqual(early, []);
  cluster.lose('bob');
  cluster.deliver('bob', 'alice', encodeFrame(hello('command')));
  cluster.deliver('charlie', 'alice', encodeFrame(hello('command')));
  await settle();
  assert.deepEqual(refused(), ['abort to bob', 'abort to charlie', 'abort to bob']);
  // Nothing of charlie's has waited for it.
  const { random, compute } = bob;
  const timer = new AbortController();
  const options = { operation: 'command', parties: ['alice', 'charlie'], descriptor: {}, rounds: ROUNDS };
  const ended = outcomeOf(
    withSession(mailbox, { ...options, random, compute, signal: timer.signal }, converse),
  );
  await settle();
  timer.abort(new MpcError('TIMEOUT', 'timed out'));
  const outcome = await ended;
  assert('error' in outcome);
  assert.equal(outcome.error.message, 'timed out: not heard from charlie (the hello)');
});

test('of what was refused to a peer only so much is remembered', async () => {
  const { cluster, sent } = aliceAmong({ refuse: refuseCommands });
  const say = async (number: number) => {
    cluster.deliver('bob', 'alice', encodeFrame(hello(`command ${number}`)));
    await settle();
  };
  for (let number = 0; number <= 64; number += 1) await say(number);
  assert.equal(sent.length, 65);
  await say(1);
  assert.equal(sent.length, 65);
  await say(0);
  assert.equal(sent.length, 66);
});
