/** What waits for operations that are not open yet, and its bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import { abortFrame } from '#src/rounds/blame.js';
import { encodeFrame, type HelloFrame, PROTOCOL_VERSION, type SentFrame } from '#src/rounds/frames.js';
import { Mailbox } from '#src/rounds/mailbox.js';
import { MemoryCluster, outcomeOf, type TestParty, testParty } from '../support/memory-network.js';
import { converse, ROUNDS } from './protocol.js';

const hello = (operation: string, nonce = 1): HelloFrame => ({
  kind: 'hello',
  operation,
  version: PROTOCOL_VERSION,
  descriptor: { parties: 'alice, bob' },
  sharings: [],
  nonce: new Uint8Array(32).fill(nonce),
});

const message = (operation: string, size: number, round = '1'): SentFrame => ({
  kind: 'round',
  operation,
  sid: new Uint8Array(32),
  step: 'test',
  round,
  broadcast: new Uint8Array(size),
  direct: null,
});

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

/** Alice, who has got `frames` from bob before she opened anything. */
async function aliceWith(frames: readonly SentFrame[]): Promise<TestParty> {
  const cluster = new MemoryCluster(['alice', 'bob']);
  cluster.network('bob');
  const alice = testParty(cluster, 'alice');
  for (const frame of frames) cluster.deliver('bob', 'alice', encodeFrame(frame));
  await settle();
  return alice;
}

/** How alice's session ends when nothing more comes; a time-out says what she still waits for. */
async function ending(alice: TestParty, operation: string): Promise<MpcError> {
  const timer = new AbortController();
  const result = outcomeOf(alice.session({ operation, rounds: ROUNDS, signal: timer.signal }, converse));
  await settle();
  timer.abort(new MpcError('TIMEOUT', 'timed out'));
  const outcome = await result;
  assert('error' in outcome);
  return outcome.error;
}

const WAITS_FOR_HELLO = /not heard from bob \(the hello\)/;
const WAITS_FOR_ECHO = /not heard from bob \(the hello echo\)/;

test('a hello waits for its operation', async () => {
  const alice = await aliceWith([hello('a'), hello('b')]);
  assert.match((await ending(alice, 'b')).message, WAITS_FOR_ECHO);
  assert.match((await ending(alice, 'a')).message, WAITS_FOR_ECHO);
  assert.match((await ending(alice, 'c')).message, WAITS_FOR_HELLO);
});

test('two different hellos that came early are blamed when the operation is opened; equal ones are one', async () => {
  const alice = await aliceWith([hello('a', 1), hello('a', 2), hello('b', 1), hello('b', 1)]);
  assert.equal((await ending(alice, 'a')).message, 'bob broke the protocol: two different hellos');
  assert.match((await ending(alice, 'b')).message, WAITS_FOR_ECHO);
});

