import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { bigintToBytes, concatBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { jacobi } from '#src/math/modular.js';
import { securityLevel } from '#src/math/params.js';
import { PublicKey } from '#src/paillier/keys.js';
import { RingPedersenOwner, RingPedersenPublic, verifiedRingPedersen } from '#src/paillier/ring-pedersen.js';
import { testPrivateKey, testRingPedersen } from '../support/primes.js';

const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';
const owner = testRingPedersen(0);
const { N, s, t } = owner;
const key = PublicKey.parse(N, securityLevel(112));
assert(key !== undefined);
const publicKey = key;
const parsed = RingPedersenPublic.parse(publicKey, s, t);
assert(parsed !== undefined);
const stranger = parsed;

const exponent = fc.oneof(
  fc.bigInt({ min: -(1n << 486n), max: 1n << 486n }),
  fc.bigInt({ min: -(1n << 2534n), max: 1n << 2534n }),
  fc.constantFrom(0n, 1n, -1n),
);

test('owner and stranger make the same commitments, also to negative values', () => {
  fc.assert(
    fc.property(exponent, exponent, (a, b) => {
      const commitment = owner.commit(a, b);
      assert.equal(stranger.commit(a, b), commitment);
      assert.equal((owner.pow(s, a) * stranger.pow(t, b)) % N, commitment);
    }),
    { numRuns: 15 },
  );
});

test('commitments are homomorphic', () => {
  fc.assert(
    fc.property(exponent, exponent, exponent, exponent, (a, b, c, d) => {
      assert.equal((owner.commit(a, b) * owner.commit(c, d)) % N, owner.commit(a + c, b + d));
    }),
    { numRuns: 15 },
  );
  assert.equal(stranger.commit(0n, 0n), 1n);
  assert.equal(stranger.commit(1n, 0n), s);
  assert.equal(stranger.commit(0n, 1n), t);
});

test('t is a square and s = t^κ; each generation is another', () => {
  assert.equal(stranger.pow(t, owner.kappa), s);
  for (const prime of [owner.key.p1, owner.key.p2]) assert.equal(jacobi(t, prime), 1);
  const other = testRingPedersen(0);
  assert.notEqual(other.t, t);
  assert.notEqual(other.kappa, owner.kappa);
});

test('κ is drawn from all of Z_φ(N)', () => {
  const key = testPrivateKey(0);
  const draws = [key.phi, 5n, key.phi - 1n].map((value) => bigintToBytes(value, 256));
  const drawn = RingPedersenOwner.generate(key, () => draws.splice(draws.length === 3 ? 1 : 0, 1)[0]!);
  assert.deepEqual([drawn.t, drawn.kappa], [25n, key.phi - 1n]);
});

test('parameters that are no units, 1, N − 1, out of range or of Jacobi symbol −1 are refused', () => {
  let nonSquare = 2n;
  while (jacobi(nonSquare, N) !== -1) nonSquare += 1n;
  const { p1, p2 } = owner.key;
  for (const bad of [0n, 1n, N - 1n, N, N + s, -s, p1, p2 * 4n, nonSquare]) {
    assert.equal(RingPedersenPublic.parse(publicKey, bad, t), undefined);
    assert.equal(RingPedersenPublic.parse(publicKey, s, bad), undefined);
  }
});

test('verification is a mark that the parameters carry', () => {
  const verified = verifiedRingPedersen(stranger);
  assert.equal(verified.verified, true);
  fc.assert(
    fc.property(exponent, exponent, (a, b) => assert.equal(verified.commit(a, b), stranger.commit(a, b))),
    { numRuns: 10 },
  );
  assert.equal(verified.commit(5n, -7n), owner.commit(5n, -7n));
  assert(!('verified' in stranger));
});

test('the parameters and their trapdoor survive as bytes, s, t and κ in equal thirds', () => {
  const bytes = owner.toBytes();
  assert.equal(bytes.length, 3 * 256);
  const copy = RingPedersenOwner.fromBytes(testPrivateKey(0), bytes);
  assert.deepEqual([copy.N, copy.s, copy.t, copy.kappa], [N, s, t, owner.kappa]);
  const beyond = concatBytes(bytes.subarray(0, 2 * 256), bigintToBytes(owner.key.phi, 256));
  assert.throws(() => RingPedersenOwner.fromBytes(testPrivateKey(0), beyond), isBug);
  assert.throws(() => RingPedersenOwner.fromBytes(testPrivateKey(0), bytes.fill(0)), isBug);
  assert.throws(() => RingPedersenOwner.fromBytes(testPrivateKey(0), bytes.fill(255)), isBug);
  assert.throws(() => RingPedersenOwner.fromBytes(testPrivateKey(0), new Uint8Array(0)), isBug);
});

test('printing the parameters shows no trapdoor', () => {
  const text = inspect(owner, { depth: 9 }) + JSON.stringify(owner, (_, value) => String(value));
  for (const secret of [owner.kappa, owner.key.p1]) {
    assert(!text.includes(String(secret)) && !text.includes(secret.toString(16)));
  }
});
