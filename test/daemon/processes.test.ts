// Four daemons as processes over TLS, and the commands of their users: what is asked for at one is approved or rejected
// at the others, given up, and cut short; and beside them commands that run without a daemon.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { exitStatus, type PartyName } from '#src/core/errors.js';
import type { PartyEvent } from '#src/party/events.js';
import { clusterFolders, eventsIn } from '../support/cluster-folder.js';
import type { Running } from '../support/command.js';
import {
  assertSigned,
  DaemonProcesses,
  errorIn,
  resultIn,
  resultOf,
  until,
} from '../support/daemon-processes.js';
import { freePort } from '../transport/node.js';

const PARTIES = ['alice', 'bob', 'charlie', 'dave'];
const makeFolder = clusterFolders();

let daemons: DaemonProcesses;
let monitor: string;

before(async () => {
  const { cwd } = await makeFolder('daemons', PARTIES, {
    ...{ multiplication: 'ot', policy: { threshold: 4, of: PARTIES } },
  });
  monitor = `127.0.0.1:${await freePort()}`;
  daemons = await DaemonProcesses.prepare(cwd, PARTIES, (self) => ({
    ...{ presignatures: 0, requestTimeout: '10m', stopTimeout: '5m' },
    ...(self === 'alice' && { monitor }),
  }));
});

/** Starts `sign` at `self`; its message is what the others are asked to sign. */
const sign = (self: PartyName, message: string, ...args: readonly string[]): Running =>
  daemons.command(self, 'sign', '--json', `--message=${message}`, ...args);

const ends = (self: PartyName) => daemons.records(self).at(-1)!;

/** What the log of `self` says of the request `id`. */
const lifeOf = (self: PartyName, id: string) =>
  daemons
    .records(self)
    .filter((record) => 'id' in record && record.id === id)
    .map(({ event }) => event);

/** The last request in the log of `self`. */
function lastAsked(self: PartyName): string {
  const last = daemons.records(self).findLast(({ event }) => event === 'requested');
  assert.ok(last?.event === 'requested');
  return last.id;
}

describe('without daemons', () => {
  test('the same command at all parties makes a key, as ever', async () => {
    const ended = await Promise.all(PARTIES.map((self) => daemons.run(self, 'keygen', '--json')));
    const [first, ...others] = ended.map(resultIn);
    for (const { keyId } of others) assert.equal(keyId, first!.keyId);
  });

  test('`status` says that there is none, and `requests` how to start it', async () => {
    const { stdout } = await daemons.run('alice', 'status', '--json');
    const { event, running } = JSON.parse(stdout);
    assert.deepEqual([event, running], ['status', false]);
    const { status, stderr } = await daemons.run('alice', 'requests');
    assert.equal(status, exitStatus('UNREACHABLE'));
    assert.match(stderr, /no daemon of alice is up\nhint: start it: ecdsa-mpc serve --self alice\n$/);
  });
});

