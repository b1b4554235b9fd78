/** Whoever is not a party, or not the right one: dropped, said so, and nobody else notices. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type ConnectionOptions, connect } from 'node:tls';
import { encode } from '#src/core/codec.js';
import { encodeFrame, type Frame, FrameDecoder } from '#src/transport/frame.js';
import { encodeHello, type Hello, TRANSPORT_VERSION } from '#src/transport/hello.js';
import {
  APPLICATION_PROTOCOL,
  decodeRefusal,
  encodeRefusal,
  REFUSALS,
  type Refusal,
  refusalByPeer,
  refusalOfPeer,
} from '#src/transport/identity.js';
import { type Credentials, daysFromNow, TestAuthority } from '../support/certs.js';
import { closeAll, HOST, type NodeOptions, TestCluster, TestNode } from './node.js';

const TIMEOUT = { timeout: 20_000 };
const HANDSHAKE_MILLIS = 1_000;

let cluster: TestCluster;
let otherAuthority: TestAuthority;
/** alice and bob are linked throughout; strangers call on alice. */
let alice: TestNode;
let bob: TestNode;

before(async () => {
  cluster = await TestCluster.create(['alice', 'bob', 'charlie']);
  otherAuthority = await TestAuthority.create('another authority');
  alice = await TestNode.start(cluster, 'alice', {
    limits: { handshakeMillis: HANDSHAKE_MILLIS },
  });
  bob = await TestNode.start(cluster, 'bob');
  await bob.until(() => !bob.transport.missing.includes('alice'));
});

after(async () => {
  assert.deepEqual(alice.lost, []);
  assert.deepEqual(
    alice.links.filter(({ peer }) => peer === 'bob'),
    [{ peer: 'bob', up: true }],
  );
  await closeAll(alice, bob);
});

/** The link between alice and bob still works, both ways. */
async function assertUndisturbed(): Promise<void> {
  const before = [alice.received.length, bob.received.length] as const;
  await bob.send('alice', 'still here');
  await alice.send('bob', 'still here');
  await alice.until(() => alice.received.length > before[0]);
  await bob.until(() => bob.received.length > before[1]);
  assert.ok(alice.received.every(({ from }) => from === 'bob'));
}

interface CallOptions extends ConnectionOptions {
  readonly credentials?: Credentials;
  /** Frames to send once TLS is up, default a hello. */
  readonly frames?: readonly Frame[];
  readonly raw?: Uint8Array;
  /** Default alice's. */
  readonly port?: number;
}

const hello = (fields: Partial<Hello> = {}): Frame => ({
  kind: 'hello',
  body: encodeHello({
    from: 'charlie',
    parties: cluster.names,
    incarnation: new Uint8Array(16).fill(7),
    resume: null,
    ...fields,
  }),
});

