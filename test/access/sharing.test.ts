import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  allOf,
  isSatisfied,
  leaves,
  type Policy,
  type PolicyNode,
  parsePolicy,
  reduceQuorum,
} from '#src/access/policy.js';
import {
  coefficients,
  commitmentCount,
  isConsistent,
  publicShareOf,
  publicShares,
  share,
  shareZero,
} from '#src/access/sharing.js';
import { randomBytes } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { type Curve, curveByName, type Point } from '#src/curve/curve.js';
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
        for (const [party, X] of actual) {
          assert.ok(X.equals(expected.get(party)!));
          assert.ok(X.equals(publicShareOf(on, policy, party, commitments, { zero })));
        }
        assert.ok(isConsistent(on, policy, on.multiplyBase(secret), actual));
      }),
      { numRuns: 15 },
    );
  });
}

/**
 * A sharing of `secret` in which every party present has the share 0, which exists whenever they do not satisfy
 * `node`: at each gate a polynomial through (0, value) that is 0 at the satisfied children, fewer than k.
 */
function sharingBlindTo(
  node: PolicyNode,
  value: bigint,
  present: ReadonlySet<PartyName>,
  shares = new Map<PartyName, bigint>(),
): Map<PartyName, bigint> {
  if (node.kind === 'leaf') return shares.set(node.name, value);
  const roots = node.children.flatMap((child, i) => (isSatisfied(child, present) ? [BigInt(i + 1)] : []));
  assert.ok(value === 0n || roots.length < node.threshold);
  node.children.forEach((child, i) => {
    const f = roots.reduce((f, root) => curve.mod(f * (root - BigInt(i + 1)) * curve.invert(root)), value);
    sharingBlindTo(child, f, present, shares);
  });
  return shares;
}

test('a set that is no quorum learns nothing: every secret is consistent with its shares', () => {
  fc.assert(
    fc.property(policies({ maxParties: 5 }), secrets, secrets, (policy, secret, other) => {
      const { shares } = share(curve, policy, secret, randomBytes);
      for (const present of subsets(policy)) {
        if (isSatisfied(policy, present)) continue;
        const shift = sharingBlindTo(policy, curve.mod(other - secret), present);
        const alternative = new Map([...shares].map(([name, x]) => [name, curve.mod(x + shift.get(name)!)]));
        for (const name of present) assert.equal(alternative.get(name), shares.get(name));
        for (const quorum of quorums(policy)) {
          assert.equal(reconstruct(curve, policy, quorum, alternative), other);
        }
      }
    }),
    { numRuns: 25 },
  );
});

test('a sharing of zero keeps the secret: refreshed shares differ and reconstruct the same', () => {
  fc.assert(
    fc.property(policies(), secrets, (policy, secret) => {
      const { shares } = share(curve, policy, secret, randomBytes);
      const refresh = shareZero(curve, policy, randomBytes).shares;
      const fresh = new Map([...shares].map(([name, x]) => [name, curve.mod(x + refresh.get(name)!)]));
      for (const quorum of quorums(policy)) {
        assert.equal(reconstruct(curve, policy, quorum, fresh), secret);
      }
    }),
    { numRuns: 30 },
  );
});

test('a secret may be any integer: it is shared modulo q', () => {
  const policy = allOf(['alice', 'bob']);
  for (const secret of [-1n, curve.q, curve.q + 5n]) {
    const { shares, commitments } = share(curve, policy, secret, randomBytes);
    assert.equal(reconstruct(curve, policy, ['alice', 'bob'], shares), curve.mod(secret));
    assert.ok(commitments[0]!.equals(curve.multiplyBase(secret)));
    for (const x of shares.values()) assert.ok(x >= 0n && x < curve.q);
  }
});

