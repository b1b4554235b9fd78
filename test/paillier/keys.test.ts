import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { bigintToBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { modPow } from '#src/math/modpow.js';
import { modInverse } from '#src/math/modular.js';
import { securityLevel } from '#src/math/params.js';
import { PrivateKey, PublicKey, verifiedPublicKey } from '#src/paillier/keys.js';
import { testPrivateKey, testSafePrimes } from '../support/primes.js';

const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';
const level = securityLevel(112);
const owner = testPrivateKey(0);
const { N, NN, p1, p2 } = owner;
const parsed = PublicKey.parse(N, level);
assert(parsed !== undefined);
const stranger = parsed;

const exponent = fc.bigInt({ min: -(1n << 2600n), max: 1n << 2600n });

test('owner and stranger agree on powers of units modulo N and N²', () => {
  assert.deepEqual([stranger.N, stranger.NN], [N, NN]);
  fc.assert(
    fc.property(
      fc.bigInt({ min: 2n, max: N - 2n }),
      fc.bigInt({ min: 2n, max: NN - 2n }),
      exponent,
      (x, y, e) => {
        assert.equal(owner.pow(x, e), stranger.pow(x, e));
        assert.equal(owner.powSquare(y, e), stranger.powSquare(y, e));
        assert.equal(owner.nthPower(x), stranger.nthPower(x));
        assert.equal(owner.nthPower(x), modPow(x, N, NN));
      },
    ),
    { numRuns: 15 },
  );
});

test('owner and stranger agree at the edges: units of small order, exponents around the group’s order', () => {
  const { phi } = owner;
  for (const base of [1n, N - 1n, N + 1n, NN - 1n, 2n, -2n, NN + 3n]) {
    for (const e of [0n, 1n, -1n, 2n, p1 - 1n, phi, phi + 1n, phi * N, -phi]) {
      assert.equal(owner.pow(base, e), stranger.pow(base, e));
      assert.equal(owner.powSquare(base, e), stranger.powSquare(base, e));
    }
  }
  assert.equal(owner.pow(2n, phi), 1n);
  assert.equal(owner.powSquare(2n, phi * N), 1n);
});

test('owner and stranger agree on powers of non-units, where exponents may not be reduced', () => {
  for (const base of [0n, p1, p2 * 5n, N, p1 ** 2n, p2 ** 2n * 7n]) {
    for (const e of [0n, 1n, 2n, p1 - 1n, p2 - 1n, owner.phi]) {
      assert.equal(owner.pow(base, e), stranger.pow(base, e));
      assert.equal(owner.powSquare(base, e), stranger.powSquare(base, e));
    }
    assert.equal(owner.nthPower(base), stranger.nthPower(base));
    assert.throws(() => owner.pow(base, -1n), isBug);
    assert.throws(() => owner.powSquare(base, -1n), isBug);
  }
});

test('φ(N) is the order: an N-th power is undone by the inverse of N modulo φ(N)', () => {
  assert.equal(owner.phi, (p1 - 1n) * (p2 - 1n));
  const inverse = modInverse(N, owner.phi);
  assert(inverse !== undefined);
  assert.equal(owner.pow(owner.pow(12_345n, N), inverse), 12_345n);
});

test('a modulus is refused when it is even, of another length, with a small factor, or not positive', () => {
  const short = (1n << 2047n) - 1n;
  for (const refused of [0n, -N, N + 1n, 2n * N, N * p1, short, N >> 1n, testPrivateKey(0, 3072).N]) {
    assert.equal(PublicKey.parse(refused, level), undefined);
  }
  assert.equal(PublicKey.parse(N, securityLevel(128)), undefined);
  // 3 · (odd): the right length, and a small factor.
  const threefold = 3n * (N / 3n + (1n - ((N / 3n) % 2n)));
  assert.equal(threefold.toString(2).length, 2048);
  assert.equal(PublicKey.parse(threefold, level), undefined);
  assert(PublicKey.parse(testPrivateKey(0, 3072).N, securityLevel(128)) !== undefined);
});

test('verification is a mark that the key carries', () => {
  const verified = verifiedPublicKey(stranger);
  assert.equal(verified.verified, true);
  assert.equal(verified.N, N);
  assert.equal(verified.pow(3n, 5n), 243n);
  assert(!('verified' in stranger));
});

test('a verified key gives the same N-th powers all along, in the end by one group modulo N² that it keeps', (t) => {
  const { mock } = t.mock.method(crypto, 'createDiffieHellman');
  syncBuiltinESMExports();
  try {
    const verified = verifiedPublicKey(stranger);
    for (let k = 1n; k <= 13n; k += 1n) {
      assert.equal(verified.nthPower(N / k - k), owner.nthPower(N / k - k));
    }
    const moduli = mock.calls.map(({ arguments: [modulus] }) => (modulus as unknown as Uint8Array).length);
    assert.equal(moduli.filter((length) => length === bigintToBytes(NN).length).length, 1);
  } finally {
    mock.restore();
    syncBuiltinESMExports();
  }
});

test('private keys survive as bytes, both primes in equal halves', () => {
  const bytes = owner.toBytes();
  assert.equal(bytes.length, 256);
  const copy = PrivateKey.fromBytes(bytes);
  assert.deepEqual([copy.p1, copy.p2, copy.N], [p1, p2, N]);
  bytes.fill(0);
  assert.equal(copy.pow(5n, 7n), 78125n); // the key does not lean on the caller's bytes
  assert.equal(testPrivateKey(1, 3072).toBytes().length, 384);
});

test('primes that make no Paillier key are refused', () => {
  const longer = testSafePrimes[1536][0]!;
  assert.throws(() => PrivateKey.fromPrimes(p1, p1), isBug);
  assert.throws(() => PrivateKey.fromPrimes(p1, longer), isBug);
  assert.throws(() => PrivateKey.fromPrimes(longer, p1), isBug);
  assert.throws(() => PrivateKey.fromPrimes(p1, p2 + 2n), isBug); // ≡ 1 mod 4
  assert.throws(() => PrivateKey.fromPrimes(19n, 23n), isBug); // 437 has 9 bits, not 10
  assert.throws(() => PrivateKey.fromPrimes(19n, 35n), isBug); // 665 has 10 bits, yet 35 is longer than 19
  for (const length of [0, 1, 255, 256])
    assert.throws(() => PrivateKey.fromBytes(new Uint8Array(length)), isBug);
});

test('printing a private key shows no prime', () => {
  const texts = [
    inspect(owner, { depth: 9 }),
    JSON.stringify(owner, (_, value) => String(value)),
    String(owner),
  ];
  for (const text of texts) {
    for (const secret of [p1, p2, owner.phi]) {
      assert(!text.includes(String(secret)) && !text.includes(secret.toString(16)));
    }
  }
});
