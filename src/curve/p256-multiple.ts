/**
 * Secret multiples of any points of P-256, by OpenSSL: constant time there, and a tenth of the time that BigInt takes.
 *
 * Node offers no multiplication of points but the Diffie–Hellman function, which gives the x-coordinate only. Two of
 * them, x(kP) and x((k + 1)P), determine y(kP) (Okeya–Sakurai 2001, for the Weierstrass form: the chord through P
 * and kP, solved for the y-coordinate of kP). Division is by 2·y(P), which is never 0 and no secret.
 *
 * For two points with one scalar, three instead of four of them do, as kG comes with the scalar: see {@link p256Pairs}.
 * Division is by a secret there, in time that depends on it, but only once for all pairs: by the product of their divisors.
 */
import { createECDH, type ECDH } from 'node:crypto';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { FpInvertBatch } from '@noble/curves/abstract/modular.js';
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { p256 } from '@noble/curves/nist.js';
import { bigintToBytes, bytesToBigint } from '../core/bytes.js';
import { mod } from '../math/modular.js';
import { chordSums } from './affine.js';

type P256Point = WeierstrassPoint<bigint>;

const { Fp } = p256.Point;
const ONE = Uint8Array.of(1);
const { a, b, n: q, p } = p256.Point.CURVE();

/** What `act` makes of an object that keeps none of the scalars: it lives until it is collected. */
function withEcdh<T>(act: (ecdh: ECDH) => T): T {
  const ecdh = createECDH('prime256v1');
  try {
    return act(ecdh);
  } finally {
    ecdh.setPrivateKey(ONE);
  }
}

function setScalar(ecdh: ECDH, k: bigint): void {
  const scalar = bigintToBytes(k, 32);
  try {
    ecdh.setPrivateKey(scalar);
  } finally {
    scalar.fill(0);
  }
}

/** k·G, for the scalar k that is set. */
function multipleOfBase(ecdh: ECDH): P256Point {
  const encoded = ecdh.getPublicKey();
  const [x, y] = [bytesToBigint(encoded.subarray(1, 33)), bytesToBigint(encoded.subarray(33))];
  return p256.Point.fromAffine({ x, y });
}

/** x(k·P), for the scalar k that is set and the encoding of P. */
function xOfMultiple(ecdh: ECDH, encoded: Uint8Array): bigint {
  const shared = ecdh.computeSecret(encoded);
  const x = bytesToBigint(shared);
  shared.fill(0);
  return x;
}

/** k_i·G for 0 ≤ k_i < q. */
export const p256BaseMultiples = (scalars: readonly bigint[]): P256Point[] =>
  withEcdh((ecdh) =>
    scalars.map((k) => {
      if (k === 0n) return p256.Point.ZERO;
      setScalar(ecdh, k);
      return multipleOfBase(ecdh);
    }),
  );

/** k_i·P_i for 0 ≤ k_i < q, with affine coordinates: two inversions for all of them together. */
export function p256Multiples(points: readonly P256Point[], scalars: readonly bigint[]): P256Point[] {
  const affine = normalizeZ(p256.Point, [...points]);
  const inverses = FpInvertBatch(
    Fp,
    affine.map(({ y }) => Fp.add(y, y)),
  );
  return withEcdh((ecdh) => affine.map((P, i) => multiple(ecdh, P, scalars[i]!, inverses[i])));
}

/** k·P, by the inverse of 2·y(P). */
function multiple(ecdh: ECDH, P: P256Point, k: bigint, inverse: bigint | undefined): P256Point {
  if (P.is0() || inverse === undefined || k === 0n) return p256.Point.ZERO;
  // The only other k for which k or k + 1 is no private key.
  if (k === q - 1n) return P.negate();
  const { x } = P.toAffine();
  const encoded = P.toBytes(false);
  setScalar(ecdh, k);
  const x1 = xOfMultiple(ecdh, encoded);
  setScalar(ecdh, k + 1n);
  const x2 = xOfMultiple(ecdh, encoded);
  const difference = x - x1;
  const numerator = 2n * b + (a + x * x1) * (x + x1) - x2 * Fp.create(difference * difference);
  return p256.Point.fromAffine({ x: x1, y: Fp.mul(Fp.create(numerator), inverse) });
}

/** k·G, and the multiples by k of two points. */
export type PairMultiples = readonly [kG: P256Point, kP: P256Point, kQ: P256Point];

/**
 * k_i·G, k_i·P_i, k_i·Q_i for 0 ≤ k_i < q. From OpenSSL come kG and the x-coordinates of kP, kQ and k(P + Q + G);
 * {@link withY} finds the y-coordinates.
 */
export function p256Pairs(
  Ps: readonly P256Point[],
  Qs: readonly P256Point[],
  scalars: readonly bigint[],
): PairMultiples[] {
  const [affinePs, affineQs] = [normalizeZ(p256.Point, [...Ps]), normalizeZ(p256.Point, [...Qs])];
  const sums = sumsWithBase(affinePs, affineQs);
  const known = withEcdh((ecdh) =>
    scalars.map((k, i): Known | undefined => {
      if (k === 0n) return undefined;
      setScalar(ecdh, k);
      const A = multipleOfBase(ecdh);
      const points = [affinePs[i]!, affineQs[i]!, sums[i]] as const;
      if (points[2] === undefined) return { A, xs: undefined };
      const [S, T, W] = points.map((point) => xOfMultiple(ecdh, point!.toBytes(false)));
      return { A, xs: [S!, T!, W!] };
    }),
  );
  const found = withY(known);
  return known.map((multiples, i) => {
    if (multiples === undefined) return [p256.Point.ZERO, p256.Point.ZERO, p256.Point.ZERO];
    const k = scalars[i]!;
    const [kP, kQ] = found[i] ?? p256Multiples([affinePs[i]!, affineQs[i]!], [k, k]);
    return [multiples.A, kP!, kQ!];
  });
}

