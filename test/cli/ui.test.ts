import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causeOf, type Failure } from '#src/cli/commands/demo.js';
import { summary } from '#src/cli/demo-display.js';
import { humanSink, Narrator, printable } from '#src/cli/ui.js';
import type { ErrorCode } from '#src/core/errors.js';
import type { DoneEvent, PartyEvent } from '#src/party/events.js';

const START: PartyEvent = {
  event: 'start',
  party: 'alice',
  parties: ['alice', 'bob', 'charlie'],
  address: '127.0.0.1:8001',
  curve: 'P-256',
  security: 112,
  multiplication: 'paillier',
  policy: 'Threshold(2, Leaf(alice), Leaf(bob), Leaf(charlie))',
  quorum: ['alice', 'bob'],
  receivers: ['alice'],
  message: 'Hello, "MPC" World!',
  messageHash: 'ab12',
};

const DONE: DoneEvent = {
  event: 'done',
  party: 'alice',
  keyId: '77',
  epoch: 1,
  curve: 'P-256',
  policy: START.policy,
  publicKey: '04abc',
  message: START.message,
  messageHash: 'ab12',
  signature: '3045',
  signatures: [
    { epoch: 0, der: '3045' },
    { epoch: 1, der: '3046' },
  ],
  backup: { label: 'backup-alice-1', bytes: 14_000, verified: true, recovered: true },
  refreshed: true,
  millis: { connect: 2_100, keygen: 85, total: 38_000 },
};

const party = 'alice';
const epoch = 0;
const quorum = ['alice', 'bob'];

/** Each event, in the order of a run, with its lines after `[alice] `. */
const TRANSCRIPT: readonly (readonly [event: PartyEvent, lines: string[]])[] = [
  [START, []],
  [
    { event: 'listening', party, address: '127.0.0.1:8001' },
    ['Listening on 127.0.0.1:8001, waiting for bob, charlie'],
  ],
  [{ event: 'link', party, peer: 'bob', up: true }, ['Connected to bob (1 of 2)']],
  [
    { event: 'waiting', party, missing: ['bob', 'charlie'], problems: { charlie: 'connection refused' } },
    ['Still waiting for bob, charlie (connection refused)'],
  ],
  [{ event: 'link', party, peer: 'bob', up: false }, ['Connection to bob lost, waiting for it to come back']],
  [{ event: 'link', party, peer: 'charlie', up: true }, ['Connected to charlie (1 of 2)']],
  [{ event: 'link', party, peer: 'bob', up: true }, ['Connected to bob (2 of 2)']],
  [
    { event: 'connected', party, peers: 2, millis: 2_100 },
    [
      'mTLS transport established with 2 parties',
      'Starting threshold ECDSA MPC with PVE backup',
      '='.repeat(54),
    ],
  ],
  [
    { event: 'step', party, step: 'policy', number: 1, total: 10 },
    ['Step 1: Agreeing on the access structure...'],
  ],
  [
    { event: 'policy', party, policy: START.policy, meaning: 'any 2 of the 3 parties can sign' },
    [`✓ Access structure created: ${START.policy}`, '  This means any 2 of the 3 parties can sign'],
  ],
  [
    { event: 'step', party, step: 'keygen', number: 2, total: 10 },
    ['Step 2: Performing threshold ECDSA DKG (P-256, 3 parties)...'],
  ],
  [{ event: 'progress', party, step: 'keygen', stage: 'round 1', done: 1, total: 2 }, []],
  [
    { event: 'key', party, keyId: '77', epoch, curve: 'P-256', publicKey: '04abc' },
    ['✓ DKG completed successfully', '  Public Key: 04abc', '  Key ID: 77'],
  ],
  [{ event: 'step-done', party, step: 'keygen', millis: 1_440 }, ['  Time: 1.4s']],
  [{ event: 'link', party, peer: 'bob', up: false }, ['Connection to bob lost, waiting for it to come back']],
  [{ event: 'link', party, peer: 'bob', up: true }, ['Connection to bob is back']],
  [
    { event: 'step', party, step: 'setup', number: 3, total: 10 },
    ['Step 3: Setting up every pair of parties...'],
  ],
  [{ event: 'setup', party, peers: 2 }, ['✓ Pairwise set-up completed with 2 parties']],
  [
    { event: 'step', party, step: 'sign', number: 4, total: 10 },
    [
      'Step 4: Threshold signing with quorum (alice + bob)...',
      '  Message: "Hello, \\"MPC\\" World!"',
      '  Message Hash (SHA-256): ab12',
    ],
  ],
  [
    { event: 'signature', party, epoch, quorum, receivers: ['alice'], der: '3045' },
    ['✓ Signature created (I am the receiver) and verified', '  Signature: 3045'],
  ],
  [{ event: 'signature', party, epoch, quorum, receivers: ['bob'] }, ['✓ Signature created for bob']],
  [
    { event: 'not-in-quorum', party, epoch, quorum },
    ['✓ Not in the quorum (alice + bob): nothing to do here'],
  ],
  [
    { event: 'step', party, step: 'backup', number: 5, total: 10 },
    ['Step 5: Creating PVE backup of key share...'],
  ],
  [
    {
      event: 'backup',
      party,
      epoch,
      label: 'backup-alice-1',
      scheme: 'rsa-oaep',
      bytes: 14_000,
      ownKey: true,
    },
    [
      '  Backup Encryption Key generated',
      '✓ Key backed up with PVE (rsa-oaep)',
      '  Backup Label: backup-alice-1',
      '  Ciphertext size: 14000 bytes',
    ],
  ],
  // The same key again: it was generated before.
  [
    {
      event: 'backup',
      party,
      epoch: 1,
      label: 'backup-alice-2',
      scheme: 'rsa-oaep',
      bytes: 14_000,
      ownKey: true,
    },
    [
      '✓ Key backed up with PVE (rsa-oaep)',
      '  Backup Label: backup-alice-2',
      '  Ciphertext size: 14000 bytes',
    ],
  ],
  [
    { event: 'backup-verified', party, epoch, label: 'backup-alice-1' },
    ['✓ PVE backup verified successfully'],
  ],
  [
    { event: 'recovered', party, epoch, skipped: false },
    ['✓ Key recovered successfully and verified to match original'],
  ],
  [
    { event: 'recovered', party, epoch, skipped: true },
    ['✓ Recovery left out: whoever holds the backup key can do it'],
  ],
  [
    { event: 'refreshed', party, epoch: 1, publicKey: '04abc' },
    ['✓ Key refresh completed - shares are now updated', '  Verified: Refreshed key has same public key'],
  ],
  [
    {
      event: 'saved',
      party,
      backup: 'backup-alice.hex',
      recoveryKey: 'backup-alice.key.pem',
      kept: ['old.hex', 'old.key.pem'],
    },
    [
      'Earlier backup kept as old.hex and old.key.pem',
      'Backup saved to backup-alice.hex',
      'Recovery key saved to backup-alice.key.pem: keep it apart from the backup, which it opens',
    ],
  ],
  [{ event: 'saved', party, backup: 'backup-alice.hex' }, ['Backup saved to backup-alice.hex']],
  [
    DONE,
    ['='.repeat(54), 'Timings: connect 2.1s, keygen 85ms, total 38s', 'Ceremony completed successfully!'],
  ],
];

