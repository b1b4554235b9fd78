import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { challenge } from '#src/core/transcript.js';
import { sampleBelow } from '#src/math/sample.js';
import { RingPedersenPublic } from '#src/paillier/ring-pedersen.js';
import { contextFields } from '#src/zk/context.js';
import * as prm from '#src/zk/prm.js';
import {
  assertBoundToContext,
  assertEveryAlterationRefused,
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

test('Π^prm survives the codec', () => {
  const schema = prm.proofSchema(LEVEL);
  assert.deepEqual(decodeAs(schema, encodeAs(schema, proof), 100_000), proof);
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

test('Π^prm refuses s = −t^κ, which is outside ⟨t⟩, from a prover that guesses every challenge bit', () => {
  const { N, t } = pedersen;
  const s = N - pedersen.s;
  const cheat = RingPedersenPublic.parse(key, s, t);
  assert.ok(cheat, 'it looks right: −1 has Jacobi symbol 1');

  // Row i holds iff the guess was right: t^z = (−1)^{guess}·t^a·s^{bit}.
  const guesses = Array.from({ length: 128 }, () => randomBytes(1)[0]! & 1);
  const a = guesses.map(() => sampleBelow(key.phi, randomBytes));
  const A = a.map((ai, i) => (guesses[i] === 1 ? N - key.pow(t, ai) : key.pow(t, ai)));
  const e = challenge('proof prm', [...contextFields(CONTEXT), N, s, t, A]);
  const bits = guesses.map((_, i) => Number((e >> BigInt(i)) & 1n));
  const z = a.map((ai, i) => (ai + BigInt(bits[i]!) * pedersen.kappa) % key.phi);

  const rows = bits.map((bit, i) => key.pow(t, z[i]!) === (bit === 1 ? (A[i]! * s) % N : A[i]!));
  assert.deepEqual(
    rows,
    bits.map((bit, i) => bit === guesses[i]),
    'the forger is able',
  );
  assert.equal(prm.verify(CONTEXT, { pedersen: cheat }, { A, z }), false);
});