describe('requests', () => {
  before(() => daemons.startAll());

  test('wait for those who take part, are shown to them, and end when all have approved', async () => {
    const signing = sign('alice', 'first of March', '--out=sig.der');
    const { id } = await daemons.waiting('bob');
    const { stdout } = await daemons.run('bob', 'requests', '--json');
    const [request] = JSON.parse(stdout).requests;
    const { from, text, quorum, receivers, state, waitingFor } = request;
    assert.deepEqual(
      { from, text, quorum, receivers, state, waitingFor },
      {
        ...{ from: 'alice', text: 'first of March', quorum: PARTIES, receivers: ['alice'] },
        ...{ state: 'waiting', waitingFor: ['bob'] },
      },
    );
    const shown = (await daemons.run('bob', 'requests')).stdout;
    assert.match(shown, new RegExp(`^${id}  sign, asked for by alice, waits for bob`));
    assert.match(shown, /"first of March"/);

    const approved = await daemons.run('bob', 'approve', id);
    assert.deepEqual([approved.status, approved.stdout], [0, `approved ${id}\n`]);
    await daemons.approve(['charlie']);
    await until(async () => (await daemons.requests('alice'))[0]?.waitingFor.join() === 'dave');
    await daemons.approve(['dave']);
    const result = resultIn(await signing.ended);
    assertSigned(result, 'first of March');
    assert.equal(result.out, 'sig.der');
    await daemons.atRest();
    assert.deepEqual(lifeOf('alice', id), ['requested', 'decided', 'signing', 'signed']);
    assert.deepEqual(lifeOf('dave', id), lifeOf('alice', id));
    const again = await daemons.run('bob', 'approve', id);
    assert.equal(again.status, exitStatus('USAGE'));
    assert.match(again.stderr, /no request "[0-9a-f]+.*" waits for a decision here/);
  });

  test('end when one rejects them: the caller learns who, and why', async () => {
    const signing = sign('alice', 'no');
    const { id } = await daemons.waiting('charlie');
    const { status } = await daemons.run('charlie', 'reject', id, '--reason=not on a Sunday');
    assert.equal(status, 0);
    const ended = await signing.ended;
    assert.equal(ended.status, exitStatus('PEER_ABORTED'));
    const { culprits, message } = errorIn(ended);
    assert.deepEqual(culprits, ['charlie']);
    assert.equal(message, 'charlie does not take part: not on a Sunday');
    await daemons.atRest();
    assert.deepEqual(lifeOf('charlie', id), ['requested', 'decided']);
    assert.deepEqual(lifeOf('bob', id), ['requested', 'failed']);
  });

  test('are withdrawn everywhere when their caller is interrupted', async () => {
    const signing = sign('bob', 'never mind');
    const { id } = await daemons.waiting('alice');
    signing.child.kill('SIGINT');
    assert.equal((await signing.ended).status, exitStatus('INTERRUPTED'));
    await daemons.atRest();
    assert.equal(ends('bob').event, 'failed');
    assert.deepEqual(lifeOf('alice', id).at(-1), 'failed');
  });

  test('of several users at once end each for itself', async () => {
    const messages = ['one', 'two', 'three'];
    const asked = messages.map((text, at) =>
      daemons.order(PARTIES[at]!, { do: 'sign', message: Buffer.from(text).toString('base64') }),
    );
    const approving = new AbortController();
    const approvals = PARTIES.map(async (self) => {
      while (!approving.signal.aborted) {
        for (const { id, from, state } of await daemons.requests(self))
          if (from !== self && state === 'waiting') await daemons.order(self, { do: 'approve', id });
        await until(() => true);
      }
    });
    const results = await Promise.all(asked);
    approving.abort();
    await Promise.all(approvals);
    for (const [at, events] of results.entries()) assertSigned(resultOf(events), messages[at]!);
  });

  test('for a refresh are approved by all who hold the key', async () => {
    const refreshing = daemons.command('dave', 'refresh', '--json');
    await daemons.approve(['alice', 'bob', 'charlie']);
    assert.equal(resultIn(await refreshing.ended).epoch, 1);
    await daemons.atRest();
    for (const self of PARTIES) assert.equal((await daemons.status(self)).keys[0]?.epoch, 1);
    const { stdout } = await daemons.run('bob', 'keys', '--json');
    assert.equal(JSON.parse(stdout).keys[0].epoch, 1);
  });
});

describe('a daemon that runs', () => {
  test('has the state folder and the socket for itself', async () => {
    const second = await daemons.run('alice', 'serve');
    assert.equal(second.status, exitStatus('FILE'));
    assert.match(second.stderr, /state\/alice is in use by process \d+/);
    // A command that is told of another socket does not find the daemon, and has to open the folder.
    writeFileSync(join(daemons.cwd, 'other.json'), '{"control":"other.sock"}', { mode: 0o600 });
    const beside = await daemons.run('alice', 'keys', '--settings=other.json');
    assert.equal(beside.status, exitStatus('FILE'));
    assert.match(beside.stderr, /state\/alice is in use by process \d+/);
  });

  test('tells a monitor on its machine how it is', async () => {
    const health = await fetch(`http://${monitor}/healthz`);
    assert.equal(health.status, 200);
    const { status, party, missing } = (await health.json()) as Record<string, unknown>;
    assert.deepEqual({ status, party, missing }, { status: 'ok', party: 'alice', missing: [] });
    const metrics = await (await fetch(`http://${monitor}/metrics`)).text();
    assert.match(metrics, /^ecdsa_mpc_/m);
    assert.equal((await fetch(`http://${monitor}/`)).status, 404);
  });

  test('uses a renewed certificate without a restart', async () => {
    const before = (await daemons.status('bob')).certificateExpires;
    const { pid } = daemons.at('bob').child;
    for (const args of [
      ['request', '--new-key'],
      ['sign', 'certs/bob.csr', '--days=10', '--out=renewed.pem'],
      ['install', 'renewed.pem'],
    ]) {
      const { status, stderr } = await daemons.run('bob', 'certs', ...args);
      assert.equal(status, 0, stderr);
    }
    const { stdout } = await daemons.run('bob', 'status', '--json');
    const { certificateExpires } = JSON.parse(stdout);
    assert.ok(certificateExpires < before);
    const seen = async () =>
      (await daemons.status('alice')).links.find(({ peer }) => peer === 'bob')?.certificateExpires;
    await until(async () => (await seen()) === certificateExpires);
    await daemons.linked();
    assert.equal(daemons.at('bob').child.pid, pid);
    const signing = sign('bob', 'under another certificate');
    await daemons.approve(['alice', 'charlie', 'dave']);
    assertSigned(resultIn(await signing.ended), 'under another certificate');
    await daemons.atRest();
  });
});

