// GF(2^128) against GHASH, which has the same field with the bits of each byte reversed: against the test cases of
// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, and against OpenSSL's AES-GCM.
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, fromHex, randomBytes, toHex } from '#src/core/bytes.js';
import { addElement, addProduct, ELEMENT_BYTES, multiplesOf, writeElement } from '#src/math/gf128.js';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function toBytes(element: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(ELEMENT_BYTES);
  writeElement(element, viewOf(bytes), 0);
  return bytes;
}

function product(w: Uint8Array, c: Uint8Array): Uint8Array {
  const sum = new Uint32Array(4);
  addProduct(sum, multiplesOf(w), viewOf(c), 0);
  return toBytes(sum);
}

function sumOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  const sum = new Uint32Array(4);
  addElement(sum, viewOf(a), 0);
  addElement(sum, viewOf(b), 0);
  return toBytes(sum);
}

/** The element X^k. */
function power(k: number): Uint8Array {
  const bytes = new Uint8Array(ELEMENT_BYTES);
  bytes[k >> 3] = 1 << (k & 7);
  return bytes;
}

const reversed = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte) => Number.parseInt(byte.toString(2).padStart(8, '0').split('').reverse().join(''), 2));

const padded = (bytes: Uint8Array): Uint8Array =>
  concatBytes(bytes, new Uint8Array((ELEMENT_BYTES - (bytes.length % ELEMENT_BYTES)) % ELEMENT_BYTES));

/** GHASH_H of additional data A and ciphertext C. */
function ghash(H: Uint8Array, A: Uint8Array, C: Uint8Array): Uint8Array {
  const lengths = new Uint8Array(ELEMENT_BYTES);
  viewOf(lengths).setBigUint64(0, BigInt(8 * A.length));
  viewOf(lengths).setBigUint64(8, BigInt(8 * C.length));
  const input = concatBytes(padded(A), padded(C), lengths);
  let y = new Uint8Array(ELEMENT_BYTES) as Uint8Array;
  for (let at = 0; at < input.length; at += ELEMENT_BYTES)
    y = product(reversed(H), sumOf(y, reversed(input.subarray(at, at + ELEMENT_BYTES))));
  return reversed(y);
}

const hex = (text: string): Uint8Array => fromHex(text.replaceAll(' ', ''))!;

test('GHASH of the published test cases', () => {
  const cases = [
    {
      name: '2',
      H: '66e94bd4ef8a2c3b884cfa59ca342b2e',
      A: '',
      C: '0388dace60b6a392f328c2b971b2fe78',
      ghash: 'f38cbb1ad69223dcc3457ae5b6b0f885',
    },
    {
      name: '4',
      H: 'b83b533708bf535d0aa6e52980d53b78',
      A: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
      C: `42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
          21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091`.replace(/\s/g, ''),
      ghash: '698e57f70e6ecc7fd9463b7260a9ae5f',
    },
  ];
  for (const { name, H, A, C, ghash: expected } of cases)
    assert.equal(toHex(ghash(hex(H), hex(A), hex(C))), expected, name);
});

test('the first product of test case 2', () => {
  const [H, C] = [hex('66e94bd4ef8a2c3b884cfa59ca342b2e'), hex('0388dace60b6a392f328c2b971b2fe78')];
  assert.equal(toHex(reversed(product(reversed(H), reversed(C)))), '5e2ec746917062882c85b0685353deb7');
});

test('GHASH agrees with the tags of OpenSSL', () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(sixteen, bytes(70), bytes(70), (key, A, P) => {
      const cipher = createCipheriv('aes-128-gcm', key, new Uint8Array(12));
      cipher.setAAD(A);
      const C = cipher.update(P);
      cipher.final();
      const block = (input: Uint8Array) => createCipheriv('aes-128-ecb', key, null).update(input);
      const H = block(new Uint8Array(16));
      const first = block(Uint8Array.of(...new Uint8Array(15), 1));
      assert.deepEqual(
        ghash(H, A, C),
        Uint8Array.from(cipher.getAuthTag(), (byte, k) => byte ^ first[k]!),
      );
    }),
  );
});

test('the bits stand in the order of protocol.md, and X^128 is X^7 + X^2 + X + 1', () => {
  assert.deepEqual(product(power(3), power(60)), power(63));
  assert.deepEqual(product(power(127), power(0)), power(127));
  assert.deepEqual(product(power(64), power(64)), Uint8Array.of(0x87, ...new Uint8Array(15)));
});

test('products are commutative, associative and distributive', () => {
  for (let k = 0; k < 200; k += 1) {
    const [a, b, c] = [randomBytes(16), randomBytes(16), randomBytes(16)];
    assert.deepEqual(product(a, b), product(b, a));
    assert.deepEqual(product(product(a, b), c), product(a, product(b, c)));
    assert.deepEqual(product(a, sumOf(b, c)), sumOf(product(a, b), product(a, c)));
  }
});
