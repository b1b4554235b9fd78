import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createServer } from 'node:tls';
import { toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { Connection } from '#src/transport/connection.js';
import { decodeHello, encodeHello } from '#src/transport/hello.js';
import { APPLICATION_PROTOCOL } from '#src/transport/identity.js';
import { DEFAULT_LIMITS, MAX_MESSAGE_BYTES } from '#src/transport/limits.js';
import { Link } from '#src/transport/link.js';
import { TlsTransport } from '#src/transport/tls-transport.js';
import { daysFromNow } from '../support/certs.js';
import { TcpProxy } from '../support/proxy.js';
import { closeAll, HOST, TestCluster, TestNode, texts } from './node.js';
import { StuckSocket } from './stuck-socket.js';

let four: TestCluster;
let two: TestCluster;

before(async () => {
  four = await TestCluster.create(['alice', 'bob', 'charlie', 'dave']);
  two = await TestCluster.create(['alice', 'bob']);
});

const TIMEOUT = { timeout: 20_000 };
const signalOf = (code: 'TIMEOUT', afterMillis: number): AbortSignal => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new MpcError(code, 'late')), afterMillis);
  return controller.signal;
};

/** alice, and bob who dials her through a proxy. */
async function proxied(
  limits = {},
): Promise<{ alice: TestNode; bob: TestNode; proxy: TcpProxy; cluster: TestCluster }> {
  const cluster = await two.moved();
  const proxy = await TcpProxy.start(cluster.port('alice'));
  const alice = await TestNode.start(cluster, 'alice', { limits });
  const bob = await TestNode.start(cluster, 'bob', { limits, via: { alice: proxy.port } });
  await Promise.all([alice.ready(), bob.ready()]);
  return { alice, bob, proxy, cluster };
}

test('four parties started in any order, with pauses, all hear from all', TIMEOUT, async () => {
  const cluster = await four.moved();
  const nodes = new Map<string, TestNode>();
  for (const name of ['charlie', 'alice', 'dave', 'bob']) {
    nodes.set(name, await TestNode.start(cluster, name));
    await pause(randomInt(100));
  }
  await Promise.all([...nodes.values()].map((node) => node.ready()));
  for (const [name, node] of nodes) {
    assert.deepEqual(node.transport.missing, []);
    assert.deepEqual(node.transport.problems, {});
    for (const peer of cluster.names) if (peer !== name) await node.send(peer, `${name} to ${peer}`);
  }
  for (const [name, node] of nodes) {
    await node.until(() => node.received.length === 3);
    for (const peer of cluster.names)
      if (peer !== name) assert.deepEqual(node.texts(peer), [`${peer} to ${name}`]);
  }
  await closeAll(...nodes.values());
});

test('while waiting, the missing and what is known about them are told', TIMEOUT, async () => {
  const cluster = await four.moved();
  const bob = await TestNode.start(cluster, 'bob');
  await bob.until(() => /nobody listens/.test(bob.transport.problems.alice ?? ''));
  assert.deepEqual(bob.transport.missing, ['alice', 'charlie', 'dave']);
  assert.match(bob.transport.problems.charlie ?? '', /no connection yet/);
  await assert.rejects(bob.transport.ready(signalOf('TIMEOUT', 50)), { code: 'TIMEOUT' });
  await closeAll(bob);
});

test('messages sent before the link is up arrive, in order', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  const wanted = texts(50);
  for (const text of wanted) await alice.send('bob', text);
  const bob = await TestNode.start(cluster, 'bob');
  await bob.until(() => bob.received.length === wanted.length);
  assert.deepEqual(bob.texts('alice'), wanted);
  await closeAll(alice, bob);
});

