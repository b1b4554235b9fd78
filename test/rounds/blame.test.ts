/** Who is named for what: docs/protocol.md §11. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { bytesField } from '#src/core/codec.js';
import { ERROR_CODES, type ErrorCode, MpcError } from '#src/core/errors.js';
import { abortFrame, abortReceived } from '#src/rounds/blame.js';
import { type AbortFrame, decodeFrame, encodeFrame } from '#src/rounds/frames.js';
import { broadcastRound, ofPeer } from '#src/rounds/run.js';
import { printable, quotedPair } from '#src/rounds/untrusted.js';
import { errorAt, runParties } from '../support/memory-network.js';
import { flipBit, setField, tamper } from '../support/tamper.js';
import { converse, first, PARTIES, ROUNDS } from './protocol.js';

/** Runs the test protocol with a cheat of bob. */
async function cheated(...[target, action]: Parameters<typeof tamper>) {
  const cheat = tamper(target, action);
  const outcomes = await runParties(PARTIES, (party) => party.session({ rounds: ROUNDS }, converse), {
    intercept: cheat.intercept,
  });
  assert.notEqual(cheat.hits, 0);
  return outcomes;
}

// Views that differ: nobody by name

test('a broadcast that differs from peer to peer: the pairs of views, nobody by name', async () => {
  const outcomes = await cheated({ from: 'bob', to: 'dave', round: '1' }, flipBit('broadcast'));
  const dave = errorAt(outcomes, 'dave');
  const views = PARTIES.map((name) => errorAt(outcomes, name)).filter(
    (error) => error.code === 'EQUIVOCATION',
  );
  assert.ok(views.length > 0);
  for (const error of views) {
    assert.deepEqual(error.culprits, []);
    assert.match(error.message, /^(\w+)'s view of test round 1 differs from .*: someone equivocated$/);
  }
  if (dave.code === 'EQUIVOCATION')
    assert.match(dave.message, /^dave's view of test round 1 differs from alice's, bob's, charlie's:/);
});

test('a broadcast part of a mixed round whose echo rides is compared as well', async () => {
  const outcomes = await cheated(
    { from: 'bob', to: 'dave', round: '2' },
    setField('broadcast.x', Uint8Array.of(77)),
  );
  const codes = PARTIES.map((name) => errorAt(outcomes, name).code);
  assert.ok(codes.includes('EQUIVOCATION'));
  assert.ok(codes.every((code) => code === 'EQUIVOCATION' || code === 'PEER_ABORTED'));
});

test('a wrong echo, riding or not, and a wrong confirmation', async () => {
  for (const [round, path] of [
    ['1 echo', 'direct'],
    ['3', 'direct.echo'],
    ['confirm', 'direct'],
  ] as const) {
    const outcomes = await cheated({ from: 'bob', to: 'alice', round }, flipBit(path));
    const error = errorAt(outcomes, 'alice');
    assert.equal(error.code, 'EQUIVOCATION');
    assert.deepEqual(error.culprits, []);
    const where = { '1 echo': '1', '3': '2', confirm: 'confirm' }[round];
    assert.equal(
      error.message,
      `alice's view of test round ${where} differs from bob's: someone equivocated`,
    );
  }
});

test('the direct part of a message enters no echo', async () => {
  const outcomes = await cheated({ from: 'bob', to: 'dave', round: '2' }, setField('direct.to', 'nobody'));
  assert.equal(errorAt(outcomes, 'dave').code, 'PROTOCOL');
  assert.deepEqual(errorAt(outcomes, 'dave').culprits, ['bob']);
});

// Checks

test('a check tries every peer and names all that fail it', async () => {
  const outcomes = await runParties(PARTIES, (party) =>
    party.session({ rounds: ROUNDS }, async (run) => {
      const words = await run.broadcast(first, new Uint8Array(32).fill(PARTIES.indexOf(run.self)));
      const tried: string[] = [];
      await run
        .check('even', async (peer) => {
          tried.push(peer);
          return ofPeer(words, peer)[0]! % 2 === 0;
        })
        .finally(() => assert.deepEqual(tried, run.peers));
    }),
  );
  const error = errorAt(outcomes, 'alice');
  assert.equal(error.code, 'PROTOCOL');
  assert.deepEqual(error.culprits, ['bob', 'dave']);
  assert.equal(error.message, 'bob, dave broke the protocol: the check of even fails');
});

test('a check that throws is a bug here, not a peer’s fault', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({}, (run) =>
      run.check('anything', () => {
        throw new RangeError('oops');
      }),
    ),
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'BUG');
  assert.deepEqual(errorAt(outcomes, 'alice').culprits, []);
});

