// Whole ceremonies among processes over TLS on loopback: four parties with strangers at their doors throughout, two
// whose connection is cut again and again, and parties that were started with different intentions.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { DoneEvent, PartyEvent } from '#src/party/events.js';
import { clusterFolders, clusterJson, eventsIn } from '../support/cluster-folder.js';
import { type Ended, startCommand } from '../support/command.js';
import { TcpProxy } from '../support/proxy.js';
import { HOST } from '../transport/node.js';

const makeFolder = clusterFolders();

const startParty = (cwd: string, self: string, ...args: string[]) =>
  startCommand([`--self=${self}`, '--json', '--timeout=10m', ...args], { cwd, storedPrimes: true });

const isDone = (event: PartyEvent): event is DoneEvent => event.event === 'done';

/** The last event of a party that must have ended well. */
function doneOf({ status, stdout, stderr }: Ended): DoneEvent {
  assert.equal(status, 0, stderr);
  const done = eventsIn(stdout).at(-1);
  assert.ok(done && isDone(done));
  return done;
}

/** Checks by OpenSSL that a receiver's two signatures belong to the key that all parties ended with. */
function assertSigned(results: readonly DoneEvent[]): void {
  const receiver = results.find(({ signatures }) => signatures.length > 0);
  assert.ok(receiver);
  for (const { publicKey } of results) assert.equal(publicKey, receiver.publicKey);
  const bytes = Buffer.from(receiver.publicKey, 'hex');
  const compressed = Buffer.concat([Buffer.of(2 + (bytes.at(-1)! & 1)), bytes.subarray(1, 33)]);
  const curve = curveByName('P-256');
  const pem = publicKeyPem(curve, curve.point(compressed)!);
  assert.deepEqual(
    receiver.signatures.map(({ epoch }) => epoch),
    [0, 1],
  );
  for (const { der } of receiver.signatures) {
    assert.ok(verify('sha256', Buffer.from(receiver.message), createPublicKey(pem), Buffer.from(der, 'hex')));
  }
}

/** Somebody without a certificate: a port scan, bytes that are no TLS, a TLS client that shows nothing. */
async function knock(port: number, stop: AbortSignal): Promise<number> {
  let knocks = 0;
  for (; !stop.aborted; knocks += 1) {
    const options = { host: HOST, port };
    const socket =
      knocks % 3 === 2 ? tlsConnect({ ...options, rejectUnauthorized: false }) : connect(options);
    socket.on('error', () => {});
    if (knocks % 3 === 1) socket.write('GET / HTTP/1.1\r\n\r\n');
    await sleep(150);
    socket.destroy();
  }
  return knocks;
}

test('four parties finish although strangers knock at every door throughout', async () => {
  const parties = ['alice', 'bob', 'charlie', 'dave'];
  const { cwd, ports } = await makeFolder('strangers', parties);
  const over = new AbortController();
  const knocking = ports.map((port) => knock(port, over.signal));
  const running = await Promise.all(
    parties.map(async (party, index) => {
      await sleep(index * 300);
      return startParty(cwd, party, '--receiver=dave');
    }),
  );
  const ended = await Promise.all(running.map((party) => party.ended));
  over.abort();
  assert.ok((await Promise.all(knocking)).every((knocks) => knocks > 10));
  assertSigned(ended.map(doneOf));
  for (const { stderr } of ended) {
    const lines = stderr.split('\n').filter((line) => line.includes('dropped a connection'));
    assert.ok(lines.length > 0, 'the strangers are counted in the log');
  }
});

test('two parties finish although their connection is cut again and again', async () => {
  const parties = ['alice', 'bob'];
  const { cwd, ports } = await makeFolder('cut', parties);
  const proxy = await TcpProxy.start(ports[0]!);
  // bob, the later in order, dials alice: through the proxy, as his cluster file says.
  writeFileSync(join(cwd, 'bob.json'), clusterJson(parties, [proxy.port, ports[1]!]));
  const running = [startParty(cwd, 'alice'), startParty(cwd, 'bob', '--config=bob.json')];
  const ended = Promise.all(running.map((party) => party.ended));
  let cuts = 0;
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    // In the middle of a record, wherever that falls in the protocol.
    proxy.cutAfter = 2_000 + Math.floor(Math.random() * 100_000);
    const { accepted } = proxy;
    await Promise.race([sleep(1_500), ended]);
    if (proxy.accepted > accepted) cuts += 1;
  }
  const results = (await ended).map(doneOf);
  await proxy.close();
  assertSigned(results);
  assert.ok(cuts >= 2, `only ${cuts} connections were cut`);
});

test('parties that were started with different intentions all end with status 4 and say what differs', async () => {
  const parties = ['alice', 'bob', 'charlie'];
  const { cwd, ports } = await makeFolder('different', parties);
  const cases = [
    { args: ['--message=another'], field: 'message' },
    { args: ['--quorum=alice,bob'], field: 'quorum' },
    { fields: { curve: 'secp256k1' }, field: 'curve' },
    { fields: { policy: { and: ['charlie', { or: ['alice', 'bob'] }] } }, field: 'policy' },
  ];
  for (const { args = [], fields = {}, field } of cases) {
    writeFileSync(
      join(cwd, 'cluster.json'),
      clusterJson(parties, ports, { policy: { threshold: 2, of: parties } }),
    );
    writeFileSync(
      join(cwd, 'other.json'),
      clusterJson(parties, ports, { policy: { threshold: 2, of: parties }, ...fields }),
    );
    const quorum = '--quorum=bob,charlie';
    const ended = await Promise.all([
      startParty(cwd, 'alice', quorum).ended,
      startParty(cwd, 'bob', quorum).ended,
      startParty(cwd, 'charlie', quorum, '--config=other.json', ...args).ended,
    ]);
    for (const [index, { status, stderr }] of ended.entries()) {
      const context = `${field}, ${parties[index]}: ${stderr}`;
      assert.equal(status, 4, context);
      assert.match(stderr, new RegExp(field), context);
      assert.match(stderr, index === 2 ? /alice|bob/ : /charlie/, context);
    }
  }
});