/** P_i + Q_i + G; `undefined` where a chord is missing on the way, or P_i or Q_i is the identity. */
function sumsWithBase(Ps: readonly P256Point[], Qs: readonly P256Point[]): (P256Point | undefined)[] {
  const G = p256.Point.BASE.toAffine();
  const sums = chordSums(
    Fp,
    Ps.map((P) => P.toAffine()),
    Qs.map((Q) => Q.toAffine()),
  );
  const withBase = chordSums(
    Fp,
    sums.map((sum) => sum ?? G),
    sums.map(() => G),
  );
  return withBase.map((sum, i) =>
    sum === undefined || Ps[i]!.is0() || Qs[i]!.is0() ? undefined : p256.Point.fromAffine(sum),
  );
}

/** What OpenSSL tells of a pair: A = kG, and x(S), x(T), x(S + T + A) for S = kP, T = kQ. */
interface Known {
  readonly A: P256Point;
  readonly xs: readonly [bigint, bigint, bigint] | undefined;
}

/**
 * S and T of each pair. S, T, A and W = −(S + T + A) add up to the identity, so that some α + β·x + γ·x² + δ·y is 0 on
 * all four: the determinant of the rows 1, x, x², y is 0. Developed by y, it says
 *
 *     c_S·y_S + c_T·y_T + c_A·y_A + c_W·y_W = 0,
 *
 * the c being, but for their signs, products of the differences of the other three x. Known are y_A, and y² of all. With
 * s = c_S·y_S + c_T·y_T and e = c_A·y_A, squaring s + e = −c_W·y_W, and then what it says of the product c_S·y_S·c_T·y_T,
 * leaves an equation for s of degree 1.
 *
 * `undefined` where the divisor is 0: only where two of the four are equal or opposite, which depends on P and Q, not on
 * the scalar. For the divisor is 8·c_S·c_T·c_A·y_A times the sums of any two of c_S·y_S, c_T·y_T and c_A·y_A. Were such a
 * sum 0 without that, say the first, then S, T, −A and −W would satisfy the equation as well and add up to the
 * identity; so would 2S and 2T, and S would be −T.
 */
function withY(pairs: readonly (Known | undefined)[]): (readonly [P256Point, P256Point] | undefined)[] {
  const equations = pairs.map((pair) => (pair?.xs === undefined ? undefined : equationsOf(pair.A, pair.xs)));
  const inverses = FpInvertBatch(
    Fp,
    equations.map((equation) => (equation === undefined ? 0n : mod(equation.divisor, p))),
  );
  return equations.map((equation, i) => {
    const inverse = inverses[i];
    if (equation === undefined || inverse === undefined) return undefined;
    const [x_S, x_T] = pairs[i]!.xs!;
    const [y_S, y_T] = equation.numerators.map((numerator) => mod(numerator * inverse, p));
    return [p256.Point.fromAffine({ x: x_S, y: y_S! }), p256.Point.fromAffine({ x: x_T, y: y_T! })];
  });
}

/** y² on the curve. */
const squareAt = (x: bigint): bigint => (((x * x + a) % p) * x + b) % p;

/** y_S and y_T as fractions with one divisor. */
function equationsOf(A: P256Point, [x_S, x_T, x_W]: readonly [bigint, bigint, bigint]) {
  const { x: x_A, y: y_A } = A.toAffine();
  const [ST, SA, SW, TA, TW, AW] = [x_S - x_T, x_S - x_A, x_S - x_W, x_T - x_A, x_T - x_W, x_A - x_W];
  const c_S = (((TA * TW) % p) * AW) % p;
  const c_T = -(((SA * SW) % p) * AW) % p;
  const c_A = (((ST * SW) % p) * TW) % p;
  const c_W = -(((ST * SA) % p) * TA) % p;
  // Squares of the four terms.
  const SS = (((c_S * c_S) % p) * squareAt(x_S)) % p;
  const TT = (((c_T * c_T) % p) * squareAt(x_T)) % p;
  const WW = (((c_W * c_W) % p) * squareAt(x_W)) % p;
  const e = (c_A * y_A) % p;
  const ee = (e * e) % p;
  // s = n/(2h), and c_S·y_S = (2·SS + r)·h/n − e, likewise T.
  const r = WW - SS - TT - ee;
  const n = (4n * ee * (WW - ee) + r * r - 4n * SS * TT) % p;
  const h = (2n * e * (2n * ee + r)) % p;
  return {
    divisor: ((n * c_S) % p) * c_T,
    numerators: [
      ((((2n * SS + r) * h - e * n) % p) * c_T) % p,
      ((((2n * TT + r) * h - e * n) % p) * c_S) % p,
    ],
  };
}
