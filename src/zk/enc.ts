/**
 * Π^enc — the ciphertext K under the prover's key encrypts some k ∈ ±2^ℓ.
 *
 * CGGMP24, "Paillier encryption in range"; docs/protocol.md §3. What is extracted from a cheating
 * prover is in ±2^{ℓ+ε+1}. The prover's N must have passed Π^mod and Π^fac (a challenge difference is then
 * invertible mod N); the verifier's (N̂, s, t) must have passed Π^prm, Π^mod and Π^fac.
 */
import { z } from 'zod';
import type { Random } from '../core/bytes.js';
import { integerField, naturalField } from '../core/codec.js';
import { invariant } from '../core/errors.js';
import { challenge } from '../core/transcript.js';
import { ELL, EPSILON, type SecurityLevel } from '../math/params.js';
import { publicPower } from '../math/public-power.js';
import { sampleSigned, sampleUnit } from '../math/sample.js';
import { encrypt } from '../paillier/cipher.js';
import type { VerifiedPublicKey } from '../paillier/keys.js';
import type { VerifiedRingPedersen } from '../paillier/ring-pedersen.js';
import { contextFields, type ProofContext } from './context.js';
import { BOUND, inGroup, isResponse, isWithin, SLACK } from './ranges.js';

export interface Statement {
  /** The prover's key, of modulus N. */
  readonly key: VerifiedPublicKey;
  /** The verifier's parameters (N̂, s, t). */
  readonly pedersen: VerifiedRingPedersen;
  /** The ciphertext. */
  readonly K: bigint;
}

export interface Witness {
  readonly k: bigint;
  /** K = encrypt(k; ρ). */
  readonly rho: bigint;
}

export interface Proof {
  /** s^k t^μ and s^α t^γ mod N̂. */
  readonly S: bigint;
  readonly C: bigint;
  /** encrypt(α; r) mod N². */
  readonly A: bigint;
  /** α + e·k, r·ρ^e mod N, γ + e·μ. */
  readonly z1: bigint;
  readonly z2: bigint;
  readonly z3: bigint;
}

type FirstMessage = Pick<Proof, 'S' | 'C' | 'A'>;

export const proofSchema = ({ modulusBits }: SecurityLevel) =>
  z.strictObject({
    S: naturalField(modulusBits),
    C: naturalField(modulusBits),
    A: naturalField(2 * modulusBits),
    z1: integerField(ELL + EPSILON + 1),
    z2: naturalField(modulusBits),
    z3: integerField(ELL + EPSILON + modulusBits + 1),
  });

const challengeOf = (ctx: ProofContext, { key, pedersen, K }: Statement, first: FirstMessage): bigint =>
  challenge('proof enc', [
    ...contextFields(ctx),
    key.N,
    pedersen.N,
    pedersen.s,
    pedersen.t,
    K,
    first.S,
    first.C,
    first.A,
  ]);

/** The masks of a proof and its first message: secret, and for one proof only, since two would reveal k. */
export interface Prepared extends FirstMessage {
  readonly alpha: bigint;
  readonly mu: bigint;
  readonly r: bigint;
  readonly gamma: bigint;
}

/** What can be computed before the context is known: nearly everything. */
export function prepare(
  { key, pedersen }: Pick<Statement, 'key' | 'pedersen'>,
  k: bigint,
  random: Random,
): Prepared {
  invariant(isWithin(k, BOUND), 'Π^enc: plaintext out of range');

  const alpha = sampleSigned(BOUND * SLACK, random);
  const mu = sampleSigned(BOUND * pedersen.N, random);
  const r = sampleUnit(key.N, random);
  const gamma = sampleSigned(BOUND * SLACK * pedersen.N, random);

  const first = { S: pedersen.commit(k, mu), C: pedersen.commit(alpha, gamma), A: encrypt(key, alpha, r) };
  return { ...first, alpha, mu, r, gamma };
}

/** Proves that K = encrypt(k; ρ) with |k| ≤ 2^ℓ, which the masks hide for such k only. */
export const prove = (ctx: ProofContext, statement: Statement, witness: Witness, random: Random): Proof =>
  complete(ctx, statement, witness, prepare(statement, witness.k, random));

/** The proof of what was prepared for the same keys and k. */
export function complete(
  ctx: ProofContext,
  statement: Statement,
  { k, rho }: Witness,
  { alpha, mu, r, gamma, S, C, A }: Prepared,
): Proof {
  const { key } = statement;
  const first = { S, C, A };
  const e = challengeOf(ctx, statement, first);
  return {
    ...first,
    z1: alpha + e * k,
    z2: (r * key.pow(rho, e)) % key.N,
    z3: gamma + e * mu,
  };
}

/** Whether `proof` shows that the plaintext of K is small. */
export function verify(ctx: ProofContext, statement: Statement, proof: Proof): boolean {
  const { key, pedersen, K } = statement;
  const { S, C, A, z1, z2, z3 } = proof;
  if (!isWithin(z1, BOUND * SLACK)) return false;
  if (!isResponse(z3, BOUND * SLACK * pedersen.N)) return false;
  if (!inGroup(key.N, [z2], [K, A]) || !inGroup(pedersen.N, [S, C])) return false;

  const e = challengeOf(ctx, statement, proof);
  return (
    pedersen.commit(z1, z3) === (C * publicPower(S, e, pedersen.N)) % pedersen.N &&
    encrypt(key, z1, z2) === (A * key.powSquare(K, e)) % key.NN
  );
}
