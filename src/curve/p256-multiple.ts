/**
 * Secret multiples of any points of P-256, by OpenSSL: constant time there, and a tenth of the time that BigInt takes.
 *
 * Node offers no multiplication of points but the Diffie–Hellman function, which gives the x-coordinate only. Two of
 * them, x(kP) and x((k + 1)P), determine y(kP) (Okeya–Sakurai 2001, for the Weierstrass form: the chord through P
 * and kP, solved for the y-coordinate of kP). Division is by 2·y(P), which is never 0 and no secret.
 */
import { createECDH, type ECDH } from 'node:crypto';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { FpInvertBatch } from '@noble/curves/abstract/modular.js';
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { p256 } from '@noble/curves/nist.js';
import { bigintToBytes, bytesToBigint } from '../core/bytes.js';

type P256Point = WeierstrassPoint<bigint>;

const { Fp } = p256.Point;
const ONE = Uint8Array.of(1);
const { a, b, n: q } = p256.Point.CURVE();

/** k_i·P_i for 0 ≤ k_i < q, with affine coordinates: two inversions for all of them together. */
export function p256Multiples(points: readonly P256Point[], scalars: readonly bigint[]): P256Point[] {
  const affine = normalizeZ(p256.Point, [...points]);
  const inverses = FpInvertBatch(
    Fp,
    affine.map(({ y }) => Fp.add(y, y)),
  );
  const ecdh = createECDH('prime256v1');
  try {
    return affine.map((P, i) => multiple(ecdh, P, scalars[i]!, inverses[i]));
  } finally {
    // The object lives until it is collected, and must not keep the last scalar.
    ecdh.setPrivateKey(ONE);
  }
}

/** k·P, by the inverse of 2·y(P). */
function multiple(ecdh: ECDH, P: P256Point, k: bigint, inverse: bigint | undefined): P256Point {
  if (P.is0() || inverse === undefined || k === 0n) return p256.Point.ZERO;
  // The only other k for which k or k + 1 is no private key.
  if (k === q - 1n) return P.negate();
  const { x } = P.toAffine();
  const encoded = P.toBytes(false);
  const x1 = xOfMultiple(ecdh, encoded, k);
  const x2 = xOfMultiple(ecdh, encoded, k + 1n);
  const difference = x - x1;
  const numerator = 2n * b + (a + x * x1) * (x + x1) - x2 * Fp.create(difference * difference);
  return p256.Point.fromAffine({ x: x1, y: Fp.mul(Fp.create(numerator), inverse) });
}

/** The x-coordinate of k·P, for 0 < k < q. */
function xOfMultiple(ecdh: ECDH, encoded: Uint8Array, k: bigint): bigint {
  const scalar = bigintToBytes(k, 32);
  try {
    ecdh.setPrivateKey(scalar);
    const shared = ecdh.computeSecret(encoded);
    const x = bytesToBigint(shared);
    shared.fill(0);
    return x;
  } finally {
    scalar.fill(0);
  }
}
