/**
 * Hashing to points of which nobody knows the logarithm, uniform on the group (RFC 9380): the suites
 * P256_XMD:SHA-256_SSWU_RO_ and secp256k1_XMD:SHA-256_SSWU_RO_, of many messages at once.
 *
 * Nearly all of the work is square roots and inversions. The roots are OpenSSL's: of the two x-coordinates that the map
 * comes to, exactly one is that of a point, and decoding it gives y. An inversion serves all messages together.
 *
 * secp256k1 has no such map itself, but a curve E' that an isogeny takes to it (§6.6.3). The isogeny multiplies y by a
 * rational function of x, so that x-coordinates of points become those of points, and others do not: x alone goes
 * through it, and y is found on secp256k1, with the sign that it has on E'.
 */
import { createHash } from 'node:crypto';
import { FpInvertBatch } from '@noble/curves/abstract/modular.js';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bigintToBytes, bytesToBigint, concatBytes } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { mod } from '../math/modular.js';
import { type Curve, type CurveName, POINT_BYTES, type Point } from './curve.js';

/** Coefficients of a polynomial, the constant first. */
type Polynomial = readonly bigint[];

interface Isogeny {
  readonly xNum: Polynomial;
  readonly xDen: Polynomial;
  readonly yNum: Polynomial;
  readonly yDen: Polynomial;
}

interface Suite {
  readonly name: string;
  readonly Fp: typeof p256.Point.Fp;
  /** Of the curve that the map is to, y² = x³ + A·x + B, and of the map. */
  readonly A: bigint;
  readonly B: bigint;
  readonly Z: bigint;
  /** From that curve to the suite's. */
  readonly isogeny?: Isogeny;
}

/** §8.2 and §8.7. */
const SUITES: Readonly<Record<CurveName, Suite>> = {
  'P-256': {
    name: 'P256_XMD:SHA-256_SSWU_RO_',
    Fp: p256.Point.Fp,
    A: p256.Point.CURVE().a,
    B: p256.Point.CURVE().b,
    Z: -10n,
  },
  secp256k1: {
    name: 'secp256k1_XMD:SHA-256_SSWU_RO_',
    Fp: secp256k1.Point.Fp,
    A: 0x3f8731abdd661adca08a5558f0f5d272e953d363cb6f0e5d405447c01a444533n,
    B: 1771n,
    Z: -11n,
    // Appendix E.1
    isogeny: {
      xNum: [
        0x8e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38daaaaa8c7n,
        0x07d3d4c80bc321d5b9f315cea7fd44c5d595d2fc0bf63b92dfff1044f17c6581n,
        0x534c328d23f234e6e2a413deca25caece4506144037c40314ecbd0b53d9dd262n,
        0x8e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38daaaaa88cn,
      ],
      xDen: [
        0xd35771193d94918a9ca34ccbb7b640dd86cd409542f8487d9fe6b745781eb49bn,
        0xedadc6f64383dc1df7c4b2d51b54225406d36b641f5e41bbc52a56612a8c6d14n,
        1n,
      ],
      yNum: [
        0x4bda12f684bda12f684bda12f684bda12f684bda12f684bda12f684b8e38e23cn,
        0xc75e0c32d5cb7c0fa9d0a54b12a0a6d5647ab046d686da6fdffc90fc201d71a3n,
        0x29a6194691f91a73715209ef6512e576722830a201be2018a765e85a9ecee931n,
        0x2f684bda12f684bda12f684bda12f684bda12f684bda12f684bda12f38e38d84n,
      ],
      yDen: [
        0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffff93bn,
        0x7a06534bb8bdb49fd5e9e6632722c2989467c1bfc8e8d978dfb425d2685c2573n,
        0x6484aa716545ca2cf3a70c3fa8fe337e0a3d21162f0d6299a7bf8192bfd2a76fn,
        1n,
      ],
    },
  },
};

/** The name of the suite, which every domain separation tag ends with (§3.1). */
export const suiteOf = (curve: Curve): string => SUITES[curve.name].name;

/** What is hashed, under which domain separation tag. */
export interface HashInput {
  readonly message: Uint8Array;
  readonly dst: Uint8Array;
}

/** Whether an input is secret: then both x-coordinates are always tried, and the attempts do not tell which one it was. */
export interface HashOptions {
  readonly secret: boolean;
}

/** hash_to_curve of each input (§3). */
export function hashToCurve(curve: Curve, inputs: readonly HashInput[], options: HashOptions): Point[] {
  const { Fp } = SUITES[curve.name];
  const us = inputs.flatMap((input) => hashToField(input, Fp.ORDER));
  const mapped = mapToCurve(curve, us, options);
  return curve.addAll(
    mapped.filter((_, k) => k % 2 === 0),
    mapped.filter((_, k) => k % 2 === 1),
  );
}

// §5

/** L: 16 bytes longer than the field's elements. */
const ELEMENT_BYTES = 48;
const HASH_BYTES = 32;
const BLOCK_BYTES = 64;
const HASHES = (2 * ELEMENT_BYTES) / HASH_BYTES;

