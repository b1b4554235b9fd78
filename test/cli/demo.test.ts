import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromHex } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import { type DoneEvent, STEPS } from '#src/party/events.js';
import { clusterFolders, eventsIn } from '../support/cluster-folder.js';
import { command, LAUNCHER, start, startCommand } from '../support/command.js';
import { HOST } from '../transport/node.js';

const place = clusterFolders();

/** Waits until nobody listens on the ports. */
async function abandoned(ports: readonly number[]): Promise<void> {
  for (const port of ports)
    for (;;) {
      const socket = connect(port, HOST);
      const refused = await once(socket, 'connect').then(
        () => false,
        () => true,
      );
      socket.destroy();
      if (refused) break;
      await sleep(50);
    }
}

const CURVE = curveByName('secp256k1');

/** Whether OpenSSL accepts the signature `der` (hex) of `message` under `publicKey` (hex, uncompressed). */
function accepted(publicKey: string, message: string, der: string): boolean {
  const bytes = fromHex(publicKey)!;
  const X = CURVE.point(Uint8Array.of(bytes.at(-1)! % 2 === 0 ? 2 : 3, ...bytes.subarray(1, 33)))!;
  return verify('sha256', Buffer.from(message), createPublicKey(publicKeyPem(CURVE, X)), fromHex(der)!);
}

