// Key generation, presigning and signing among 2 to 5 parties in memory, on both curves and under many policies;
// signatures are verified by node:crypto and by noble.
import assert from 'node:assert/strict';
import { createPublicKey, verify as nodeVerify } from 'node:crypto';
import { test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { parsePolicy, reduceQuorum } from '#src/access/policy.js';
import { coefficients } from '#src/access/sharing.js';
import type { Point } from '#src/curve/curve.js';
import { type Curve, type CurveName, curveByName } from '#src/curve/curve.js';
import { decodeDer, publicKeyPem } from '#src/curve/ecdsa.js';
import { MemoryCluster, runParties, testParty, valuesOf } from '../support/memory-network.js';
import { keygenAt, presignAt, quickKey, signAt, testMultiplication } from '../support/protocols.js';

const NAMES = ['alice', 'bob', 'charlie', 'dave', 'erin'];
const message = new TextEncoder().encode('Hello, MPC World!');

/** Checks a signature by two implementations that share nothing with this one's assembly of it. */
function assertValid(curve: Curve, publicKey: Point, der: Uint8Array): void {
  const pem = publicKeyPem(curve, publicKey);
  assert.ok(nodeVerify('sha256', message, createPublicKey(pem), der), 'OpenSSL');
  const noble = curve.name === 'P-256' ? p256 : secp256k1;
  assert.ok(noble.verify(der, message, publicKey.toBytes(), { format: 'der', lowS: true }), 'noble');
  assert.ok(decodeDer(der)!.s <= curve.q / 2n, 'low s');
}

const cases: { curve: CurveName; parties: number; policy: unknown; present?: string[] }[] = [
  { curve: 'P-256', parties: 2, policy: { and: ['alice', 'bob'] } },
  {
    curve: 'secp256k1',
    parties: 3,
    policy: { threshold: 2, of: ['alice', 'bob', 'charlie'] },
    present: ['alice', 'charlie'],
  },
  { curve: 'P-256', parties: 4, policy: { and: ['alice', 'bob', 'charlie', 'dave'] } },
  {
    curve: 'secp256k1',
    parties: 4,
    policy: { threshold: 2, of: ['alice', 'bob', { and: ['charlie', 'dave'] }] },
    present: ['bob', 'charlie', 'dave'],
  },
  {
    curve: 'P-256',
    parties: 4,
    policy: { or: [{ and: ['dave', 'alice'] }, { and: ['bob', 'charlie'] }] },
    present: ['bob', 'charlie'],
  },
  {
    curve: 'P-256',
    parties: 5,
    policy: {
      threshold: 2,
      of: [{ or: ['alice', 'bob'] }, { threshold: 2, of: ['charlie', 'dave', 'erin'] }],
    },
    present: ['bob', 'charlie', 'erin'],
  },
];

const withMultiplications = cases.flatMap((each) =>
  (['paillier', 'ot'] as const).map((multiplication) => ({ ...each, multiplication })),
);

for (const {
  curve: name,
  parties: count,
  policy: json,
  present,
  multiplication: kind,
} of withMultiplications) {
  test(`${count} parties, ${name}, ${kind}, ${JSON.stringify(json)}`, async () => {
    const curve = curveByName(name);
    const parties = NAMES.slice(0, count);
    const policy = parsePolicy(json, parties);
    const states = await quickKey(curve, policy, parties, { multiplication: kind });
    const { publicKey } = states.get('alice')!.share.sharing;

    const chosen = reduceQuorum(policy, new Set(present ?? parties))!;
    const quorum = parties.filter((party) => chosen.includes(party));
    const lambda = coefficients(curve, policy, quorum);
    const x = quorum.reduce(
      (sum, party) => sum + lambda.get(party)! * states.get(party)!.share.x.toBigint(),
      0n,
    );
    assert.ok(curve.multiplyBase(x).equals(publicKey), 'the quorum’s shares make the key');

    const receivers = quorum.slice(-1);
    const cluster = new MemoryCluster(parties);
    const signatures = await Promise.all(
      quorum.map(async (self) => {
        const party = testParty(cluster, self);
        const state = states.get(self)!;
        const multiplication = testMultiplication(curve, parties.indexOf(self), kind);
        const presignature = await presignAt(party, quorum, state, multiplication);
        return await signAt(party, presignature, state.share, message, receivers);
      }),
    );
    assert.deepEqual(
      signatures.map((der) => der !== undefined),
      quorum.map((party) => receivers.includes(party)),
    );
    assertValid(curve, publicKey, signatures.at(-1)!);
  });
}

test('every party ends with the same key, and the key id and shid follow from it', async () => {
  const curve = curveByName('P-256');
  const parties = NAMES.slice(0, 3);
  const policy = parsePolicy({ threshold: 2, of: parties }, parties);
  const shares = valuesOf(await runParties(parties, (party) => keygenAt(party, curve, policy)));
  const [first] = shares;
  for (const { sharing, self, x } of shares) {
    assert.deepEqual(sharing.shid, first!.sharing.shid);
    assert.deepEqual(sharing.keyId, first!.sharing.keyId);
    assert.ok(sharing.publicShares.get(self)!.equals(curve.multiplyBase(x.toBigint())));
  }
});
