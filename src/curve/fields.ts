/**
 * Points and scalars as fields of messages. They stand apart from the curves, because worker threads compute with
 * points and read no messages.
 */
import { z } from 'zod';
import { bigintToBytes, bytesToBigint } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import { type Curve, POINT_BYTES, Point, SCALAR_BYTES } from './curve.js';

/** The field of a message that holds a point of `curve`, never the identity: 33 bytes. */
export const pointField = (curve: Curve) =>
  z.codec(
    bytesField(POINT_BYTES),
    z.instanceof(Point).refine((point) => point.curve === curve, `not a point of ${curve.name}`),
    {
      decode: (bytes, context) => {
        const point = curve.point(bytes);
        if (point !== undefined) return point;
        context.issues.push({ code: 'custom', input: bytes, message: `not a point of ${curve.name}` });
        return z.NEVER;
      },
      encode: (point) => point.toBytes(),
    },
  );

/** The field of a message that holds a scalar, 0 ≤ k < q: 32 bytes big-endian. */
export const scalarField = (curve: Curve) =>
  z.codec(
    bytesField(SCALAR_BYTES),
    z.bigint().refine((k) => k >= 0n && k < curve.q, 'not in [0, q)'),
    { decode: (bytes) => bytesToBigint(bytes), encode: (k) => bigintToBytes(k, SCALAR_BYTES) },
  );

/** The field of a message that holds `count` scalars one after the other, each 0 ≤ k < q in 32 bytes big-endian. */
export function scalarsField(curve: Curve, count: number) {
  const q = bigintToBytes(curve.q, SCALAR_BYTES);
  return bytesField(count * SCALAR_BYTES).refine((bytes) => {
    for (let at = 0; at < bytes.length; at += SCALAR_BYTES) if (!isBelow(bytes, at, q)) return false;
    return true;
  }, 'a scalar is not in [0, q)');
}

/** Whether the bytes at `at`, as many as `bound` has, are a smaller number than it. */
function isBelow(bytes: Uint8Array, at: number, bound: Uint8Array): boolean {
  const first = bound.findIndex((byte, k) => bytes[at + k] !== byte);
  return first >= 0 && bytes[at + first]! < bound[first]!;
}
