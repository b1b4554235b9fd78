import assert from 'node:assert/strict';
import { test } from 'node:test';
import { curveByName } from '#src/curve/curve.js';
import { multiplicationOf } from '#src/party/multiplication.js';
import { primesPerSetup } from '#src/party/primes.js';

const none = () => Promise.reject(new Error('primes were asked for'));

test('a cluster gets the multiplication that it asks for, and safe primes are looked for only where they are used', () => {
  const curve = curveByName('secp256k1');
  for (const [multiplication, primes] of [
    ['paillier', 2],
    ['ot', 0],
  ] as const) {
    const cluster = { multiplication, security: 112 } as const;
    const made = multiplicationOf(cluster, curve, none);
    assert.deepEqual([made.name, made.curve], [multiplication, curve]);
    assert.equal(primesPerSetup(cluster), primes);
  }
});