/** Dials alice as somebody, and returns what she answered before she closed the connection. */
async function call(options: CallOptions): Promise<{ frames: Frame[]; error: string | undefined }> {
  const socket = connect({
    host: HOST,
    port: cluster.port('alice'),
    ALPNProtocols: [APPLICATION_PROTOCOL],
    rejectUnauthorized: false,
    ...options.credentials,
    ...options,
  });
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  let error: string | undefined;
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    error = cause.code ?? cause.message;
  });
  socket.on('data', (chunk) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
  });
  socket.on('secureConnect', () => {
    for (const part of (options.frames ?? [hello()]).flatMap(encodeFrame)) socket.write(part);
    if (options.raw !== undefined) socket.write(options.raw);
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return { frames, error };
}

/** Dials alice as `call` does, and checks that she refuses for `refusal` alone and stays undisturbed. */
async function assertRefused(refusal: Refusal, options: CallOptions): Promise<void> {
  const { frames } = await call(options);
  assert.deepEqual(
    frames.map((frame) => (frame.kind === 'refusal' ? decodeRefusal(frame.body) : frame.kind)),
    [refusal],
  );
  await assertUndisturbed();
}

test('no certificate', TIMEOUT, () => assertRefused('no-certificate', {}));

test('a certificate of another authority', TIMEOUT, async () => {
  await assertRefused('other-authority', { credentials: await otherAuthority.issue(['charlie']) });
  assert.match(
    alice.transport.problems.charlie ?? '',
    /in its name was refused.*not signed by the cluster's CA/,
  );
});

test('an expired certificate, and one not valid yet', TIMEOUT, async () => {
  const expired = { notBefore: daysFromNow(-3), notAfter: daysFromNow(-1) };
  await assertRefused('expired', { credentials: await cluster.authority.issue(['charlie'], expired) });
  assert.match(alice.transport.problems.charlie ?? '', /has expired/);
  const early = { notBefore: daysFromNow(1), notAfter: daysFromNow(3) };
  await assertRefused('not-yet-valid', { credentials: await cluster.authority.issue(['charlie'], early) });
});

test('a certificate for servers only', TIMEOUT, async () => {
  const credentials = await cluster.authority.issue(['charlie'], { usages: ['server'] });
  await assertRefused('purpose', { credentials });
});

test('a name that is not in the cluster, and one in the common name only', TIMEOUT, async () => {
  await assertRefused('no-name', { credentials: await cluster.authority.issue(['mallory']) });
  await assertRefused('no-name', {
    credentials: await cluster.authority.issue(['mallory'], { commonName: 'charlie' }),
  });
  await assertRefused('no-name', {
    credentials: await cluster.authority.issue([], { commonName: 'charlie' }),
  });
  await assertRefused('no-name', {
    credentials: await cluster.authority.issue(['*', '*.charlie', 'charlie.*']),
  });
  await assertRefused('no-name', { credentials: await cluster.authority.issue(['x, DNS:charlie, y']) });
});

test('two names of the cluster in one certificate', TIMEOUT, async () => {
  await assertRefused('several-names', { credentials: await cluster.authority.issue(['charlie', 'bob']) });
  await assertRefused('several-names', { credentials: await cluster.authority.issue(['charlie', 'alice']) });
});

test("alice's own certificate", TIMEOUT, () =>
  assertRefused('self', { credentials: cluster.credentials('alice') }),
);

test("another party's name in the hello", TIMEOUT, () =>
  assertRefused('other-name', {
    credentials: cluster.credentials('charlie'),
    frames: [hello({ from: 'bob' })],
  }),
);

test('a connection without the protocol of this program', TIMEOUT, async () => {
  const credentials = cluster.credentials('charlie');
  // No ALPN at all.
  await assertRefused('tls', { credentials, ALPNProtocols: [] });
  const { frames, error } = await call({ credentials, ALPNProtocols: ['h2'] });
  assert.deepEqual([frames, error], [[], 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL']);
  await assertUndisturbed();
});

test('TLS 1.2', TIMEOUT, async () => {
  const { frames, error } = await call({
    credentials: cluster.credentials('charlie'),
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
  });
  assert.deepEqual([frames, error], [[], 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION']);
  await assertUndisturbed();
});

test('a TLS session is never resumed', TIMEOUT, async () => {
  const credentials = cluster.credentials('charlie');
  const sessions: Buffer[] = [];
  const dial = async (session?: Buffer): Promise<boolean> => {
    const socket = connect({
      host: HOST,
      port: cluster.port('alice'),
      ALPNProtocols: [APPLICATION_PROTOCOL],
      rejectUnauthorized: false,
      ...credentials,
      ...(session === undefined ? {} : { session }),
    });
    socket.on('session', (ticket) => sessions.push(ticket));
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    const reused = socket.isSessionReused();
    for (const part of encodeFrame({ kind: 'refusal', body: Uint8Array.of(65) })) socket.write(part);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    return reused;
  };
  assert.equal(await dial(), false);
  assert.ok(sessions.length > 0, 'a session was offered');
  assert.equal(await dial(sessions[0]), false);
});

test('a good certificate and bad frames', TIMEOUT, async () => {
  const credentials = cluster.credentials('charlie');
  await assertRefused('malformed', { credentials, frames: [{ kind: 'hello', body: Uint8Array.of(0xff) }] });
  await assertRefused('malformed', {
    credentials,
    frames: [{ kind: 'hello', body: encode({ version: TRANSPORT_VERSION, from: 'charlie' }) }],
  });
  const header = Buffer.alloc(5);
  const headers = [
    [0xffffffff, 1],
    [4 * 1024 * 1024, 3],
    [100_000, 1],
    [7, 4],
    [0, 0],
  ] as const;
  for (const [announced, code] of headers) {
    header.writeUInt32BE(announced, 0);
    header.writeUInt8(code, 4);
    const { frames } = await call({ credentials, frames: [], raw: header });
    assert.deepEqual(frames, []);
  }
  await assertUndisturbed();
});

test(
  'a party that leaves out or repeats a message, or acknowledges what was never sent',
  TIMEOUT,
  async () => {
    const moved = await cluster.moved();
    const node = await TestNode.start(moved, 'alice');
    const lies: Frame[] = [
      { kind: 'message', number: 2, body: Uint8Array.of(1) },
      { kind: 'message', number: 0, body: Uint8Array.of(1) },
      { kind: 'ack', number: 1 },
    ];
    for (const lie of lies) {
      const { frames } = await call({
        port: moved.port('alice'),
        credentials: moved.credentials('charlie'),
        frames: [hello(), lie],
      });
      const refusal = frames.find((frame) => frame.kind === 'refusal');
      assert.equal(refusal && decodeRefusal(refusal.body), 'inconsistent');
      await node.until(() => node.transport.missing.includes('charlie'));
      assert.match(node.transport.problems.charlie ?? '', /leaves out or repeats/);
    }
    assert.deepEqual(node.received, []);
    await closeAll(node);
  },
);

test('a party that takes back its hello, and a reason that this version does not know', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const node = await TestNode.start(moved, 'alice');
  const cases = [
    [encodeRefusal('superseded'), `it refuses this party: ${REFUSALS.superseded}`],
    [new Uint8Array(Buffer.from('reason of the future')), 'it refuses this party: for an unknown reason'],
  ] as const;
  for (const [body, problem] of cases) {
    await call({
      port: moved.port('alice'),
      credentials: moved.credentials('charlie'),
      frames: [hello(), { kind: 'refusal', body }],
    });
    await node.until(() => node.transport.problems.charlie === `connection lost: ${problem}`);
  }
  assert.deepEqual(node.lost, []);
  await closeAll(node);
});

test('closing drops strangers that are still in their handshake', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const node = await TestNode.start(moved, 'alice');
  const socket = connectTcp(moved.port('alice'), HOST);
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  await pause(50);
  await closeAll(node);
  if (!socket.closed) await once(socket, 'close');
});

test('plain text, HTTP, garbage, and a port scan', TIMEOUT, async () => {
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'hello\n', '\x16\x03\x01\xff\xff garbage', '']) {
    const socket = connectTcp(cluster.port('alice'), HOST);
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.end(bytes);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  }
  await assertUndisturbed();
});

test('a handshake that stops half-way is dropped in time, before TLS and after it', TIMEOUT, async () => {
  const silent = connectTcp(cluster.port('alice'), HOST);
  silent.on('error', () => {});
  silent.resume();
  const half = connect({
    host: HOST,
    port: cluster.port('alice'),
    ALPNProtocols: [APPLICATION_PROTOCOL],
    rejectUnauthorized: false,
    ...cluster.credentials('charlie'),
  });
  half.on('error', () => {});
  half.resume();
  await Promise.all(
    [silent, half].map((socket: Socket) => new Promise((resolve) => socket.once('close', resolve))),
  );
  await assertUndisturbed();
});

test('a thousand connections at once keep nobody out, and are few lines in the log', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const strangers = 32;
  const limits = { handshakeMillis: 60_000, strangers, pingMillis: 200 };
  const target = await TestNode.start(moved, 'alice', { limits });
  const early = await TestNode.start(moved, 'bob');
  await early.until(() => early.transport.missing.length === 1);
  const startedAt = performance.now();
  const flood = Array.from({ length: 1000 }, () => {
    const socket = connectTcp(moved.port('alice'), HOST);
    socket.on('error', () => {});
    socket.resume();
    return socket;
  });
  const late = await TestNode.start(moved, 'charlie');
  await late.ready();
  for (const node of [early, late]) await node.send('alice', 'through the flood');
  await target.until(() => target.received.length === 2);
  await target.until(() => flood.filter((socket) => !socket.closed).length <= strangers);
  const dropped = () => target.log.filter(({ message }) => message === 'dropped a connection');
  await target.until(() => dropped().reduce((sum, { count }) => sum + (count ?? 0), 0) >= 1000 - strangers);
  const seconds = (performance.now() - startedAt) / 1000;
  assert.ok(dropped().length <= Math.ceil(seconds) + 1, `${dropped().length} lines in ${seconds} s`);
  assert.deepEqual(target.lost, []);
  await closeAll(target, early, late);
});