test('a demo goes through every step with every party, and its backups can be verified and opened offline', async () => {
  const { cwd } = await place('whole', ['alice', 'bob', 'charlie'], {
    curve: 'secp256k1',
    policy: { threshold: 2, of: ['alice', 'bob', 'charlie'] },
  });
  const message = `it's "this" — $5\n`;
  const { status, stdout, stderr } = await command(
    ['demo', '--json', '--timeout=10m', `--message=${message}`, '--quorum=charlie,bob', '--receiver=all'],
    { cwd, env: { ...process.env, SAVE_BACKUP: '1' } },
  );
  assert.deepEqual([status, stderr], [0, '']);
  const all = eventsIn(stdout);
  const done = all.filter((event): event is DoneEvent => event.event === 'done');
  const [{ publicKey }] = done as [DoneEvent, ...DoneEvent[]];
  assert.deepEqual(done.map(({ party }) => party).sort(), ['alice', 'bob', 'charlie']);
  for (const result of done) {
    const { party } = result;
    const steps = all.flatMap((event) =>
      event.event === 'step-done' && event.party === party ? event.step : [],
    );
    assert.deepEqual(steps, [...STEPS]);
    assert.equal(result.publicKey, publicKey);
    assert.equal(result.policy, 'Threshold(2, Leaf(alice), Leaf(bob), Leaf(charlie))');
    assert.equal(result.messageHash, createHash('sha256').update(message).digest('hex'));
    assert.deepEqual([result.epoch, result.refreshed], [1, true]);
    assert.deepEqual([result.backup.verified, result.backup.recovered], [true, true]);
    const signatures = party === 'alice' ? [] : [0, 1];
    assert.deepEqual(
      result.signatures.map(({ epoch }) => epoch),
      signatures,
    );
    for (const { der } of result.signatures) assert.ok(accepted(publicKey, message, der));
    assert.equal(result.signature, result.signatures[0]?.der);
    const absent = all.filter((event) => event.event === 'not-in-quorum' && event.party === party);
    assert.equal(absent.length, party === 'alice' ? 2 : 0);
  }

  assert.deepEqual(
    readdirSync(cwd)
      .filter((name) => name.startsWith('backup-'))
      .sort(),
    ['alice', 'bob', 'charlie'].flatMap((name) => [`backup-${name}.hex`, `backup-${name}.key.pem`]),
  );
  assert.equal(statSync(join(cwd, 'backup-bob.key.pem')).mode & 0o777, 0o600);
  const verified = await command(
    ['backup', 'verify', 'backup-bob.hex', '--share-of=bob', '--public-key', publicKey],
    { cwd },
  );
  assert.deepEqual([verified.status, verified.stderr], [0, '']);
  const recovered = await command(
    ['backup', 'recover', 'backup-bob.hex', '--recovery-key=backup-bob.key.pem', '--check'],
    {
      cwd,
    },
  );
  assert.match(recovered.stdout, /^✓ The backup opens to bob's share of the key .* \(epoch 1\)\n/);
});

test('a party that fails ends the demo, which names it and takes its exit status', async (t) => {
  const { cwd, ports } = await place('port', ['alice', 'bob']);
  const squatter = createServer().listen(ports[1], HOST);
  t.after(() => squatter.close());
  await once(squatter, 'listening');
  const { status, stdout, stderr } = await command(['demo'], { cwd });
  assert.equal(status, 2);
  assert.match(stdout, /(^|\n)\[bob\] ✗ .*127\.0\.0\.1/);
  assert.match(stderr, /^ecdsa-mpc: bob: .*127\.0\.0\.1.*\nhint: .*\n$/);

  // The same on what seems to be a terminal.
  const terminal = 'data:text/javascript,process.stdout.isTTY=true';
  const drawn = await start(process.execPath, ['--import', terminal, LAUNCHER, 'demo'], { cwd }).ended;
  assert.equal(drawn.status, 2);
  assert.match(drawn.stdout, /alice .*\n.*bob .*127\.0\.0\.1/);
  assert.match(drawn.stderr, /(^|\n)ecdsa-mpc: bob: .*127\.0\.0\.1/);
  squatter.close();
  await abandoned(ports);
});

test('what would make every party fail is found before any is started', async () => {
  const { cwd } = await place('faulty', ['alice', 'bob']);
  rmSync(join(cwd, 'certs', 'bob-key.pem'));
  const missing = await command(['demo'], { cwd });
  assert.deepEqual([missing.status, missing.stdout], [2, '']);
  assert.match(missing.stderr, /^ecdsa-mpc: certs\/bob-key\.pem does not exist\n/);
  const quorum = await command(['demo', '--quorum=alice'], { cwd });
  assert.deepEqual([quorum.status, quorum.stdout], [2, '']);
});

test('an interrupted demo ends with all of its parties', async () => {
  const { cwd, ports } = await place('interrupted', ['alice', 'bob']);
  const running = startCommand(['demo'], { cwd });
  await running.prints(/\[bob\] mTLS transport established/);
  running.child.kill('SIGINT');
  const { status, stderr } = await running.ended;
  assert.equal(status, 130);
  assert.match(stderr, /(^|\n)ecdsa-mpc: interrupted\n$/);
  await abandoned(ports);
});

test('a party that is killed ends the demo, which says so', async () => {
  const { cwd, ports } = await place('murder', ['alice', 'bob']);
  const suicide = `if (process.argv.includes('--self=bob')) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 500)`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(suicide)}`;
  const { status, stderr } = await command(['demo', '--json'], {
    cwd,
    env: { ...process.env, NODE_OPTIONS },
  });
  assert.equal(status, 3);
  assert.match(stderr, /(^|\n)ecdsa-mpc: bob: was killed by SIGKILL\nhint: .*--self bob.*\n$/);
  await abandoned(ports);
});

test('the parties of a demo that is killed do not survive it', async () => {
  const { cwd, ports } = await place('killed', ['alice', 'bob']);
  const running = startCommand(['demo'], { cwd });
  await running.prints(/\[bob\] mTLS transport established/);
  running.child.kill('SIGKILL');
  await running.ended;
  await abandoned(ports);
});

test('a party alone waits for the others until it is interrupted', async () => {
  const { cwd, ports } = await place('alone', ['alice', 'bob']);
  const running = startCommand(['--self', 'alice', '--json'], { cwd });
  await running.prints(/"listening"/);
  running.child.kill('SIGTERM');
  const { status, stdout, stderr } = await running.ended;
  assert.deepEqual([status, stderr], [130, 'ecdsa-mpc: interrupted\n']);
  const last = eventsIn(stdout).at(-1);
  assert.deepEqual([last?.event, last?.party], ['error', 'alice']);
  await abandoned(ports);
});

test('a party whose peer never comes ends with status 3 and its name', async () => {
  const { cwd } = await place('unreachable', ['alice', 'bob']);
  const { status, stdout, stderr } = await command(['--self=alice', '--connect-timeout=500ms', '--json'], {
    cwd,
  });
  assert.equal(status, 3);
  assert.match(stderr, /^ecdsa-mpc: no connection to bob \(.*\) within 500ms\nhint: .*\n$/);
  const last = eventsIn(stdout).at(-1);
  assert.ok(last?.event === 'error');
  assert.deepEqual([last.code, last.exit, last.culprits], ['UNREACHABLE', 3, ['bob']]);
});
