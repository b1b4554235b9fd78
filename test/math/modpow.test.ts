import assert from 'node:assert/strict';
import { createDiffieHellman, type DiffieHellman } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { bigintToBytes, bytesToBigint, toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { Engine, engineName, forgetModulus, modPow, selfTest } from '#src/math/modpow.js';
import { mod, modInverse } from '#src/math/modular.js';
import { testSafePrimes } from '../support/primes.js';

/** base^exponent mod modulus by squaring and multiplying, for exponent ≥ 0: nothing in common with the engine. */
function reference(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = mod(1n, modulus);
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = mod(result * base, modulus);
  }
  return result;
}

const openSsl = (modulus: Uint8Array): DiffieHellman => createDiffieHellman(modulus, 2);

/** An engine without OpenSSL, as in a runtime that lacks it. */
const withoutOpenSsl = (): Engine =>
  new Engine(() => {
    throw new Error('not supported');
  });

/** An engine that counts the objects it makes, and shows them. */
function observed(maxGroups?: number): { engine: Engine; made: Map<bigint, DiffieHellman[]> } {
  const made = new Map<bigint, DiffieHellman[]>();
  const engine = new Engine((modulus) => {
    const group = openSsl(modulus);
    const key = bytesToBigint(modulus);
    made.set(key, [...(made.get(key) ?? []), group]);
    return group;
  }, maxGroups);
  assert.equal(engine.name, 'openssl'); // so that the self-test's modulus is not counted later
  made.clear();
  return { engine, made };
}

const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';
const [prime] = testSafePrimes[1024];
assert(prime !== undefined);
const N = prime * testSafePrimes[1024][1]!;

test('3^5 mod 7 is 5', () => {
  assert.equal(modPow(3n, 5n, 7n), 5n);
});

test('OpenSSL does the work here, and the self-test passes', () => {
  assert.equal(engineName(), 'openssl');
  assert.equal(selfTest(), true);
});

test('powers equal those by squaring and multiplying, for odd and even moduli of all lengths', () => {
  const small = fc.bigInt({ min: 1n, max: 1n << 80n });
  const large = fc.bigInt({ min: 1n << 480n, max: 1n << 700n });
  const base = fc.bigInt({ min: -(1n << 750n), max: 1n << 750n });
  const exponent = fc.bigInt({ min: 0n, max: 1n << 800n });
  const engines = [new Engine(), withoutOpenSsl()];
  fc.assert(
    fc.property(fc.oneof(small, large), base, exponent, (modulus, b, e) => {
      const expected = reference(b, e, modulus);
      for (const engine of engines) assert.equal(engine.power(b, e, modulus), expected);
    }),
    { numRuns: 150 },
  );
});

test('negative powers are powers of the inverse', () => {
  const base = fc.bigInt({ min: 2n, max: N - 2n });
  fc.assert(
    fc.property(base, fc.bigInt({ min: 1n, max: 1n << 500n }), (b, e) => {
      const inverse = modInverse(b, N);
      fc.pre(inverse !== undefined);
      const power = modPow(b, -e, N);
      assert.equal(power, modPow(inverse, e, N));
      assert.equal((power * modPow(b, e, N)) % N, 1n);
    }),
    { numRuns: 20 },
  );
});

test('powers obey the laws of exponents at every size in use', () => {
  const [p, q] = [testSafePrimes[1536][0]!, testSafePrimes[1536][1]!];
  for (const modulus of [prime, prime ** 2n, N, N ** 2n, p, p * q, (p * q) ** 2n]) {
    const [base, a, b] = [modulus / 3n, modulus / 5n, modulus / 7n];
    const product = (modPow(base, a, modulus) * modPow(base, b, modulus)) % modulus;
    assert.equal(modPow(base, a + b, modulus), product);
    assert.equal(modPow(modPow(base, a, modulus), 65537n, modulus), modPow(base, a * 65537n, modulus));
    forgetModulus(modulus);
  }
});

test('Fermat and Euler: the results 1 and m − 1, which OpenSSL refuses to return', () => {
  const half = (prime - 1n) / 2n;
  assert.equal(modPow(2n, prime - 1n, prime), 1n);
  assert.equal(modPow(4n, half, prime), 1n);
  assert.equal(modPow(-4n, half, prime), prime - 1n); // −1 is no square modulo a prime ≡ 3 mod 4
  assert.equal(modPow(2n, 600n, 2n ** 600n - 1n), 1n);
  assert.equal(modPow(2n, 600n, 2n ** 600n + 1n), 2n ** 600n);
});

test('the result 0, which OpenSSL refuses to return', () => {
  const factor = 2n ** 300n + 157n;
  assert.equal(modPow(factor, 2n, factor ** 2n), 0n);
  assert.equal(modPow(factor, 3n, factor ** 2n), 0n);
});