test('many small and the largest messages, both ways at once, in order and once', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied();
  const small = texts(5000);
  const large = new Uint8Array(MAX_MESSAGE_BYTES).map((_, index) => index * 31);
  for (const [from, to] of [
    [alice, 'bob'],
    [bob, 'alice'],
  ] as const) {
    for (const text of small) void from.send(to, text);
    void from.transport.send(to, large);
    void from.send(to, 'end');
  }
  for (const [node, peer] of [
    [alice, 'bob'],
    [bob, 'alice'],
  ] as const) {
    await node.until(() => node.received.length === small.length + 2);
    assert.deepEqual(node.texts(peer).slice(0, small.length), small);
    assert.ok(Buffer.from(large).equals(node.received[small.length]?.bytes as Uint8Array));
    assert.equal(node.texts(peer).at(-1), 'end');
  }
  await alice.until(() => alice.transport.peerFacts('bob').roundTripMillis !== undefined);
  await closeAll(alice, bob);
  await proxy.close();
});

test('messages of no bytes and above the limit are bugs of the caller', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  for (const bytes of [new Uint8Array(0), new Uint8Array(MAX_MESSAGE_BYTES + 1)]) {
    assert.throws(() => alice.transport.send('bob', bytes), { code: 'BUG' });
  }
  assert.throws(() => alice.transport.send('alice', new Uint8Array(1)), { code: 'BUG' });
  await closeAll(alice);
});

test('a slow line in tiny pieces, and a stall, only cost time', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied();
  proxy.delayMillis = 2;
  proxy.pieceBytes = 100;
  const wanted = texts(200);
  for (const text of wanted) void alice.send('bob', text);
  await bob.until(() => bob.received.length > 10);
  proxy.stall();
  await pause(100);
  proxy.unstall();
  await bob.until(() => bob.received.length === wanted.length);
  assert.deepEqual(bob.texts('alice'), wanted);
  await closeAll(alice, bob);
  await proxy.close();
});

test('a connection that falls silent is made anew, and nothing is lost', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied({ pingMillis: 50, silentMillis: 300 });
  await alice.send('bob', 'before');
  await bob.until(() => bob.received.length === 1);
  proxy.stall();
  await alice.send('bob', 'during');
  await bob.until(() => bob.links.some(({ up }) => !up));
  await alice.until(() => alice.links.some(({ up }) => !up));
  proxy.unstall();
  await bob.until(() => bob.received.length === 2);
  assert.deepEqual(bob.texts('alice'), ['before', 'during']);
  assert.deepEqual([alice.lost, bob.lost], [[], []]);
  assert.ok(bob.log.some(({ message, reason }) => message === 'link down' && reason === 'silent for 0.3 s'));
  await closeAll(alice, bob);
  await proxy.close();
});

test('a second connection of the same process takes over before the first has ended', TIMEOUT, async () => {
  // The cut is seen by bob alone: alice still holds the old connection when the new one arrives.
  const { alice, bob, proxy } = await proxied();
  const wanted = texts(300);
  for (const [index, text] of wanted.entries()) {
    void alice.send('bob', text);
    void bob.send('alice', text);
    if (index % 100 === 50) proxy.cutNear();
    if (index % 10 === 0) await pause(2);
  }
  await bob.until(() => bob.received.length === wanted.length);
  await alice.until(() => alice.received.length === wanted.length);
  assert.deepEqual(bob.texts('alice'), wanted);
  assert.deepEqual(alice.texts('bob'), wanted);
  assert.ok(proxy.accepted >= 4);
  assert.deepEqual([alice.lost, bob.lost], [[], []]);
  await closeAll(alice, bob);
  await proxy.close();
});

test('a connection whose bytes are played to the peer twice has no effect', TIMEOUT, async () => {
  const cluster = await two.moved();
  const proxy = await TcpProxy.start(cluster.port('alice'));
  proxy.duplicating = true;
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob', { via: { alice: proxy.port } });
  for (const text of texts(20)) await bob.send('alice', text);
  await alice.until(() => alice.received.length === 20);
  await alice.until(() => alice.log.some(({ message }) => message === 'dropped a connection'));
  assert.deepEqual(alice.texts('bob'), texts(20));
  await closeAll(alice, bob);
  await proxy.close();
});

