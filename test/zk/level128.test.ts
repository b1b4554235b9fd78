import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from 'zod';
import { randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { securityLevel } from '#src/math/params.js';
import { sampleUnit } from '#src/math/sample.js';
import { add, encrypt, scale } from '#src/paillier/cipher.js';
import * as aff from '#src/zk/aff.js';
import * as enc from '#src/zk/enc.js';
import * as fac from '#src/zk/fac.js';
import * as mod from '#src/zk/mod.js';
import * as prm from '#src/zk/prm.js';
import { CONTEXT, testParty } from '../support/proofs.js';

const level = securityLevel(128);
const [prover, verifier] = [testParty(0, level), testParty(1, level)];
const { key, publicKey } = prover;
const { pedersen, publicPedersen } = verifier;

/** What the verifier decodes of what the prover encoded. */
const sent = <S extends z.ZodType>(schema: S, proof: z.output<S>): z.output<S> =>
  decodeAs(schema, encodeAs(schema, proof), 200_000);

test('Π^mod at level 128', () => {
  const proof = mod.prove(CONTEXT, { level, key }, key, randomBytes);
  assert.ok(mod.verify(CONTEXT, { level, key: publicKey }, sent(mod.proofSchema(level), proof)));
});

test('Π^prm at level 128', () => {
  const witness = { kappa: prover.pedersen.kappa, phi: key.phi };
  const proof = prm.prove(CONTEXT, prover, witness, randomBytes);
  assert.ok(prm.verify(CONTEXT, { pedersen: prover.publicPedersen }, sent(prm.proofSchema(level), proof)));
});

test('Π^fac at level 128', () => {
  const proof = fac.prove(CONTEXT, { key, pedersen: publicPedersen }, key, randomBytes);
  assert.ok(fac.verify(CONTEXT, { key: publicKey, pedersen }, sent(fac.proofSchema(level), proof)));
});

test('Π^enc at level 128', () => {
  const [k, rho] = [2n ** 256n, sampleUnit(key.N, randomBytes)];
  const K = encrypt(key, k, rho);
  const proof = enc.prove(CONTEXT, { key, pedersen: publicPedersen, K }, { k, rho }, randomBytes);
  assert.ok(enc.verify(CONTEXT, { key: publicKey, pedersen, K }, sent(enc.proofSchema(level), proof)));
});

test('Π^aff at level 128', () => {
  const theirs = verifier.publicKey;
  const C = encrypt(verifier.key, 5n, sampleUnit(theirs.N, randomBytes));
  const witness = { x: -(2n ** 256n), y: 2n ** 848n, rho: sampleUnit(theirs.N, randomBytes) };
  const D = add(theirs, scale(theirs, C, witness.x), encrypt(theirs, witness.y, witness.rho));
  const proof = aff.prove(CONTEXT, { key: theirs, pedersen: publicPedersen, C, D }, witness, randomBytes);
  assert.ok(aff.verify(CONTEXT, { key: verifier.key, pedersen, C, D }, sent(aff.proofSchema(level), proof)));
});
