import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { shake256 } from '@noble/hashes/sha3.js';
import { cshake256, tuplehash256 } from '@noble/hashes/sha3-addons.js';
import * as fc from 'fast-check';
import { bytesToBigint, fromHex, toHex } from '#src/core/bytes.js';
import { challenge, type Field, hash, hasher, hashStream, hashToScalar } from '#src/core/transcript.js';

// NIST SP 800-185 §2.3, written anew from its text, over strings of hex.

const hexOfInteger = (value: bigint): string => {
  const hex = value.toString(16);
  return hex.length % 2 === 0 ? hex : `0${hex}`;
};
const byte = (value: number): string => value.toString(16).padStart(2, '0');
const leftEncode = (value: number): string => {
  const hex = hexOfInteger(BigInt(value));
  return byte(hex.length / 2) + hex;
};
const rightEncode = (value: number): string => {
  const hex = hexOfInteger(BigInt(value));
  return hex + byte(hex.length / 2);
};
const encodeString = (hex: string): string => leftEncode(hex.length * 4) + hex;
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('hex');

/** The byte strings (hex) that one field of docs/protocol.md §0 contributes. */
function flatten(field: Field): string[] {
  if (field instanceof Uint8Array) return [toHex(field)];
  if (typeof field === 'string') return [utf8(field)];
  if (typeof field === 'bigint') return [field === 0n ? '' : hexOfInteger(field)];
  if ('signed' in field) {
    const { signed } = field;
    if (signed === 0n) return ['00'];
    return [signed < 0n ? `01${hexOfInteger(-signed)}` : `00${hexOfInteger(signed)}`];
  }
  return [...flatten(BigInt(field.length)), ...field.flatMap(flatten)];
}

function reference(tag: string, fields: readonly Field[], length: number): string {
  const strings = [utf8(`ecdsa-mpc/v1/${tag}`), ...fields.flatMap(flatten)];
  const input = strings.map(encodeString).join('') + rightEncode(length * 8);
  return toHex(shake256(fromHex(input)!, { dkLen: length }));
}

const { field: fields } = fc.letrec<{ field: Field }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.uint8Array({ maxLength: 300 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.bigInt({ min: 0n, max: 2n ** 300n }),
    fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }).map((signed) => ({ signed })),
    fc.array(tie('field'), { maxLength: 4 }),
  ),
}));

test('the encoding written here is that of SP 800-185: its TupleHash256 is noble’s', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), (tuple) => {
      const input = tuple.map((item) => encodeString(toHex(item))).join('') + rightEncode(256);
      const personalised = cshake256(fromHex(input)!, { NISTfn: 'TupleHash', dkLen: 32 });
      assert.equal(toHex(personalised), toHex(tuplehash256(tuple, { dkLen: 32 })));
    }),
  );
});

test('the hash is SHAKE256 of that encoding', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.array(fields, { maxLength: 5 }),
      fc.integer({ min: 1, max: 256 }),
      (tag, list, n) => {
        assert.equal(toHex(hash(tag, list, n)), reference(tag, list, n));
      },
    ),
    { numRuns: 300 },
  );
});

test('hashes that begin alike are the same hashes', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.array(fields, { maxLength: 3 }),
      fc.array(fc.array(fields, { maxLength: 3 }), { maxLength: 3 }),
      fc.integer({ min: 1, max: 256 }),
      (tag, first, lists, n) => {
        const hashOf = hasher(tag, first);
        for (const list of lists) {
          assert.deepEqual(hashOf(list, n), hash(tag, [...first, ...list], n));
          assert.deepEqual(hashOf(list), hash(tag, [...first, ...list]));
        }
      },
    ),
  );
});

test('fields whose lengths need two and three bytes', () => {
  for (const length of [31, 32, 8191, 8192, 70_000]) {
    const long = new Uint8Array(length).fill(7);
    assert.equal(toHex(hash('long', [long])), reference('long', [long], 32), `${length}`);
  }
});

