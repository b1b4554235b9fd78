/**
 * The two curves, their points and scalars, over @noble/curves (SEC 1, SEC 2; NIST SP 800-186).
 *
 * Settles here, once, what noble leaves to its callers: the identity neither encodes nor decodes, multiplying by
 * 0 gives the identity instead of throwing, and encodings are exactly 33 bytes, compressed. Both groups have prime
 * order, so a point on the curve is a point of the group.
 *
 * Scalars are BigInts: their arithmetic does not run in constant time. Multiples of the base point, which carry
 * the long-lived secrets, go through OpenSSL, whose routine is constant time and, on P-256, ten times faster
 * (37 µs against 460; on secp256k1 they are equal, about 450). So do secret multiples of other points on P-256
 * (0.3 ms against 3.6); on secp256k1 they are BigInt's, with blinded scalars (0.7 ms against noble's 2.4). There those
 * of the base point are, too, where the scalars serve but one session.
 */
import { createECDH } from 'node:crypto';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bigintToBytes, bytesToBigint, type Random } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { mod, modInverse } from '../math/modular.js';
import { sampleBelow } from '../math/sample.js';
import { chordSums } from './affine.js';
import { type Decode, pointDecoder } from './decoder.js';
import { p256BaseMultiples, p256Multiples, p256Pairs } from './p256-multiple.js';
import {
  secp256k1BaseMultiple,
  secp256k1Multiple,
  secp256k1PublicBaseMultiple,
} from './secp256k1-multiple.js';

export type CurveName = 'P-256' | 'secp256k1';

/** Length of a compressed point and of a scalar on either curve. */
export const POINT_BYTES = 33;
export const SCALAR_BYTES = 32;

/** An element of a curve's group, the identity included. Immutable. */
export class Point {
  readonly curve: Curve;
  readonly #value: WeierstrassPoint<bigint>;

  /** For this folder only: other code gets its points from a {@link Curve}. */
  constructor(curve: Curve, value: WeierstrassPoint<bigint>) {
    this.curve = curve;
    this.#value = value;
  }

  get isIdentity(): boolean {
    return this.#value.is0();
  }

  /** The affine x-coordinate, 0 ≤ x < p. Throws `BUG` on the identity, which has none. */
  get x(): bigint {
    invariant(!this.isIdentity, 'the identity has no coordinates');
    return this.#value.x;
  }

  /** The affine y-coordinate. Throws `BUG` on the identity. */
  get y(): bigint {
    invariant(!this.isIdentity, 'the identity has no coordinates');
    return this.#value.y;
  }

  add(other: Point): Point {
    return this.#with(this.#value.add(this.#operand(other)));
  }

  subtract(other: Point): Point {
    return this.#with(this.#value.subtract(this.#operand(other)));
  }

  negate(): Point {
    return this.#with(this.#value.negate());
  }

  /** k·P for a secret k, any integer, taken modulo q. */
  multiply(k: bigint): Point {
    const [multiple] = this.curve.multiplyAll([this], [k]);
    invariant(multiple !== undefined, 'a multiple is missing');
    return multiple;
  }

  /** k·P for a k that everybody may know: faster, and its time depends on k. */
  multiplyPublic(k: bigint): Point {
    const scalar = this.curve.mod(k);
    // Lagrange coefficients are often small and negative: the way through −k is then the short one.
    const opposite = this.curve.q - scalar;
    return opposite < scalar
      ? this.#with(this.#value.multiplyUnsafe(opposite).negate())
      : this.#with(this.#value.multiplyUnsafe(scalar));
  }

  equals(other: Point): boolean {
    return this.#value.equals(this.#operand(other));
  }

  /** SEC 1 compressed, 33 bytes. Throws `BUG` on the identity: no message may hold it. */
  toBytes(): Uint8Array {
    invariant(!this.isIdentity, 'the identity has no encoding');
    return this.#value.toBytes(true);
  }

  /** SEC 1 uncompressed, 65 bytes. Throws `BUG` on the identity. */
  toUncompressed(): Uint8Array {
    invariant(!this.isIdentity, 'the identity has no encoding');
    return this.#value.toBytes(false);
  }

  /** For this folder only. */
  static valuesOf(points: readonly Point[], curve: Curve): WeierstrassPoint<bigint>[] {
    return points.map((point) => curve.G.#operand(point));
  }

  #with(value: WeierstrassPoint<bigint>): Point {
    return new Point(this.curve, value);
  }

