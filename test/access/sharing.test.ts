import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isSatisfied, leaves, type Policy, parsePolicy, reduceQuorum } from '#src/access/policy.js';
import {
  coefficients,
  commitmentCount,
  isConsistent,
  publicShares,
  share,
  shareZero,
} from '#src/access/sharing.js';
import { randomBytes } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { type Curve, curveByName } from '#src/curve/curve.js';
import { policies, quorums, subsets } from '../support/policies.js';

const curve = curveByName('P-256');
const secrets = fc.bigInt({ min: 0n, max: curve.q - 1n });

/** Σ λ_i·share_i over the quorum. */
const reconstruct = (
  on: Curve,
  policy: Policy,
  quorum: Iterable<PartyName>,
  shares: ReadonlyMap<PartyName, bigint>,
): bigint =>
  on.mod(
    [...coefficients(on, policy, quorum)].reduce(
      (sum, [name, lambda]) => sum + lambda * shares.get(name)!,
      0n,
    ),
  );

test('2 of 3 by hand: shares lie on a line through the secret', () => {
  const policy = parsePolicy({ threshold: 2, of: ['alice', 'bob', 'charlie'] }, ['alice', 'bob', 'charlie']);
  const { shares, commitments } = share(curve, policy, 5n, () => new Uint8Array(32).fill(7));
  const slope = BigInt(`0x${'07'.repeat(32)}`);
  assert.deepEqual(
    [...shares],
    [
      ['alice', curve.mod(5n + slope)],
      ['bob', curve.mod(5n + 2n * slope)],
      ['charlie', curve.mod(5n + 3n * slope)],
    ],
  );
  assert.ok(commitments[0]!.equals(curve.multiplyBase(5n)));
  assert.ok(commitments[1]!.equals(curve.multiplyBase(slope)));
  assert.equal(commitments.length, 2);
  assert.deepEqual(
    [...coefficients(curve, policy, ['alice', 'charlie'])],
    [
      ['alice', curve.mod(3n * curve.invert(2n))],
      ['charlie', curve.mod(-1n * curve.invert(2n))],
    ],
  );
});

test('every quorum reconstructs the secret, with the coefficients of its reduction only', () => {
  fc.assert(
    fc.property(policies(), secrets, (policy, secret) => {
      const { shares } = share(curve, policy, secret, randomBytes);
      for (const quorum of quorums(policy)) {
        assert.equal(reconstruct(curve, policy, quorum, shares), secret);
        assert.deepEqual([...coefficients(curve, policy, quorum).keys()], reduceQuorum(policy, quorum));
      }
    }),
    { numRuns: 60 },
  );
});

test('no other set has coefficients', () => {
  fc.assert(
    fc.property(policies({ maxParties: 5 }), (policy) => {
      for (const present of subsets(policy)) {
        if (isSatisfied(policy, present)) continue;
        assert.throws(() => coefficients(curve, policy, present), { code: 'BUG' });
        assert.equal(reduceQuorum(policy, present), undefined);
      }
    }),
    { numRuns: 60 },
  );
});

for (const name of ['P-256', 'secp256k1'] as const) {
  const on = curveByName(name);
  test(`public shares are the shares times G, and consistent (${name})`, () => {
    fc.assert(
      fc.property(policies(), fc.boolean(), (policy, zero) => {
        const secret = zero ? 0n : on.randomScalar(randomBytes);
        const { shares, commitments } = zero
          ? shareZero(on, policy, randomBytes)
          : share(on, policy, secret, randomBytes);
        assert.equal(commitments.length, commitmentCount(policy, { zero }));
        const expected = new Map([...shares].map(([party, x]) => [party, on.multiplyBase(x)]));
        const actual = publicShares(on, policy, commitments, { zero });
        assert.deepEqual([...actual.keys()], leaves(policy));
        for (const [party, X] of actual) assert.ok(X.equals(expected.get(party)!));
        assert.ok(isConsistent(on, policy, on.multiplyBase(secret), actual));
      }),
      { numRuns: 15 },
    );
  });
}
