import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { z } from 'zod';
import { fromHex, toHex } from '#src/core/bytes.js';
import {
  bytesField,
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

const hex = (text: string): Uint8Array => fromHex(text.replaceAll(' ', ''))!;
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('hex');

const plains: fc.Arbitrary<Plain> = fc.letrec<{ plain: Plain }>((tie) => ({
  plain: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('plain'), { maxLength: 5 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'length')),
      tie('plain'),
      {
        maxKeys: 5,
        noNullPrototype: true,
      },
    ),
  ),
})).plain;

/** The same value with the keys of every map in the opposite order. */
const reordered = (value: Plain): Plain => {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(reordered);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reordered(item)]),
  );
};

test('RFC 8949 appendix A: integers, strings, arrays and maps', () => {
  const vectors: readonly (readonly [Plain, string])[] = [
    [0, '00'],
    [23, '17'],
    [24, '1818'],
    [100, '1864'],
    [1000, '1903e8'],
    [1_000_000, '1a000f4240'],
    [1_000_000_000_000, '1b000000e8d4a51000'],
    [-1, '20'],
    [-100, '3863'],
    [false, 'f4'],
    [true, 'f5'],
    [null, 'f6'],
    [hex('01020304'), '4401020304'],
    ['', '60'],
    ['IETF', '6449455446'],
    ['ü', '62c3bc'],
    ['水', '63e6b0b4'],
    [[], '80'],
    [[1, [2, 3], [4, 5]], '8301820203820405'],
    [{}, 'a0'],
    [{ a: 1, b: [2, 3] }, 'a26161016162820203'],
  ];
  for (const [value, encoding] of vectors) {
    assert.equal(toHex(encode(value)), encoding);
    assert.deepEqual(decode(hex(encoding), 100), value);
  }
});

test('decoding undoes encoding, and the order of a map’s keys does not matter', () => {
  fc.assert(
    fc.property(plains, (value) => {
      const bytes = encode(value);
      assert.deepEqual(decode(bytes, bytes.length), value);
      assert.deepEqual(encode(reordered(value)), bytes);
    }),
    { numRuns: 500 },
  );
});

test('keys are sorted by their encoding (RFC 8949 §4.2.1)', () => {
  assert.equal(
    toHex(encode({ b: 1, aa: 2, a: 3, 10: 4, 9: 5 })),
    'a5 6139 05 6161 03 6162 01 623130 04 626161 02'.replaceAll(' ', ''),
  );
});

test('encodings and decoded byte strings have memory of their own', () => {
  for (const length of [10, 150, 1000, 10_000]) {
    const bytes = encode([new Uint8Array(length), 'x'.repeat(30)]);
    assert.equal(bytes.buffer.byteLength, bytes.length);
    assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype);
    const [part] = decode(bytes, 20_000) as readonly [Uint8Array, string];
    bytes.fill(1);
    assert.deepEqual(part, new Uint8Array(length));
    assert.equal(part.buffer.byteLength, length);
  }
});

const REFUSED: Readonly<Record<string, string>> = {
  nothing: '',
  'a byte after the value': '00 00',
  'an array cut short': '82 01',
  'a byte string cut short': '44 010203',
  'a map cut short': 'a1 6161',
  'an integer in two bytes that fits one': '18 17',
  'an integer in three bytes that fits two': '19 00ff',
  'an integer in nine bytes that fits five': '1b 00000000ffffffff',
  'a length in two bytes that fits one': '58 01 00',
  'an integer above 2^53': '1b 0020000000000000',
  'an integer of 64 bits': '1b ffffffffffffffff',
  'a negative integer below −2^53': '3b 0020000000000000',
  'an array of indefinite length': '9f 01 ff',
  'a map of indefinite length': 'bf 6161 01 ff',
  'a byte string of indefinite length': '5f 41 00 ff',
  'a text of indefinite length': '7f 6161 ff',
  'keys in the wrong order': 'a2 6162 01 6161 02',
  'longer keys first': 'a2 626161 01 6162 02',
  'a key twice': 'a2 6161 01 6161 01',
  'a key that is a number': 'a1 01 01',
  'a key that is a byte string': 'a1 4161 01',
  undefined: 'f7',
  'a simple value': 'e0',
  'a half-precision one': 'f9 3c00',
  'a double one': 'fb 3ff0000000000000',
  'a half': 'f9 3800',
  'negative zero': 'f9 8000',
  infinity: 'f9 7c00',
  'not a number': 'f9 7e00',
  'a tag: big integer': 'c2 41 01',
  'a tag: date': 'c1 00',
  'a tag: self-described CBOR': 'd9d9f7 00',
  'text that is not UTF-8': '62 ffff',
  'a lone surrogate': '63 eda080',
  'an overlong UTF-8 form': '62 c0af',
  'a reserved length': '1c',
  'a break out of place': 'ff',
  'an array of 2^53 − 1': '9b 001fffffffffffff 00',
  'an array of 2^32 items': '9b 0000000100000000 00',
  'a byte string of 2^32 bytes': '5b 0000000100000000 00',
};