  #operand(other: Point): WeierstrassPoint<bigint> {
    invariant(other.curve === this.curve, 'points of two curves meet');
    return other.#value;
  }
}

/** The multiples of the base point and of two others by one scalar. */
export type PairMultiples = readonly [kG: Point, kP: Point, kQ: Point];

/** A group of prime order q with base point G. */
export interface Curve {
  readonly name: CurveName;
  readonly q: bigint;
  readonly G: Point;
  readonly identity: Point;
  /** The point of exactly 33 bytes SEC 1 compressed, or `undefined`; never the identity. */
  point(bytes: Uint8Array): Point | undefined;
  /** k·G for a secret k, any integer, taken modulo q. */
  multiplyBase(k: bigint): Point;
  /** The same for many, and quicker than one after the other; for scalars that serve but one session. */
  multiplyBaseAll(scalars: readonly bigint[]): Point[];
  /** k_i·G for k_i that everybody may know: faster for dozens of them, where OpenSSL has no fast way for the curve. */
  multiplyBasePublic(scalars: readonly bigint[]): Point[];
  /** k_i·P_i for secret k_i, as {@link Point.multiply}, and quicker than one after the other. */
  multiplyAll(points: readonly Point[], scalars: readonly bigint[]): Point[];
  /** k_i·G, k_i·P_i, k_i·Q_i for secret k_i that serve but one session: quicker than apart. */
  multiplyPairs(pairs: readonly (readonly [Point, Point])[], scalars: readonly bigint[]): PairMultiples[];
  /** P_i + Q_i, normalized. */
  addAll(points: readonly Point[], others: readonly Point[]): Point[];
  /** The same points, whose encoding then costs no division: one for all of them was enough. */
  normalized(points: readonly Point[]): Point[];
  /** The sum of `points`; the identity when there are none. */
  sum(points: Iterable<Point>): Point;
  /** The representative of k modulo q in [0, q). */
  mod(k: bigint): bigint;
  /** 1/k modulo q, in time that depends on k. Throws `BUG` when q divides k. */
  invert(k: bigint): bigint;
  /** Uniform in [0, q), by rejection. */
  randomScalar(random: Random): bigint;
  /** So many points, each uniform among all but the identity. */
  randomPoints(count: number, random: Random): Point[];
  /** k modulo q, 32 bytes big-endian. */
  scalarBytes(k: bigint): Uint8Array;
}

class NobleCurve implements Curve {
  readonly q: bigint;
  readonly G: Point;
  readonly identity: Point;
  readonly #group;
  readonly #decode: Decode;

  /** `opensslName`: what OpenSSL calls the curve. */
  constructor(
    readonly name: CurveName,
    group: typeof p256.Point,
    private readonly opensslName: string,
  ) {
    this.#group = group;
    this.#decode = pointDecoder(opensslName);
    this.q = group.Fn.ORDER;
    this.G = new Point(this, group.BASE);
    this.identity = new Point(this, group.ZERO);
  }

  point(bytes: Uint8Array): Point | undefined {
    if (bytes.length !== POINT_BYTES) return undefined;
    try {
      return this.#fromUncompressed(this.#decode(bytes));
    } catch {
      return undefined;
    }
  }

  multiplyBase(k: bigint): Point {
    const scalar = this.scalarBytes(k);
    if (bytesToBigint(scalar) === 0n) return this.identity;
    // A fresh object for each multiple: one kept for later would keep the last secret with it.
    const ecdh = createECDH(this.opensslName);
    try {
      ecdh.setPrivateKey(scalar);
      return this.#fromUncompressed(ecdh.getPublicKey());
    } finally {
      scalar.fill(0);
    }
  }

  multiplyBaseAll(scalars: readonly bigint[]): Point[] {
    const reduced = scalars.map((k) => this.mod(k));
    if (this.name === 'P-256') return this.#points(p256BaseMultiples(reduced));
    return this.#points(normalizeZ(this.#group, reduced.map(secp256k1BaseMultiple)));
  }

  multiplyBasePublic(scalars: readonly bigint[]): Point[] {
    if (this.name === 'P-256') return scalars.map((k) => this.multiplyBase(k));
    const multiples = scalars.map((k) => secp256k1PublicBaseMultiple(this.mod(k)));
    return this.#points(normalizeZ(this.#group, multiples));
  }