/** Starts bob, who dials an alice, both in a cluster of their own, with something about them changed. */
async function pair(change: {
  alice?: NodeOptions;
  bob?: NodeOptions;
  parties?: TestCluster;
}): Promise<{ alice: TestNode; bob: TestNode }> {
  const moved = await (change.parties ?? cluster).moved();
  const nodes = {
    alice: await TestNode.start(moved, 'alice', change.alice),
    bob: await TestNode.start(moved, 'bob', change.bob),
  };
  return nodes;
}

test('a wrong certificate is told on both sides, whichever side has it', TIMEOUT, async () => {
  const expired = await cluster.authority.issue(['bob'], {
    notBefore: daysFromNow(-3),
    notAfter: daysFromNow(-1),
  });
  const aliceExpired = await cluster.authority.issue(['alice'], {
    notBefore: daysFromNow(-3),
    notAfter: daysFromNow(-1),
  });
  const cases = [
    {
      change: { bob: { credentials: expired } },
      atAlice: `a connection in its name was refused: ${REFUSALS.expired}`,
      atBob: refusalByPeer('expired'),
    },
    {
      change: { alice: { credentials: aliceExpired } },
      atAlice: refusalByPeer('expired'),
      atBob: refusalOfPeer('expired'),
    },
    {
      change: { alice: { credentials: cluster.credentials('charlie') } },
      atAlice: refusalByPeer('other-party'),
      atBob: refusalOfPeer('other-party'),
    },
    {
      change: { bob: { credentials: await otherAuthority.issue(['bob']), ca: otherAuthority.cert } },
      atAlice: `a connection in its name was refused: ${REFUSALS['other-authority']}`,
      atBob: refusalOfPeer('other-authority'),
    },
  ];
  for (const { change, atAlice, atBob } of cases) {
    const nodes = await pair(change);
    await nodes.alice.until(() => nodes.alice.transport.problems.bob === atAlice);
    await nodes.bob.until(() => nodes.bob.transport.problems.alice === atBob);
    await closeAll(nodes.alice, nodes.bob);
  }
});

