import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bigintToBytes, toHex } from '#src/core/bytes.js';
import { modPow } from '#src/math/modpow.js';
import { RsaEngine, rsaPower } from '#src/math/rsa-power.js';
import { testSafePrimes } from '../support/primes.js';

const [p, q] = testSafePrimes[1024] as [bigint, bigint];
const N = p * q;

/** An engine that counts the powers that RSA encryption makes. */
function observed() {
  const seen: bigint[] = [];
  const engine = new RsaEngine((base, exponent, modulus) => {
    seen.push(modulus);
    return modPow(base, exponent, modulus);
  });
  engine.power(2n, 3n, N); // so that the self-test is not counted later
  seen.length = 0;
  return { engine, seen };
}

test('RSA encryption does the work here', () => {
  assert.equal(new RsaEngine().selfTest(), true);
  assert.equal(rsaPower(12_345n, 77n, N), 12_345n ** 77n % N);
});

test('powers equal those of the other engine, however long modulus and exponent are', () => {
  // In DER a length has one, two or three bytes, and an integer a zero byte before a top bit that is set.
  const exponents = [1n, 127n, 128n, ...[1015n, 1016n, 1023n, 2039n, 2040n].map((bits) => 1n << bits)];
  for (const bits of [512, 519, 520, 521, 1015, 1016, 1023, 1024, 1025, 2039, 2040, 2041, 3071, 3072]) {
    const modulus = (1n << BigInt(bits)) - 1n;
    for (const exponent of [...exponents.filter((e) => e < modulus), modulus / 3n, modulus - 1n])
      assert.equal(
        rsaPower(modulus / 7n, exponent, modulus),
        modPow(modulus / 7n, exponent, modulus),
        `${bits}`,
      );
  }
});

test('bases of any sign and size, and exponents at their ends', () => {
  for (const base of [0n, 1n, -1n, N - 1n, N, N + 1n, p, -5n * q, 1n << 4000n]) {
    for (const exponent of [1n, 2n, p - 1n, N - 1n])
      assert.equal(rsaPower(base, exponent, N), modPow(base, exponent, N), `${base} ${exponent}`);
    for (const exponent of [-1n, 0n, N, N + 1n]) assert.equal(rsaPower(base, exponent, N), undefined);
  }
});

test('RSA encryption serves for odd moduli of 512 to 3072 bits, and no others', () => {
  const { engine, seen } = observed();
  const served = [(1n << 511n) + 1n, N, (1n << 3072n) - 1n];
  const others = [(1n << 511n) - 1n, 1n << 2000n, (1n << 3072n) + 1n, 0n, -N];
  for (const modulus of served) assert.equal(engine.power(12_345n, 77n, modulus), 12_345n ** 77n % modulus);
  for (const modulus of others) assert.equal(engine.power(12_345n, 77n, modulus), undefined);
  for (const exponent of [-3n, 0n, N, N + 2n]) assert.equal(engine.power(12_345n, exponent, N), undefined);
  assert.deepEqual(seen, served);
});

test('no power comes from an RSA encryption that is missing, computes wrongly, or fails later', () => {
  const missing = new RsaEngine(() => {
    throw new Error('not supported');
  });
  const wrong = new RsaEngine((base, exponent, modulus) => modPow(base, exponent + 1n, modulus));
  for (const engine of [missing, wrong]) {
    assert.equal(engine.selfTest(), false);
    assert.equal(engine.power(N / 3n, 65537n, N), undefined);
  }
  let calls = 0;
  const failing = new RsaEngine((base, exponent, modulus) => {
    calls += 1;
    if (calls > 2) throw new Error('out of memory');
    return modPow(base, exponent, modulus);
  });
  assert.equal(failing.power(N / 3n, 65537n, N), undefined);
  assert.equal(calls, 3);
});

test('the bytes of modulus and exponent, alone and in the key, are wiped', (t) => {
  const [modulus, exponent] = [toHex(bigintToBytes(p)), toHex(bigintToBytes(p / 5n))];
  const from = t.mock.method(Buffer, 'from');
  rsaPower(3n, p / 5n, p);
  from.mock.restore();
  // Modulus, exponent, base, key and power.
  const left = from.mock.calls.map(({ result }) => toHex(result!));
  assert.equal(left.length, 5);
  for (const hex of left) assert(!hex.includes(modulus) && !hex.includes(exponent));
});

test('a power of 3 tells the safe primes of every length in use from composites', () => {
  for (const bits of [1024, 1536] as const) {
    for (const prime of testSafePrimes[bits].slice(0, 3)) {
      assert.equal(rsaPower(3n, (prime - 1n) / 2n, prime), 1n);
      assert.notEqual(rsaPower(3n, (prime + 11n) / 2n, prime + 12n), 1n);
    }
  }
});
