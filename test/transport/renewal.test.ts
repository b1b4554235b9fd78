/** TLS identities that change or expire while links are up. */
import assert from 'node:assert/strict';
import { before, mock, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Server } from 'node:tls';
import { randomBytes } from '#src/core/bytes.js';
import { Mailbox } from '#src/rounds/mailbox.js';
import { withSession } from '#src/rounds/session.js';
import { inlineCompute } from '#src/work/inline.js';
import { converse, ROUNDS } from '../rounds/protocol.js';
import { type Credentials, daysFromNow, TestAuthority } from '../support/certs.js';
import { TcpProxy } from '../support/proxy.js';
import { closeAll, HOST, TestCluster, TestNode } from './node.js';

const TIMEOUT = { timeout: 20_000 };

let two: TestCluster;

before(async () => {
  two = await TestCluster.create(['alice', 'bob']);
});

/** Alice and bob, linked; bob dials. */
async function linked(limits = {}) {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice', { limits });
  const bob = await TestNode.start(cluster, 'bob', { limits });
  await Promise.all([alice.ready(), bob.ready()]);
  return { cluster, alice, bob };
}

interface Renewal extends Credentials {
  readonly ca: string;
  readonly expires: Date;
}

/** Another certificate for `name`, which says by its end which it is. */
async function issue(name: string, days: number, authority = two.authority): Promise<Renewal> {
  const expires = new Date(Math.floor(daysFromNow(days).getTime() / 1000) * 1000);
  const credentials = await authority.issue([name, 'localhost'], { ips: [HOST], notAfter: expires });
  return { ...credentials, ca: authority.cert, expires };
}

const expiryAt = (node: TestNode, peer: string): number | undefined =>
  node.transport.peerFacts(peer).certificateExpires?.getTime();

/** Resolves when the link of `node` to `peer` is up, with the certificate that expires then. */
const sees = (node: TestNode, peer: string, expires: Date): Promise<void> =>
  node.until(() => expiryAt(node, peer) === expires.getTime());

test(
  'a renewed certificate is shown on every connection from then on, whichever side dials',
  TIMEOUT,
  async () => {
    const { alice, bob } = await linked();
    for (const [node, peer, name, days] of [
      [alice, bob, 'alice', 10],
      [bob, alice, 'bob', 11],
      [alice, bob, 'alice', 12],
      [bob, alice, 'bob', 13],
    ] as const) {
      const renewal = await issue(name, days);
      await node.transport.renew(renewal);
      await sees(peer, name, renewal.expires);
    }
    await Promise.all([alice.ready(), bob.ready()]);
    await bob.send('alice', 'still here');
    await alice.until(() => alice.received.length === 1);
    assert.deepEqual([alice.lost, bob.lost], [[], []]);
    await closeAll(alice, bob);
  },
);

test('files that TLS refuses change nothing', TIMEOUT, async () => {
  const { cluster, alice, bob } = await linked();
  const nodes = [
    [alice, 'bob', 'alice'],
    [bob, 'alice', 'bob'],
  ] as const;
  const connections = () =>
    nodes.map(([node, peer]) => node.transport.peerFacts(peer).connectedSince?.getTime());
  const before = connections();
  for (const [node, peer, name] of nodes) {
    const good = await issue(name, 10);
    for (const bad of [
      { ...good, key: cluster.credentials(peer).key },
      { ...good, cert: 'nonsense' },
      { ...good, key: Buffer.from('nonsense') },
    ])
      await assert.rejects(node.transport.renew(bad), { code: 'CERTIFICATE' });
  }
  assert.deepEqual(connections(), before);
  // New connections are made with the files that were good.
  const since = bob.links.length;
  await alice.transport.renew({ ca: cluster.authority.cert, ...cluster.credentials('alice') });
  await bob.until(() => bob.links.length >= since + 2);
  await Promise.all([alice.ready(), bob.ready()]);
  await closeAll(alice, bob);
});

test(
  'both sides renewed again and again: every message once and in order, nobody lost',
  TIMEOUT,
  async () => {
    const { alice, bob } = await linked();
    const renewals = await Promise.all(
      Array.from({ length: 5 }, async (_, at) => ({
        alice: await issue('alice', 10 + at),
        bob: await issue('bob', 10 + at),
      })),
    );
    const wanted: string[] = [];
    let renewing = true;
    const talking = (async () => {
      while (renewing || wanted.length < 500) {
        const text = `${wanted.length}: ${'x'.repeat((wanted.length * 7919) % 20_000)}`;
        wanted.push(text);
        await Promise.all([alice.send('bob', text), bob.send('alice', text)]);
        if (wanted.length % 5 === 0) await pause(1);
      }
    })();
    for (const renewal of renewals) {
      // At once, and one after the other.
      const renewed = [alice.transport.renew(renewal.alice)];
      if (renewal !== renewals[0]) await pause(10);
      renewed.push(bob.transport.renew(renewal.bob));
      await Promise.all(renewed);
      await sees(alice, 'bob', renewal.bob.expires);
      await sees(bob, 'alice', renewal.alice.expires);
    }
    renewing = false;
    await talking;
    for (const [node, peer] of [
      [alice, 'bob'],
      [bob, 'alice'],
    ] as const) {
      await node.until(() => node.received.length === wanted.length);
      assert.deepEqual(node.texts(peer), wanted);
      assert.deepEqual(node.lost, []);
    }
    await closeAll(alice, bob);
  },
);