test('bases 0, 1 and m − 1, and all that are congruent to them', () => {
  for (const modulus of [N, 2n ** 64n - 59n, 2n ** 600n]) {
    for (const shift of [0n, modulus, 5n * modulus, -modulus]) {
      assert.equal(modPow(shift, 5n, modulus), 0n);
      assert.equal(modPow(shift + 1n, 5n, modulus), 1n);
      assert.equal(modPow(shift + 1n, -5n, modulus), 1n);
      assert.equal(modPow(shift - 1n, 5n, modulus), modulus - 1n);
      assert.equal(modPow(shift - 1n, -5n, modulus), modulus - 1n);
      assert.equal(modPow(shift - 1n, 6n, modulus), 1n);
    }
  }
});

test('exponents 0, 1 and −1', () => {
  for (const modulus of [N, 2n ** 64n - 59n]) {
    for (const base of [0n, 1n, 3n, modulus - 1n, modulus, modulus + 3n]) {
      assert.equal(modPow(base, 0n, modulus), 1n);
      assert.equal(modPow(base, 1n, modulus), base % modulus);
    }
    assert.equal(modPow(3n, -1n, modulus), modInverse(3n, modulus));
  }
});

test('the moduli 1, 2 and 3', () => {
  assert.deepEqual(
    [1n, 2n, 3n].map((modulus) => modPow(5n, -1n, modulus)),
    [0n, 1n, 2n],
  );
  for (const modulus of [1n, 2n, 3n]) {
    for (const base of [-4n, 0n, 1n, 2n, 7n]) {
      for (const exponent of [0n, 1n, 2n, 9n]) {
        assert.equal(modPow(base, exponent, modulus), mod(base ** exponent, modulus));
      }
    }
  }
});

test('a negative power of a non-unit, and a modulus that is not positive, are bugs of the caller', () => {
  assert.throws(() => modPow(prime, -1n, N), isBug);
  assert.throws(() => modPow(0n, -1n, N), isBug);
  assert.throws(() => modPow(2n, 3n, 0n), isBug);
  assert.throws(() => modPow(2n, 3n, -7n), isBug);
});

test('OpenSSL computes for odd moduli of 512 to 10,000 bits, and for no others', () => {
  const { engine, made } = observed();
  const ofBits = (bits: bigint): bigint => 2n ** bits - 1n;
  for (const modulus of [ofBits(512n), ofBits(10_000n), ofBits(511n), ofBits(10_001n), 2n ** 600n]) {
    assert.equal(engine.power(12_345n, 77n, modulus), 12_345n ** 77n % modulus);
  }
  assert.deepEqual([...made.keys()], [ofBits(512n), ofBits(10_000n)]);
});

test('without OpenSSL, and with one that computes wrongly, the fallback takes over', () => {
  const wrong = new Engine(() => openSsl(bigintToBytes(2n ** 512n - 569n)));
  for (const engine of [withoutOpenSsl(), wrong]) {
    assert.equal(engine.selfTest(), false);
    assert.equal(engine.name, 'bigint');
    assert.equal(engine.power(N / 3n, 65537n, N), modPow(N / 3n, 65537n, N));
  }
});

test('an OpenSSL that passes the self-test and fails later costs time only', () => {
  let calls = 0;
  const engine = new Engine((modulus) => {
    calls += 1;
    if (calls > 1) throw new Error('out of memory');
    return openSsl(modulus);
  });
  assert.equal(engine.name, 'openssl');
  assert.equal(engine.power(N / 3n, 65537n, N), modPow(N / 3n, 65537n, N));
});

test('the object of a modulus is made once and keeps no exponent', () => {
  const { engine, made } = observed();
  for (let i = 2n; i < 6n; i += 1n) engine.power(i, N / 3n, N);
  engine.power(4n, (prime - 1n) / 2n, prime); // refused by OpenSSL: the result is 1
  assert.deepEqual([...made.keys()], [N, prime]);
  for (const groups of made.values()) {
    assert.equal(groups.length, 1);
    assert.equal(toHex(groups[0]!.getPrivateKey()), '01');
  }
});

test('forgotten moduli, and the least recently used beyond the bound, are made anew', () => {
  const { engine, made } = observed(2);
  const [a, b, c] = [2n ** 600n - 1n, 2n ** 601n - 1n, 2n ** 602n - 1n];
  const use = (...moduli: bigint[]): void => {
    for (const modulus of moduli) engine.power(12_345n, 77n, modulus);
  };
  const counts = (): number[] => [a, b, c].map((modulus) => made.get(modulus)?.length ?? 0);
  use(a, b, a); // a is the more recent
  use(c); // puts out b
  use(a, c);
  assert.deepEqual(counts(), [1, 1, 1]);
  use(b); // puts out a
  use(c, b);
  assert.deepEqual(counts(), [1, 2, 1]);
  engine.forget(c);
  use(b, c);
  assert.deepEqual(counts(), [1, 2, 2]);
});
