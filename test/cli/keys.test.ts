// The whole life of a key that is kept, among three processes over TLS: made, used by quorums, backed up, refreshed,
// lost with its machine, recovered, and used again under the same public key.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeCertificates } from '#src/config/certs.js';
import { loadCluster } from '#src/config/cluster.js';
import { Keystore } from '#src/keystore/keystore.js';
import type { KeyDescription } from '#src/party/describe-key.js';
import type { PartyEvent, ResultEvent } from '#src/party/events.js';
import { clusterFolders, clusterJson, eventsIn } from '../support/cluster-folder.js';
import { type Ended, startCommand } from '../support/command.js';
import { COST, PASSPHRASE, secretOf } from '../support/stored-keys.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const POLICY = { policy: { threshold: 2, of: PARTIES } };
const makeFolder = clusterFolders();

let cwd: string;
let ports: readonly number[];
/** What all learn of the key when it is made. */
let key: ResultEvent;

const path = (...names: string[]): string => join(cwd, ...names);
const stateOf = (party: string): string => path('state', party);

/** A state folder whose key takes little time to make of the passphrase; keygen and recover would make one, too. */
async function makeState(party: string): Promise<void> {
  using passphrase = secretOf(PASSPHRASE);
  const options = { folder: stateOf(party), party, passphrase, create: true, scrypt: COST };
  using _keystore = await Keystore.open(options);
}

