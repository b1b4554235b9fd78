/**
 * ECDSA around the threshold protocol (FIPS 186-5 §6): low-s normalisation, strict DER, verification, and
 * public keys as SubjectPublicKeyInfo PEM.
 *
 * Of the two signatures (r, s) and (r, q − s), valid under the same key, only the one with the smaller s is made
 * or accepted; of its encodings, only DER (X.690).
 */
import { createPublicKey, type KeyObject, verify as opensslVerify } from 'node:crypto';
import { DER } from '@noble/curves/abstract/weierstrass.js';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { equalBytes } from '../core/bytes.js';
import { invariant, MpcError } from '../core/errors.js';
import { type Curve, type CurveName, curveByName, type Point, SCALAR_BYTES } from './curve.js';

export interface Signature {
  readonly r: bigint;
  readonly s: bigint;
}

/** The smaller of s and q − s. */
export const lowS = (curve: Curve, s: bigint): bigint => (s > curve.q / 2n ? curve.q - s : s);

/** DER of Ecdsa-Sig-Value (RFC 3279 §2.2.3); r and s positive. */
export function encodeDer(r: bigint, s: bigint): Uint8Array {
  invariant(r > 0n && s > 0n, 'r and s of a signature are positive');
  return new Uint8Array(Buffer.from(DER.hexFromSig({ r, s }), 'hex'));
}

/** The positive r and s of a signature in DER, or `undefined` for any other encoding. */
export function decodeDer(bytes: Uint8Array): Signature | undefined {
  try {
    const { r, s } = DER.toSig(bytes, SCALAR_BYTES + 1);
    return equalBytes(encodeDer(r, s), bytes) ? { r, s } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `der` is the low-s signature of `digest` (32 bytes) under `X`, strictly encoded. Never throws on `der`. */
export function verify(curve: Curve, X: Point, digest: Uint8Array, der: Uint8Array): boolean {
  invariant(digest.length === 32, 'a digest has 32 bytes');
  const scheme = curve.name === 'P-256' ? p256 : secp256k1;
  return scheme.verify(der, digest, X.toBytes(), { prehash: false, lowS: true, format: 'der' });
}

/** The same of the SHA-256 of `message`, by OpenSSL, in a tenth of the time. */
export function verifyMessage(curve: Curve, X: Point, message: Uint8Array, der: Uint8Array): boolean {
  const signature = decodeDer(der);
  if (signature === undefined || signature.s > curve.q / 2n) return false;
  return opensslVerify('sha256', message, publicKeyOf(curve, X), der);
}

/** `X` as OpenSSL has it. */
function publicKeyOf(curve: Curve, X: Point): KeyObject {
  const encoded = Buffer.from(X.toUncompressed());
  const x = encoded.toString('base64url', 1, 33);
  const y = encoded.toString('base64url', 33);
  return createPublicKey({ key: { kty: 'EC', crv: curve.name, x, y }, format: 'jwk' });
}

/** `X` as PEM of its SubjectPublicKeyInfo, which OpenSSL and its like read. */
export const publicKeyPem = (curve: Curve, X: Point): string =>
  publicKeyOf(curve, X).export({ type: 'spki', format: 'pem' }) as string;

const CURVE_OF_OPENSSL: Readonly<Record<string, CurveName>> = { prime256v1: 'P-256', secp256k1: 'secp256k1' };

/** The key of a PEM public key. Throws `FILE` unless it is one, on a curve of this program. */
export function publicKeyFromPem(pem: string): { curve: Curve; point: Point } {
  const key = readPublicKey(pem);
  const name = CURVE_OF_OPENSSL[key?.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key === undefined || name === undefined) {
    throw new MpcError('FILE', 'not a PEM public key on P-256 or secp256k1', {
      hint: 'give the file that begins with -----BEGIN PUBLIC KEY-----',
    });
  }
  const curve = curveByName(name);
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const sign = Buffer.from(y, 'base64url').at(-1)! % 2 === 0 ? 2 : 3;
  const point = curve.point(Uint8Array.of(sign, ...Buffer.from(x, 'base64url')));
  invariant(point !== undefined, 'OpenSSL accepted a point that is not on the curve');
  return { curve, point };
}

/** `undefined` also for a private key, of which `createPublicKey` would silently take the public half. */
function readPublicKey(pem: string): KeyObject | undefined {
  if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(pem)) return undefined;
  try {
    return createPublicKey(pem);
  } catch {
    return undefined;
  }
}
