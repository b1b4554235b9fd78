/**
 * Hashing to a point of which nobody knows the logarithm (RFC 9380), by @noble/curves: the suites
 * P256_XMD:SHA-256_SSWU_RO_ and secp256k1_XMD:SHA-256_SSWU_RO_, uniform on the group.
 */
import { p256_hasher } from '@noble/curves/nist.js';
import { secp256k1_hasher } from '@noble/curves/secp256k1.js';
import { type Curve, type CurveName, Point } from './curve.js';

const HASHERS = { 'P-256': p256_hasher, secp256k1: secp256k1_hasher } as const satisfies Record<
  CurveName,
  unknown
>;

/** The name of the suite, which every domain separation tag ends with (RFC 9380 §3.1). */
export const suiteOf = (curve: Curve): string => HASHERS[curve.name].defaults.DST as string;

/** hash_to_curve of `message` under the domain separation tag `dst`. */
export const hashToCurve = (curve: Curve, message: Uint8Array, dst: Uint8Array): Point =>
  new Point(curve, HASHERS[curve.name].hashToCurve(message, { DST: dst }));