test(
  'a restarted peer is reported as lost, and the link works on with the new process',
  TIMEOUT,
  async () => {
    for (const restarted of ['alice', 'bob'] as const) {
      const other = restarted === 'alice' ? 'bob' : 'alice';
      const cluster = await two.moved();
      const proxy = await TcpProxy.start(cluster.port('alice'));
      const options = (name: string) => (name === 'bob' ? { via: { alice: proxy.port } } : {});
      const first = await TestNode.start(cluster, restarted, options(restarted));
      const node = await TestNode.start(cluster, other, options(other));
      await node.send(restarted, 'to the first');
      await first.until(() => first.received.length === 1);
      proxy.refusing = true;
      proxy.cut();
      await node.until(() => node.transport.missing.length === 1);
      await node.send(restarted, 'never arrives');
      await first.transport.close();
      const second = await TestNode.start(cluster, restarted, options(restarted));
      proxy.refusing = false;
      await node.until(() => node.lost.length === 1);
      assert.equal(node.lost[0]?.peer, restarted);
      assert.equal(node.lost[0]?.error.code, 'PEER_LEFT');
      assert.deepEqual(node.lost[0]?.error.culprits, [restarted]);
      assert.match(node.lost[0]?.error.message ?? '', new RegExp(`${restarted} was restarted`));
      await second.send(other, 'from the second');
      await node.send(restarted, 'to the second');
      await second.until(() => second.received.length === 1);
      await node.until(() => node.received.length === 1);
      assert.deepEqual(second.texts(other), ['to the second']);
      assert.deepEqual(second.lost, []);
      await closeAll(node, second);
      await proxy.close();
    }
  },
);

test('a process that has been replaced under its name cannot come back', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  const first = await TestNode.start(cluster, 'bob');
  await alice.ready();
  // The second process of bob's is on another machine, so the port of the first does not stop it.
  const elsewhere = await two.moved();
  const second = await TestNode.start(elsewhere, 'bob', { via: { alice: cluster.port('alice') } });
  await alice.until(() => alice.lost.length === 1);
  await first.until(() => /another process/.test(first.transport.problems.alice ?? ''));
  await second.send('alice', 'from the second');
  await alice.until(() => alice.received.length === 1);
  assert.deepEqual(alice.transport.missing, []);
  assert.equal(alice.lost.length, 1);
  await closeAll(alice, first, second);
});

test('a peer away for too long is lost; both start anew when it is back', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied({ pingMillis: 50, silentMillis: 200, goneMillis: 600 });
  await alice.send('bob', 'before');
  await bob.until(() => bob.received.length === 1);
  proxy.refusing = true;
  proxy.cut();
  void alice.send('bob', 'void').catch(() => {});
  for (const [node, peer] of [
    [alice, 'bob'],
    [bob, 'alice'],
  ] as const) {
    await node.until(() => node.lost.length === 1);
    assert.deepEqual(
      node.lost.map(({ peer, error }) => [peer, error.code]),
      [[peer, 'PEER_LEFT']],
    );
    assert.match(node.lost[0]?.error.message ?? '', /not been heard from for 0.6 s/);
    await assert.rejects(node.send(peer, 'while away'), { code: 'PEER_LEFT' });
  }
  proxy.refusing = false;
  await Promise.all([alice.ready(), bob.ready()]);
  await alice.send('bob', 'after');
  await bob.send('alice', 'after');
  await bob.until(() => bob.received.length === 2);
  await alice.until(() => alice.received.length === 1);
  assert.deepEqual(bob.texts('alice'), ['before', 'after']);
  assert.deepEqual(alice.texts('bob'), ['after']);
  assert.deepEqual([alice.lost.length, bob.lost.length], [1, 1]);
  await closeAll(alice, bob);
  await proxy.close();
});

