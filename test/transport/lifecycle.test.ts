import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import type { TransportLogger } from '#src/transport/log.js';
import { TlsTransport } from '#src/transport/tls-transport.js';
import { TcpProxy } from '../support/proxy.js';
import { closeAll, HOST, TestCluster, TestNode, texts } from './node.js';

const TIMEOUT = { timeout: 20_000 };

let two: TestCluster;

before(async () => {
  two = await TestCluster.create(['alice', 'bob']);
});

/** alice's address replaced by another. */
const aliceAt = (cluster: TestCluster, host: string, port: number) =>
  cluster.parties().map((party) => (party.name === 'alice' ? { ...party, host, port } : party));

test('an address that cannot be listened on is a PORT error with a hint', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  const cases = [
    [HOST, cluster.port('alice'), /127\.0\.0\.1:\d+, is in use already/, /running already/],
    [
      '192.0.2.1',
      8001,
      /192\.0\.2\.1:8001, is not an address of this machine/,
      /an address that this machine has/,
    ],
    ['2001:db8::1', 8001, /\[2001:db8::1\]:8001/, /./],
    ['no-such-host.invalid', 8001, /cannot be resolved/, /./],
    [HOST, 99_999, /cannot be listened on \(ERR_SOCKET_BAD_PORT\)/, /./],
  ] as const;
  for (const [host, port, message, hint] of cases) {
    await assert.rejects(
      TestNode.start(cluster, 'alice', { parties: aliceAt(cluster, host, port) }),
      (error: Error & { code?: string; hint?: string }) => {
        assert.equal(error.code, 'PORT');
        assert.match(error.message, message);
        assert.match(error.hint ?? '', hint);
        return true;
      },
    );
  }
  await closeAll(alice);
});

test('a key that is not the certificate’s is a CERTIFICATE error', TIMEOUT, async () => {
  const cluster = await two.moved();
  const credentials = { cert: cluster.credentials('alice').cert, key: cluster.credentials('bob').key };
  await assert.rejects(TestNode.start(cluster, 'alice', { credentials }), { code: 'CERTIFICATE' });
  const nonsense = { cert: 'nonsense', key: 'nonsense' };
  await assert.rejects(TestNode.start(cluster, 'alice', { credentials: nonsense }), { code: 'CERTIFICATE' });
});

test('wildcard, IPv6 and named addresses', TIMEOUT, async (context) => {
  for (const [listen, dial] of [
    ['0.0.0.0', HOST],
    ['::', HOST],
    ['::1', '::1'],
    ['localhost', 'localhost'],
  ] as const) {
    if (listen.includes(':') && !(await hasIpv6())) {
      context.diagnostic(`no IPv6 here: ${listen} not tried`);
      continue;
    }
    const cluster = await two.moved();
    const port = cluster.port('alice');
    const alice = await TestNode.start(cluster, 'alice', { parties: aliceAt(cluster, listen, port) });
    const bob = await TestNode.start(cluster, 'bob', { parties: aliceAt(cluster, dial, port) });
    await Promise.all([alice.ready(), bob.ready()]);
    assert.equal(alice.transport.port, port);
    await closeAll(alice, bob);
  }
});

const hasIpv6 = (): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '::1', () => server.close(() => resolve(true)));
    server.once('error', () => resolve(false));
  });

test('closing first delivers what is queued, then says goodbye', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob');
  await Promise.all([alice.ready(), bob.ready()]);
  const wanted = texts(500);
  for (const text of wanted) void bob.send('alice', text);
  const order: string[] = [];
  alice.transport.subscribe({ message: () => order.push('message'), lost: () => order.push('lost') });
  const closing = bob.transport.close();
  await assert.rejects(bob.send('alice', 'too late'), { code: 'INTERRUPTED' });
  await closing;
  await alice.until(() => alice.lost.length === 1);
  assert.deepEqual(alice.texts('bob'), wanted);
  assert.deepEqual(order.slice(-2), ['message', 'lost']);
  assert.equal(alice.lost[0]?.error.message, 'bob has ended');
  assert.deepEqual(alice.lost[0]?.error.culprits, ['bob']);
  await assert.rejects(alice.send('bob', 'nobody there'), { code: 'PEER_LEFT' });
  assert.deepEqual(alice.transport.problems, { bob: 'it has ended' });
  assert.deepEqual(bob.lost, [], 'who closes is not told of losses');
  await closeAll(alice);
});