before(async () => {
  ({ cwd, ports } = await makeFolder('keys', PARTIES, POLICY));
  writeFileSync(path('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
  for (const party of ['alice', 'bob']) await makeState(party);
});

function start(self: string, ...args: string[]) {
  const env = { ...process.env, ECDSA_MPC_PASSPHRASE_FILE: path('passphrase') };
  return startCommand([`--self=${self}`, '--connect-timeout=1m', ...args], { cwd, env, storedPrimes: true });
}

/** Runs a command of one party to its end. */
const run = (self: string, ...args: string[]): Promise<Ended> => start(self, ...args).ended;

/** The same command at several parties, and what each printed with `--json`. */
async function together(
  parties: readonly string[],
  args: readonly string[],
  more: Readonly<Record<string, readonly string[]>> = {},
): Promise<PartyEvent[][]> {
  const ended = await Promise.all(
    parties.map((party) => run(party, '--json', ...args, ...(more[party] ?? []))),
  );
  return ended.map(({ status, stdout, stderr }) => {
    assert.deepEqual([status, stderr], [0, '']);
    return eventsIn(stdout);
  });
}

function resultOf(events: readonly PartyEvent[]): ResultEvent {
  const last = events.at(-1);
  assert.ok(last?.event === 'result');
  return last;
}

const find = <E extends PartyEvent['event']>(events: readonly PartyEvent[], event: E) =>
  events.find((each) => each.event === event) as Extract<PartyEvent, { event: E }> | undefined;

const facts = ({ keyId, publicKey, curve, policy, epoch }: ResultEvent) => ({
  ...{ keyId, publicKey, curve, policy, epoch },
});

async function fails(ended: Promise<Ended>, status: number, message: RegExp, hint: RegExp): Promise<void> {
  const { status: found, stderr } = await ended;
  assert.equal(found, status, stderr);
  const [what = '', advice = ''] = stderr.split('\nhint: ');
  assert.match(what, message);
  assert.match(advice, hint);
}

/** Whether OpenSSL verifies a DER signature of `message` under the exported public key. */
const isSigned = (message: string, der: Uint8Array): boolean =>
  verify('sha256', Buffer.from(message), createPublicKey(readFileSync(path('public.pem'))), der);

test('without a state folder no command asks for anything', async () => {
  const never = '--passphrase-file=nowhere';
  await fails(run('charlie', 'keys', never), 2, /state\/charlie holds no keys/, /keygen/);
  await fails(run('charlie', 'sign', '--message=x', never), 2, /state\/charlie holds no keys/, /keygen/);
  assert.ok(!existsSync(stateOf('charlie')));
  const { stdout } = await run('alice', 'keys');
  assert.equal(stdout, 'no keys yet: make one with `ecdsa-mpc keygen`\n');
  await fails(run('alice', 'sign', '--message=x'), 2, /state\/alice holds no key yet/, /keygen/);
});

test('keygen: all parties keep a share of one key, ready for use', async () => {
  const all = await together(PARTIES, ['keygen']);
  key = resultOf(all[0]!);
  for (const [index, events] of all.entries()) {
    assert.deepEqual(
      events
        .filter(({ event }) => !['link', 'progress', 'waiting'].includes(event))
        .map(({ event }) => event),
      ['command', 'listening', 'connected', 'key', 'setup', 'result'],
    );
    const { party, command } = resultOf(events);
    assert.deepEqual([party, command], [PARTIES[index], 'keygen']);
    assert.deepEqual(facts(resultOf(events)), facts(key));
    assert.equal(find(events, 'key')?.publicKey, key.publicKey);
    assert.equal(find(events, 'key')?.completed, undefined);
  }
  assert.equal(statSync(stateOf('charlie')).mode & 0o777, 0o700);
  for (const file of readdirSync(stateOf('charlie')))
    assert.equal(statSync(join(stateOf('charlie'), file)).mode & 0o777, 0o600, file);
});

test('keys: what is stored, for people and for programs; the public key as PEM', async () => {
  const json = JSON.parse((await run('alice', 'keys', '--json')).stdout);
  const { keyId, publicKey, curve, policy, epoch } = key;
  assert.deepEqual(json, {
    ...{ event: 'keys', party: 'alice' },
    keys: [
      { ...{ keyId, epoch, curve, policy, state: 'complete', publicKey }, parties: PARTIES, backups: [] },
    ],
  });
  const { stdout } = await run('bob', 'keys');
  assert.match(stdout, new RegExp(`^Key ID: +${keyId}\nPublic key: +${publicKey}\nCurve: +P-256\n`));
  assert.match(stdout, /\nPolicy: +Threshold\(2, .*\nEpoch: +0\nBackup: +none is known here\n$/);

  const pem = (await run('alice', 'keys', 'export-public', keyId.slice(0, 4).toUpperCase())).stdout;
  assert.match(pem, /^-----BEGIN PUBLIC KEY-----\n/);
  const { status } = await run('alice', 'keys', 'export-public', '--out=public.pem');
  assert.equal(status, 0);
  assert.equal(readFileSync(path('public.pem'), 'utf8'), pem);
});

test('keys: the same while a daemon of the party is up and holds the state folder', async () => {
  const daemon = start('alice', 'serve');
  await daemon.prints(/Serving/);
  const listed = JSON.parse((await run('alice', 'keys', '--json')).stdout);
  assert.deepEqual(
    listed.keys.map(({ keyId }: KeyDescription) => keyId),
    [key.keyId],
  );
  const { status, stdout } = await run('alice', 'keys', 'export-public', key.keyId);
  assert.deepEqual([status, stdout], [0, readFileSync(path('public.pem'), 'utf8')]);
  daemon.child.kill('SIGTERM');
  assert.equal((await daemon.ended).status, 0);
});

test('sign: the quorum of the key’s policy signs, receivers write the signature, others are told', async () => {
  // The policy of the cluster file is for new keys; a stored key keeps its own.
  writeFileSync(path('cluster.json'), clusterJson(PARTIES, ports));
  const args = ['sign', '--message=first of March', '--quorum=alice,bob', '--out=sig.der'];
  const [alice, bob, charlie] = await together(PARTIES, args);
  const { signature, out } = resultOf(alice!);
  assert.equal(out, 'sig.der');
  const der = readFileSync(path('sig.der'));
  assert.equal(der.toString('hex'), signature);
  assert.ok(isSigned('first of March', der));
  assert.deepEqual(facts(resultOf(bob!)), facts(key));
  assert.deepEqual([resultOf(bob!).signature, resultOf(bob!).out], [undefined, undefined]);
  assert.deepEqual(
    charlie!.map(({ event }) => event),
    ['command', 'not-in-quorum', 'result'],
  );
  writeFileSync(path('cluster.json'), clusterJson(PARTIES, ports, POLICY));
});

test('sign: the bytes of a file, for all of the quorum, by another multiplication and its own set-up', async () => {
  writeFileSync(path('message'), Uint8Array.of(0xff, 0, 0x0a));
  const args = [
    'sign',
    `--key=${key.keyId}`,
    '--message-file=message',
    '--receiver=all',
    '--quorum=bob,charlie',
    '--multiplication=ot',
  ];
  const [bob, charlie] = await together(['bob', 'charlie'], args);
  assert.equal(find(bob!, 'setup')?.peers, 1);
  const { signature } = resultOf(bob!);
  assert.equal(resultOf(charlie!).signature, signature);
  const pem = createPublicKey(readFileSync(path('public.pem')));
  assert.ok(verify('sha256', readFileSync(path('message')), pem, Buffer.from(signature!, 'hex')));
});

test('what cannot be done is said before anybody is dialled', async () => {
  const keys = new RegExp(`state/alice: ${key.keyId}`);
  const sign = (...args: string[]) => run('alice', 'sign', '--message=x', ...args);
  await fails(sign('--key=abcdef0123'), 2, /there is no key abcdef0123/, keys);
  await fails(sign('--key=xyz1'), 2, /"xyz1" is no key id/, keys);
  await fails(sign('--quorum=alice'), 2, /alice cannot sign under the policy Threshold\(2, /, /--quorum/);
  await fails(sign('--receiver=charlie'), 2, /charlie does not sign/, /member of the quorum/);
  await fails(sign('--out=sig.der'), 2, /sig\.der exists already/, /another file/);
  await fails(sign('--out=nowhere/sig.der'), 2, /nowhere does not exist/, /./);
  await fails(run('alice', 'refresh', '--backup-to=message', '--backup-out=x'), 2, /public key/, /./);
  assert.ok(!existsSync(path('x')));

  writeFileSync(path('other.json'), clusterJson(['bob', 'alice', 'charlie'], ports));
  await fails(
    run('alice', 'sign', '--message=x', '--config=other.json'),
    2,
    /belongs to alice, bob, charlie, and other\.json lists bob, alice, charlie/,
    /--config/,
  );
});

test('a wrong passphrase is said, also as an event, before anything is listened on', async () => {
  writeFileSync(path('wrong'), 'not the one\n', { mode: 0o600 });
  const { status, stdout, stderr } = await run(
    'alice',
    'sign',
    '--message=x',
    '--passphrase-file=wrong',
    '--json',
  );
  assert.equal(status, 2);
  assert.match(stderr, /^ecdsa-mpc: wrong passphrase for state\/alice\nhint: /);
  assert.deepEqual(
    eventsIn(stdout).map(({ event }) => event),
    ['error'],
  );
});

test('one command at a time has the state folder, and an interrupted one gives it up', async () => {
  const waiting = start('alice', 'sign', '--message=x');
  await waiting.prints(/Listening/);
  await fails(run('alice', 'keys'), 2, /state\/alice is in use by process \d+/, /end it/);
  waiting.child.kill('SIGINT');
  assert.equal((await waiting.ended).status, 130);
  const locks = readdirSync(stateOf('alice')).filter((name) => name.startsWith('lock.'));
  assert.deepEqual(
    locks.map((name) => statSync(join(stateOf('alice'), name)).size),
    [0],
  );
});

test('parties that mean different things by it all end with exit 4 and say so', async () => {
  const ended = await Promise.all([
    run('alice', 'sign', '--message=x', '--quorum=alice,bob'),
    run('bob', 'refresh'),
    run('charlie', 'refresh'),
  ]);
  assert.deepEqual(
    ended.slice(0, 2).map(({ status }) => status),
    [4, 4],
  );
  // charlie learns first of bob's disagreement, or that alice has ended.
  assert.ok([3, 4].includes(ended[2]!.status!));
  assert.match(
    ended[0]!.stderr,
    /bob and this party disagree: operation: bob has "refresh", this party "sign"/,
  );
  assert.match(ended[1]!.stderr, /alice and this party disagree: operation: alice has "sign"/);
});

test('backup create: a verified backup of the share in force, which the list names', async () => {
  assert.equal((await run('alice', 'backup', 'keygen', '--type=p256', '--out=safe')).status, 0);
  const args = ['backup', 'create', '--to=safe.pub.pem', '--out=first.backup'];
  const [events] = await together(['alice'], args);
  assert.deepEqual(
    events!.map(({ event }) => event),
    ['backup', 'backup-verified', 'result'],
  );
  assert.deepEqual(facts(resultOf(events!)), facts(key));
  assert.equal(resultOf(events!).backup?.file, 'first.backup');
  const { stdout } = await run(
    'bob',
    'backup',
    'verify',
    'first.backup',
    '--public-key=public.pem',
    '--share-of=alice',
  );
  assert.match(
    stdout,
    /^✓ The backup opens to alice's share .*\(epoch 0\)\n {2}checked against: public key\n$/,
  );
  assert.match((await run('alice', 'keys')).stdout, /\nBackup: +first\.backup \(epoch 0, made 20[^;]+Z\)\n$/);
  await fails(run('alice', ...args), 2, /first\.backup exists already/, /another file/);
});

test('refresh: a backup of the new share comes first; the earlier backup is void, and the store says so', async () => {
  cpSync(stateOf('alice'), path('old-alice'), { recursive: true });
  const [alice, bob] = await together(PARTIES, ['refresh'], {
    alice: ['--backup-to=safe.pub.pem', '--backup-out=second.backup'],
  });
  const events = alice!.map(({ event }) => event);
  assert.ok(events.indexOf('backup-verified') < events.indexOf('refreshed'));
  const { epoch, voided, backup } = resultOf(alice!);
  assert.deepEqual([epoch, voided, backup?.file], [1, ['first.backup'], 'second.backup']);
  assert.deepEqual([resultOf(bob!).voided, resultOf(bob!).backup], [[], undefined]);
  assert.equal(resultOf(bob!).publicKey, key.publicKey);
  const [{ backups }] = JSON.parse((await run('alice', 'keys', '--json')).stdout).keys;
  assert.deepEqual(
    backups.map(({ file, void: isVoid }: { file: string; void: boolean }) => [file, isVoid]),
    [
      ['first.backup', true],
      ['second.backup', false],
    ],
  );
});

/** What every party says when alice comes with a share of epoch 0. */
async function assertTooOld(parties: readonly string[], ...args: string[]): Promise<void> {
  const ended = await Promise.all(parties.map((party) => run(party, ...args)));
  for (const { status, stderr } of ended) {
    assert.equal(status, 4, stderr);
    assert.match(stderr, /alice holds [0-9a-f]{12} \(epoch 0\); bob holds [0-9a-f]{12} \(epoch 1\)/);
    assert.match(
      stderr,
      /hint: what alice holds is older than epoch 1, .*restored from an old copy, or a backup from/,
    );
  }
}

const recover = (file: string, ...args: string[]): Promise<Ended> =>
  run('alice', 'backup', 'recover', file, '--recovery-key=safe.key.pem', ...args);

test('an old copy of a state folder is recognised by the others', async () => {
  renameSync(stateOf('alice'), path('kept-alice'));
  renameSync(path('old-alice'), stateOf('alice'));
  await assertTooOld(['alice', 'bob'], 'sign', '--message=x');
  rmSync(stateOf('alice'), { recursive: true });
  renameSync(path('kept-alice'), stateOf('alice'));
});

test('recover does not store what is there, what a refresh has made void, or what is somebody else’s', async () => {
  await fails(recover('second.backup'), 5, /epoch 1 .* is in state\/alice already/, /nothing was changed/);
  await fails(
    recover('first.backup'),
    5,
    /of epoch 0, which a refresh has made void: state\/alice holds a share of epoch 1/,
    /destroy/,
  );
  const byBob = run('bob', 'backup', 'recover', 'second.backup', '--recovery-key=safe.key.pem');
  await fails(byBob, 5, /the backup is of the share of alice, not bob/, /--self alice/);
  writeFileSync(path('fewer.json'), clusterJson(['alice', 'bob'], ports));
  await fails(recover('second.backup', '--config=fewer.json'), 2, /fewer\.json lists alice, bob/, /--config/);
});

test('alice’s machine is lost: her share is recovered on another, refreshed, and signs under the same key', async () => {
  rmSync(stateOf('alice'), { recursive: true });
  for (const file of ['alice-cert.pem', 'alice-key.pem']) rmSync(path('certs', file));
  await makeCertificates(loadCluster(path('cluster.json')));

  // First by the wrong file, of before the refresh.
  await makeState('alice');
  assert.equal((await recover('first.backup')).status, 0);
  await assertTooOld(PARTIES, 'refresh');

  const recovered = await recover('second.backup', '--json');
  assert.deepEqual(
    (({ recovered, epoch, state, keyId }) => ({ recovered, epoch, state, keyId }))(
      JSON.parse(recovered.stdout),
    ),
    { recovered: true, epoch: 1, state: 'state/alice', keyId: key.keyId },
  );
  assert.match(
    (await run('alice', 'keys')).stdout,
    /\nState: +recovered from a backup; run `ecdsa-mpc refresh`/,
  );
  const backUp = ['backup', 'create', '--to=safe.pub.pem', '--out=third.backup'];
  await fails(run('alice', ...backUp), 2, /was recovered from a backup/, /refresh/);

  const refreshed = await Promise.all(PARTIES.map((party) => run(party, 'refresh')));
  for (const { status, stdout, stderr } of refreshed) {
    assert.equal(status, 0, stderr);
    assert.match(stdout, /! Every backup made before is void now; none is recorded here\n/);
    assert.match(
      stdout,
      new RegExp(`Make a new one: ecdsa-mpc backup create --key ${key.keyId.slice(0, 8)} `),
    );
  }
  const [alice] = await together(['alice', 'charlie'], ['sign', '--message=again', '--quorum=alice,charlie']);
  assert.deepEqual(facts(resultOf(alice!)), { ...facts(key), epoch: 2 });
  assert.ok(isSigned('again', Buffer.from(resultOf(alice!).signature!, 'hex')));
});
