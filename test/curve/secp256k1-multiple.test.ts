import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import { secp256k1Multiple, secp256k1PublicBaseMultiple } from '#src/curve/secp256k1-multiple.js';

const { BASE, ZERO } = secp256k1.Point;
const { n: q } = secp256k1.Point.CURVE();

const scalars = fc.oneof(
  fc.bigInt({ min: 0n, max: q - 1n }),
  fc.constantFrom(0n, 1n, 2n, 15n, 16n, 17n, q / 2n, q - 2n, q - 1n, (1n << 255n) - 1n, 1n << 255n),
);
/** Points with any Z, the identity among them. */
const points = fc
  .tuple(fc.bigInt({ min: 0n, max: q - 1n }), fc.bigInt({ min: 0n, max: q - 1n }))
  .map(([a, b]) => BASE.multiplyUnsafe(a).add(BASE.multiplyUnsafe(b)));

test('multiples of any point are those of noble, and proper coordinates', () => {
  fc.assert(
    fc.property(points, scalars, (P, k) => {
      const multiple = secp256k1Multiple(P, k);
      assert.ok(multiple.equals(P.multiplyUnsafe(k)));
      if (!multiple.is0()) multiple.assertValidity();
    }),
    {
      numRuns: 150,
      examples: [
        [ZERO, 5n],
        [BASE, 0n],
        [BASE, q - 1n],
        [BASE.negate(), 1n],
      ],
    },
  );
});

test('public multiples of G are those of noble', () => {
  fc.assert(
    fc.property(scalars, (k) => {
      assert.ok(secp256k1PublicBaseMultiple(k).equals(BASE.multiplyUnsafe(k)));
    }),
    { numRuns: 150, examples: [[0n], [63n], [64n], [15n << 252n]] },
  );
});

test('the same multiple comes out whatever blinds the scalar', () => {
  const P = BASE.multiply(12345n);
  const expected = P.multiplyUnsafe(q - 6789n).toHex(true);
  for (let i = 0; i < 50; i += 1) assert.equal(secp256k1Multiple(P, q - 6789n).toHex(true), expected);
});
