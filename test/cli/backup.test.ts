import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toHex } from '#src/core/bytes.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import { backupToText } from '#src/pve/backup-file.js';
import { recipientFromPem } from '#src/pve/recipient.js';
import { backupOf, type Shared, sharedKey } from '../support/backups.js';
import { command, type Ended } from '../support/command.js';

const cwd = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-backup-'));
after(() => rmSync(cwd, { recursive: true }));

const backup = (...args: string[]): Promise<Ended> => command(['backup', ...args], { cwd });
const read = (name: string): string => readFileSync(join(cwd, name), 'utf8');

let shared: Shared;
let publicKey: string;

before(async () => {
  await backup('keygen', '--type', 'p256', '--out', 'safe');
  shared = sharedKey('P-256');
  publicKey = toHex(shared.subject.publicKey.toUncompressed());
  writeFileSync(
    join(cwd, 'alice.hex'),
    backupToText(backupOf(shared, recipientFromPem(read('safe.pub.pem')))),
  );
  writeFileSync(join(cwd, 'key.pem'), publicKeyPem(shared.subject.curve, shared.subject.publicKey));
});

const opens = () => `✓ The backup opens to alice's share of the key ${publicKey} (epoch 1)\n`;

async function fails(run: Promise<Ended>, status: number, message: RegExp): Promise<void> {
  const ended = await run;
  assert.deepEqual([ended.status, ended.stdout], [status, '']);
  assert.match(ended.stderr, message);
  assert.match(ended.stderr, /\nhint: .+\n$/);
}

test('keygen makes a pair of either kind, the private half for its owner only, and replaces nothing', async () => {
  assert.equal(createPublicKey(read('safe.pub.pem')).asymmetricKeyDetails?.namedCurve, 'prime256v1');
  const { status, stdout } = await backup('keygen');
  assert.equal(status, 0);
  assert.match(stdout, /^made recovery\.pub\.pem\nmade recovery\.key\.pem: .*\n$/);
  assert.equal(statSync(join(cwd, 'recovery.key.pem')).mode & 0o777, 0o600);
  const key = createPrivateKey(read('recovery.key.pem'));
  assert.equal(key.asymmetricKeyDetails?.modulusLength, 3072);
  assert.equal(createPublicKey(key).export({ type: 'spki', format: 'pem' }), read('recovery.pub.pem'));

  const before = read('recovery.key.pem');
  await fails(backup('keygen'), 2, /^ecdsa-mpc: recovery\.pub\.pem exists already\n/);
  rmSync(join(cwd, 'recovery.pub.pem'));
  await fails(backup('keygen'), 2, /^ecdsa-mpc: recovery\.key\.pem exists already\n/);
  assert.equal(read('recovery.key.pem'), before);
  const json = JSON.parse((await backup('keygen', '--json', '--type=p256', '--out=other')).stdout);
  assert.deepEqual(json, {
    event: 'recovery-key',
    type: 'p256',
    publicKey: 'other.pub.pem',
    privateKey: 'other.key.pem',
  });
});

test('inspect prints all of a backup', async () => {
  const { status, stdout } = await backup('inspect', 'alice.hex');
  assert.equal(status, 0);
  assert.match(stdout, /^Label: +backup-alice-1\nParty: +alice\n/);
  assert.match(stdout, new RegExp(`\nPublic key: +${publicKey}\n`));
  assert.match(stdout, /\nPolicy: +And\(Leaf\(alice\), .*\n/);
  assert.equal(stdout.match(/\nPublic share: /g)?.length, 4);
  assert.ok(stdout.endsWith(read('safe.pub.pem')));
  assert.equal(JSON.parse((await backup('inspect', 'alice.hex', '--json')).stdout).publicKey, publicKey);
});

test('verify says what the backup was verified against', async () => {
  const ALICE = toHex(shared.subject.publicShares.get('alice')!.toBytes());
  const compressed = toHex(shared.subject.publicKey.toBytes());
  const cases: readonly (readonly [args: string[], against: RegExp])[] = [
    [[], /itself only; .*--public-key/],
    [['--public-key', 'key.pem'], /public key$/m],
    [['--public-key', compressed, '--share-of', 'alice'], /public key$/m],
    [['--public-share', ALICE], /public share of the party$/m],
  ];
  for (const [args, against] of cases) {
    const { status, stdout, stderr } = await backup('verify', 'alice.hex', ...args);
    assert.deepEqual([status, stderr], [0, ''], args.join(' '));
    assert.ok(stdout.startsWith(opens()));
    assert.match(stdout, against);
  }
  const json = JSON.parse((await backup('verify', 'alice.hex', '--json', '--public-key', publicKey)).stdout);
  assert.deepEqual(json, {
    verified: true,
    against: 'public key',
    ...{ party: 'alice', publicKey, epoch: 1, label: 'backup-alice-1' },
  });
});

test('verify refuses another key, another party, another share, and what is no point', async () => {
  const other = sharedKey('P-256').subject;
  const otherKey = toHex(other.publicKey.toUncompressed());
  await fails(backup('verify', 'alice.hex', '--public-key', otherKey), 5, /the backup is of the public key/);
  await fails(backup('verify', 'alice.hex', '--share-of', 'bob'), 5, /the share of alice, not bob/);
  const share = toHex(shared.subject.publicShares.get('bob')!.toBytes());
  await fails(backup('verify', 'alice.hex', '--public-share', share), 5, /the backup is of the share/);
  for (const hex of [
    '00',
    'zz',
    publicKey.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
    `05${share.slice(2)}`,
  ])
    await fails(backup('verify', 'alice.hex', '--public-share', hex), 2, /not the hex of a point of P-256/);
  await fails(backup('verify', 'alice.hex', '--public-key', 'safe.key.pem'), 2, /not a PEM public key/);
});

test('an altered file is refused, also where only its last byte or its first differs', async () => {
  const text = read('alice.hex');
  for (const altered of [text.trimEnd(), `\ufeff${text}`, `${text.slice(0, 900)}${text.slice(902)}`]) {
    writeFileSync(join(cwd, 'altered.hex'), altered);
    await fails(backup('verify', 'altered.hex'), 5, /^ecdsa-mpc: this is no intact backup file/);
  }
});

test('recover opens the backup, and writes the share only where it is told', async () => {
  const before = readdirSync(cwd);
  const { status, stdout, stderr } = await backup(
    'recover',
    'alice.hex',
    '--recovery-key',
    'safe.key.pem',
    '--check',
  );
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal(stdout, `${opens()}  not written, because of --check\n`);
  assert.deepEqual(readdirSync(cwd), before);

  const args = ['recover', 'alice.hex', '--recovery-key', 'safe.key.pem', '--out', 'alice.share'];
  const written = await backup(...args);
  assert.equal(written.stdout, `${opens()}  written to alice.share\n`);
  assert.equal(read('alice.share'), `${toHex(shared.x)}\n`);
  assert.equal(statSync(join(cwd, 'alice.share')).mode & 0o777, 0o600);
  await fails(backup(...args), 2, /alice\.share exists already/);
  for (const output of [stdout, written.stdout, written.stderr]) assert.ok(!output.includes(toHex(shared.x)));
});

test('recover refuses another key and what is none', async () => {
  await backup('keygen', '--type', 'p256', '--out', 'wrong');
  const check = (key: string) => backup('recover', 'alice.hex', '--recovery-key', key, '--check');
  await fails(check('wrong.key.pem'), 5, /wrong recovery key/);
  await fails(check('safe.pub.pem'), 2, /not a private key in PEM/);
});
