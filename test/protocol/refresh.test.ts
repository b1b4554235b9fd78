// The real set-up and refresh, with all their proofs or transfers, among three parties in memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { Secret } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import { verify } from '#src/curve/ecdsa.js';
import type { Multiplication } from '#src/multiplication/multiplication.js';
import { refresh, refreshRounds, type SharingState, sharingState } from '#src/protocol/refresh.js';
import { MemoryCluster, outcomeOf, type TestParty, testParty } from '../support/memory-network.js';
import { keygenAt, presignAt, setUpAt, signAt, testMultiplication } from '../support/protocols.js';

const parties = ['alice', 'bob', 'charlie'];
const curve = curveByName('P-256');
const policy = parsePolicy({ threshold: 2, of: parties }, parties);
const message = new TextEncoder().encode('again');

const signsAt = async (
  party: TestParty,
  state: SharingState,
  multiplication: Multiplication,
  quorum: string[],
  operation: string,
) => {
  if (!quorum.includes(party.self)) return undefined;
  using presignature = await presignAt(party, quorum, state, multiplication, `presign ${operation}`);
  return await signAt(party, presignature, state.share, message, quorum, operation);
};

for (const name of ['paillier', 'ot'] as const) {
  test(`set-up, signing, refresh and signing again by ${name}: new shares, the same key, nothing secret left`, async () => {
    const secretsBefore = Secret.live;
    const cluster = new MemoryCluster(parties);
    const results = await Promise.all(
      parties.map(async (self) => {
        const party = testParty(cluster, self);
        const multiplication = testMultiplication(curve, parties.indexOf(self), name);
        using share = await keygenAt(party, curve, policy);
        using state = sharingState(share, await setUpAt(party, multiplication));
        const first = await signsAt(party, state, multiplication, ['alice', 'bob'], 'first');
        const rounds = refreshRounds(share.sharing, multiplication);
        using refreshed = await party.session({ operation: 'refresh', rounds }, (run) =>
          refresh(run, share, multiplication),
        );
        const second = await signsAt(party, refreshed, multiplication, ['bob', 'charlie'], 'second');
        const mixed = await outcomeOf(
          signsAt(party, self === 'bob' ? state : refreshed, multiplication, ['bob', 'charlie'], 'mixed'),
        );
        return {
          first,
          second,
          mixed,
          before: share.sharing,
          after: refreshed.share.sharing,
          changed: share.x.toBigint() !== refreshed.share.x.toBigint(),
        };
      }),
    );

    const digest = messageDigest(message);
    for (const { before, after, changed } of results) {
      assert.ok(after.publicKey.equals(before.publicKey));
      assert.deepEqual(after.keyId, before.keyId);
      assert.equal(after.epoch, 1);
      assert.notDeepEqual(after.shid, before.shid);
      assert.deepEqual(after.shid, results[0]!.after.shid);
      assert.ok(changed);
    }
    const key = results[0]!.before.publicKey;
    for (const der of [results[0]!.first, results[1]!.first, results[1]!.second, results[2]!.second]) {
      assert.ok(verify(curve, key, digest, der!));
    }
    // An old share and a new one do not sign together.
    for (const self of ['bob', 'charlie']) {
      const { mixed } = results[parties.indexOf(self)]!;
      assert.ok('error' in mixed);
    }
    assert.equal(Secret.live, secretsBefore);
  });
}