/** hash_to_field (§5.2): two elements. */
function hashToField(input: HashInput, p: bigint): [bigint, bigint] {
  const bytes = expandMessage(input);
  return [
    bytesToBigint(bytes.subarray(0, ELEMENT_BYTES)) % p,
    bytesToBigint(bytes.subarray(ELEMENT_BYTES)) % p,
  ];
}

/** Joined, because each call of OpenSSL costs more than hashing a part. */
const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  createHash('sha256')
    .update(concatBytes(...parts))
    .digest();

const Z_PAD = new Uint8Array(BLOCK_BYTES);
const LENGTH = Uint8Array.of(0, HASHES * HASH_BYTES);

/** expand_message_xmd (§5.3.1): 96 bytes. */
function expandMessage({ message, dst }: HashInput): Uint8Array {
  invariant(dst.length <= 255, 'the domain separation tag is too long');
  const dstPrime = concatBytes(dst, Uint8Array.of(dst.length));
  const b_0 = sha256(Z_PAD, message, LENGTH, Uint8Array.of(0), dstPrime);
  const blocks = [sha256(b_0, Uint8Array.of(1), dstPrime)];
  for (let i = 2; i <= HASHES; i += 1) {
    const previous = blocks.at(-1)!;
    const chained = b_0.map((byte, k) => byte ^ previous[k]!);
    blocks.push(sha256(chained, Uint8Array.of(i), dstPrime));
  }
  return concatBytes(...blocks);
}

// §6.6

/** map_to_curve of each u, 0 ≤ u < p: the simplified map of Shallue, van de Woestijne and Ulas. */
export function mapToCurve(curve: Curve, us: readonly bigint[], { secret }: HashOptions): Point[] {
  const suite = SUITES[curve.name];
  const candidates = candidatesOf(suite, us);
  const images = imagesOf(suite, candidates.flat());
  const found = us.map((u, i) => {
    const [first, second] = [images[2 * i], images[2 * i + 1]];
    const point = decode(curve, first, u);
    // Of the two, exactly one is found: tried both, one after the other, they take the same time whichever it is.
    const other = secret || point === undefined ? decode(curve, second, u) : undefined;
    return { x: candidates[i]![point ? 0 : 1], point: (point ?? other)! };
  });
  return suite.isogeny ? withSigns(suite, suite.isogeny, found, us) : found.map(({ point }) => point);
}

/** The point with this x-coordinate, if there is one; of its two, the one whose y is odd if u is. */
function decode(curve: Curve, x: bigint | undefined, u: bigint): Point | undefined {
  if (x === undefined) return undefined;
  const encoded = bigintToBytes(x, POINT_BYTES);
  encoded[0] = u % 2n === 0n ? 2 : 3;
  return curve.point(encoded);
}

/** x_1 and x_2 of §6.6.2 for each u. */
function candidatesOf({ Fp, A, B, Z }: Suite, us: readonly bigint[]): [bigint, bigint][] {
  const p = Fp.ORDER;
  const Zu2 = us.map((u) => mod(Z * u * u, p));
  const inverses = FpInvertBatch(
    Fp,
    Zu2.map((z) => (z * z + z) % p),
  );
  const slope = mod(-B * Fp.inv(A), p);
  const exception = mod(B * Fp.inv(mod(Z * A, p)), p);
  return Zu2.map((z, i) => {
    const inverse = inverses[i];
    const x_1 = inverse === undefined ? exception : (slope * (inverse + 1n)) % p;
    return [x_1, (z * x_1) % p];
  });
}

/**
 * The x-coordinates on the suite's curve for those on the curve of the map. `undefined`: a zero of the isogeny's
 * denominator, which no point has, for its own would then be of order 3.
 */
function imagesOf({ Fp, isogeny }: Suite, xs: readonly bigint[]): (bigint | undefined)[] {
  if (isogeny === undefined) return [...xs];
  const p = Fp.ORDER;
  const inverses = FpInvertBatch(
    Fp,
    xs.map((x) => valueAt(isogeny.xDen, x, p)),
  );
  return xs.map((x, i) => {
    const inverse = inverses[i];
    return inverse === undefined ? undefined : (valueAt(isogeny.xNum, x, p) * inverse) % p;
  });
}

/** The points, or their opposites: those that come from a y on the curve of the map that is odd if u is. */
function withSigns(
  { Fp }: Suite,
  { yNum, yDen }: Isogeny,
  found: readonly { readonly x: bigint; readonly point: Point }[],
  us: readonly bigint[],
): Point[] {
  const p = Fp.ORDER;
  // Never 0: then y would be, and no point has that.
  const inverses = FpInvertBatch(
    Fp,
    found.map(({ x }) => valueAt(yNum, x, p)),
  );
  return found.map(({ x, point }, i) => {
    const y = mod(point.y * valueAt(yDen, x, p) * inverses[i]!, p);
    return y % 2n === us[i]! % 2n ? point : point.negate();
  });
}

/** Horner's rule. */
const valueAt = (polynomial: Polynomial, x: bigint, p: bigint): bigint =>
  polynomial.reduceRight((sum, coefficient) => (sum * x + coefficient) % p, 0n);
