// What a daemon has made ahead for multiplications goes with the set-up that it was made for.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import type { WorkAhead } from '#src/party/stored-keys.js';
import { Daemons } from '../support/daemons.js';
import { valuesOf } from '../support/memory-network.js';
import { Homes } from '../support/stores.js';

const PARTIES = ['alice', 'bob'];
const policy = parsePolicy({ and: PARTIES }, PARTIES);

const daemons = new Daemons(new Homes(PARTIES, { curve: curveByName('P-256'), policy, by: 'paillier' }));
after(() => daemons.dispose());

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
};

test('what was made ahead is wiped with its set-up, before a stock is filled again', async (context) => {
  const { homes } = daemons;
  const [sharing] = valuesOf(await homes.command(({ keys, work }) => keys.generate(work, 'keygen')));
  const { keyId, shid } = sharing!;
  const events: string[] = [];
  const kept: WorkAhead[] = [];
  const alice = await daemons.start('alice', { presignatures: 1 });
  const { keys } = alice.tools;
  const ahead = keys.ahead.bind(keys);
  context.mock.method(keys, 'ahead', (...given: Parameters<typeof ahead>) => {
    const made = ahead(...given)!;
    const wipe = (): void => {
      events.push('wiped');
      made[Symbol.dispose]();
    };
    kept.push({ ...made, [Symbol.dispose]: wipe });
    return kept.at(-1);
  });
  await daemons.start('bob');

  const content = {
    operation: 'sign',
    nonce: randomBytes(16),
    key: keyId,
    message: randomBytes(20),
  } as const;
  const caller = { emit: () => {}, signal: new AbortController().signal };
  await alice.daemon.ask({ ...content, quorum: PARTIES, receivers: ['alice'] }, caller);
  const stock = { keyId, quorum: PARTIES };
  await until(() => alice.tools.presignatures.level(stock) === 1 && kept.length > 0);
  assert.deepEqual(events, []);

  // As a refresh does it: the set-up is erased, and the stock is empty.
  const [setup] = alice.keystore.key(keyId)!.sharings[0]!.setups;
  alice.keystore.eraseSetup(keyId, shid, setup!.id);
  alice.tools.presignatures.keep(keyId, []);
  alice.daemon.linkUp('bob');
  assert.deepEqual(events, ['wiped']);
  assert.equal(kept[0]!.isOfUse(), false);
});
