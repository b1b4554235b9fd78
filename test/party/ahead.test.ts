// Work ahead of the use of a stored key: made while a party is idle, taken by the next signature, and gone with its set-up.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { after, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { Compute } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { valuesOf } from '../support/memory-network.js';
import type { MultiplicationName } from '../support/protocols.js';
import { Homes } from '../support/stores.js';

const PARTIES = ['alice', 'bob'];
const curve = curveByName('P-256');
const policy = parsePolicy({ and: PARTIES }, PARTIES);

const made: Homes[] = [];
after(() => {
  for (const homes of made) homes.dispose();
});

async function withKey(by: MultiplicationName) {
  const homes = new Homes(PARTIES, { curve, policy, by });
  made.push(homes);
  const [sharing] = valuesOf(await homes.command(({ keys, work }) => keys.generate(work, 'keygen')));
  return { homes, sharing: sharing! };
}

test('a signature takes what was made ahead, and is none the worse for it', async () => {
  const { homes, sharing } = await withKey('paillier');
  const message = randomBytes(20);
  const request = { quorum: PARTIES, receivers: ['alice'], message };
  const prepared: boolean[] = [];
  const inline = inlineCompute(randomBytes);
  const compute: Compute = (job, input, options) => {
    const { secret } = input as { readonly secret?: object };
    if (secret !== undefined && 'prepared' in secret) prepared.push(secret.prepared !== undefined);
    return inline(job, input, options);
  };
  const outcomes = await homes.command(
    async ({ keys, work }) => {
      using ahead = keys.ahead(work, sharing.keyId, PARTIES);
      assert.ok(ahead);
      assert.ok(ahead.isOfUse());
      await ahead.prepare(work.resources, 1);
      return await keys.sign(work, 'sign', sharing.keyId, request);
    },
    { compute },
  );
  const [der] = valuesOf(outcomes);
  assert.ok(verify('sha256', message, createPublicKey(publicKeyPem(curve, sharing.publicKey)), der!));
  // Each of the two opens once and answers once.
  assert.deepEqual(prepared, [true, true, true, true]);
});

test('it is of no use any more once the set-up has gone', async () => {
  const { homes, sharing } = await withKey('paillier');
  valuesOf(
    await homes.command(async ({ keys, work, keystore }) => {
      using ahead = keys.ahead(work, sharing.keyId, PARTIES);
      const [setup] = keystore.key(sharing.keyId)!.sharings[0]!.setups;
      keystore.eraseSetup(sharing.keyId, sharing.shid, setup!.id);
      assert.equal(ahead?.isOfUse(), false);
      assert.equal(keys.ahead(work, sharing.keyId, PARTIES), undefined);
    }),
  );
});

test('nothing is kept where there is nothing to gain', async () => {
  const { homes, sharing } = await withKey('ot');
  const outcomes = await homes.command(async ({ keys, work }) => keys.ahead(work, sharing.keyId, PARTIES));
  assert.deepEqual(valuesOf(outcomes), [undefined, undefined]);
});