test('if only one side gives the other up, the other learns of it when they meet', TIMEOUT, async () => {
  const cluster = await two.moved();
  const proxy = await TcpProxy.start(cluster.port('alice'));
  const impatient = { pingMillis: 50, silentMillis: 200, goneMillis: 400 };
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob', { via: { alice: proxy.port }, limits: impatient });
  await alice.send('bob', 'before');
  await bob.until(() => bob.received.length === 1);
  proxy.refusing = true;
  proxy.cut();
  await alice.until(() => alice.transport.missing.length === 1);
  await alice.send('bob', 'void');
  await bob.until(() => bob.lost.length === 1);
  assert.equal(alice.lost.length, 0);
  proxy.refusing = false;
  await alice.until(() => alice.lost.length === 1);
  assert.match(alice.lost[0]?.error.message ?? '', /lost sight of this party/);
  await alice.ready();
  await alice.send('bob', 'after');
  await bob.until(() => bob.received.length === 2);
  assert.deepEqual(bob.texts('alice'), ['before', 'after']);
  await closeAll(alice, bob);
  await proxy.close();
});

test('a peer given up in the middle of a reconnect is met anew', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied({ pingMillis: 50, silentMillis: 200, goneMillis: 500 });
  proxy.cut();
  // The new connection hangs before alice has answered bob's hello, until bob has given alice up.
  proxy.stall();
  await bob.until(() => bob.lost.length === 1);
  await alice.until(() => alice.lost.length === 1);
  proxy.unstall();
  await Promise.all([alice.ready(), bob.ready()]);
  await alice.send('bob', 'after');
  await bob.until(() => bob.received.length === 1);
  // Both know each other's present incarnation: the next reconnect is an ordinary one.
  proxy.cut();
  await alice.send('bob', 'after a cut');
  await bob.until(() => bob.received.length === 2);
  assert.deepEqual([alice.lost.length, bob.lost.length], [1, 1]);
  await closeAll(alice, bob);
  await proxy.close();
});

test('a peer that is back in time is not lost later', TIMEOUT, async () => {
  const goneMillis = 400;
  const { alice, bob, proxy } = await proxied({ goneMillis });
  proxy.cut();
  await alice.until(() => alice.links.length === 3);
  await bob.until(() => bob.links.length === 3);
  await pause(2 * goneMillis);
  assert.deepEqual([alice.lost, bob.lost], [[], []]);
  await closeAll(alice, bob);
  await proxy.close();
});

test('a hello that has become stale while under way is not relied on', TIMEOUT, async () => {
  const cluster = await two.moved();
  const incarnation = new Uint8Array(16).fill(1);
  const introductions: string[] = [];
  // An alice who answers bob's first hello at once and the second only after he has given her up.
  const alice = createServer(
    {
      ca: cluster.authority.cert,
      ...cluster.credentials('alice'),
      minVersion: 'TLSv1.3',
      requestCert: true,
      ALPNProtocols: [APPLICATION_PROTOCOL],
    },
    async (socket) => {
      socket.on('error', () => {});
      const connection = new Connection(socket);
      const frame = await connection.next();
      assert.ok(frame.kind === 'hello');
      introductions.push(toHex(decodeHello(frame.body).incarnation));
      if (introductions.length === 2) await bob.until(() => bob.lost.length === 1);
      const answer = encodeHello({ from: 'alice', parties: cluster.names, incarnation, resume: null });
      connection.write({ kind: 'hello', body: answer });
      if (introductions.length === 1) setTimeout(() => connection.destroy('enough'), 50);
      else connection.use({ frame: () => {}, heard: () => {}, drained: () => {} });
    },
  ).listen(cluster.port('alice'), HOST);
  await once(alice.unref(), 'listening');
  const bob = await TestNode.start(cluster, 'bob', { limits: { goneMillis: 400 } });
  await bob.until(() => introductions.length === 3);
  await bob.ready();
  const [first, second, third] = introductions;
  assert.equal(first, second);
  assert.notEqual(second, third);
  assert.deepEqual(
    bob.links.map(({ up }) => up),
    [true, false, true],
  );
  alice.close();
  await closeAll(bob);
});

