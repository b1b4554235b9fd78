/**
 * Π^prm — s ∈ ⟨t⟩ mod N: the ring-Pedersen parameters (N, s, t) hide what is committed under them.
 *
 * CGGMP24, "ring-Pedersen parameters"; docs/protocol.md §3. Nothing needs to have been verified about N; that s and t are units
 * other than ±1 with Jacobi symbol 1 is checked where they are parsed. One challenge bit for each repetition:
 * with a longer challenge s could be off by an element of small order, which N may hide.
 */
import { z } from 'zod';
import type { Random } from '../core/bytes.js';
import { listField, naturalField } from '../core/codec.js';
import { challenge } from '../core/transcript.js';
import { REPETITIONS, type SecurityLevel } from '../math/params.js';
import { publicPowers } from '../math/public-power.js';
import { sampleBelow } from '../math/sample.js';
import type { RingPedersen } from '../paillier/ring-pedersen.js';
import { contextFields, type ProofContext } from './context.js';
import { inGroup } from './ranges.js';

export interface Statement {
  /** The prover's parameters: as their owner when proving, parsed when verifying. */
  readonly pedersen: RingPedersen;
}

export interface Witness {
  /** s = t^κ mod N. */
  readonly kappa: bigint;
  /** φ(N). */
  readonly phi: bigint;
}

export interface Proof {
  /** A_i = t^{a_i}, 128 of them. */
  readonly A: readonly bigint[];
  /** z_i = a_i + e_i κ mod φ(N). */
  readonly z: readonly bigint[];
}

export const proofSchema = (level: SecurityLevel) =>
  z.strictObject({
    A: listField(naturalField(level.modulusBits), REPETITIONS),
    z: listField(naturalField(level.modulusBits), REPETITIONS),
  });

/** e_1 … e_128: bit i of the challenge is the one of repetition i. */
function challengeBits(
  ctx: ProofContext,
  { N, s, t }: RingPedersen,
  A: readonly bigint[],
): readonly boolean[] {
  const e = challenge('proof prm', [...contextFields(ctx), N, s, t, A]);
  return Array.from({ length: REPETITIONS }, (_, i) => ((e >> BigInt(i)) & 1n) === 1n);
}

/** Proves that s = t^κ mod N. */
export function prove(ctx: ProofContext, statement: Statement, witness: Witness, random: Random): Proof {
  const { pedersen } = statement;
  const { kappa, phi } = witness;
  const a = Array.from({ length: REPETITIONS }, () => sampleBelow(phi, random));
  const A = a.map((ai) => pedersen.pow(pedersen.t, ai));
  const e = challengeBits(ctx, pedersen, A);
  return { A, z: a.map((ai, i) => (e[i] ? (ai + kappa) % phi : ai)) };
}

/** Whether `proof` shows that s is a power of t modulo N. */
export function verify(ctx: ProofContext, statement: Statement, proof: Proof): boolean {
  const { pedersen } = statement;
  const { N, s, t } = pedersen;
  const { A, z } = proof;
  if (A.length !== REPETITIONS || z.length !== REPETITIONS) return false;
  if (!z.every((zi) => 0n <= zi && zi < N) || !inGroup(N, A)) return false;

  const e = challengeBits(ctx, pedersen, A);
  const powers = publicPowers(t, z, N);
  return e.every((ei, i) => powers[i] === (ei ? (A[i]! * s) % N : A[i]!));
}