  multiplyAll(points: readonly Point[], scalars: readonly bigint[]): Point[] {
    const values = Point.valuesOf(points, this);
    const reduced = scalars.map((k) => this.mod(k));
    if (this.name === 'P-256') return this.#points(p256Multiples(values, reduced));
    const multiples = values.map((value, i) => secp256k1Multiple(value, reduced[i]!));
    return this.#points(normalizeZ(this.#group, multiples));
  }

  multiplyPairs(pairs: readonly (readonly [Point, Point])[], scalars: readonly bigint[]): PairMultiples[] {
    if (this.name === 'P-256') {
      const [Ps, Qs] = [0, 1].map((l) =>
        Point.valuesOf(
          pairs.map((pair) => pair[l]!),
          this,
        ),
      );
      const reduced = scalars.map((k) => this.mod(k));
      return p256Pairs(Ps!, Qs!, reduced).map(([kG, kP, kQ]) => [
        new Point(this, kG),
        new Point(this, kP),
        new Point(this, kQ),
      ]);
    }
    const ofBase = this.multiplyBaseAll(scalars);
    const multiples = this.multiplyAll(
      pairs.flat(),
      scalars.flatMap((k) => [k, k]),
    );
    return ofBase.map((kG, i) => [kG, multiples[2 * i]!, multiples[2 * i + 1]!]);
  }

  addAll(points: readonly Point[], others: readonly Point[]): Point[] {
    const [Ps, Qs] = [points, others].map((values) => this.#affine(Point.valuesOf(values, this)));
    const sums = chordSums(
      this.#group.Fp,
      Ps!.map((P) => P.toAffine()),
      Qs!.map((Q) => Q.toAffine()),
    );
    return sums.map((sum, i) => {
      const [P, Q] = [Ps![i]!, Qs![i]!];
      if (sum !== undefined && !P.is0() && !Q.is0()) return new Point(this, this.#group.fromAffine(sum));
      return this.normalized([new Point(this, P.add(Q))])[0]!;
    });
  }

  normalized(points: readonly Point[]): Point[] {
    return this.#points(normalizeZ(this.#group, Point.valuesOf(points, this)));
  }

  /** The point of 65 bytes that OpenSSL made. */
  #fromUncompressed(encoded: Uint8Array): Point {
    const x = bytesToBigint(encoded.subarray(1, 33));
    const y = bytesToBigint(encoded.subarray(33));
    return new Point(this, this.#group.fromAffine({ x, y }));
  }

  /** The same with Z = 1, but for the identity: most are so already. */
  #affine(values: WeierstrassPoint<bigint>[]): readonly WeierstrassPoint<bigint>[] {
    return values.every(({ Z }) => Z === 1n) ? values : normalizeZ(this.#group, values);
  }

  #points(values: readonly WeierstrassPoint<bigint>[]): Point[] {
    return values.map((value) => new Point(this, value));
  }

  sum(points: Iterable<Point>): Point {
    let sum = this.identity;
    for (const point of points) sum = sum.add(point);
    return sum;
  }

  mod(k: bigint): bigint {
    return mod(k, this.q);
  }

  invert(k: bigint): bigint {
    const inverse = modInverse(k, this.q);
    invariant(inverse !== undefined, '0 has no inverse');
    return inverse;
  }

  randomScalar(random: Random): bigint {
    return sampleBelow(this.q, random);
  }

  randomPoints(count: number, random: Random): Point[] {
    if (this.name === 'P-256') {
      const scalars = Array.from({ length: count }, () => 1n + sampleBelow(this.q - 1n, random));
      return this.multiplyBaseAll(scalars);
    }
    return Array.from({ length: count }, () => this.#decodedPoint(random));
  }

  /** A random point: decoding, which half of all x-coordinates fail, takes a fifth of the time of a multiple here. */
  #decodedPoint(random: Random): Point {
    for (;;) {
      const encoded = random(POINT_BYTES);
      encoded[0] = 2 + (encoded[0]! & 1);
      const point = this.point(encoded);
      if (point !== undefined) return point;
    }
  }

  scalarBytes(k: bigint): Uint8Array {
    return bigintToBytes(this.mod(k), SCALAR_BYTES);
  }
}

const CURVES: Readonly<Record<CurveName, Curve>> = {
  'P-256': new NobleCurve('P-256', p256.Point, 'prime256v1'),
  secp256k1: new NobleCurve('secp256k1', secp256k1.Point, 'secp256k1'),
};

export const curveByName = (name: CurveName): Curve => CURVES[name];