/** Has alice ask for a signature that is under way everywhere, and waits for charlie, whose process is stopped. */
async function signingUnderWay(message: string): Promise<Running> {
  const signing = sign('alice', message);
  await daemons.approve(['charlie']);
  await until(async () => !(await daemons.requests('alice'))[0]?.waitingFor.includes('charlie'));
  daemons.at('charlie').child.kill('SIGSTOP');
  await daemons.approve(['bob', 'dave']);
  for (const self of ['alice', 'dave'])
    await until(async () => (await daemons.status(self)).operations.length > 0);
  return signing;
}

const isStopping = (self: PartyName): Promise<void> => daemons.at(self).prints(/"event":"stopping"/);

describe('the end of a daemon', () => {
  test('SIGTERM: what runs ends well first', async () => {
    const signing = await signingUnderWay('last order');
    const { child, ended } = daemons.at('dave');
    child.kill('SIGTERM');
    await isStopping('dave');
    daemons.at('charlie').child.kill('SIGCONT');
    assertSigned(resultIn(await signing.ended), 'last order');
    const { status, stdout, stderr } = await ended;
    assert.equal(status, 0, stderr);
    const stopping = eventsIn(stdout).find(({ event }) => event === 'stopping') as
      | Extract<PartyEvent, { event: 'stopping' }>
      | undefined;
    assert.equal(stopping?.operations, 1);
    assert.equal(ends('dave').event, 'closed');
    assert.deepEqual(lifeOf('dave', lastAsked('dave')), ['requested', 'decided', 'signing', 'signed']);
  });

  test('a party without a daemon beside others that have one is told so at once', async () => {
    const { status, stderr } = await daemons.run('dave', 'sign', '--message=x', '--connect-timeout=2m');
    assert.equal(status, exitStatus('PEER_ABORTED'), stderr);
    assert.match(stderr, /runs as a daemon, which takes part in requests of other daemons only/);
  });

  test('a request that waits for others ends with its daemon, everywhere', async () => {
    await daemons.startAll();
    const signing = sign('dave', 'too late');
    const { id } = await daemons.waiting('alice');
    assert.equal((await daemons.stop('dave')).status, 0);
    const ended = await signing.ended;
    assert.notEqual(ended.status, 0);
    assert.match(errorIn(ended).message, /stopping/);
    await daemons.atRest();
    for (const self of PARTIES) assert.equal(lifeOf(self, id).at(-1), 'failed');
    assert.equal(ends('dave').event, 'closed');
  });

  test('a second SIGTERM ends it at once, and the next start accounts for what ran', async () => {
    await daemons.startAll();
    const signing = await signingUnderWay('cut short');
    const { child, ended } = daemons.at('alice');
    child.kill('SIGTERM');
    await isStopping('alice');
    child.kill('SIGTERM');
    assert.equal((await ended).status, exitStatus('INTERRUPTED'));
    assert.equal((await signing.ended).status, exitStatus('UNREACHABLE'));
    daemons.at('charlie').child.kill('SIGCONT');
    const id = lastAsked('alice');
    assert.deepEqual(lifeOf('alice', id), ['requested', 'decided']);
    await daemons.startAll();
    assert.deepEqual(lifeOf('alice', id), ['requested', 'decided', 'failed']);
    await daemons.atRest();
  });

  test('after all of it the key signs, and the audit logs agree', async () => {
    const signing = sign('charlie', 'the end');
    await daemons.approve(['alice', 'bob', 'dave']);
    assertSigned(resultIn(await signing.ended), 'the end');
    await daemons.atRest();
    for (const { status, stderr } of await daemons.stopAll()) assert.equal(status, 0, stderr);
    const logs = PARTIES.map((self) => join('state', self, 'audit.log'));
    const { status, stdout } = await daemons.run('alice', 'audit', 'verify', ...logs);
    assert.equal(status, 0, stdout);
    assert.match(stdout, /✓ The logs are sound, and agree\n$/);
  });
});