test('every other form is refused', () => {
  for (const [why, bytes] of Object.entries(REFUSED)) {
    assert.throws(() => decode(hex(bytes), 100), UndecodableError, why);
  }
});

test('size and depth are bounded, however deep', () => {
  const bytes = encode(new Uint8Array(50));
  assert.equal(bytes.length, 52);
  assert.deepEqual(decode(bytes, 52), new Uint8Array(50));
  assert.throws(() => decode(bytes, 51), UndecodableError);
  const arrays = (depth: number) =>
    new Uint8Array(depth).fill(0x81).map((tag, i) => (i === depth - 1 ? 0x80 : tag));
  assert.ok(decode(arrays(8), 100));
  assert.throws(() => decode(arrays(9), 100), /nested too deeply/);
  const maps = (depth: number) => hex(`${'a16161'.repeat(depth - 1)}a0`);
  assert.ok(decode(maps(8), 100));
  assert.throws(() => decode(maps(9), 100), UndecodableError);
  assert.throws(() => decode(arrays(1_000_000), 2_000_000), UndecodableError); // deeper than the stack
});

test('a key named __proto__ is a key like any other', () => {
  const value = decode(hex(`a1 69 ${utf8('__proto__')} a1 6161 01`), 100) as Readonly<Record<string, Plain>>;
  assert.deepEqual(Object.keys(value), ['__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(value.a, undefined);
  const schema = z.strictObject({ a: z.number() });
  assert.throws(() => decodeAs(schema, encode(value), 100), UndecodableError);
});

const FIELDS = {
  bytes: bytesField(32),
  natural: naturalField(12),
  integer: integerField(12),
  list: listField(naturalField(64), 2),
  object: z.strictObject({ a: naturalField(8), b: z.string(), c: z.array(integerField(300)).max(3) }),
};

test('random and mutated bytes give a value with these bytes, or the one error', () => {
  const judge = (bytes: Uint8Array): void => {
    try {
      assert.deepEqual(encode(decode(bytes, 200)), Uint8Array.from(bytes));
    } catch (error) {
      if (!(error instanceof UndecodableError)) throw error;
    }
    for (const field of Object.values(FIELDS) as z.ZodType[]) {
      try {
        assert.deepEqual(encodeAs(field, decodeAs(field, bytes, 200)), Uint8Array.from(bytes));
      } catch (error) {
        if (!(error instanceof UndecodableError)) throw error;
      }
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), judge), { numRuns: 2000 });
  fc.assert(
    fc.property(plains, fc.nat(), fc.nat(255), (value, at, replacement) => {
      const bytes = encode(value);
      bytes[at % bytes.length] = replacement;
      judge(bytes);
    }),
    { numRuns: 2000 },
  );
});

test('plain data that does not fit a schema is the one error, whatever it is', () => {
  fc.assert(
    fc.property(plains, (value) => {
      for (const field of Object.values(FIELDS) as z.ZodType[]) {
        try {
          assert.deepEqual(encodeAs(field, decodeAs(field, encode(value), 10_000)), encode(value));
        } catch (error) {
          if (!(error instanceof UndecodableError)) throw error;
        }
      }
    }),
    { numRuns: 300 },
  );
});

/** Whether `field` takes the byte string of `text`. */
function takes(field: z.ZodType, text: string): boolean {
  try {
    decodeAs(field, encode(hex(text)), 1000);
    return true;
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    return false;
  }
}

test('byte strings: exact lengths', () => {
  assert.ok(takes(bytesField(2), '0000') && takes(bytesField(0), ''));
  assert.ok(!takes(bytesField(2), '00') && !takes(bytesField(2), '000000'));
});

test('naturals: every edge of the range, one encoding each', () => {
  const field = naturalField(12);
  for (const value of [0n, 1n, 255n, 256n, 4095n]) {
    assert.equal(decodeAs(field, encodeAs(field, value), 10), value);
  }
  for (const value of [-1n, 4096n]) assert.throws(() => encodeAs(field, value));
  assert.ok(takes(field, '') && takes(field, '0fff'));
  for (const text of ['00', '0001', '000fff', '1000', 'ffff', '0fffff']) assert.ok(!takes(field, text), text);
  assert.ok(takes(naturalField(16), 'ffff') && !takes(naturalField(16), '010000'));
});

test('integers: every edge of the range, one encoding each, no negative zero', () => {
  const field = integerField(12);
  for (const value of [0n, 1n, -1n, 255n, -256n, 4095n, -4095n]) {
    assert.equal(decodeAs(field, encodeAs(field, value), 10), value);
  }
  for (const value of [4096n, -4096n]) assert.throws(() => encodeAs(field, value));
  assert.equal(toHex(encodeAs(field, 0n)), '4100');
  assert.equal(toHex(encodeAs(field, -256n)), '43010100');
  assert.ok(takes(field, '00') && takes(field, '0101') && takes(field, '010fff'));
  for (const text of [
    '',
    '01',
    '0000',
    '0100',
    '000001',
    '010001',
    '02',
    '0201',
    'ff01',
    '001000',
    '01000fff',
    '000fffff',
  ]) {
    assert.ok(!takes(field, text), text);
  }
});

test('naturals and integers of random sizes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4100 }),
      fc.bigInt({ min: 0n, max: 2n ** 4100n }),
      (bits, random) => {
        const value = BigInt.asUintN(bits, random);
        assert.equal(decodeAs(naturalField(bits), encodeAs(naturalField(bits), value), 600), value);
        assert.equal(decodeAs(integerField(bits), encodeAs(integerField(bits), -value), 600), -value);
        const beyond = 2n ** BigInt(bits) + value;
        assert.throws(() => encodeAs(naturalField(bits), beyond));
        assert.throws(
          () => decodeAs(naturalField(bits), encodeAs(naturalField(4102), beyond), 600),
          UndecodableError,
        );
        assert.throws(
          () => decodeAs(integerField(bits), encodeAs(integerField(4102), -beyond), 600),
          UndecodableError,
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('lists have exactly their length', () => {
  const field = listField(naturalField(8), 2);
  const list = (...items: bigint[]) => encode(items.map((item) => hex(item.toString(16).padStart(2, '0'))));
  assert.deepEqual(decodeAs(field, list(1n, 2n), 20), [1n, 2n]);
  for (const bytes of [list(1n), list(1n, 2n, 3n), list(), encode(hex('01')), encode({ 0: hex('01') })]) {
    assert.throws(() => decodeAs(field, bytes, 20), UndecodableError);
  }
});

test('errors say where, and quote nothing that a terminal would obey', () => {
  const schema = z.strictObject({ inner: z.strictObject({ list: listField(bytesField(1), 1) }) });
  assert.throws(
    () => decodeAs(schema, encode({ inner: { list: [hex('0102')] } }), 100),
    /^UndecodableError: inner\.list\.0: not 1 bytes long$/,
  );
  const evil = '\u001b[31m\r\n\u202e\u2028evil';
  for (const attempt of [
    () => decodeAs(schema, encode({ inner: { list: [hex('01')] }, [evil]: 1 }), 100),
    () => decode(hex(`a2 61 1b 01 61 1b 01`), 100),
    () => decodeAs(schema, encode({ inner: { list: [hex('01')] }, ['x'.repeat(5000)]: 1 }), 10_000),
  ]) {
    assert.throws(attempt, (error) => {
      assert.ok(error instanceof UndecodableError);
      assert.doesNotMatch(error.message, /[\p{C}\u2028]/u);
      assert.ok(error.message.length <= 200);
      return true;
    });
  }
});

test('data of another kind is undecodable, also where zod itself throws', () => {
  const schema = z.strictObject({ list: listField(naturalField(8), 2).readonly() });
  for (const list of [new Uint8Array(2), new Uint8Array(3), { length: { toString: 1 } }, { length: 2 }, 'ab'])
    assert.throws(() => decodeAs(schema, encode({ list }), 100), UndecodableError);
});