test('commitments: their number by hand, their order, and no other number', () => {
  const names = ['alice', 'bob', 'charlie', 'dave', 'erin', 'frank'];
  const policy = parsePolicy(
    {
      threshold: 2,
      of: ['alice', { and: ['bob', { threshold: 2, of: ['charlie', 'dave', 'erin'] }] }, 'frank'],
    },
    names,
  );
  // root 2, inner AND 1, inner 2 of 3 another 1
  assert.equal(commitmentCount(policy, { zero: false }), 4);
  assert.equal(commitmentCount(policy, { zero: true }), 3);
  assert.equal(commitmentCount(allOf(names), { zero: false }), 6);

  // Coefficients 10, 20, 30 in the order in which they are drawn: root, AND, 2 of 3.
  const drawn = [10n, 20n, 30n];
  const draw = () => curve.scalarBytes(drawn.shift()!);
  const { shares, commitments } = share(curve, policy, 1n, draw);
  const multiples = [1n, 10n, 20n, 30n].map((a) => curve.multiplyBase(a));
  assert.ok(commitments.every((commitment, i) => commitment.equals(multiples[i]!)));
  assert.deepEqual([...shares.values()], [11n, 41n, 91n, 121n, 151n, 31n]);

  const zero = shareZero(curve, policy, randomBytes).commitments;
  for (const [kind, list] of [
    [{ zero: false }, commitments],
    [{ zero: true }, zero],
  ] as const) {
    assert.equal(publicShares(curve, policy, list, kind).size, 6);
    for (const wrong of [list.slice(1), [...list, curve.G], []]) {
      assert.throws(() => publicShares(curve, policy, wrong, kind), { code: 'BUG' });
    }
  }
});

test('an altered commitment does not fit the shares', () => {
  fc.assert(
    fc.property(policies(), fc.nat(), (policy, pick) => {
      const { shares, commitments } = share(curve, policy, 3n, randomBytes);
      const at = pick % commitments.length;
      const altered = commitments.map((A, i) => (i === at ? A.add(curve.G) : A));
      const expected = publicShares(curve, policy, altered, { zero: false });
      // Somebody notices: the parties below the gate whose coefficient was altered.
      assert.ok([...shares].some(([name, x]) => !curve.multiplyBase(x).equals(expected.get(name)!)));
    }),
    { numRuns: 25 },
  );
});

/** A sharing's public side, for tests that alter it. */
function published(policy: Policy, secret: bigint): { X: Point; shares: Map<PartyName, Point> } {
  const { commitments } = share(curve, policy, secret, randomBytes);
  const shares = new Map(publicShares(curve, policy, commitments, { zero: false }));
  return { X: commitments[0]!, shares };
}

test('consistency: any altered X or X_j is noticed, redundant leaves included', () => {
  fc.assert(
    fc.property(policies(), secrets, (policy, secret) => {
      const { X, shares } = published(policy, secret);
      assert.ok(isConsistent(curve, policy, X, shares));
      assert.ok(!isConsistent(curve, policy, X.add(curve.G), shares));
      for (const [name, X_j] of shares) {
        for (const wrong of [X_j.add(curve.G), X_j.negate(), curve.identity]) {
          assert.ok(!isConsistent(curve, policy, X, new Map(shares).set(name, wrong)), name);
        }
      }
    }),
    { numRuns: 12 },
  );
});

test('consistency: a missing, superfluous or renamed party, and two that changed places, are noticed', () => {
  const policy = parsePolicy({ threshold: 2, of: ['alice', 'bob', 'charlie'] }, ['alice', 'bob', 'charlie']);
  const { X, shares } = published(policy, 9n);
  const X_a = shares.get('alice')!;
  const X_b = shares.get('bob')!;
  const without = new Map(shares);
  without.delete('charlie');
  assert.ok(isConsistent(curve, policy, X, shares));
  assert.ok(!isConsistent(curve, policy, X, without));
  assert.ok(!isConsistent(curve, policy, X, new Map(without).set('mallory', shares.get('charlie')!)));
  assert.ok(!isConsistent(curve, policy, X, new Map(shares).set('mallory', curve.G)));
  assert.ok(!isConsistent(curve, policy, X, new Map(shares).set('alice', X_b).set('bob', X_a)));
  assert.ok(!isConsistent(curve, policy, X, new Map()));
});

test('consistency: shares of one policy are none of a neighbouring one', () => {
  const names = ['alice', 'bob', 'charlie', 'dave'];
  const gate = (threshold: number) => parsePolicy({ threshold, of: names }, names);
  const { X, shares } = published(gate(3), 11n);
  assert.ok(isConsistent(curve, gate(3), X, shares));
  assert.ok(!isConsistent(curve, gate(2), X, shares)); // a line does not hold a parabola
  assert.ok(isConsistent(curve, gate(4), X, shares)); // but a cubic may be one
});
