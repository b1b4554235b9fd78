/**
 * Π^aff — D = C^x · encrypt(y; ρ) under the verifier's key, with x ∈ ±2^ℓ and y ∈ ±2^{ℓ'}.
 *
 * CGGMP24, "Paillier affine operation", without its group element and its encryption of y under the prover's
 * key: the checks of docs/protocol.md §8.3 tie x to its point. What is extracted from a cheating prover is in
 * ±2^{ℓ+ε+1} and ±2^{ℓ'+ε+1}. The verifier's key and (N̂, s, t), of the same modulus N̂, must have passed Π^prm,
 * Π^mod and Π^fac; C must have been shown by Π^enc to hold a small plaintext, or D need not hide x.
 */
import { z } from 'zod';
import type { Random } from '../core/bytes.js';
import { integerField, naturalField } from '../core/codec.js';
import { invariant } from '../core/errors.js';
import { challenge } from '../core/transcript.js';
import { ELL, ELL_PRIME, EPSILON, type SecurityLevel } from '../math/params.js';
import { publicPower } from '../math/public-power.js';
import { sampleSigned, sampleUnit } from '../math/sample.js';
import { encrypt } from '../paillier/cipher.js';
import type { VerifiedPublicKey } from '../paillier/keys.js';
import type { VerifiedRingPedersen } from '../paillier/ring-pedersen.js';
import { contextFields, type ProofContext } from './context.js';
import { BOUND, BOUND_PRIME, inGroup, isResponse, isWithin, SLACK } from './ranges.js';

export interface Statement {
  /** The verifier's key, of modulus N̂. */
  readonly key: VerifiedPublicKey;
  /** The verifier's parameters (N̂, s, t). */
  readonly pedersen: VerifiedRingPedersen;
  /** The verifier's ciphertext. */
  readonly C: bigint;
  /** What the prover made of it. */
  readonly D: bigint;
}

export interface Witness {
  readonly x: bigint;
  readonly y: bigint;
  readonly rho: bigint;
}

export interface Proof {
  /** C^α · encrypt(β; r) mod N̂². */
  readonly A: bigint;
  /** s^α t^γ, s^x t^m, s^β t^δ, s^y t^μ mod N̂. */
  readonly E: bigint;
  readonly S: bigint;
  readonly F: bigint;
  readonly T: bigint;
  /** α + e·x, β + e·y, γ + e·m, δ + e·μ, r·ρ^e mod N̂. */
  readonly z1: bigint;
  readonly z2: bigint;
  readonly z3: bigint;
  readonly z4: bigint;
  readonly w: bigint;
}

type FirstMessage = Pick<Proof, 'A' | 'E' | 'S' | 'F' | 'T'>;

export const proofSchema = ({ modulusBits }: SecurityLevel) =>
  z.strictObject({
    A: naturalField(2 * modulusBits),
    E: naturalField(modulusBits),
    S: naturalField(modulusBits),
    F: naturalField(modulusBits),
    T: naturalField(modulusBits),
    z1: integerField(ELL + EPSILON + 1),
    z2: integerField(ELL_PRIME + EPSILON + 1),
    z3: integerField(ELL + EPSILON + modulusBits + 1),
    z4: integerField(ELL + EPSILON + modulusBits + 1),
    w: naturalField(modulusBits),
  });

const challengeOf = (ctx: ProofContext, { key, pedersen, C, D }: Statement, first: FirstMessage): bigint =>
  challenge('proof aff', [
    ...contextFields(ctx),
    key.N,
    pedersen.N,
    pedersen.s,
    pedersen.t,
    C,
    D,
    first.A,
    first.E,
    first.S,
    first.F,
    first.T,
  ]);

/** The masks of a proof and what they make without C and x: secret, and for one proof only, since two would reveal x. */
export interface Prepared extends Pick<FirstMessage, 'E' | 'F' | 'T'> {
  readonly alpha: bigint;
  readonly beta: bigint;
  readonly r: bigint;
  readonly gamma: bigint;
  readonly delta: bigint;
  readonly m: bigint;
  readonly mu: bigint;
  /** encrypt(β; r). */
  readonly B: bigint;
  /** t^m. */
  readonly M: bigint;
}

/** What can be computed before C and x are known: all but three short powers. */
export function prepare(
  { key, pedersen }: Pick<Statement, 'key' | 'pedersen'>,
  y: bigint,
  random: Random,
): Prepared {
  invariant(isWithin(y, BOUND_PRIME), 'Π^aff: witness out of range');

  const alpha = sampleSigned(BOUND * SLACK, random);
  const beta = sampleSigned(BOUND_PRIME * SLACK, random);
  const r = sampleUnit(key.N, random);
  const gamma = sampleSigned(BOUND * SLACK * pedersen.N, random);
  const delta = sampleSigned(BOUND * SLACK * pedersen.N, random);
  const m = sampleSigned(BOUND * pedersen.N, random);
  const mu = sampleSigned(BOUND * pedersen.N, random);

  return {
    ...{ alpha, beta, r, gamma, delta, m, mu },
    B: encrypt(key, beta, r),
    E: pedersen.commit(alpha, gamma),
    M: pedersen.commit(0n, m),
    F: pedersen.commit(beta, delta),
    T: pedersen.commit(y, mu),
  };
}

/**
 * Proves that D = C^x · encrypt(y; ρ) with |x| ≤ 2^ℓ and |y| ≤ 2^{ℓ'}, which the masks hide for such only.
 */
export const prove = (ctx: ProofContext, statement: Statement, witness: Witness, random: Random): Proof =>
  complete(ctx, statement, witness, prepare(statement, witness.y, random));

/** The proof of what was prepared for the same keys and y. */
export function complete(
  ctx: ProofContext,
  statement: Statement,
  { x, y, rho }: Witness,
  { alpha, beta, r, gamma, delta, m, mu, B, E, M, F, T }: Prepared,
): Proof {
  const { key, pedersen, C } = statement;
  invariant(isWithin(x, BOUND), 'Π^aff: witness out of range');
  const first = {
    A: (key.powSquare(C, alpha) * B) % key.NN,
    E,
    S: (pedersen.commit(x, 0n) * M) % pedersen.N,
    F,
    T,
  };
  const e = challengeOf(ctx, statement, first);
  return {
    ...first,
    z1: alpha + e * x,
    z2: beta + e * y,
    z3: gamma + e * m,
    z4: delta + e * mu,
    w: (r * key.pow(rho, e)) % key.N,
  };
}

/** Whether `proof` shows that D is C times a small number plus a small number, under the verifier's key. */
export function verify(ctx: ProofContext, statement: Statement, proof: Proof): boolean {
  const { key, pedersen, C, D } = statement;
  const { A, E, S, F, T, z1, z2, z3, z4, w } = proof;
  if (!isWithin(z1, BOUND * SLACK) || !isWithin(z2, BOUND_PRIME * SLACK)) return false;
  if (!isResponse(z3, BOUND * SLACK * pedersen.N)) return false;
  if (!isResponse(z4, BOUND * SLACK * pedersen.N)) return false;
  if (!inGroup(key.N, [w], [A, C, D]) || !inGroup(pedersen.N, [E, S, F, T])) return false;

  const e = challengeOf(ctx, statement, proof);
  return (
    pedersen.commit(z1, z3) === (E * publicPower(S, e, pedersen.N)) % pedersen.N &&
    pedersen.commit(z2, z4) === (F * publicPower(T, e, pedersen.N)) % pedersen.N &&
    (key.powSquare(C, z1) * encrypt(key, z2, w)) % key.NN === (A * key.powSquare(D, e)) % key.NN
  );
}