test('sessions in progress do not notice', TIMEOUT, async () => {
  const { alice, bob } = await linked();
  const signal = new AbortController().signal;
  const random = randomBytes;
  const common = { parties: ['alice', 'bob'], descriptor: {}, rounds: ROUNDS, signal, random };
  let renewals = 0;
  const converseOften = async (node: TestNode): Promise<void> => {
    const mailbox = new Mailbox(node.transport);
    for (let at = 0; at < 40; at += 1) {
      await node.until(() => renewals >= at / 10);
      const options = { ...common, operation: `talk ${at}`, compute: inlineCompute(random) };
      assert.equal((await withSession(mailbox, options, converse)).sum, 1n);
    }
    mailbox.close();
  };
  let conversing = true;
  const conversed = Promise.all([alice, bob].map(converseOften)).finally(() => {
    conversing = false;
  });
  for (; conversing; renewals += 1) {
    const [node, name] = renewals % 2 === 0 ? ([alice, 'alice'] as const) : ([bob, 'bob'] as const);
    await node.transport.renew(await issue(name, 10 + renewals));
    await pause(50);
  }
  await conversed;
  assert.deepEqual([alice.lost, bob.lost], [[], []]);
  await closeAll(alice, bob);
});

test('a handshake under way is begun anew with the renewed certificate', TIMEOUT, async () => {
  for (const name of ['alice', 'bob'] as const) {
    const cluster = await two.moved();
    const proxy = await TcpProxy.start(cluster.port('alice'));
    proxy.stall();
    const alice = await TestNode.start(cluster, 'alice');
    const bob = await TestNode.start(cluster, 'bob', { via: { alice: proxy.port } });
    await bob.until(() => proxy.accepted === 1);
    // Both have made their end of it, with the certificate that they have.
    await pause(50);
    const [node, peer] = name === 'alice' ? [alice, bob] : [bob, alice];
    const renewal = await issue(name, 10);
    await node.transport.renew(renewal);
    proxy.unstall();
    await peer.until(() => expiryAt(peer, name) !== undefined);
    assert.equal(expiryAt(peer, name), renewal.expires.getTime());
    await closeAll(alice, bob);
    await proxy.close();
  }
});

