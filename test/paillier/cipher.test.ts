import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { securityLevel } from '#src/math/params.js';
import { sampleSigned, sampleUnit } from '#src/math/sample.js';
import { add, decrypt, encrypt, scale } from '#src/paillier/cipher.js';
import { PublicKey } from '#src/paillier/keys.js';
import { RingPedersenPublic } from '#src/paillier/ring-pedersen.js';
import { testPrivateKey, testRingPedersen } from '../support/primes.js';

test('a sum and a multiple of ciphertexts decrypt, encrypted by owner and stranger', () => {
  const owner = testPrivateKey(0);
  const stranger = PublicKey.parse(owner.N, securityLevel(112));
  assert(stranger !== undefined);
  const [x, y] = [sampleSigned(2n ** 300n, randomBytes), sampleSigned(2n ** 300n, randomBytes)];
  const rho = sampleUnit(owner.N, randomBytes);
  const c = encrypt(owner, x, rho);
  assert.equal(encrypt(stranger, x, rho), c);
  assert.equal(decrypt(owner, c), x);
  const d = encrypt(stranger, y, sampleUnit(owner.N, randomBytes));
  assert.equal(decrypt(owner, add(stranger, c, d)), x + y);
  assert.equal(decrypt(owner, scale(stranger, c, y)), x * y);
  assert.equal(scale(owner, c, y), scale(stranger, c, y));
});

test('owner and stranger make the same ring-Pedersen commitments', () => {
  const owner = testRingPedersen(1);
  const key = PublicKey.parse(owner.N, securityLevel(112));
  assert(key !== undefined);
  const stranger = RingPedersenPublic.parse(key, owner.s, owner.t);
  assert(stranger !== undefined);
  for (let i = 0; i < 8; i += 1) {
    const [a, b] = [sampleSigned(2n ** 486n, randomBytes), sampleSigned(2n ** 2500n, randomBytes)];
    assert.equal(owner.commit(a, b), stranger.commit(a, b));
  }
});
