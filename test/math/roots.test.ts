import assert from 'node:assert/strict';
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { bigintToBytes, bytesToBigint } from '#src/core/bytes.js';
import { modPow } from '#src/math/modpow.js';
import { jacobi, modInverse } from '#src/math/modular.js';
import { EighthRoots } from '#src/math/roots.js';
import { testSafePrimes } from '../support/primes.js';

const [p1, p2] = testSafePrimes[1024] as [bigint, bigint];
const N = p1 * p2;
const roots = new EighthRoots(p1, p2);

test('the root of y² is a square modulo both primes, and its eighth power is y²', () => {
  for (const bits of [1024, 1536] as const) {
    const [p, q] = testSafePrimes[bits] as [bigint, bigint];
    const roots = new EighthRoots(p, q);
    fc.assert(
      fc.property(fc.bigInt({ min: 2n, max: p * q - 1n }), (y) => {
        const x = roots.ofSquare(y);
        assert(x !== undefined);
        assert.deepEqual([jacobi(x, p), jacobi(x, q)], [1, 1]);
        assert.equal(modPow(x, 8n, p * q), (y * y) % (p * q));
      }),
      { numRuns: 40 },
    );
  }
});

test('the root is the power of y by the even inverse of 4 modulo the order of the squares', () => {
  const order = ((p1 - 1n) / 2n) * ((p2 - 1n) / 2n);
  const inverse = modInverse(4n, order)!;
  const exponent = inverse % 2n === 0n ? inverse : inverse + order;
  for (const y of [0n, 1n, 2n, 3n, N / 3n, N / 7n, p1, 5n * p2, N - 2n, N - 1n]) {
    assert.equal(roots.ofSquare(y), modPow(y, exponent, N));
  }
});

test('whatever OpenSSL blinds with, which it changes at times, the root of y² is the same', () => {
  const found = new Set(Array.from({ length: 100 }, () => new EighthRoots(p1, p2).ofSquare(N / 3n)));
  for (let k = 0; k < 100; k += 1) found.add(roots.ofSquare(N / 3n));
  assert.equal(found.size, 1);
});

test('without such a decryption, and with a wrong one, there is no root', () => {
  const refusing = () => {
    throw new Error('not supported');
  };
  const wrong = () => () => bigintToBytes(N / 3n);
  for (const makeDecryption of [refusing, () => refusing, wrong]) {
    assert.equal(new EighthRoots(p1, p2, makeDecryption).ofSquare(N / 5n), undefined);
  }
});

test('a decryption that gives any of the sixteenth roots will do', () => {
  const order = ((p1 - 1n) / 2n) * ((p2 - 1n) / 2n);
  // 1 modulo p₁ and −1 modulo p₂.
  const sign = (1n + 2n * p1 * (p2 - modInverse(p1, p2)!)) % N;
  const other = new EighthRoots(p1, p2, () => (block) => {
    const root = modPow(bytesToBigint(block), modInverse(16n, order)!, N);
    return bigintToBytes((root * sign) % N);
  });
  assert.equal((sign * sign) % N, 1n);
  assert.equal(other.ofSquare(N / 3n), roots.ofSquare(N / 3n));
});

test('what comes out of the decryption is wiped', () => {
  const output = bigintToBytes(N / 3n);
  new EighthRoots(p1, p2, () => () => output).ofSquare(2n);
  assert.ok(output.every((byte) => byte === 0));
});

test('OpenSSL’s copy of the primes does not outlive their owner, who does not show them', async () => {
  const keys: WeakRef<KeyObject>[] = [];
  const use = () => {
    const made = new EighthRoots(p1, p2, (jwk) => {
      const key = createPrivateKey({ key: jwk, format: 'jwk' });
      keys.push(new WeakRef(key));
      return () => key.export({ type: 'pkcs1', format: 'der' });
    });
    made.ofSquare(2n);
    const text = inspect(made, { depth: 9, showHidden: true });
    for (const p of [p1, p2]) assert.ok(!text.includes(String(p)));
  };
  use();
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  await new Promise(setImmediate); // what a WeakRef was made of lives on until the end of the turn
  collectGarbage();
  assert.equal(keys.length, 1);
  assert.equal(keys[0]!.deref(), undefined);
});
