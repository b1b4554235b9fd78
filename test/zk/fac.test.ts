import assert from 'node:assert/strict';
import { generatePrimeSync } from 'node:crypto';
import { test } from 'node:test';
import { bitLength, randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { isqrt } from '#src/math/modular.js';
import { PublicKey } from '#src/paillier/keys.js';
import * as fac from '#src/zk/fac.js';
import { forgeFac } from '../support/forgeries.js';
import {
  assertBoundaries,
  assertBoundToContext,
  assertEveryAlterationRefused,
  assertSchemaBounds,
  CONTEXT,
  LEVEL,
  leastDraws,
  otherPedersens,
  prover,
  verifier,
} from '../support/proofs.js';

const BOUND = 2n ** 256n;
const MASK = BOUND * 2n ** 230n;

const { p1, p2, N } = prover.key;
const Nhat = verifier.key.N;
const statement: fac.Statement = { key: prover.publicKey, pedersen: verifier.pedersen };
const proof = fac.prove(
  CONTEXT,
  { key: prover.key, pedersen: verifier.publicPedersen },
  { p1, p2 },
  randomBytes,
);

/** A prover that factors N_P as it likes and picks its own masks, so that all equations hold. */
const forge = (choice: Partial<Parameters<typeof forgeFac>[3]>): fac.Proof =>
  forgeFac(CONTEXT, N, verifier.pedersen, { p1, p2, ...choice });
const accepts = (forged: fac.Proof) => fac.verify(CONTEXT, statement, forged);

test('Π^fac accepts an honest proof, seen by the owner of the parameters and by a stranger', () => {
  assert.ok(fac.verify(CONTEXT, statement, proof));
  assert.ok(fac.verify(CONTEXT, { ...statement, pedersen: verifier.publicPedersen }, proof));
});

test('Π^fac draws every mask from its whole range', () => {
  const masks = {
    alpha: -MASK * isqrt(N),
    beta: -MASK * isqrt(N) + 1n,
    mu: -BOUND * Nhat + 2n,
    nu: -BOUND * Nhat + 3n,
    sigma: -BOUND * N * Nhat + 4n,
    r: -MASK * N * Nhat + 5n,
    x: -MASK * Nhat + 6n,
    y: -MASK * Nhat + 7n,
  };
  assert.deepEqual(fac.prove(CONTEXT, statement, { p1, p2 }, leastDraws()), forge(masks));
});

test('Π^fac survives the codec', () => {
  const schema = fac.proofSchema(LEVEL);
  assert.deepEqual(decodeAs(schema, encodeAs(schema, proof), 5000), proof);
});

test('Π^fac is bounded by its schema', () => {
  assertSchemaBounds(fac.proofSchema(LEVEL), proof, {
    P: 2048,
    Q: 2048,
    A: 2048,
    B: 2048,
    T: 2048,
    sigma: 256 + 4096,
    z1: 486 + 1024,
    z2: 486 + 1024,
    w1: 487 + 2048,
    w2: 487 + 2048,
    v: 487 + 4096,
  });
});

test('Π^fac refuses every altered value', () => {
  const { phi } = verifier.key;
  assertEveryAlterationRefused(proof, [N, Nhat, phi * N ** 2n], (altered) =>
    fac.verify(CONTEXT, statement, altered),
  );
});

test('Π^fac is bound to its context', () => {
  assertBoundToContext((ctx) => fac.verify(ctx, statement, proof));
});

test('Π^fac is bound to its statement', () => {
  assert.equal(fac.verify(CONTEXT, { ...statement, key: verifier.key }, proof), false, 'key');
  for (const [what, pedersen] of otherPedersens())
    assert.equal(fac.verify(CONTEXT, { ...statement, pedersen }, proof), false, what);
});

test('Π^fac takes σ and the responses up to their bounds and no further', () => {
  assertBoundaries({
    sigma: [BOUND * N * Nhat, (sigma) => accepts(forge({ sigma }))],
    w1: [2n * MASK * Nhat, (x) => accepts(forge({ x }))],
    w2: [2n * MASK * Nhat, (y) => accepts(forge({ y }))],
    v: [2n * MASK * N * Nhat, (r) => accepts(forge({ r }))],
  });
  // z1 and z2 contain e·p1 and e·p2, of at most 128 + 1024 bits, which the prover cannot foresee.
  const limit = MASK * isqrt(N);
  for (const mask of ['alpha', 'beta'] as const) {
    assert.ok(accepts(forge({ [mask]: limit - 2n ** 1152n })), `${mask} just within`);
    assert.equal(accepts(forge({ [mask]: limit })), false, `${mask} just beyond`);
    assert.ok(accepts(forge({ [mask]: -limit })), `${mask} just within, negative`);
    assert.equal(accepts(forge({ [mask]: -limit - 2n ** 1152n })), false, `${mask} just beyond, negative`);
  }
});

test('Π^fac refuses the trivial factors, with all equations satisfied', () => {
  assert.ok(accepts(forge({})), 'the forger is able');
  assert.equal(accepts(forge({ p1: 1n, p2: N })), false);
  assert.equal(accepts(forge({ p1: N, p2: 1n })), false);
});

test('Π^fac refuses elements that are not reduced, with all equations satisfied', () => {
  for (const lifted of ['P', 'Q', 'A', 'B', 'T']) assert.equal(accepts(forge({ lifted })), false, lifted);
});

test('Π^fac refuses a modulus with a factor of 256 bits', () => {
  const small = generatePrimeSync(256, { bigint: true });
  let large = 0n;
  while (bitLength(small * large) !== 2048) large = generatePrimeSync(1792, { bigint: true });
  const key = PublicKey.parse(small * large, LEVEL);
  assert.ok(key);
  for (const [p1, p2] of [
    [small, large],
    [large, small],
  ] as const) {
    const lopsided: fac.Statement = { ...statement, key };
    const forged = fac.prove(CONTEXT, lopsided, { p1, p2 }, randomBytes);
    assert.equal(fac.verify(CONTEXT, lopsided, forged), false);
  }
});

test('Π^fac refuses to prove with numbers that are not the factors', () => {
  assert.throws(() => fac.prove(CONTEXT, statement, { p1, p2: p2 + 2n }, randomBytes), /not the factors/);
});