test('every event is told in the lines that users expect', () => {
  const narrator = new Narrator('alice');
  for (const [event, lines] of TRANSCRIPT)
    assert.deepEqual(
      narrator.lines(event),
      lines.map((line) => `[alice] ${line}`),
      event.event,
    );
});

const KEY_ID = '1f6c7d0a5a3f4f1f9bf2a1ce0a8c1b70';
const FACTS = { keyId: KEY_ID, epoch: 0, curve: 'P-256', policy: START.policy, publicKey: '04abc' };
const COMMAND = {
  event: 'command',
  party,
  parties: ['alice', 'bob'],
  address: '127.0.0.1:8001',
  curve: 'P-256',
  security: 112,
  multiplication: 'paillier',
  policy: START.policy,
} as const;

/** The same of everyday commands, each told by a narrator of its own. */
const COMMANDS: readonly (readonly (readonly [event: PartyEvent, lines: string[]])[])[] = [
  [
    [
      { ...COMMAND, command: 'keygen' },
      ['Key generation (P-256) with alice + bob', `  Policy: ${START.policy}`],
    ],
    [
      { event: 'listening', party, address: '127.0.0.1:8001' },
      ['Listening on 127.0.0.1:8001, waiting for bob'],
    ],
    [{ event: 'connected', party, peers: 1, millis: 1 }, ['mTLS transport established with 1 party']],
    [
      { event: 'key', party, ...FACTS },
      ['✓ Key generated and stored', '  Public Key: 04abc', `  Key ID: ${KEY_ID}`],
    ],
    [
      { event: 'key', party, ...FACTS, completed: true },
      [
        '✓ Key completed, whose generation had been cut off; no other key was made',
        '  Public Key: 04abc',
        `  Key ID: ${KEY_ID}`,
      ],
    ],
    [{ event: 'result', party, command: 'keygen', ...FACTS }, []],
  ],
  [
    [
      {
        ...COMMAND,
        command: 'sign',
        keyId: KEY_ID,
        epoch: 0,
        quorum,
        receivers: quorum,
        messageHash: 'ab12',
      },
      [`Signature with the key ${KEY_ID}, epoch 0, quorum alice + bob`, '  Message Hash (SHA-256): ab12'],
    ],
    [{ event: 'settled', party, keyId: KEY_ID, epoch: 1 }, ['✓ All hold a share of epoch 1']],
    [
      { event: 'result', party, command: 'sign', ...FACTS, signature: '3045', out: 'sig.der' },
      ['  Written to sig.der'],
    ],
  ],
  [
    [
      { ...COMMAND, command: 'refresh', keyId: KEY_ID, epoch: 0 },
      [`Refresh of the key ${KEY_ID}, epoch 0, with alice + bob`],
    ],
    [
      { event: 'result', party, command: 'refresh', ...FACTS, epoch: 1, voided: [] },
      [
        '! Every backup made before is void now; none is recorded here',
        '  Make a new one: ecdsa-mpc backup create --key 1f6c7d0a --to PUBLIC.pem --out FILE',
      ],
    ],
    [
      {
        ...{ event: 'result', party, command: 'refresh', ...FACTS, epoch: 1, voided: ['a', 'b'] },
        backup: { label: 'x', file: 'new.backup', bytes: 1 },
      },
      [
        '  Backup of epoch 1 written to new.backup',
        '! Every backup made before is void now; 2 are recorded here: a, b',
      ],
    ],
  ],
];

