// Lines between the parties that are cut, stalled, slow, or deliver bytes that nobody sent: TLS over them ends, a new
// connection takes over, and every message arrives once and in order.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STEPS } from '#src/party/events.js';
import {
  assertSigned,
  doneOf,
  eitherMultiplication,
  logged,
  proxyLines,
  startParty,
} from '../support/ceremonies.js';
import { clusterFolders } from '../support/cluster-folder.js';
import { type Spoiling, TcpProxy } from '../support/proxy.js';
import { Chance, count, either } from '../support/torture.js';
import { closeAll, TestCluster, TestNode, texts } from '../transport/node.js';

const makeFolder = clusterFolders();

/** What befalls a line, by name. Each ends by itself. */
const FAULTS: Readonly<Record<string, (proxy: TcpProxy, chance: Chance) => Promise<void> | void>> = {
  'cut at both ends': (proxy) => proxy.cut(),
  'cut at one end': (proxy) => proxy.cutNear(),
  'cut in the middle of a record': (proxy, chance) => {
    proxy.cutAfter = chance.between(0, 20_000);
  },
  'cut, and nobody answers for a while': async (proxy, chance) => {
    proxy.refusing = true;
    proxy.cut();
    await sleep(chance.between(100, 1_500));
    proxy.refusing = false;
  },
  'stalled for a while': async (proxy, chance) => {
    proxy.stall();
    await sleep(chance.between(100, 1_500));
    proxy.unstall();
  },
  ...Object.fromEntries(
    (['repeat', 'drop', 'shorten', 'flip'] satisfies Spoiling[]).map((spoiling) => [
      `bytes: ${spoiling}`,
      (proxy: TcpProxy) => {
        proxy.spoiling = spoiling;
      },
    ]),
  ),
};

/** What a line is like throughout, by name. */
const LINES: Readonly<Record<string, (proxy: TcpProxy, chance: Chance) => void>> = {
  fast: () => {},
  'far away': (proxy, chance) => {
    proxy.delayMillis = chance.between(20, 201);
  },
  narrow: (proxy) => {
    proxy.bytesPerSecond = 200_000;
    proxy.pieceBytes = 1_000;
  },
  'played twice': (proxy) => {
    proxy.duplicating = true;
  },
};

test('two parties finish although their line fails in every step', async (t) => {
  const chance = new Chance(t);
  const parties = ['alice', 'bob'];
  const kinds = either([chance.pick(Object.keys(LINES))], Object.keys(LINES));
  for (const [round, kind] of kinds.entries()) {
    const folder = await makeFolder(`line-${round}`, parties);
    const lines = await proxyLines(folder, parties);
    const [proxy] = lines.proxies as [TcpProxy];
    LINES[kind]!(proxy, chance);
    const multiplication = eitherMultiplication(chance);
    const running = parties.map((party) =>
      startParty(folder.cwd, party, [lines.config(party), multiplication]),
    );
    const faults = running.flatMap((party) =>
      STEPS.map(async (step) => {
        const fault = chance.pick(Object.keys(FAULTS));
        const after = chance.between(0, 400);
        await party.begins(step);
        await sleep(after);
        await FAULTS[fault]!(proxy, chance);
      }),
    );
    const ended = await Promise.all(running.map((party) => party.ended));
    await Promise.all(faults);
    await lines.close();
    assertSigned(ended.map(doneOf));
    const cuts = logged(ended[1]!, 'link down').length;
    assert.ok(cuts >= 3, `only ${cuts} connections were cut`);
    count(t, 'connections cut', cuts);
    count(t, 'ceremonies ended well', 1);
  }
});

// What is lost is waited for until the time is over.
const TIMEOUT = { timeout: either(2, 20) * 60_000 };

test('a line that fails again and again loses, repeats and alters no message', TIMEOUT, async (t) => {
  const chance = new Chance(t);
  const cluster = await TestCluster.create(['alice', 'bob']);
  const proxy = await TcpProxy.start(cluster.port('alice'));
  const alice = await TestNode.start(cluster, 'alice');
  const bob = await TestNode.start(cluster, 'bob', { via: { alice: proxy.port } });
  await Promise.all([alice.ready(), bob.ready()]);
  let over = false;
  const sent = new Map<TestNode, number>();
  const talk = async (node: TestNode, peer: string) => {
    let number = 0;
    for (; !over; number += 1) {
      await node.send(peer, `message ${number} ${'.'.repeat(randomInt(20) === 0 ? randomInt(100_000) : 0)}`);
      await sleep(randomInt(3));
    }
    await node.send(peer, 'end');
    sent.set(node, number);
  };
  const spoil = async () => {
    const faults = Object.keys(FAULTS);
    for (let number = 0; number < either(30, 400); number += 1) {
      await sleep(chance.between(0, 60));
      // Each at least twice, the others as it comes; no long pauses here.
      const fault = number < 2 * faults.length ? faults[number % faults.length]! : chance.pick(faults);
      if (/while/.test(fault) && number >= 2 * faults.length) continue;
      const { accepted, spoilt } = proxy;
      await FAULTS[fault]!(proxy, chance);
      if (fault.startsWith('bytes')) while (proxy.spoilt === spoilt) await sleep(1);
      // No message gets through what was spoilt: the connection ends, and there is another one.
      if (fault.startsWith('bytes')) while (proxy.accepted === accepted) await sleep(1);
    }
    proxy.cutAfter = Number.POSITIVE_INFINITY;
    over = true;
  };
  await Promise.all([talk(alice, 'bob'), talk(bob, 'alice'), spoil()]);
  for (const [from, to, name] of [
    [alice, bob, 'alice'],
    [bob, alice, 'bob'],
  ] as const) {
    await to.until(() => to.texts(name).at(-1) === 'end');
    const wanted = texts(sent.get(from)!);
    assert.deepEqual(
      to.texts(name).map((text) => text.replace(/ \.*$/, '')),
      [...wanted, 'end'],
    );
    assert.deepEqual(to.lost, []);
    count(t, 'messages sent over spoilt lines', wanted.length);
    count(t, 'messages lost, repeated or altered', 0);
  }
  count(t, 'connections cut', bob.links.filter(({ up }) => !up).length);
  await closeAll(alice, bob);
  await proxy.close();
});