test('a new authority: one side after the other, with both in between', TIMEOUT, async () => {
  const { cluster, alice, bob } = await linked();
  const other = await TestAuthority.create('the next authority');
  const both = `${cluster.authority.cert}\n${other.cert}`;
  for (const [node, name] of [
    [alice, 'alice'],
    [bob, 'bob'],
  ] as const)
    await node.transport.renew({ ...cluster.credentials(name), ca: both });
  const next = { alice: await issue('alice', 10, other), bob: await issue('bob', 11, other) };
  await alice.transport.renew({ ...next.alice, ca: both });
  await sees(bob, 'alice', next.alice.expires);
  await bob.transport.renew(next.bob);
  await sees(alice, 'bob', next.bob.expires);
  await alice.transport.renew(next.alice);
  await Promise.all([alice.ready(), bob.ready()]);
  assert.deepEqual([alice.lost, bob.lost], [[], []]);
  // A certificate of the earlier one is worth nothing any more.
  await bob.transport.renew({ ...cluster.credentials('bob'), ca: both });
  await alice.until(() => /not signed by the cluster's CA/.test(alice.transport.problems.bob ?? ''));
  await closeAll(alice, bob);
});

test('an expired certificate keeps its party out until it is renewed, and both say so', TIMEOUT, async () => {
  for (const [name, peerName] of [
    ['alice', 'bob'],
    ['bob', 'alice'],
  ] as const) {
    const cluster = await two.moved();
    const dates = { notBefore: daysFromNow(-3), notAfter: daysFromNow(-1) };
    const credentials = await cluster.authority.issue([name], dates);
    const node = await TestNode.start(cluster, name, { credentials });
    const peer = await TestNode.start(cluster, peerName);
    await node.until(() =>
      /this party's certificate has expired/.test(node.transport.problems[peerName] ?? ''),
    );
    await peer.until(() => / certificate has expired/.test(peer.transport.problems[name] ?? ''));
    await node.transport.renew(await issue(name, 10));
    await Promise.all([node.ready(), peer.ready()]);
    assert.deepEqual([node.transport.problems, peer.transport.problems], [{}, {}]);
    await closeAll(node, peer);
  }
});

test(
  'a connection ends when its peer’s certificate does, and that one brings no other',
  TIMEOUT,
  async () => {
    for (const name of ['alice', 'bob'] as const) {
      const { node, peer } = await briefly(name, { pingMillis: 50 });
      const other = name === 'alice' ? 'bob' : 'alice';
      await peer.until(() => peer.links.length === 2);
      await node.until(() =>
        /this party's certificate has expired/.test(node.transport.problems[other] ?? ''),
      );
      // The other one has refused it in a handshake, since.
      await peer.until(() => !/^connection lost/.test(peer.transport.problems[name] ?? 'connection lost'));
      assert.match(peer.transport.problems[name] ?? '', / certificate has expired/);
      const reasons = peer.log.filter(({ message }) => message === 'link down').map(({ reason }) => reason);
      assert.deepEqual(reasons, ['its certificate has expired']);
      assert.equal(peer.transport.peerFacts(name).certificateExpires, undefined);
      await node.transport.renew(await issue(name, 10));
      await Promise.all([node.ready(), peer.ready()]);
      assert.deepEqual(
        peer.links.map(({ up }) => up),
        [true, false, true],
      );
      await closeAll(node, peer);
    }
  },
);

/** The party `name` with a certificate that expires in a moment, linked to its peer all the same. */
async function briefly(name: 'alice' | 'bob', limits: object) {
  for (let seconds = 2; ; seconds *= 2) {
    const cluster = await two.moved();
    const notAfter = new Date(Date.now() + seconds * 1000);
    const credentials = await cluster.authority.issue([name], { notAfter });
    const node = await TestNode.start(cluster, name, { credentials, limits });
    const peer = await TestNode.start(cluster, name === 'alice' ? 'bob' : 'alice', { limits });
    await peer.until(() => peer.links.length > 0 || Date.now() >= notAfter.getTime());
    if (peer.links.length > 0) return { node, peer };
    // This machine is too slow for so short a life.
    await closeAll(node, peer);
  }
}

test(
  'what is known of a link: its round trip, its age, and the end of its peer’s certificate',
  TIMEOUT,
  async () => {
    const cluster = await two.moved();
    const start = Date.now();
    const alice = await TestNode.start(cluster, 'alice');
    const down = {
      up: false,
      roundTripMillis: undefined,
      connectedSince: undefined,
      certificateExpires: undefined,
    };
    assert.deepEqual(alice.transport.peerFacts('bob'), { ...down, problem: 'no connection yet' });
    const renewal = await issue('bob', 10);
    const bob = await TestNode.start(cluster, 'bob', { credentials: renewal });
    await alice.until(() => alice.transport.peerFacts('bob').roundTripMillis !== undefined);
    const { connectedSince, roundTripMillis, ...facts } = alice.transport.peerFacts('bob');
    assert.deepEqual(facts, { up: true, problem: undefined, certificateExpires: renewal.expires });
    assert(roundTripMillis! >= 0);
    assert(connectedSince!.getTime() >= start && connectedSince!.getTime() <= Date.now());
    await pause(2);
    await bob.transport.renew(renewal);
    const present = () => alice.transport.peerFacts('bob').connectedSince ?? connectedSince!;
    await alice.until(() => present() > connectedSince!);
    await bob.ready();
    await closeAll(bob);
    await alice.until(() => !alice.transport.peerFacts('bob').up);
    assert.deepEqual(alice.transport.peerFacts('bob'), { ...down, problem: 'it has ended' });
    assert.throws(() => alice.transport.peerFacts('alice'), { code: 'BUG' });
    await closeAll(alice);
  },
);

test('the key stays in OpenSSL: what the server keeps of it is wiped', TIMEOUT, async () => {
  const secured = mock.method(Server.prototype, 'setSecureContext');
  const { alice, bob } = await linked();
  const renewal = await issue('alice', 10);
  const key = Buffer.from(renewal.key);
  await alice.transport.renew({ ...renewal, key });
  await assert.rejects(alice.transport.renew({ ...renewal, cert: 'nonsense' }), { code: 'CERTIFICATE' });
  secured.mock.restore();
  const keys = secured.mock.calls.map(({ arguments: [options] }) => (options as { key: Buffer }).key);
  assert.equal(keys.length, 3);
  for (const kept of keys) assert(kept.length > 100 && kept.every((byte) => byte === 0));
  assert.equal(key.toString(), renewal.key, 'the caller’s own copy is the caller’s');
  const logged = JSON.stringify([alice.log, bob.log]);
  assert.doesNotMatch(logged, /PRIVATE|BEGIN/);
  await sees(bob, 'alice', renewal.expires);
  await closeAll(alice, bob);
});

test('who has closed renews nothing', TIMEOUT, async () => {
  const { alice, bob } = await linked();
  await closeAll(alice, bob);
  await assert.rejects(alice.transport.renew(await issue('alice', 10)), { code: 'INTERRUPTED' });
});
