import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { sampleUnit } from '#src/math/sample.js';
import { encrypt } from '#src/paillier/cipher.js';
import * as enc from '#src/zk/enc.js';
import { forgeEnc } from '../support/forgeries.js';
import {
  assertBoundaries,
  assertBoundToContext,
  assertEveryAlterationRefused,
  assertSchemaBounds,
  CONTEXT,
  DRAWN_UNIT,
  LEVEL,
  leastDraws,
  otherPedersens,
  prover,
  verifier,
} from '../support/proofs.js';

const BOUND = 2n ** 256n;
const MASK = 2n ** (256n + 230n);

const k = -(2n ** 255n) + 12345n;
const rho = sampleUnit(prover.key.N, randomBytes);
const K = encrypt(prover.key, k, rho);
const proof = enc.prove(
  CONTEXT,
  { key: prover.key, pedersen: verifier.publicPedersen, K },
  { k, rho },
  randomBytes,
);
const statement: enc.Statement = { key: prover.publicKey, pedersen: verifier.pedersen, K };
// What takes many verifications takes the prover's key instead, for its speed.
const fast: enc.Statement = { ...statement, key: prover.key };

/** A prover that proves whatever it likes about K = encrypt(k; 1), so that all equations hold. */
const forge = (choice: Parameters<typeof forgeEnc>[2]) =>
  forgeEnc(CONTEXT, { key: prover.key, pedersen: verifier.pedersen }, choice);
const accepts = ([forged, proof]: [enc.Statement, enc.Proof]) => enc.verify(CONTEXT, forged, proof);

test('Π^enc accepts an honest proof, from stranger to owner and the other way round', () => {
  assert.ok(enc.verify(CONTEXT, statement, proof));
  assert.ok(enc.verify(CONTEXT, { ...statement, pedersen: verifier.publicPedersen }, proof));
});

test('Π^enc accepts the ends of the plaintext range and refuses to prove more', () => {
  for (const k of [0n, BOUND, -BOUND]) {
    const ends = { ...fast, K: encrypt(prover.key, k, rho) };
    assert.ok(enc.verify(CONTEXT, ends, enc.prove(CONTEXT, ends, { k, rho }, randomBytes)));
  }
  assert.throws(() => enc.prove(CONTEXT, fast, { k: BOUND + 1n, rho }, randomBytes), /out of range/);
});

test('Π^enc draws every mask from its whole range', () => {
  const { N } = verifier.key;
  const alpha = -MASK;
  const mu = -BOUND * N + 1n;
  const gamma = -MASK * N + 2n;
  const [drawn, expected] = forge({ k, mu, alpha, gamma, r: DRAWN_UNIT });
  assert.deepEqual(enc.prove(CONTEXT, drawn, { k, rho: 1n }, leastDraws()), expected);
});

test('Π^enc survives the codec', () => {
  const schema = enc.proofSchema(LEVEL);
  assert.deepEqual(decodeAs(schema, encodeAs(schema, proof), 4000), proof);
});

test('Π^enc is bounded by its schema', () => {
  assertSchemaBounds(enc.proofSchema(LEVEL), proof, {
    S: 2048,
    C: 2048,
    A: 4096,
    z1: 487,
    z2: 2048,
    z3: 2048 + 487,
  });
});

test('Π^enc refuses every altered value', () => {
  const { N, NN, phi } = verifier.key;
  assertEveryAlterationRefused(proof, [N, NN, prover.key.N, prover.key.NN, phi * prover.key.NN], (altered) =>
    enc.verify(CONTEXT, fast, altered),
  );
});

test('Π^enc is bound to its context', () => {
  assertBoundToContext((ctx) => enc.verify(ctx, fast, proof));
});

test('Π^enc is bound to its statement', () => {
  const key = verifier.key;
  for (const altered of [K + 1n, -K, 0n, K + prover.key.NN, K + prover.key.N, prover.key.N])
    assert.equal(enc.verify(CONTEXT, { ...fast, K: altered }, proof), false, `K → ${altered}`);
  assert.equal(enc.verify(CONTEXT, { ...fast, key }, proof), false, 'key');
  for (const [what, pedersen] of otherPedersens())
    assert.equal(enc.verify(CONTEXT, { ...fast, pedersen }, proof), false, what);
});

test('Π^enc takes responses up to their bounds and no further', () => {
  assertBoundaries({
    z1: [MASK, (alpha) => accepts(forge({ alpha }))],
    z3: [2n * MASK * verifier.key.N, (gamma) => accepts(forge({ gamma }))],
  });
});

test('Π^enc refuses a plaintext that is too large, with all equations satisfied', () => {
  assert.ok(accepts(forge({ k: BOUND })), 'the forger is able');
  for (const k of [MASK, -MASK, prover.key.N / 3n]) assert.equal(accepts(forge({ k })), false);
});

test('Π^enc refuses what is not in its group, with all equations satisfied', () => {
  assert.equal(accepts(forge({ r: prover.key.p1 })), false, 'r shares a factor with N');
  for (const lifted of ['K', 'S', 'C', 'A'])
    assert.equal(accepts(forge({ k: 5n, alpha: 7n, lifted })), false, `${lifted} not reduced`);
  const [{ key, pedersen }, forged] = forge({ alpha: 5n, gamma: 5n });
  const zeros = { ...forged, A: 0n, z2: 0n };
  assert.equal(enc.verify(CONTEXT, { key, pedersen, K }, zeros), false, 'A = z2 = 0 fits every K');
});
