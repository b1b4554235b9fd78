import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ELL, ELL_PRIME, EPSILON, REPETITIONS, type SecurityBits, securityLevel } from '#src/math/params.js';

const STATISTICAL = 100;
const CHALLENGE_BITS = 128;
const LEVELS: readonly SecurityBits[] = [112, 128];

test('the slack hides what it must: ε ≥ 2 + s + 128, ℓ’ ≥ 2λ + ε + s', () => {
  assert(EPSILON >= 2 + STATISTICAL + CHALLENGE_BITS);
  assert(ELL_PRIME >= 2 * 256 + EPSILON + STATISTICAL);
  assert(REPETITIONS >= 128 && ELL >= 256);
});

test('no product of the multiplication wraps around: 2^(ℓ+ε)·2^ℓ + 2^(ℓ’+ε) < N/2', () => {
  for (const bits of LEVELS) {
    const level = securityLevel(bits);
    const smallestModulus = 1n << BigInt(level.modulusBits - 1);
    const largest = (1n << BigInt(2 * ELL + EPSILON)) + (1n << BigInt(ELL_PRIME + EPSILON));
    assert(2n * largest < smallestModulus);
    assert.equal(2 * level.primeBits, level.modulusBits);
    assert.equal(level.bits, bits);
  }
});
