// Strangers at every party's door throughout a ceremony: it ends well, and the log counts them, a line a second.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertSigned, doneOf, eitherMultiplication, logged, startParty } from '../support/ceremonies.js';
import { type Credentials, TestAuthority } from '../support/certs.js';
import { clusterFolders } from '../support/cluster-folder.js';
import type { Ended } from '../support/command.js';
import { flood, type Visit, visits } from '../support/strangers.js';
import { Chance, count, either } from '../support/torture.js';

const makeFolder = clusterFolders();
const FLOOD = 1_000;

/** Sends one visitor after the other to `port`, in every manner; the number of visits. */
async function knock(port: number, manners: readonly Visit[], stop: AbortSignal): Promise<number> {
  let visited = 0;
  for (; !stop.aborted; visited += 1) {
    await manners[visited % manners.length]!(port);
    await sleep(20);
  }
  return visited;
}

/** The connections that a party's log counts; it must not have more than a line a second about them. */
function counted(ended: Ended): number {
  const lines = logged(ended, 'dropped a connection');
  const times = lines.map(({ time }) => Date.parse(String(time)));
  const seconds = (times.at(-1)! - times[0]!) / 1_000;
  assert.ok(lines.length <= seconds + 2, `${lines.length} lines in ${seconds} s`);
  return lines.reduce((sum, line) => sum + Number(line.count), 0);
}

test('a ceremony ends well although strangers come to every door throughout', async (t) => {
  const chance = new Chance(t);
  const sizes = either([3], [2, 3, 4]);
  for (const [round, size] of sizes.entries()) {
    const parties = ['alice', 'bob', 'charlie', 'dave'].slice(0, size);
    const { cwd, ports } = await makeFolder(`strangers-${round}`, parties);
    const pem = (name: string) => readFileSync(join(cwd, 'certs', `${name}.pem`), 'utf8');
    const authority = await TestAuthority.load({ cert: pem('rootCA'), key: pem('rootCA-key') });
    const own = new Map<string, Credentials>(
      parties.map((name) => [name, { cert: pem(`${name}-cert`), key: pem(`${name}-key`) }]),
    );
    const manners = Object.values(await visits(parties, authority, own));
    const over = new AbortController();
    const knocking = ports.map((port) => knock(port, manners, over.signal));
    const multiplication = eitherMultiplication(chance);
    const running = parties.map((party) => startParty(cwd, party, ['--receiver=all', multiplication]));
    const flooded = chance.between(0, size);
    const flooding = running[flooded]!.begins(chance.pick(['keygen', 'setup'])).then(() =>
      flood(ports[flooded]!, FLOOD, over.signal),
    );
    const allEnded = Promise.all(running.map((party) => party.ended));
    await Promise.race([allEnded, running[0]!.begins('backup-again').catch(() => {})]);
    over.abort();
    const visited = await Promise.all(knocking);
    await flooding;

    const ended = await allEnded;
    assertSigned(ended.map(doneOf));
    let turnedAway = 0;
    for (const [index, each] of ended.entries()) {
      const number = counted(each);
      const came = visited[index]! + (index === flooded ? FLOOD : 0);
      t.diagnostic(`at ${parties[index]}, ${came} came, ${number} counted`);
      assert.ok(visited[index]! > manners.length, 'every manner was tried');
      // Nobody listened to the first, and the last may have gone in the second that was not logged any more.
      assert.ok(number > came / 3 && number <= came, `${number} counted of ${came}`);
      turnedAway += number;
    }
    count(t, 'strangers turned away', turnedAway);
    count(t, 'ceremonies ended well', 1);
  }
});