test('a schema that finds an invariant broken is a bug here, not an undecodable message', async () => {
  const broken = z.codec(bytesField(1), z.number(), {
    decode: () => {
      throw new MpcError('BUG', 'oops');
    },
    encode: (value) => Uint8Array.of(value),
  });
  const round = broadcastRound({ step: 'test', name: 'broken', maxBytes: 8, broadcast: broken });
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: [round] }, (run) => run.broadcast(round, 1)),
  );
  const errors = ['alice', 'bob'].map((name) => errorAt(outcomes, name));
  assert.ok(errors.every((error) => error.culprits.length === 0));
  assert.ok(errors.some((error) => error.code === 'BUG' && error.message === 'oops'));
});

test('a failure of all together names the quorum and nobody', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({}, async (run) => run.fail('the parts of the key do not add up to it')),
  );
  const error = errorAt(outcomes, 'alice');
  assert.equal(error.code, 'EQUIVOCATION');
  assert.deepEqual(error.culprits, []);
  assert.equal(
    error.message,
    'the parts of the key do not add up to it: someone among alice, bob cheated, nobody can be named',
  );
});

// Aborts: what a peer says is hearsay

const abort = (fields: Partial<AbortFrame>): AbortFrame => ({
  kind: 'abort',
  operation: 'test',
  code: 'PROTOCOL',
  culprits: [],
  reason: 'because',
  ...fields,
});

test('an abort names its sender as having aborted; culprit and reason are quoted', () => {
  const error = abortReceived('bob', abort({ culprits: ['dave', 'zoe'] }), PARTIES, []);
  assert.equal(error.code, 'PEER_ABORTED');
  assert.deepEqual(error.culprits, []);
  assert.equal(error.message, 'bob aborted; it reports PROTOCOL of dave: "because"');
});

test('text of a peer is printable, bounded, and cannot end its quotation', () => {
  const reason = `\u001b[2J"; alice broke everything\n${'\u00e4'.repeat(400)}`;
  const { message } = abortReceived('bob', abort({ reason, code: 'toString' }), PARTIES, []);
  assert.match(
    message,
    /^bob aborted; it reports something unknown: "\?\[2J'; alice broke everything\?\?+\.\.\."$/,
  );
  assert.match(message, /^[\x20-\x7e]+$/);
  assert.ok(message.length < 400);
});

test('codes with which a peer only leaves end with status 3, all others with 4', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    const error = abortReceived('bob', abort({ code }), PARTIES, []);
    const leaves = ['INTERRUPTED', 'TIMEOUT', 'UNREACHABLE', 'PEER_LEFT'].includes(code);
    assert.equal(error.exitStatus, leaves ? 3 : 4);
    assert.deepEqual(error.culprits, leaves ? ['bob'] : []);
  }
});

test('who gave up waiting for somebody that is missed here too is not the one not heard from', () => {
  const gaveUp = abort({ code: 'TIMEOUT', culprits: ['dave', 'charlie'], reason: 'not heard from dave' });
  const error = abortReceived('bob', gaveUp, PARTIES, ['bob', 'dave']);
  assert.equal(error.code, 'PEER_LEFT');
  assert.deepEqual(error.culprits, ['dave']);
  assert.equal(
    error.message,
    'bob left; it reports TIMEOUT of dave, charlie: "not heard from dave"; this party waits for dave as well',
  );
});

test('who left only because of somebody else is named in the message, and not as a culprit', () => {
  const gaveUp = abort({ code: 'PEER_LEFT', culprits: ['dave'], reason: 'dave has ended' });
  const error = abortReceived('bob', gaveUp, PARTIES, ['bob']);
  assert.equal(error.code, 'PEER_LEFT');
  assert.deepEqual(error.culprits, []);
  assert.equal(error.message, 'bob left; it reports PEER_LEFT of dave: "dave has ended"');
});

test('peers are told what concerns them, and of a failure here only its kind', () => {
  const said = (error: MpcError) => abortFrame('test', error).reason;
  assert.equal(said(new MpcError('PROTOCOL', 'bob cheats')), 'bob cheats');
  assert.equal(said(new MpcError('FILE', '/home/alice/share is locked')), 'a file cannot be read or written');
  assert.equal(said(new MpcError('BUG', 'x is undefined')), 'a bug in this program');
  const long = abortFrame('test', new MpcError('PROTOCOL', `${'y'.repeat(2000)}`, { culprits: ['bob'] }));
  assert.equal(long.reason.length, 500);
  assert.deepEqual(decodeFrame(encodeFrame(long)), long);
});

test('printable text and pairs of it', () => {
  assert.equal(printable('a\u202eb\u0000"c"', 20), "a?b?'c'");
  assert.equal(printable('x'.repeat(20), 20), 'x'.repeat(20));
  assert.equal(printable('x'.repeat(21), 20), `${'x'.repeat(17)}...`);
  assert.deepEqual(quotedPair('a', 'b'), ['"a"', '"b"']);
  const prefix = 'p'.repeat(400);
  assert.deepEqual(quotedPair(`${prefix}1`, prefix), [`"...${'p'.repeat(20)}1"`, `"...${'p'.repeat(20)}"`]);
});
