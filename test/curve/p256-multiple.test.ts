import assert from 'node:assert/strict';
import { ECDH } from 'node:crypto';
import { test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import * as fc from 'fast-check';
import { bytesToBigint } from '#src/core/bytes.js';
import { chordSums } from '#src/curve/affine.js';
import { p256BaseMultiples, p256Multiples, p256Pairs } from '#src/curve/p256-multiple.js';

const { BASE: G, ZERO, Fp } = p256.Point;
const { n: q } = p256.Point.CURVE();

const scalars = fc.oneof(
  fc.bigInt({ min: 0n, max: q - 1n }),
  fc.constantFrom(0n, 1n, 2n, 3n, q / 2n, q / 2n + 1n, q - 3n, q - 2n, q - 1n),
);
const times = (k: bigint) => G.multiplyUnsafe(((k % q) + q) % q);
/** Any Z, the identity among them. */
const points = fc.tuple(scalars, scalars).map(([k, l]) => times(k).add(times(l)));

type Pair = readonly [P: typeof G, Q: typeof G];

/** Pairs for which two of P, Q, G, P + Q + G are equal or opposite, or a sum on the way is the identity. */
const degenerate = (k: bigint): readonly Pair[] => {
  const P = times(k);
  return [
    [P, P],
    [P, P.negate()],
    [P, G],
    [P, G.negate()],
    [G, P],
    [G.negate(), P],
    [P, times(-k - 1n)],
    [P, times(-2n * k - 1n)],
    [P, times(-k - 2n)],
    [times(-2n * k - 1n), P],
    [P, ZERO],
    [ZERO, P],
    [ZERO, ZERO],
    [G, G],
    [G, G.negate()],
    [G.negate(), G.negate()],
  ];
};

function assertMultiples(pairs: readonly Pair[], ks: readonly bigint[]): void {
  const [Ps, Qs] = [pairs.map(([P]) => P), pairs.map(([, Q]) => Q)];
  const found = p256Pairs(Ps, Qs, ks);
  assert.equal(found.length, pairs.length);
  for (const [i, [P, Q]] of pairs.entries()) {
    const expected = [G, P, Q].map((point) => point.multiplyUnsafe(ks[i]!));
    for (const [l, point] of expected.entries()) {
      assert.ok(found[i]![l]!.equals(point), `${i}, ${l}, by ${ks[i]}`);
      if (!point.is0()) found[i]![l]!.assertValidity();
    }
  }
}

test('pairs of multiples are those of noble', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(points, points, scalars), { maxLength: 6 }), (cases) => {
      assertMultiples(
        cases.map(([P, Q]) => [P, Q]),
        cases.map(([, , k]) => k),
      );
    }),
    { numRuns: 60 },
  );
});

test('so are those of points that coincide, beside others that do not', () => {
  for (const k of [5n, q - 77n]) {
    const pairs = [[times(12n), times(345n)] as const, ...degenerate(k)];
    for (const scalar of [1n, 2n, 987654321n, q - 1n])
      assertMultiples(
        pairs,
        pairs.map(() => scalar),
      );
  }
});

test('a pair takes three Diffie–Hellman computations, and four where points coincide', (context) => {
  const { mock: computed } = context.mock.method(ECDH.prototype, 'computeSecret');
  p256Pairs([times(12n)], [times(345n)], [678n]);
  assert.equal(computed.callCount(), 3);
  computed.resetCalls();
  p256Pairs([times(12n)], [times(12n)], [678n]);
  assert.equal(computed.callCount(), 4);
});

test('multiples of G, and of points one by one, are those of noble', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(points, scalars), { maxLength: 4 }), (cases) => {
      const ks = cases.map(([, k]) => k);
      const ofBase = p256BaseMultiples(ks);
      const multiples = p256Multiples(
        cases.map(([P]) => P),
        ks,
      );
      for (const [i, [P, k]] of cases.entries()) {
        assert.ok(ofBase[i]!.equals(G.multiplyUnsafe(k)));
        assert.ok(multiples[i]!.equals(P.multiplyUnsafe(k)));
      }
    }),
    { numRuns: 40 },
  );
});

test('sums by chords are those of noble, where there is a chord', () => {
  const affine = points.filter((P) => !P.is0());
  fc.assert(
    fc.property(fc.array(fc.tuple(affine, affine), { maxLength: 8 }), (cases) => {
      const all = cases.flatMap(([P, Q]): Pair[] => [
        [P, Q],
        [P, P],
        [Q, Q.negate()],
      ]);
      const sums = chordSums(
        Fp,
        all.map(([P]) => P.toAffine()),
        all.map(([, Q]) => Q.toAffine()),
      );
      for (const [i, [P, Q]] of all.entries()) {
        const hasChord = !P.equals(Q) && !P.equals(Q.negate());
        assert.deepEqual(sums[i], hasChord ? P.add(Q).toAffine() : undefined);
      }
    }),
    { numRuns: 40 },
  );
});

test('what multiplies pairs and G keeps no scalar, not even when it fails', (context) => {
  const { mock: given } = context.mock.method(ECDH.prototype, 'setPrivateKey');
  const lastKeys = () => {
    const objects = new Set(given.calls.map((call) => call.this as ECDH));
    return [...objects].map((ecdh) => bytesToBigint(ecdh.getPrivateKey()));
  };
  p256BaseMultiples([5n, 7n]);
  assert.deepEqual(lastKeys(), [1n]);
  given.resetCalls();
  p256Pairs([times(12n)], [times(345n)], [678n]);
  assert.deepEqual(lastKeys(), [1n]);
  given.resetCalls();
  const { mock: computed } = context.mock.method(ECDH.prototype, 'computeSecret');
  computed.mockImplementationOnce(() => {
    throw new Error('out of memory');
  }, 2);
  assert.throws(() => p256Pairs([times(12n)], [times(345n)], [678n]), /out of memory/);
  assert.deepEqual(lastKeys(), [1n]);
});