test('a pinned certificate: the one in the list and no other', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const pin = new X509Certificate(moved.credentials('bob').cert).fingerprint256;
  const withPin = (fingerprint: string) =>
    moved.parties().map((party) => (party.name === 'bob' ? { ...party, fingerprint } : party));
  const good = await TestNode.start(moved, 'alice', {
    parties: withPin(pin.replaceAll(':', '').toLowerCase()),
  });
  const first = await TestNode.start(moved, 'bob');
  await first.until(() => !first.transport.missing.includes('alice'));
  await closeAll(good, first);
  const strict = await TestNode.start(moved, 'alice', { parties: withPin(pin) });
  const another = await TestNode.start(moved, 'bob', { credentials: await moved.authority.issue(['bob']) });
  await another.until(() => another.transport.problems.alice === refusalByPeer('fingerprint'));
  await closeAll(strict, another);
});

test('the dialling side checks as well: something else listens at the address', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(
    moved.port('alice'),
    HOST,
  );
  await once(echo.unref(), 'listening');
  const node = await TestNode.start(moved, 'bob');
  await node.until(() => /what listens there is no party: ERR_SSL/.test(node.transport.problems.alice ?? ''));
  echo.close();
  await closeAll(node);
});

test('the dialling side does not wait for ever', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const mute = createServer((socket) => socket.on('error', () => {})).listen(moved.port('alice'), HOST);
  await once(mute.unref(), 'listening');
  const node = await TestNode.start(moved, 'bob', { limits: { handshakeMillis: 200 } });
  await node.until(() => /no answer in 0.2 s/.test(node.transport.problems.alice ?? ''));
  mute.close();
  await closeAll(node);
});

