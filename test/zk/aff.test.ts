import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { sampleUnit } from '#src/math/sample.js';
import { add, decrypt, encrypt, scale } from '#src/paillier/cipher.js';
import * as aff from '#src/zk/aff.js';
import { forgeAff } from '../support/forgeries.js';
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
const BOUND_PRIME = 2n ** 848n;
const SLACK = 2n ** 230n;

const { key, publicKey } = verifier;
const chi = 2n ** 255n + 54321n;
const C = encrypt(key, chi, sampleUnit(key.N, randomBytes));

const x = 2n ** 255n - 12345n;
const y = -(2n ** 847n) + 67890n;
const rho = sampleUnit(key.N, randomBytes);
const D = add(publicKey, scale(publicKey, C, x), encrypt(publicKey, y, rho));
const proof = aff.prove(
  CONTEXT,
  { key: publicKey, pedersen: verifier.publicPedersen, C, D },
  { x, y, rho },
  randomBytes,
);
const statement: aff.Statement = { key, pedersen: verifier.pedersen, C, D };

/** A prover that proves whatever it likes about D = C^x·encrypt(y; 1), so that all equations hold. */
const forge = (choice: Parameters<typeof forgeAff>[2]) =>
  forgeAff(CONTEXT, { key, pedersen: verifier.pedersen, C }, choice);
const accepts = ([forged, proof]: [aff.Statement, aff.Proof]) => aff.verify(CONTEXT, forged, proof);

test('Π^aff accepts an honest proof, seen by the owner and by a stranger', () => {
  assert.equal(decrypt(key, D), chi * x + y);
  assert.ok(aff.verify(CONTEXT, statement, proof));
  assert.ok(aff.verify(CONTEXT, { ...statement, key: publicKey, pedersen: verifier.publicPedersen }, proof));
});

test('Π^aff accepts the ends of both ranges and refuses to prove more', () => {
  for (const [x, y] of [
    [BOUND, -BOUND_PRIME],
    [-BOUND, BOUND_PRIME],
    [0n, 0n],
  ] as const) {
    const ends = { ...statement, D: add(key, scale(key, C, x), encrypt(key, y, rho)) };
    assert.ok(aff.verify(CONTEXT, ends, aff.prove(CONTEXT, ends, { x, y, rho }, randomBytes)));
  }
  const prove = (witness: aff.Witness) => aff.prove(CONTEXT, statement, witness, randomBytes);
  assert.throws(() => prove({ x: BOUND + 1n, y, rho }), /out of range/);
  assert.throws(() => prove({ x, y: BOUND_PRIME + 1n, rho }), /out of range/);
});

test('Π^aff draws every mask from its whole range', () => {
  const masks = {
    alpha: -BOUND * SLACK,
    beta: -BOUND_PRIME * SLACK + 1n,
    gamma: -BOUND * SLACK * key.N + 2n,
    delta: -BOUND * SLACK * key.N + 3n,
    m: -BOUND * key.N + 4n,
    mu: -BOUND * key.N + 5n,
  };
  const [drawn, expected] = forge({ x, y, ...masks, r: DRAWN_UNIT });
  assert.deepEqual(aff.prove(CONTEXT, drawn, { x, y, rho: 1n }, leastDraws()), expected);
});

test('Π^aff survives the codec', () => {
  const schema = aff.proofSchema(LEVEL);
  assert.deepEqual(decodeAs(schema, encodeAs(schema, proof), 4000), proof);
});

test('Π^aff is bounded by its schema', () => {
  assertSchemaBounds(aff.proofSchema(LEVEL), proof, {
    A: 4096,
    E: 2048,
    S: 2048,
    F: 2048,
    T: 2048,
    z1: 487,
    z2: 1079,
    z3: 2048 + 487,
    z4: 2048 + 487,
    w: 2048,
  });
});

test('Π^aff refuses every altered value', () => {
  assertEveryAlterationRefused(proof, [key.N, key.NN, key.phi * key.N], (altered) =>
    aff.verify(CONTEXT, statement, altered),
  );
});

test('Π^aff is bound to its context', () => {
  assertBoundToContext((ctx) => aff.verify(ctx, statement, proof));
});

test('Π^aff is bound to its statement', () => {
  for (const field of ['C', 'D'] as const) {
    const value = statement[field];
    for (const altered of [value + 1n, -value, 0n, value + key.NN, value + key.N, key.N])
      assert.equal(aff.verify(CONTEXT, { ...statement, [field]: altered }, proof), false, field);
  }
  assert.equal(aff.verify(CONTEXT, { ...statement, C: D, D: C }, proof), false, 'C and D swapped');
  assert.equal(aff.verify(CONTEXT, { ...statement, key: prover.key }, proof), false, 'key');
  for (const [what, pedersen] of otherPedersens())
    assert.equal(aff.verify(CONTEXT, { ...statement, pedersen }, proof), false, what);
});

test('Π^aff takes responses up to their bounds and no further', () => {
  assertBoundaries({
    z1: [BOUND * SLACK, (alpha) => accepts(forge({ alpha }))],
    z2: [BOUND_PRIME * SLACK, (beta) => accepts(forge({ beta }))],
    z3: [2n * BOUND * SLACK * key.N, (gamma) => accepts(forge({ gamma }))],
    z4: [2n * BOUND * SLACK * key.N, (delta) => accepts(forge({ delta }))],
  });
});

test('Π^aff refuses factors and summands that are too large, with all equations satisfied', () => {
  assert.ok(accepts(forge({ x: BOUND, y: -BOUND_PRIME })), 'the forger is able');
  for (const x of [BOUND * SLACK, -BOUND * SLACK, key.N]) assert.equal(accepts(forge({ x })), false);
  for (const y of [BOUND_PRIME * SLACK, -BOUND_PRIME * SLACK, key.N / 3n])
    assert.equal(accepts(forge({ y })), false);
});

test('Π^aff refuses what is not in its group, with all equations satisfied', () => {
  assert.equal(accepts(forge({ r: key.p1 })), false, 'r shares a factor with N̂');
  for (const lifted of ['D', 'A', 'E', 'S', 'F', 'T'])
    assert.equal(accepts(forge({ x: 5n, y: 7n, lifted })), false, `${lifted} not reduced`);
  const [, forged] = forge({ alpha: 5n, beta: 5n });
  assert.equal(aff.verify(CONTEXT, statement, { ...forged, A: 0n, w: 0n }), false, 'A = w = 0 fits every D');
});
