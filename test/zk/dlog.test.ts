import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import { hashToScalar } from '#src/core/transcript.js';
import { curveByName } from '#src/curve/curve.js';
import { contextFields } from '#src/zk/context.js';
import * as dlog from '#src/zk/dlog.js';
import { assertBoundToContext, assertEveryAlterationRefused, CONTEXT } from '../support/proofs.js';

for (const name of ['P-256', 'secp256k1'] as const) {
  const ctx = { ...CONTEXT, curve: name };
  const curve = curveByName(name);
  const x = curve.randomScalar(randomBytes);
  const statement = { X: curve.multiplyBase(x) };
  const proof = dlog.prove(ctx, statement, { x }, randomBytes);

  test(`Π^dlog on ${name} accepts an honest proof, also after a round trip through the codec`, () => {
    const schema = dlog.proofSchema(curve);
    const decoded = decodeAs(schema, encodeAs(schema, proof), 1000);
    assert.ok(dlog.verify(ctx, statement, decoded));
  });

  test(`Π^dlog on ${name} refuses every altered value, z + q among them`, () => {
    assertEveryAlterationRefused(proof, [curve.q], (altered) => dlog.verify(ctx, statement, altered));
  });

  test(`Π^dlog on ${name} refuses another point, and the identity`, () => {
    for (const X of [statement.X.add(curve.G), statement.X.negate(), curve.identity])
      assert.equal(dlog.verify(ctx, { X }, proof), false);
  });

  test(`the challenge of Π^dlog on ${name} takes the context, X and A`, () => {
    const e = hashToScalar(
      'proof dlog',
      [...contextFields(ctx), statement.X.toBytes(), proof.A.toBytes()],
      curve.q,
    );
    assert.ok(curve.multiplyBase(proof.z - e * x).equals(proof.A));
  });
}

test('Π^dlog is bound to its context', () => {
  const x = 5n;
  const statement = { X: curveByName('P-256').multiplyBase(x) };
  const proof = dlog.prove(CONTEXT, statement, { x }, randomBytes);
  assertBoundToContext((ctx) => dlog.verify(ctx, statement, proof));
});