test('whoever should have waited is told that the lists differ in order', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const charlie = await TestNode.start(moved, 'charlie');
  const reversed = moved.parties().reverse();
  const early = await TestNode.start(moved, 'alice', { parties: reversed });
  await early.until(() => /order of parties/.test(early.transport.problems.charlie ?? ''));
  await closeAll(charlie, early);
});

test('another list of parties is a disagreement on both sides, with both lists', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const swapped = [0, 2, 1].map((index) => moved.parties()[index]!);
  const nodes = [
    await TestNode.start(moved, 'alice'),
    await TestNode.start(moved, 'bob', { parties: swapped }),
  ] as const;
  for (const [node, peer] of [
    [nodes[0], 'bob'],
    [nodes[1], 'alice'],
  ] as const) {
    await assert.rejects(node.ready(), (error: Error & { code?: string; culprits?: string[] }) => {
      assert.equal(error.code, 'DISAGREEMENT');
      assert.deepEqual(error.culprits, [peer]);
      assert.match(error.message, /alice, bob, charlie/);
      assert.match(error.message, /alice, charlie, bob/);
      return true;
    });
  }
  await closeAll(...nodes);
});

test('another version of the transport is a disagreement that names both versions', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const node = await TestNode.start(moved, 'alice');
  const socket = connect({
    host: HOST,
    port: moved.port('alice'),
    ALPNProtocols: [APPLICATION_PROTOCOL],
    rejectUnauthorized: false,
    ...moved.credentials('bob'),
  });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  for (const part of encodeFrame({ kind: 'hello', body: encode({ version: 9, shape: 'unknown here' }) }))
    socket.write(part);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.equal(answer[4], 1, 'a hello, from which the peer learns this version');
  await assert.rejects(node.ready(), {
    code: 'DISAGREEMENT',
    message: `bob speaks version 9 of the transport, this party version ${TRANSPORT_VERSION}`,
  });
  socket.destroy();
  await closeAll(node);
});

test('strangers are logged at most once a second, and every one is counted', TIMEOUT, async () => {
  const moved = await cluster.moved();
  const node = await TestNode.start(moved, 'alice', { limits: { pingMillis: 100 } });
  for (let count = 0; count < 30; count += 1) {
    const socket = connectTcp(moved.port('alice'), HOST);
    await once(socket, 'connect');
    socket.destroy();
  }
  const dropped = () => node.log.filter(({ message }) => message === 'dropped a connection');
  await node.until(() => dropped().reduce((sum, { count }) => sum + (count ?? 0), 0) === 30);
  assert.ok(dropped().length <= 4, `${dropped().length} lines`);
  await pause(10);
  await closeAll(node);
});
