import assert from 'node:assert/strict';
import { test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import { bigintToBytes, concatBytes } from '#src/core/bytes.js';
import { pointDecoder } from '#src/curve/decoder.js';

const CURVES = { prime256v1: p256.Point, secp256k1: secp256k1.Point };

for (const [name, group] of Object.entries(CURVES)) {
  // First, because Node.js warns once only.
  test(`${name}: decoding, Node.js warns of nothing`, (context) => {
    const { mock: warned } = context.mock.method(process, 'emitWarning', () => {});
    pointDecoder(name)(group.BASE.toBytes(true));
    assert.equal(warned.callCount(), 0);
  });

  test(`${name}: what noble decodes is decoded either way, and nothing else`, () => {
    const { p } = group.CURVE();
    const x = fc.oneof(
      fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }),
      fc.constantFrom(0n, 1n, 2n, 3n, p - 1n, p, p + 1n, p + 2n, p + 3n),
    );
    const first = fc.oneof(fc.constantFrom(2, 3), fc.nat({ max: 255 }));
    const noble = (bytes: Uint8Array): Uint8Array | undefined => {
      try {
        return group.fromBytes(bytes).toBytes(false);
      } catch {
        return undefined;
      }
    };
    for (const byOneObject of [true, false]) {
      const decode = pointDecoder(name, byOneObject);
      fc.assert(
        fc.property(first, x, (head, x) => {
          const bytes = concatBytes(Uint8Array.of(head), bigintToBytes(x, 32));
          const expected = noble(bytes);
          if (expected === undefined) assert.throws(() => decode(bytes));
          else assert.deepEqual(Uint8Array.from(decode(bytes)), expected);
        }),
        { numRuns: 200 },
      );
    }
  });
}