test('a process that was held up blames nobody for the silence', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied({ pingMillis: 50, silentMillis: 200, goneMillis: 400 });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  await pause(300);
  await alice.send('bob', 'after');
  await bob.until(() => bob.received.length === 1);
  assert.deepEqual([alice.links.length, bob.links.length], [1, 1]);
  await closeAll(alice, bob);
  await proxy.close();
});

test('nothing comes before somebody has subscribed', TIMEOUT, async () => {
  const cluster = await two.moved();
  const bob = await TestNode.start(cluster, 'bob');
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const alice = await TlsTransport.start({
    self: 'alice',
    parties: cluster.parties(),
    ca: cluster.authority.cert,
    ...cluster.credentials('alice'),
    logger: quiet,
  });
  await assert.rejects(alice.ready(new AbortController().signal), { code: 'BUG' });
  await bob.send('alice', 'early');
  await bob.until(() => /closed by the other side/.test(bob.transport.problems.alice ?? ''));
  const heard: string[] = [];
  alice.subscribe({ message: (_, bytes) => heard.push(Buffer.from(bytes).toString()), lost: () => {} });
  await bob.until(() => heard.length > 0);
  assert.deepEqual(heard, ['early']);
  await alice.close();
  await closeAll(bob);
});

test('a peer that does not read makes senders wait, and memory stays bounded', TIMEOUT, async () => {
  const queuedBytes = 256 * 1024;
  const { alice, bob, proxy } = await proxied({ queuedBytes });
  proxy.stall();
  let accepted = 0;
  const total = 200;
  const size = 16 * 1024;
  const sending = (async () => {
    for (let count = 0; count < total; count += 1) {
      await alice.transport.send('bob', new Uint8Array(size).fill(count));
      accepted += 1;
    }
  })();
  await pause(200);
  assert.ok(accepted * size <= queuedBytes, `${accepted} accepted`);
  assert.ok(accepted * size > queuedBytes / 2);
  proxy.unstall();
  await sending;
  await bob.until(() => bob.received.length === total);
  assert.ok(bob.received.every(({ bytes }, index) => bytes.length === size && bytes[0] === index));
  await closeAll(alice, bob);
  await proxy.close();
});

test('no more is handed to a full socket than it takes', async () => {
  const events = { message: () => {}, lost: () => {}, changed: () => {} };
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const link = new Link('bob', DEFAULT_LIMITS, quiet, events);
  const socket = new StuckSocket();
  const hello = {
    version: 1,
    from: 'bob',
    parties: ['alice', 'bob'],
    incarnation: new Uint8Array(16),
    resume: null,
  };
  assert.equal(link.meet(hello), undefined);
  link.attach(new Connection(socket), daysFromNow(1));
  for (let count = 0; count < 100; count += 1) await link.send(new Uint8Array(400));
  await pause(10);
  assert.ok(socket.writableLength < 3 * 400 + 1000, `${socket.writableLength} bytes in the socket`);
  socket.destroy();
});

test('a sender waiting for room is told when the peer is lost', TIMEOUT, async () => {
  const { alice, bob, proxy } = await proxied({
    queuedBytes: 1000,
    pingMillis: 50,
    silentMillis: 200,
    goneMillis: 400,
  });
  proxy.stall();
  await alice.transport.send('bob', new Uint8Array(2000));
  await assert.rejects(alice.transport.send('bob', new Uint8Array(1)), { code: 'PEER_LEFT' });
  await closeAll(alice, bob);
  await proxy.close();
});

test('a handler that throws does not disturb the others or the link', TIMEOUT, async () => {
  const cluster = await two.moved();
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob');
  const unsubscribe = bob.transport.subscribe({
    message: () => {
      throw new Error('a bug of the handler');
    },
    lost: () => {},
  });
  await alice.send('bob', 'one');
  await bob.until(() =>
    bob.log.some(({ level, message }) => level === 'error' && message === 'a handler failed'),
  );
  unsubscribe();
  await alice.send('bob', 'two');
  await bob.until(() => bob.received.length === 2);
  assert.deepEqual(bob.texts('alice'), ['one', 'two']);
  await closeAll(alice, bob);
});