test('who has closed dials no more', TIMEOUT, async () => {
  const cluster = await two.moved();
  const proxy = await TcpProxy.start(cluster.port('alice'));
  for (const linked of [true, false]) {
    proxy.refusing = !linked;
    const alice = await TestNode.start(cluster, 'alice');
    const bob = await TestNode.start(cluster, 'bob', { via: { alice: proxy.port } });
    if (linked) await bob.ready();
    else await bob.until(() => bob.transport.problems.alice !== 'no connection yet');
    await closeAll(bob);
    const { accepted } = proxy;
    await pause(500); // More than twice the longest pause between two attempts.
    assert.equal(proxy.accepted, accepted);
    await closeAll(alice);
  }
  await proxy.close();
});

test('who has said goodbye may come back as a new process', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  for (const round of [1, 2, 3]) {
    const bob = await TestNode.start(cluster, 'bob');
    await Promise.all([alice.ready(), bob.ready()]);
    await alice.send('bob', `round ${round}`);
    await bob.until(() => bob.received.length === 1);
    assert.deepEqual(bob.texts('alice'), [`round ${round}`]);
    await bob.transport.close();
    await alice.until(() => alice.lost.length === round);
  }
  await closeAll(alice);
});

test('both closing at once, closing twice, and closing unconnected', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob');
  await Promise.all([alice.ready(), bob.ready()]);
  await closeAll(alice, bob, alice, bob);
  const lonely = await TestNode.start(cluster, 'bob');
  const waiting = assert.rejects(lonely.ready(), { code: 'INTERRUPTED' });
  await lonely.send('alice', 'nobody comes');
  await closeAll(lonely);
  await waiting;
});

test('closing does not wait for a peer that does not answer', TIMEOUT, async () => {
  const cluster = await two.moved();
  const proxy = await TcpProxy.start(cluster.port('alice'));
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob', { via: { alice: proxy.port } });
  await Promise.all([alice.ready(), bob.ready()]);
  proxy.stall();
  await bob.transport.send('alice', new Uint8Array(1_000_000));
  const startedAt = performance.now();
  await bob.transport.close();
  assert.ok(performance.now() - startedAt < 5_000);
  proxy.cut();
  await closeAll(alice);
  await proxy.close();
});

test('a finished process ends by itself, whatever its links were doing', TIMEOUT, async () => {
  const cluster = await two.moved();
  const child = fork(new URL('./exiting-party.js', import.meta.url));
  const alice = await TestNode.start(cluster, 'alice');
  child.send({
    parties: cluster.parties(),
    ca: cluster.authority.cert,
    ...cluster.credentials('bob'),
  });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  assert.equal(exitCode, 0);
  await alice.until(() => alice.lost.length === 1);
  assert.deepEqual(alice.texts('bob'), ['last words']);
  await closeAll(alice);
});

test('a killed process is reported within the limit', TIMEOUT, async () => {
  const cluster = await two.moved();
  const child = fork(new URL('./exiting-party.js', import.meta.url));
  const alice = await TestNode.start(cluster, 'alice', {
    limits: { pingMillis: 100, silentMillis: 500, goneMillis: 1_000 },
  });
  const parties = cluster.parties();
  child.send({ parties, ca: cluster.authority.cert, ...cluster.credentials('bob'), stay: true });
  await alice.ready();
  child.kill('SIGKILL');
  await alice.until(() => alice.lost.length === 1);
  assert.match(alice.lost[0]?.error.message ?? '', /^bob has not been heard from for 1 s/);
  assert.match(alice.lost[0]?.error.hint ?? '', /bob is running/);
  await closeAll(alice);
});

test('a pino logger fits, and only the allowed fields are logged', TIMEOUT, async () => {
  const cluster = await two.moved();
  const lines: string[] = [];
  const logger: TransportLogger = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  const transport = await TlsTransport.start({
    self: 'alice',
    parties: cluster.parties(),
    ca: cluster.authority.cert,
    ...cluster.credentials('alice'),
    logger,
  });
  transport.subscribe({ message: () => {}, lost: () => {} });
  const bob = await TestNode.start(cluster, 'bob');
  await bob.ready();
  await closeAll(bob);
  await transport.close();
  const allowed = ['level', 'time', 'pid', 'hostname', 'msg', 'peer', 'address', 'reason', 'count'];
  assert.ok(lines.length > 0);
  for (const line of lines) {
    for (const field of Object.keys(JSON.parse(line))) assert.ok(allowed.includes(field), field);
  }
});
