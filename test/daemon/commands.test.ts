// What the user of a daemon orders through the control socket.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatPolicy } from '#src/access/policy.js';
import { fromHex, randomBytes, toHex } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { ApprovalRequest } from '#src/daemon/approval-request.js';
import { type CommandOptions, obey } from '#src/daemon/commands.js';
import { Desk } from '#src/daemon/desk.js';
import { MAX_MESSAGE_BYTES } from '#src/daemon/letters.js';
import { printId } from '#src/protocol/key-share.js';
import { DaemonsWithKey, failure, undecided, until } from '../support/daemons.js';

const curve = curveByName('P-256');
const shared = new DaemonsWithKey(['alice', 'bob'], 2);
after(() => shared[Symbol.dispose]());

const desk = new Desk({ timeoutMillis: 3_600_000 });
const { signal } = new AbortController();

/** The daemon of alice, and what it answers to an order. */
async function daemonOfAlice() {
  const { daemons, sharing } = await shared.make();
  const { tools, daemon } = await daemons.start('alice');
  const options: CommandOptions = {
    ...{ tools, daemon, desk },
    status: async () => ({ event: 'status', party: 'alice' }) as never,
  };
  const answers = async (order: unknown, until: AbortSignal = signal): Promise<Answer[]> => {
    const events: object[] = [];
    await obey(options, order, { emit: (event) => events.push(event), signal: until });
    return events as Answer[];
  };
  return {
    daemons,
    sharing,
    answers,
    keyId: printId(sharing.keyId),
    folder: daemons.homes.folderOf('alice'),
  };
}
type Answer = Readonly<Record<string, unknown>> & { readonly event: string };
const alice = daemonOfAlice();

/** What is told besides how far it is. */
const eventsOf = (answers: readonly Answer[]): string[] =>
  answers.map(({ event }) => event).filter((event) => event !== 'progress');

const recoveryKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'pem',
  }) as string;

test('a request is decided on by the whole of its id, for another may begin in the same way', async () => {
  const { answers } = await alice;
  const id = 'd7d4f297faac78976d931e190cbb3821'.repeat(2);
  const request: ApprovalRequest = { id, from: 'bob', operation: 'refresh', key: 'ab'.repeat(16) };
  for (const [order, decision] of [
    ['approve', 'approved'],
    ['reject', 'rejected'],
  ] as const) {
    const decided = desk.wait(request, signal);
    for (const part of [id.slice(0, 16), id.slice(0, 63), `${id}0`, id.toUpperCase()])
      await assert.rejects(answers({ do: order, id: part }), { code: 'USAGE', message: /all of its 64 hex/ });
    assert.equal(desk.waiting.length, 1);
    assert.deepEqual(await answers({ do: order, id }), [{ event: decision, party: 'alice', id }]);
    assert.deepEqual(await decided, { decision, by: 'user' });
    await assert.rejects(answers({ do: order, id }), { code: 'USAGE', message: /^no request .* waits/ });
  }
});

test('the public key of a stored key', async () => {
  const { sharing, answers } = await alice;
  const keyId = printId(sharing.keyId);
  const described = {
    ...{ event: 'public-key', party: 'alice', keyId, curve: 'P-256' },
    publicKey: Buffer.from(sharing.publicKey.toUncompressed()).toString('hex'),
    pem: publicKeyPem(curve, sharing.publicKey),
  };
  assert.deepEqual(await answers({ do: 'public-key' }), [described]);
  assert.deepEqual(await answers({ do: 'public-key', key: keyId.slice(0, 4) }), [described]);
  await assert.rejects(answers({ do: 'public-key', key: 'zz' }), { code: 'USAGE' });
});

test('orders that are none, or have more or less to them than they should, are refused', async () => {
  const { answers } = await alice;
  const message = Buffer.from('hello').toString('base64');
  const backup = { to: recoveryKey(), file: '/backup.json' };
  for (const order of [
    ...[undefined, null, 'status', [], {}, { do: 'stop' }, { do: ['status'] }],
    ...[{ do: 'sign' }, { do: 'sign', message: 'h!' }, { do: 'sign', message, nonce: '' }],
    ...[
      { do: 'sign', message, quorum: 'alice' },
      { do: 'sign', message, key: 'a'.repeat(81) },
    ],
    ...[
      { do: 'sign', message, receiver: 'a'.repeat(81) },
      { do: 'refresh', message },
    ],
    ...[
      { do: 'keys', key: 'abcd' },
      { do: 'status', json: true },
      { do: 'requests', all: true },
    ],
    ...[{ do: 'backup' }, { do: 'backup', backup: { ...backup, file: 'backup.json' } }],
    ...[
      { do: 'refresh', backup: { file: '/backup.json' } },
      { do: 'keygen', curve: 'P-256' },
    ],
    ...[{ do: 'approve' }, { do: 'reject', id: 'ab'.repeat(32), reason: 'x'.repeat(301) }],
  ])
    await assert.rejects(answers(order), {
      ...{ code: 'USAGE', message: /^the daemon does not know this order: / },
      hint: 'use the ecdsa-mpc of the same version as the daemon',
    });
});

