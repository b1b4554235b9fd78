/** Bytes that should be canonical CBOR: plain data that encodes to just them, or an UndecodableError. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { policyFromPlain, policyToPlain } from '#src/access/policy.js';
import { bigintToBytes, concatBytes } from '#src/core/bytes.js';
import {
  decode,
  decodeAs,
  encode,
  encodeAs,
  integerField,
  listField,
  naturalField,
  type Plain,
  UndecodableError,
} from '#src/core/codec.js';
import { curveByName } from '#src/curve/curve.js';
import { pointField, scalarField } from '#src/curve/fields.js';
import {
  allocatedBy,
  anythingFor,
  cases,
  cborNoise,
  plainData,
  spoiledData,
  unlessRefused,
} from '../support/fuzz.js';
import { policies } from '../support/policies.js';

const KIB = 1024;
const MAX_BYTES = 4096 * KIB;

const isRefusal = (error: unknown): boolean =>
  error instanceof UndecodableError && error.message.length <= 200 && !/\p{C}/u.test(error.message);

const encodings = plainData.map(encode);

test('what decodes encodes to the same bytes', () => {
  let decoded = 0;
  fc.assert(
    fc.property(anythingFor(encodings), (bytes) => {
      const value = unlessRefused(() => decode(bytes, MAX_BYTES), isRefusal);
      if (value === undefined) return;
      decoded += 1;
      assert.deepEqual(encode(value), bytes);
    }),
    cases(),
  );
  assert.ok(decoded > 0);
});

test('bytes above the limit are refused unread', () => {
  fc.assert(
    fc.property(encodings, fc.nat(50), (bytes, missing) => {
      const limit = bytes.length - 1 - missing;
      assert.throws(() => decode(bytes, limit), {
        message: `${bytes.length} bytes, at most ${limit} allowed`,
      });
    }),
    cases(),
  );
});

test('an announced length, count or depth costs nothing', () => {
  const heads = fc
    .tuple(
      fc.constantFrom(0x5a, 0x5b, 0x7a, 0x7b, 0x9a, 0x9b, 0xba, 0xbb),
      fc.constantFrom([0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0x40, 0, 0]),
    )
    .map(([head, count]) => Uint8Array.of(head, ...(head % 4 === 3 ? [0, 0, 0, 0] : []), ...count));
  fc.assert(
    fc.property(fc.array(heads, { minLength: 1, maxLength: 4 }), cborNoise, (announced, rest) => {
      const bytes = concatBytes(...announced, rest);
      const allocated = allocatedBy(() => assert.throws(() => decode(bytes, MAX_BYTES), isRefusal));
      assert.ok(allocated < 16 * KIB, `${allocated} bytes`);
    }),
    cases(),
  );
  for (const nesting of [0x81, 0xa1, 0xd8, 0x9f]) {
    const bytes = new Uint8Array(MAX_BYTES).fill(nesting);
    assert.throws(() => decode(bytes, MAX_BYTES), isRefusal);
  }
});

const P256 = curveByName('P-256');
const fields = {
  natural: naturalField(200),
  integer: integerField(200),
  point: pointField(P256),
  scalar: scalarField(P256),
  list: listField(naturalField(16), 3),
};

test('a field is read from one encoding only', () => {
  const number = fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 34 }),
    number.map((value) => decode(encodeAs(integerField(201), value), MAX_BYTES) as Uint8Array),
    fc.bigInt({ min: 1n, max: P256.q - 1n }).map((k) => P256.multiplyBase(k).toBytes()),
    fc
      .bigInt({ min: P256.q - 2n, max: P256.q + 2n })
      .map((k) => Buffer.from(k.toString(16).padStart(64, '0'), 'hex')),
  );
  const values = fc.oneof(
    bytes.map(encode),
    fc.array(fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.nat()), { maxLength: 5 }).map(encode),
    fc
      .array(fc.nat(2 ** 16 - 1), { minLength: 2, maxLength: 4 })
      .map((list) => encode(list.map((value) => bigintToBytes(BigInt(value))))),
  );
  const read: Record<string, number> = {};
  fc.assert(
    fc.property(fc.oneof(values, anythingFor(values)), (encoded) => {
      for (const [name, field] of Object.entries(fields)) {
        const value = unlessRefused(() => decodeAs<typeof field>(field, encoded, MAX_BYTES), isRefusal);
        if (value === undefined) continue;
        read[name] = (read[name] ?? 0) + 1;
        assert.deepEqual(encodeAs<typeof field>(field, value), encoded, name);
      }
    }),
    cases(),
  );
  assert.deepEqual(Object.keys(read).sort(), Object.keys(fields).sort());
});

test('plain data is a policy of one plain form, or undecodable', () => {
  const honest = policies().map(policyToPlain);
  const deep = fc.nat(12).map((depth) => {
    let node: Plain = 'alice';
    for (let level = 0; level < depth; level += 1) node = ['and', node, `party${level}`];
    return node;
  });
  const many = fc.nat(200).map((count): Plain => ['or', ...Array.from({ length: count }, (_, k) => `p${k}`)]);
  fc.assert(
    fc.property(fc.oneof(spoiledData(honest, plainData), plainData, deep, many), (plain) => {
      const policy = unlessRefused(() => policyFromPlain(plain), isRefusalOfPolicy);
      if (policy !== undefined) assert.deepEqual(policyToPlain(policy), plain);
    }),
    cases(),
  );
});

const isRefusalOfPolicy = (error: unknown): boolean => error instanceof UndecodableError;
