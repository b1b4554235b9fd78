// Daemons that are asked by several callers at once, while any of them is killed, restarted, or cut off from another
// at random: each request ends signed or refused, none twice, none is lost, and the audit logs agree.
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import type { MpcError, PartyName } from '#src/core/errors.js';
import type { RequestContent } from '#src/daemon/letters.js';
import type { Sharing } from '#src/protocol/key-share.js';
import {
  assertAgreement,
  assertSigned,
  type Daemons,
  DaemonsWithKey,
  nobody,
  recordsOf,
  refreshContent,
  signContent,
  type TestDaemon,
  until,
} from '../support/daemons.js';
import { Chance, count, either } from '../support/torture.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const shared = new DaemonsWithKey(PARTIES, 2);
after(() => shared[Symbol.dispose]());

const SETTINGS = { presignatures: 2, requestTimeoutMillis: 30_000 };
/** How requests may end here, but for being done. */
const ENDS = ['killed', 'PEER_LEFT', 'PEER_ABORTED', 'TIMEOUT', 'INTERRUPTED', 'DISAGREEMENT', 'NOT_ALONE'];

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis));

/** Something that happens to the daemons. */
async function strike(daemons: Daemons, chance: Chance): Promise<string> {
  const [one, other] = chance.shuffle(PARTIES) as [PartyName, PartyName];
  if (chance.between(0, 2) === 0) {
    await daemons.separate(one, other);
    return 'separations';
  }
  daemons.kill(one);
  await pause(chance.between(0, 50));
  await daemons.start(one, SETTINGS);
  return 'kills';
}

function contentFor(asker: PartyName, sharing: Sharing, chance: Chance): RequestContent {
  if (chance.between(0, 25) === 0) return refreshContent(sharing);
  const peer = chance.pick(PARTIES.filter((name) => name !== asker));
  const quorum = PARTIES.filter((name) => name === asker || name === peer);
  return signContent(sharing, { quorum, receivers: [asker] });
}

/** Asks for it, and returns how that has ended: `done`, with its daemon, or the code of its error. */
async function seeThrough(
  { daemon, end }: TestDaemon,
  content: RequestContent,
  sharing: Sharing,
): Promise<string> {
  try {
    const { signature } = await daemon.ask(content, nobody());
    if (content.operation === 'sign')
      assertSigned(sharing, { message: content.message, ...(signature && { signature }) });
    return 'done';
  } catch (error) {
    return end.signal.aborted ? 'killed' : (error as MpcError).code;
  }
}

async function storm(context: TestContext, requests: number): Promise<void> {
  const chance = new Chance(context);
  const { daemons, sharing } = await shared.make();
  await daemons.startAll(SETTINGS);
  const asked: Promise<string>[] = [];
  const struck: Record<string, number> = { kills: 0, separations: 0 };
  while (asked.length < requests) {
    const asker = chance.pick(PARTIES);
    asked.push(seeThrough(daemons.at(asker), contentFor(asker, sharing, chance), sharing));
    await pause(chance.between(0, 120));
    if (chance.between(0, 4) === 0) struck[await strike(daemons, chance)]! += 1;
  }
  const ends = await Promise.all(asked);
  const done = ends.filter((end) => end === 'done').length;
  assert.deepEqual(
    ends.filter((end) => end !== 'done' && !ENDS.includes(end)),
    [],
  );
  const all = PARTIES.map((self) => daemons.at(self));
  for (const { self, daemon, audit, tools, faults } of all) {
    await until(() => daemon.asker.list().length + daemon.answerer.list().length === 0);
    await until(() => tools.running.list().length === 0);
    assert.deepEqual([self, audit.unfinished().size, faults], [self, 0, []]);
  }
  // What was asked for is in the log of whoever asked, and each has one end there.
  const own = PARTIES.flatMap((self) =>
    recordsOf(daemons, self, 'requested').filter((line) => line.includes(`"from":"${self}"`)),
  );
  assert.equal(own.length, requests);
  await assertAgreement(daemons);
  const last = signContent(sharing);
  assert.equal(await seeThrough(daemons.at('alice'), last, sharing), 'done');
  count(context, 'requests among daemons', requests);
  count(context, 'of them done', done);
  for (const [what, times] of Object.entries(struck)) count(context, what, times);
}

test('whatever happens, each request ends', (context) => storm(context, either(25, 1500)));
