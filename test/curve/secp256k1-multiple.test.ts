import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import {
  HALF_BITS,
  halvesOf,
  secp256k1BaseMultiple,
  secp256k1Multiple,
  secp256k1PublicBaseMultiple,
} from '#src/curve/secp256k1-multiple.js';

const { BASE, ZERO } = secp256k1.Point;
const { n: q } = secp256k1.Point.CURVE();
/** Of the halves: k_1 + k_2·λ = k. */
const LAMBDA = 0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72n;

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

test('multiples of G, public and secret ones, are those of noble', () => {
  fc.assert(
    fc.property(scalars, (k) => {
      const expected = BASE.multiplyUnsafe(k);
      assert.ok(secp256k1PublicBaseMultiple(k).equals(expected));
      assert.ok(secp256k1BaseMultiple(k).equals(expected));
    }),
    { numRuns: 150, examples: [[0n], [63n], [64n], [15n << 252n], [LAMBDA], [q - LAMBDA]] },
  );
});

test('a scalar’s halves stand for it, are positive, and as short as the windows take, whatever blinds them', () => {
  const blinds = fc.oneof(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.constantFrom(0, 0xff));
  const extreme = fc.oneof(scalars, fc.constantFrom(LAMBDA, q - LAMBDA, LAMBDA - 1n, LAMBDA + 1n));
  fc.assert(
    fc.property(extreme, fc.tuple(blinds, blinds), (k, given) => {
      const supply = given.map((blind) =>
        typeof blind === 'number' ? new Uint8Array(8).fill(blind) : Uint8Array.from(blind),
      );
      const halves = halvesOf(k, (length) => {
        const bytes = supply.shift()!;
        assert.equal(bytes.length, length);
        return bytes;
      });
      assert.equal((halves[0] + halves[1] * LAMBDA) % q, k);
      for (const half of halves) assert.ok(half >= 0n && half < 1n << BigInt(HALF_BITS), `${half}`);
    }),
    { numRuns: 2000 },
  );
});

test('the same multiple comes out whatever blinds the scalar', () => {
  const P = BASE.multiply(12345n);
  const expected = P.multiplyUnsafe(q - 6789n).toHex(true);
  for (let i = 0; i < 50; i += 1) assert.equal(secp256k1Multiple(P, q - 6789n).toHex(true), expected);
  const ofBase = BASE.multiplyUnsafe(q - 6789n).toHex(true);
  for (let i = 0; i < 50; i += 1) assert.equal(secp256k1BaseMultiple(q - 6789n).toHex(true), ofBase);
});