test('more than hello and first round of an operation not open here is blamed when it is opened', async () => {
  const echo: SentFrame = { kind: 'hello echo', operation: 'a', digest: new Uint8Array(32) };
  const rounds = ['1', '1 echo', '2', '3', 'confirm'].map((round) => message('a', 1, round));
  // The hello agrees, so that alice has a session; a wrong echo would end it as well, but later.
  const alice = await aliceWith([hello('a'), ...rounds]);
  assert.match(
    (await ending(alice, 'a')).message,
    /^bob broke the protocol: a message before its hello echo$/,
  );
  const cluster = new MemoryCluster(['alice', 'bob', 'charlie']);
  cluster.network('bob');
  const other = testParty(cluster, 'alice');
  const greeting = { ...hello('a'), descriptor: { parties: 'alice, bob, charlie' } };
  for (const frame of [greeting, echo, ...rounds]) cluster.deliver('bob', 'alice', encodeFrame(frame));
  await settle();
  const error = await ending(other, 'a');
  assert.equal(error.code, 'PROTOCOL');
  assert.deepEqual(error.culprits, ['bob']);
  assert.match(error.message, /more than one message before it had this party's hello echo/);
});

test('at most 64 operations wait per peer: the oldest give way, and it is logged', async () => {
  const frames = Array.from({ length: 70 }, (_, index) => hello(`operation ${index}`));
  const alice = await aliceWith(frames);
  assert.equal(alice.notices.length, 6);
  assert.match(alice.notices[0]!, /^dropped from bob: what came for "operation 0": too much waits/);
  assert.match((await ending(alice, 'operation 5')).message, WAITS_FOR_HELLO);
  assert.match((await ending(alice, 'operation 6')).message, WAITS_FOR_ECHO);
});

test('what was taken up waits no longer', async () => {
  const alice = await aliceWith(Array.from({ length: 64 }, (_, index) => hello(`operation ${index}`)));
  assert.match((await ending(alice, 'operation 0')).message, WAITS_FOR_ECHO);
  const { cluster } = alice;
  cluster.deliver('bob', 'alice', encodeFrame(hello('one more')));
  await settle();
  assert.deepEqual(alice.notices, []);
});

test('of one operation at most five frames wait', async () => {
  const big = 1024 * 1024;
  const frames = Array.from({ length: 20 }, (_, index) => message('a', big + index));
  const alice = await aliceWith(frames);
  assert.deepEqual(alice.notices, []);
  assert.match((await ending(alice, 'a')).message, /a message before its hello echo/);
});

test('at most 8 MiB wait per peer', async () => {
  const big = 3 * 1024 * 1024;
  const frames = ['a', 'b', 'c'].flatMap((operation) => [hello(operation), message(operation, big)]);
  const alice = await aliceWith(frames);
  assert.deepEqual(alice.notices.length, 1);
  assert.match((await ending(alice, 'a')).message, WAITS_FOR_HELLO);
  assert.match((await ending(alice, 'b')).message, /a message before its hello echo/);
  const huge = await aliceWith([hello('a'), message('a', 3 * big)]);
  assert.match((await ending(huge, 'a')).message, WAITS_FOR_HELLO);
});

test('what waits of one peer does not crowd out another', async () => {
  const cluster = new MemoryCluster(['alice', 'bob', 'charlie']);
  const alice = testParty(cluster, 'alice');
  const charlie = testParty(cluster, 'charlie');
  const options = { operation: 'pair', parties: ['alice', 'charlie'], rounds: ROUNDS };
  const result = charlie.session(options, converse);
  await settle();
  for (let index = 0; index < 200; index += 1)
    cluster.deliver('bob', 'alice', encodeFrame(hello(`operation ${index}`)));
  await settle();
  const { sum } = await alice.session(options, converse);
  assert.equal(sum, (await result).sum);
});

test('notes of who waits are not kept, and of strangers nothing', async () => {
  const waiting: SentFrame = { kind: 'waiting', operation: 'a', place: 'the hello', peers: ['alice'] };
  const alice = await aliceWith([waiting]);
  assert.deepEqual(alice.notices, []);
  assert.match((await ending(alice, 'a')).message, /^timed out: not heard from bob \(the hello\)$/);
});

test('a message of a party that takes no part is dropped and logged', async () => {
  const cluster = new MemoryCluster(['alice', 'bob', 'charlie']);
  const [alice, bob] = ['alice', 'bob'].map((name) => testParty(cluster, name));
  const options = { parties: ['alice', 'bob'], rounds: ROUNDS };
  const results = [alice!.session(options, converse), bob!.session(options, converse)];
  cluster.deliver('charlie', 'alice', encodeFrame(message('test', 1)));
  await Promise.all(results);
  assert.deepEqual(alice!.notices, ['dropped from charlie: a message for "test", in which it takes no part']);
});

test('an undecodable frame while nothing is open is dropped and logged', async () => {
  const cluster = new MemoryCluster(['alice', 'bob']);
  const alice = testParty(cluster, 'alice');
  cluster.deliver('bob', 'alice', new Uint8Array(3));
  await settle();
  assert.deepEqual(alice.notices, ['dropped from bob: an undecodable frame (shorter than a frame)']);
});

test('an abort of an operation not open here is told at once, once, and nothing else is', async () => {
  const cluster = new MemoryCluster(['alice', 'bob']);
  const told: string[] = [];
  new Mailbox(cluster.network('alice'), { abortedEarly: (operation) => told.push(operation) });
  const abort = abortFrame('a', new MpcError('DISAGREEMENT', 'different messages'));
  for (const frame of [hello('a'), abort, abort, hello('b')])
    cluster.deliver('bob', 'alice', encodeFrame(frame));
  await settle();
  assert.deepEqual(told, ['a']);
});

test('a peer cannot fill the log', async () => {
  const cluster = new MemoryCluster(['alice', 'bob', 'charlie']);
  const alice = testParty(cluster, 'alice');
  for (let index = 0; index < 300; index += 1) cluster.deliver('bob', 'alice', new Uint8Array(1));
  cluster.deliver('charlie', 'alice', new Uint8Array(1));
  await settle();
  assert.equal(alice.notices.length, 102);
  assert.equal(alice.notices[100], 'what else is dropped from bob is not logged');
  assert.match(alice.notices[101]!, /from charlie/);
});

test('a closed mailbox fails what is open, and hears nothing more', async () => {
  const cluster = new MemoryCluster(['alice', 'bob']);
  const alice = testParty(cluster, 'alice');
  const result = outcomeOf(alice.session({ rounds: ROUNDS }, converse));
  alice.mailbox.close();
  const outcome = await result;
  assert('error' in outcome && outcome.error.code === 'INTERRUPTED');
  cluster.deliver('bob', 'alice', new Uint8Array(3));
  await settle();
  assert.deepEqual(alice.notices, []);
});

test('only so many ended operations are remembered', async () => {
  const alice = testParty(new MemoryCluster(['alice', 'bob']), 'alice');
  const signal = AbortSignal.abort(new MpcError('INTERRUPTED', 'interrupted'));
  const open = (operation: string) => alice.session({ operation, signal }, async () => {});
  for (let index = 0; index <= 1024; index += 1)
    await assert.rejects(open(`${index}`), { code: 'INTERRUPTED' });
  await assert.rejects(open('1024'), { code: 'BUG', message: '1024 is opened twice' });
  await assert.rejects(open('1'), { code: 'BUG', message: '1 is opened twice' });
  await assert.rejects(open('0'), { code: 'INTERRUPTED' });
});
