import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bigintToBytes, type Random, randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { modInverse } from '#src/math/modular.js';
import { RingPedersenPublic } from '#src/paillier/ring-pedersen.js';
import * as prm from '#src/zk/prm.js';
import { forgePrm } from '../support/forgeries.js';
import {
  assertBoundToContext,
  assertEveryAlterationRefused,
  assertSchemaBounds,
  CONTEXT,
  LEVEL,
  otherPedersens,
  prover,
} from '../support/proofs.js';

const { key, pedersen, publicPedersen } = prover;
const statement: prm.Statement = { pedersen };
const proof = prm.prove(CONTEXT, statement, { kappa: pedersen.kappa, phi: key.phi }, randomBytes);

test('Π^prm accepts an honest proof, as a stranger sees it', () => {
  assert.ok(prm.verify(CONTEXT, { pedersen: publicPedersen }, proof));
});

test('Π^prm draws every mask from all of Z_φ(N)', () => {
  let count = 0n;
  const largest: Random = (length) => {
    count += 1n;
    return bigintToBytes(key.phi - count, length);
  };
  const { A } = prm.prove(CONTEXT, statement, { kappa: pedersen.kappa, phi: key.phi }, largest);
  const inverse = modInverse(pedersen.t, pedersen.N)!;
  assert.deepEqual(
    A,
    A.map((_, i) => key.pow(inverse, BigInt(i + 1))),
  );
});

test('Π^prm survives the codec', () => {
  const schema = prm.proofSchema(LEVEL);
  assert.deepEqual(decodeAs(schema, encodeAs(schema, proof), 100_000), proof);
});

test('Π^prm is bounded by its schema', () => {
  assertSchemaBounds(prm.proofSchema(LEVEL), proof, { A: 2048, z: 2048 });
});

test('Π^prm refuses every altered value, z + φ(N) among them', () => {
  assertEveryAlterationRefused(proof, [key.N, key.phi], (altered) => prm.verify(CONTEXT, statement, altered));
});

test('Π^prm is bound to its context', () => {
  assertBoundToContext((ctx) => prm.verify(ctx, statement, proof));
});

test('Π^prm is bound to its statement', () => {
  for (const [what, other] of otherPedersens(prover))
    assert.equal(prm.verify(CONTEXT, { pedersen: other }, proof), false, what);
});

/** A prover that claims s = ±t^κ; how many guesses are right and how many rows of its proof hold. */
function forge(sign: 1n | -1n, choice?: Parameters<typeof forgePrm>[2]) {
  const { t, kappa } = pedersen;
  const { s, proof, rows, right } = forgePrm(CONTEXT, { key, t, kappa, sign }, choice);
  const cheat = RingPedersenPublic.parse(key, s, t);
  assert.ok(cheat, 'it looks right: −1 has Jacobi symbol 1');
  return { accepted: prm.verify(CONTEXT, { pedersen: cheat }, proof), rows: rows(), right };
}

test('Π^prm refuses s = −t^κ, which is outside ⟨t⟩, from a prover that guesses every challenge bit', () => {
  assert.deepEqual({ ...forge(1n), right: 0 }, { accepted: true, rows: 128, right: 0 }, 'the forger is able');
  const { accepted, rows, right } = forge(-1n);
  assert.equal(accepted, false);
  assert.equal(rows, right, 'it did as well as its guesses');
});

test('Π^prm refuses a number of repetitions other than 128, and elements that are not reduced', () => {
  for (const length of [0, 127, 129]) assert.equal(forge(1n, { length }).accepted, false);
  assert.equal(forge(1n, { lifted: true }).accepted, false);
});
