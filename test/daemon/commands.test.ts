// What the user of a daemon orders through the control socket.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { ApprovalRequest } from '#src/daemon/approval-request.js';
import { type CommandOptions, obey } from '#src/daemon/commands.js';
import { Desk } from '#src/daemon/desk.js';
import { printId } from '#src/protocol/key-share.js';
import { Daemons } from '../support/daemons.js';
import { valuesOf } from '../support/memory-network.js';
import { Homes } from '../support/stores.js';

const PARTIES = ['alice', 'bob'];
const curve = curveByName('P-256');
const policy = parsePolicy({ and: PARTIES }, PARTIES);

const homes = new Homes(PARTIES, { curve, policy, by: 'ot' });
const generated = homes.command(({ keys, work }) => keys.generate(work, 'keygen'));
const daemons = new Daemons(homes);
after(() => daemons.dispose());

const desk = new Desk({ timeoutMillis: 3_600_000 });
const { signal } = new AbortController();

/** The daemon of alice, and what it answers to an order. */
async function daemonOfAlice() {
  const [sharing] = valuesOf(await generated);
  const { tools, daemon } = await daemons.start('alice');
  const options: CommandOptions = {
    tools,
    daemon,
    desk,
    status: async () => assert.fail('nobody asked for it'),
  };
  const answers = async (order: object): Promise<object[]> => {
    const events: object[] = [];
    await obey(options, order, { emit: (event) => events.push(event), signal });
    return events;
  };
  return { sharing: sharing!, answers };
}
const alice = daemonOfAlice();

test('a request is decided on by the whole of its id, for another may begin in the same way', async () => {
  const { answers } = await alice;
  const id = 'd7d4f297faac78976d931e190cbb3821'.repeat(2);
  const request: ApprovalRequest = { id, from: 'bob', operation: 'refresh', key: 'ab'.repeat(16) };
  for (const [order, decision] of [
    ['approve', 'approved'],
    ['reject', 'rejected'],
  ] as const) {
    const decided = desk.wait(request, signal);
    for (const part of [id.slice(0, 16), id.slice(0, 63), `${id}0`, id.toUpperCase()])
      await assert.rejects(answers({ do: order, id: part }), { code: 'USAGE', message: /all of its 64 hex/ });
    assert.equal(desk.waiting.length, 1);
    assert.deepEqual(await answers({ do: order, id }), [{ event: decision, party: 'alice', id }]);
    assert.deepEqual(await decided, { decision, by: 'user' });
    await assert.rejects(answers({ do: order, id }), { code: 'USAGE', message: /^no request .* waits/ });
  }
});

test('the public key of a stored key', async () => {
  const { sharing, answers } = await alice;
  const keyId = printId(sharing.keyId);
  const described = {
    ...{ event: 'public-key', party: 'alice', keyId, curve: 'P-256' },
    publicKey: Buffer.from(sharing.publicKey.toUncompressed()).toString('hex'),
    pem: publicKeyPem(curve, sharing.publicKey),
  };
  assert.deepEqual(await answers({ do: 'public-key' }), [described]);
  assert.deepEqual(await answers({ do: 'public-key', key: keyId.slice(0, 4) }), [described]);
  await assert.rejects(answers({ do: 'public-key', key: 'zz' }), { code: 'USAGE' });
});