test('keys, status, and what waits', async () => {
  const { answers, daemons, keyId } = await alice;
  const [{ event, keys }] = (await answers({ do: 'keys' })) as [Answer & { keys: { keyId: string }[] }];
  assert.deepEqual([event, keys.map((each) => each.keyId)], ['keys', [keyId]]);
  assert.deepEqual(await answers({ do: 'status' }), [{ event: 'status', party: 'alice' }]);
  assert.deepEqual(await answers({ do: 'requests' }), [{ event: 'requests', party: 'alice', requests: [] }]);
  const bob = await daemons.start('bob', { approval: undecided });
  const caller = new AbortController();
  const message = Buffer.from('hello');
  const order = { do: 'sign', message: message.toString('base64') };
  const asked = failure(answers(order, caller.signal));
  await until(() => bob.daemon.answerer.list().length === 1);
  const [{ requests }] = (await answers({ do: 'requests' })) as [Answer & { requests: Answer[] }];
  const [{ id, since, ...rest }] = requests as [Answer];
  assert.match(String(id), /^[0-9a-f]{64}$/);
  assert.ok(Math.abs(Date.now() - Date.parse(String(since))) < 60_000);
  assert.deepEqual(rest, {
    ...{ from: 'alice', state: 'waiting', waitingFor: ['bob'], operation: 'sign', key: keyId },
    ...{ quorum: ['alice', 'bob'], receivers: ['alice'], messageHash: toHex(messageDigest(message)) },
    ...{ messageBytes: 5, message: order.message, text: 'hello' },
  });
  caller.abort();
  await asked;
  daemons.kill('bob');
});

test('what cannot be signed is not asked for', async () => {
  const { answers, daemons, keyId } = await alice;
  const message = Buffer.from('hello').toString('base64');
  const { n } = daemons.at('alice').audit.head;
  const long = Buffer.alloc(MAX_MESSAGE_BYTES + 1).toString('base64');
  for (const [terms, code, words] of [
    [{ message: long }, 'USAGE', /^the message has more than 1048576 bytes$/],
    [{ key: 'zz' }, 'USAGE', /is no key id/],
    [{ key: keyId.startsWith('0000') ? '1111' : '0000' }, 'USAGE', /^there is no key /],
    [{}, 'UNREACHABLE', /^only alice can be reached: too few to sign$/],
    [{ quorum: ['alice'] }, 'USAGE', /^alice cannot sign under the policy/],
    [{ quorum: ['alice', 'dave'] }, 'USAGE', /^--quorum names dave, not a party/],
    [{ quorum: ['alice', 'bob'], receiver: 'dave' }, 'USAGE', /^--receiver dave does not sign/],
  ] as const)
    await assert.rejects(answers({ do: 'sign', message, ...terms }), { code, message: words });
  assert.equal(daemons.at('alice').audit.head.n, n);
});

test('a backup goes to a new file, of a key that there is', async () => {
  const { answers, folder, keyId } = await alice;
  const there = join(folder, 'there');
  writeFileSync(there, 'mine');
  const to = recoveryKey();
  const file = join(folder, 'backup');
  for (const [order, code, words] of [
    [{ do: 'backup', backup: { to, file: there } }, 'FILE', /exists already$/],
    [{ do: 'refresh', backup: { to, file: there } }, 'FILE', /exists already$/],
    [{ do: 'backup', backup: { to: 'no key', file } }, 'FILE', /^not a public key in PEM$/],
    [{ do: 'backup', key: 'zz', backup: { to, file } }, 'USAGE', /is no key id/],
  ] as const)
    await assert.rejects(answers(order), { code, message: words });
  assert.equal(readFileSync(there, 'utf8'), 'mine');
  const told = await answers({ do: 'backup', backup: { to, file } });
  assert.deepEqual(eventsOf(told), ['backup', 'backup-verified', 'result']);
  const { backup, command, epoch, keyId: backedUp } = told.at(-1)! as Answer & { backup: { file: string } };
  assert.deepEqual([command, epoch, backedUp, backup.file], ['backup create', 0, keyId, file]);
  assert.ok(readFileSync(file).length > 0);
});

test('signatures, refreshes and new keys that all take part in', async () => {
  const { answers, daemons, sharing, keyId, folder } = await alice;
  await daemons.start('bob');
  const message = randomBytes(100);
  const told = await answers({ do: 'sign', message: Buffer.from(message).toString('base64') });
  const kinds = ['command', 'request', 'decision', 'settled', 'signature', 'result'];
  assert.deepEqual(eventsOf(told), kinds);
  const { signature, ...rest } = told.at(-1)!;
  const facts = {
    ...{ event: 'result', party: 'alice', keyId, curve: 'P-256', policy: formatPolicy(sharing.policy) },
    publicKey: toHex(sharing.publicKey.toUncompressed()),
  };
  assert.deepEqual(rest, { ...facts, command: 'sign', epoch: 0 });
  const key = createPublicKey(publicKeyPem(curve, sharing.publicKey));
  assert.ok(verify('sha256', message, key, fromHex(String(signature))!));
  const forBob = await answers({ do: 'sign', message: 'AA==', receiver: 'bob' });
  assert.equal(forBob.at(-1)!.signature, undefined);

  const file = join(folder, 'backup-1');
  const order = { do: 'refresh', key: keyId, backup: { to: recoveryKey(), file } };
  const refreshed = (await answers(order)).at(-1)!;
  const { voided, backup, ...more } = refreshed as Answer & {
    voided: string[];
    backup: { file: string };
  };
  assert.deepEqual(more, { ...facts, command: 'refresh', epoch: 1 });
  assert.equal(backup.file, file);
  assert.ok(readFileSync(file).length > 0);
  // The backup of the test before, which is of no use any more.
  assert.equal(voided.length, 1);

  const made = (await answers({ do: 'keygen' })).at(-1)!;
  assert.deepEqual([made.command, made.epoch], ['keygen', 0]);
  assert.notEqual(made.keyId, keyId);
  await assert.rejects(answers({ do: 'sign', message: 'AA==' }), {
    code: 'USAGE',
    message: /^there are 2 keys/,
  });
});