test('the events of everyday commands are told in the same way', () => {
  for (const transcript of COMMANDS) {
    const narrator = new Narrator('alice');
    for (const [event, lines] of transcript)
      assert.deepEqual(
        narrator.lines(event),
        lines.map((line) => `[alice] ${line}`),
        event.event,
      );
  }
});

const ID = 'd7d4f297faac78976d931e190cbb3821'.repeat(2);
const REQUEST = {
  event: 'request',
  operation: 'sign',
  ...{ party, id: ID, from: 'bob', key: KEY_ID, quorum, receivers: quorum },
  ...{ messageHash: 'ab12', messageBytes: 14 },
} as const;

/** What a daemon tells, in the order of its life. */
const DAEMON: readonly (readonly [event: PartyEvent, lines: string[]])[] = [
  [{ event: 'listening', party, address: '127.0.0.1:8001' }, ['Listening on 127.0.0.1:8001']],
  [
    {
      ...{ event: 'serving', party, version: '1.2.3', control: 'state/alice/control.sock' },
      ...{ approval: 'manual', monitor: '127.0.0.1:9464' },
    },
    [
      'Serving (version 1.2.3); requests of peers are decided on by: manual',
      '  Control socket: state/alice/control.sock',
      '  Health and metrics: http://127.0.0.1:9464',
    ],
  ],
  [{ event: 'link', party, peer: 'bob', up: true }, ['Connected to bob']],
  [
    REQUEST,
    [
      `Request ${ID.slice(0, 16)} of bob: sign 14 bytes, SHA-256 ab12, with the key ${KEY_ID}, quorum alice + bob`,
    ],
  ],
  [
    { event: 'decision', party, id: ID, decision: 'approved', by: 'user' },
    [`Request ${ID.slice(0, 16)} approved by the user of this party`],
  ],
  [
    { event: 'request-ended', party, id: ID, from: 'bob', operation: 'sign', done: true },
    [`✓ Request ${ID.slice(0, 16)} done`],
  ],
  [{ event: 'link', party, peer: 'bob', up: false }, ['Connection to bob lost, waiting for it to come back']],
  [
    { event: 'renewed', party, expires: '2027-02-20T15:15:40.000Z' },
    ['✓ Renewed certificate in use, until 2027-02-20T15:15:40.000Z'],
  ],
  [
    { ...REQUEST, operation: 'refresh', from: 'alice' },
    [`Request ${ID.slice(0, 16)} of alice: refresh the key ${KEY_ID}`],
  ],
  [
    { event: 'decision', party, id: ID, peer: 'bob', decision: 'rejected', reason: 'not\u202e on a Sunday' },
    [`Request ${ID.slice(0, 16)} rejected by bob: not\\u202e on a Sunday`],
  ],
  [
    {
      ...{ event: 'request-ended', party, id: ID, from: 'alice', operation: 'refresh', done: false },
      ...{ code: 'PEER_ABORTED', reason: 'bob does not take part' },
    },
    [`✗ Request ${ID.slice(0, 16)} ended without result: bob does not take part`],
  ],
  [{ event: 'stopping', party, operations: 0 }, ['Stopping; operations still running: 0']],
];

