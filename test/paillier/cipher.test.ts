import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { randomBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { securityLevel } from '#src/math/params.js';
import { sampleUnit } from '#src/math/sample.js';
import { add, decrypt, encrypt, isCiphertext, isPlaintext, scale } from '#src/paillier/cipher.js';
import { type PaillierKey, PublicKey } from '#src/paillier/keys.js';
import { testPrivateKey } from '../support/primes.js';

const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';
const owner = testPrivateKey(0);
const parsed = PublicKey.parse(owner.N, securityLevel(112));
assert(parsed !== undefined);
const stranger = parsed;
const { N, NN } = owner;
const largest = (N - 1n) / 2n;

const plaintext = fc.oneof(
  fc.bigInt({ min: -largest, max: largest }),
  fc.constantFrom(0n, 1n, -1n, largest, -largest),
);
const fresh = (key: PaillierKey, x: bigint): bigint => encrypt(key, x, sampleUnit(N, randomBytes));
/** The plaintext that x wraps around to. */
const wrap = (x: bigint): bigint => {
  const r = ((x % N) + N) % N;
  return r > largest ? r - N : r;
};

test('a ciphertext decrypts to its plaintext', () => {
  assert.equal(decrypt(owner, fresh(stranger, 42n)), 42n);
  fc.assert(
    fc.property(plaintext, (x) => {
      assert.equal(decrypt(owner, fresh(stranger, x)), x);
      assert.equal(decrypt(owner, fresh(owner, x)), x);
    }),
    { numRuns: 20 },
  );
});

test('at level 128 too', () => {
  const key = testPrivateKey(0, 3072);
  const x = -(2n ** 3000n);
  assert.equal(decrypt(key, encrypt(key, x, 12_345n)), x);
});

test('owner and stranger make the same ciphertext from the same nonce', () => {
  fc.assert(
    fc.property(plaintext, (x) => {
      const rho = sampleUnit(N, randomBytes);
      const c = encrypt(owner, x, rho);
      assert.equal(encrypt(stranger, x, rho), c);
      assert(isCiphertext(stranger, c));
    }),
    { numRuns: 10 },
  );
});

test('the definition, in the open: nonce 1 leaves 1 + xN, plaintext 0 leaves ρ^N', () => {
  assert.equal(encrypt(stranger, 5n, 1n), 1n + 5n * N);
  assert.equal(encrypt(stranger, -5n, 1n), NN + 1n - 5n * N);
  assert.equal(encrypt(stranger, 0n, 7n), stranger.nthPower(7n));
  assert.equal(decrypt(owner, 1n + 5n * N), 5n);
  assert.equal(decrypt(owner, 1n), 0n);
});

test('products add plaintexts, powers multiply them, wrapping around at ±(N − 1)/2', () => {
  const factor = fc.oneof(fc.bigInt({ min: -(1n << 600n), max: 1n << 600n }), fc.constantFrom(0n, 1n, -1n));
  fc.assert(
    fc.property(plaintext, plaintext, factor, (x, y, k) => {
      const [c, d] = [fresh(stranger, x), fresh(owner, y)];
      assert.equal(decrypt(owner, add(stranger, c, d)), wrap(x + y));
      assert.equal(add(owner, c, d), add(stranger, c, d));
      assert.equal(decrypt(owner, scale(stranger, c, k)), wrap(x * k));
      assert.equal(scale(owner, c, k), scale(stranger, c, k));
    }),
    { numRuns: 15 },
  );
});

test('plaintexts beyond ±(N − 1)/2 are not encrypted, since they would decrypt to something else', () => {
  for (const x of [largest, -largest]) assert(isPlaintext(stranger, x));
  for (const x of [largest + 1n, -largest - 1n, N, -N]) {
    assert(!isPlaintext(stranger, x));
    assert.throws(() => encrypt(stranger, x, 2n), isBug);
  }
});

test('what is no ciphertext is refused', () => {
  const c = fresh(stranger, 1n);
  for (const key of [owner, stranger]) {
    for (const good of [c, 1n, NN - 1n]) assert(isCiphertext(key, good));
    for (const bad of [0n, -1n, -c, NN, NN + c, N, 2n * N, owner.p1, owner.p2 ** 2n, owner.p1 * c]) {
      assert(!isCiphertext(key, bad));
    }
  }
  for (const bad of [0n, NN + c, owner.p1]) assert.throws(() => decrypt(owner, bad), isBug);
});