test('the hash never changes: stored keys and backups depend on it', () => {
  const value = hash('test vector', ['alice', 258n, { signed: -1n }, [Uint8Array.of(1, 2), 0n]]);
  assert.equal(toHex(value), 'cfc80d4958eda0320f43b8a28bc1fdb605f1a71dcf43c80594478e3437143169');
});

test('what must differ, differs', () => {
  const one = Uint8Array.of(1);
  const groups: readonly (readonly [why: string, ...(readonly [string, readonly Field[]])[]])[] = [
    ['the tag', ['a', []], ['b', []], ['', []]],
    ['tag and first field', ['ab', ['c']], ['a', ['bc']], ['abc', []], ['a', ['b', 'c']]],
    ['where one field ends', ['t', ['ab', 'c']], ['t', ['a', 'bc']], ['t', ['abc']], ['t', ['abc', '']]],
    ['number of empty fields', ['t', []], ['t', ['']], ['t', ['', '']]],
    ['leading zeros', ['t', [one]], ['t', [Uint8Array.of(0, 1)]]],
    ['sign', ['t', [1n]], ['t', [{ signed: 1n }]], ['t', [{ signed: -1n }]]],
    ['zero', ['t', [0n]], ['t', [{ signed: 0n }]]],
    [
      'lists and their neighbours',
      ['t', [['a', 'b'], ['c']]],
      ['t', [['a'], ['b', 'c']]],
      ['t', [['a', 'b', 'c']]],
      ['t', ['a', 'b', 'c']],
      ['t', [[], ['a', 'b', 'c']]],
      ['t', [['a', 'b', 'c'], []]],
      ['t', [[['a', 'b'], 'c']]],
      ['t', [['a', ['b', 'c']]]],
    ],
    ['order', ['t', ['a', 'b']], ['t', ['b', 'a']]],
  ];
  for (const [why, ...inputs] of groups) {
    const values = inputs.map(([tag, list]) => toHex(hash(tag, list)));
    assert.equal(new Set(values).size, values.length, why);
  }
});

test('what a field is made of is not hashed, as documented: one tag keeps to one shape', () => {
  assert.deepEqual(hash('t', ['a']), hash('t', [Uint8Array.of(0x61)]));
  assert.deepEqual(hash('t', ['a']), hash('t', [0x61n]));
  assert.deepEqual(hash('t', [['a', 'b']]), hash('t', [2n, 'a', 'b']));
});

test('the length is hashed too: a shorter output is no prefix of a longer one', () => {
  assert.notDeepEqual(hash('t', ['a'], 64).subarray(0, 32), hash('t', ['a'], 32));
});

test('lengths out of range and negative naturals are bugs', () => {
  for (const length of [0, -1, 257]) assert.throws(() => hash('t', [], length), { code: 'BUG' });
  assert.throws(() => hash('t', [-1n]), { code: 'BUG' });
});

test('scalars are 48 bytes modulo q, challenges the first 16 bytes', () => {
  const q = 2n ** 255n - 19n;
  assert.equal(hashToScalar('t', ['a'], q), BigInt(`0x${reference('t', ['a'], 48)}`) % q);
  assert.equal(challenge('t', ['a']), BigInt(`0x${reference('t', ['a'], 32).slice(0, 32)}`));
});

test('a stream is AES-256 in counter mode from zero under the hash, and its parts do not depend on its length', () => {
  const counters = new Uint8Array(16 * 20);
  for (let block = 0; block < 20; block++) counters[16 * block + 15] = block;
  const ecb = createCipheriv('aes-256-ecb', hash('t', ['a']), null).setAutoPadding(false);
  const expected = new Uint8Array(ecb.update(counters));
  assert.deepEqual(hashStream('t', ['a'], 320), expected);
  for (const length of [0, 1, 15, 16, 17, 300]) {
    assert.deepEqual(hashStream('t', ['a'], length), expected.subarray(0, length));
  }
  assert.notEqual(bytesToBigint(hashStream('t', ['b'], 16)), bytesToBigint(expected.subarray(0, 16)));
});
