/**
 * Π^dlog — the prover knows x with X = x·G.
 *
 * Schnorr's proof, made non-interactive; docs/protocol.md §3. The curve is the context's. Nothing needs to have
 * been verified: points are decoded on the curve, whose order q is prime.
 */
import { z } from 'zod';
import type { Random } from '../core/bytes.js';
import { hashToScalar } from '../core/transcript.js';
import { type Curve, curveByName, type Point } from '../curve/curve.js';
import { pointField, scalarField } from '../curve/fields.js';
import { contextFields, type ProofContext } from './context.js';

export interface Statement {
  readonly X: Point;
}

export interface Witness {
  readonly x: bigint;
}

export interface Proof {
  /** a·G for a random a ≠ 0. */
  readonly A: Point;
  /** a + e·x mod q. */
  readonly z: bigint;
}

export const proofSchema = (curve: Curve) => z.strictObject({ A: pointField(curve), z: scalarField(curve) });

const challengeOf = (ctx: ProofContext, X: Point, A: Point, q: bigint): bigint =>
  hashToScalar('proof dlog', [...contextFields(ctx), X.toBytes(), A.toBytes()], q);

/** Proves knowledge of x with X = x·G; x ≢ 0 mod q. */
export function prove(ctx: ProofContext, statement: Statement, witness: Witness, random: Random): Proof {
  const curve = curveByName(ctx.curve);
  const a = curve.randomScalar(random);
  const A = curve.multiplyBase(a);
  const e = challengeOf(ctx, statement.X, A, curve.q);
  return { A, z: curve.mod(a + e * witness.x) };
}

/** Whether `proof` shows knowledge of the discrete logarithm of X. */
export function verify(ctx: ProofContext, statement: Statement, proof: Proof): boolean {
  const curve = curveByName(ctx.curve);
  const { X } = statement;
  const { A, z } = proof;
  if (z < 0n || z >= curve.q) return false;
  if ([X, A].some((point) => point.curve !== curve || point.isIdentity)) return false;

  const e = challengeOf(ctx, X, A, curve.q);
  return curve.multiplyBase(z).equals(A.add(X.multiplyPublic(e)));
}