test('the events of a daemon are told likewise; it waits for nobody before it begins', () => {
  const narrator = new Narrator('alice');
  for (const [event, lines] of DAEMON)
    assert.deepEqual(
      narrator.lines(event),
      lines.map((line) => `[alice] ${line}`),
      event.event,
    );
});

test('nothing from elsewhere moves the cursor or hides text', () => {
  assert.equal(
    printable('a\u001b[2Jb\r\nc\u009bd\u202ee\u200bf ✓ é'),
    'a\\u001b[2Jb\\u000d\\u000ac\\u009bd\\u202ee\\u200bf ✓ é',
  );
  const [line] = new Narrator('alice').lines({
    event: 'waiting',
    party,
    missing: ['bob'],
    problems: { bob: '\u001b]0;x\u0007' },
  });
  assert.equal(line, '[alice] Still waiting for bob (\\u001b]0;x\\u0007)');
});

test('a party whose name is also a property of every object has no problem of its own', () => {
  const [line] = new Narrator('alice').lines({
    event: 'waiting',
    party,
    missing: ['constructor'],
    problems: {},
  });
  assert.equal(line, '[alice] Still waiting for constructor');
});

test('the summary of a demo', () => {
  const { signature: _none, ...rest } = DONE;
  const bob: DoneEvent = {
    ...rest,
    party: 'bob',
    signatures: [],
    backup: { ...DONE.backup, recovered: false },
    millis: { keygen: 90, total: 37_000 },
  };
  assert.deepEqual(summary([DONE, bob]), [
    '',
    'All 2 parties have finished',
    `  Policy:      ${START.policy}`,
    '  Public key:  04abc (P-256, epoch 1)',
    '  Message:     "Hello, \\"MPC\\" World!"',
    '  Signature:   3045 (alice, epoch 0)',
    '  Signature:   3046 (alice, epoch 1)',
    '  Backup:      alice, 14000 bytes, verified, recovered',
    '  Backup:      bob, 14000 bytes, verified',
    '  Timings:     connect 2.1s, keygen 90ms, total 38s',
  ]);
});

test('the cause of a failed demo is the party at fault or that found the fault, not those that suffer from it', () => {
  let at = 0;
  const failure = (name: string, code: ErrorCode, stopped = false): Failure => ({
    ...{ party: name, code, message: code, culprits: [], stopped },
    at: at++,
  });
  const cause = (...failures: Failure[]) => causeOf(failures)?.party;
  assert.equal(cause(), undefined);
  assert.equal(cause(failure('a', 'PEER_LEFT'), failure('b', 'PEER_ABORTED'), failure('c', 'PROTOCOL')), 'c');
  assert.equal(cause(failure('a', 'PEER_LEFT'), failure('b', 'INTERRUPTED')), 'b');
  assert.equal(cause(failure('a', 'PEER_ABORTED'), failure('b', 'TIMEOUT')), 'b');
  assert.equal(cause(failure('a', 'UNREACHABLE'), failure('b', 'PORT')), 'b');
  assert.equal(cause(failure('a', 'DISAGREEMENT'), failure('b', 'DISAGREEMENT')), 'a');
  const killed: Failure = { ...failure('b', 'PEER_LEFT'), culprits: ['b'] };
  assert.equal(cause({ ...failure('a', 'PEER_LEFT'), culprits: ['b'], at: -1 }, killed), 'b');
  assert.equal(cause(failure('a', 'PEER_LEFT'), failure('b', 'INTERRUPTED', true)), 'a');
  assert.equal(cause(failure('a', 'BUG', true), failure('b', 'PEER_LEFT')), 'b');
});

test('on a terminal a step that lasts shows its progress in a line that goes again', ({ mock }) => {
  mock.timers.enable({ apis: ['Date'] });
  const shown = (isTTY: boolean): string => {
    let text = '';
    const sink = humanSink('alice', { isTTY, write: (part) => (text += part) });
    const progress = (stage: string, done: number, total: number) =>
      sink({ event: 'progress', party, step: 'setup', stage, done, total });
    sink({ event: 'step', party, step: 'setup', number: 3, total: 10 });
    progress('safe primes', 0, 2);
    mock.timers.tick(1_000);
    progress('safe primes', 1, 2);
    progress('proofs\u001b', 0, 1);
    sink({ event: 'setup', party, peers: 1 });
    return text;
  };
  const step = '[alice] Step 3: Setting up every pair of parties...\n';
  const result = '[alice] ✓ Pairwise set-up completed with 1 party\n';
  const wipe = '\r\u001b[K';
  assert.equal(shown(true), `${step}[alice]   safe primes 1/2${wipe}[alice]   proofs\\u001b${wipe}${result}`);
  assert.equal(shown(false), step + result);
});
