/**
 * Π^fac — both factors of the prover's modulus N_P are larger than 2^ℓ.
 *
 * CGGMP24, "no small factor"; docs/protocol.md §3. Sound for a modulus whose Π^mod verifies: two prime
 * factors, each at most about 2^{ℓ+ε}√N_P by this proof, hence neither smaller than about √N_P / 2^{ℓ+ε}. The
 * prover's primes stay hidden when the verifier's (N̂, s, t) have passed Π^prm; nothing else about N̂ matters
 * to the prover here.
 */
import { z } from 'zod';
import type { Random } from '../core/bytes.js';
import { integerField, naturalField } from '../core/codec.js';
import { invariant } from '../core/errors.js';
import { challenge } from '../core/transcript.js';
import { isqrt } from '../math/modular.js';
import { ELL, EPSILON, type SecurityLevel } from '../math/params.js';
import { publicPower } from '../math/public-power.js';
import { sampleSigned } from '../math/sample.js';
import type { PaillierKey } from '../paillier/keys.js';
import type { RingPedersen } from '../paillier/ring-pedersen.js';
import { contextFields, type ProofContext } from './context.js';
import { BOUND, inGroup, isResponse, isWithin, SLACK } from './ranges.js';

export interface Statement {
  /** The prover's key, of modulus N_P. */
  readonly key: PaillierKey;
  /** The verifier's parameters (N̂, s, t); the verifier itself puts its own, as their owner, here. */
  readonly pedersen: RingPedersen;
}

export interface Witness {
  readonly p1: bigint;
  readonly p2: bigint;
}

export interface Proof {
  /** s^{p₁} t^μ, s^{p₂} t^ν, s^α t^x, s^β t^y, Q^α t^r, all mod N̂. */
  readonly P: bigint;
  readonly Q: bigint;
  readonly A: bigint;
  readonly B: bigint;
  readonly T: bigint;
  /** Part of the first message: blinds σ − νp₁, the exponent of t in Q^{p₁} t^{σ−νp₁} = s^{N_P} t^σ. */
  readonly sigma: bigint;
  /** α + e·p₁, β + e·p₂, x + e·μ, y + e·ν, r + e(σ − ν·p₁). */
  readonly z1: bigint;
  readonly z2: bigint;
  readonly w1: bigint;
  readonly w2: bigint;
  readonly v: bigint;
}

type FirstMessage = Pick<Proof, 'P' | 'Q' | 'A' | 'B' | 'T' | 'sigma'>;

export const proofSchema = ({ modulusBits, primeBits }: SecurityLevel) =>
  z.strictObject({
    P: naturalField(modulusBits),
    Q: naturalField(modulusBits),
    A: naturalField(modulusBits),
    B: naturalField(modulusBits),
    T: naturalField(modulusBits),
    sigma: integerField(ELL + 2 * modulusBits),
    z1: integerField(ELL + EPSILON + primeBits),
    z2: integerField(ELL + EPSILON + primeBits),
    w1: integerField(ELL + EPSILON + modulusBits + 1),
    w2: integerField(ELL + EPSILON + modulusBits + 1),
    v: integerField(ELL + EPSILON + 2 * modulusBits + 1),
  });

/** Ranges ±… of what is drawn: σ, and the masks of z1 and z2, of w1 and w2, of v. */
const ranges = (NP: bigint, Nhat: bigint) => ({
  sigma: BOUND * NP * Nhat,
  z: BOUND * SLACK * isqrt(NP),
  w: BOUND * SLACK * Nhat,
  v: BOUND * SLACK * NP * Nhat,
});

const challengeOf = (ctx: ProofContext, { key, pedersen }: Statement, first: FirstMessage): bigint =>
  challenge('proof fac', [
    ...contextFields(ctx),
    key.N,
    pedersen.N,
    pedersen.s,
    pedersen.t,
    first.P,
    first.Q,
    first.A,
    first.B,
    first.T,
    { signed: first.sigma },
  ]);

/** Proves that the two factors p₁, p₂ of N_P are both about as long as √N_P. */
export function prove(ctx: ProofContext, statement: Statement, witness: Witness, random: Random): Proof {
  const { key, pedersen } = statement;
  const { p1, p2 } = witness;
  const range = ranges(key.N, pedersen.N);
  invariant(p1 * p2 === key.N, 'Π^fac: not the factors of the modulus');

  const alpha = sampleSigned(range.z, random);
  const beta = sampleSigned(range.z, random);
  const mu = sampleSigned(BOUND * pedersen.N, random);
  const nu = sampleSigned(BOUND * pedersen.N, random);
  const sigma = sampleSigned(range.sigma, random);
  const r = sampleSigned(range.v, random);
  const x = sampleSigned(range.w, random);
  const y = sampleSigned(range.w, random);

  const P = pedersen.commit(p1, mu);
  const Q = pedersen.commit(p2, nu);
  const A = pedersen.commit(alpha, x);
  const B = pedersen.commit(beta, y);
  const T = (pedersen.pow(Q, alpha) * pedersen.commit(0n, r)) % pedersen.N;
  const first = { P, Q, A, B, T, sigma };

  const e = challengeOf(ctx, statement, first);
  return {
    ...first,
    z1: alpha + e * p1,
    z2: beta + e * p2,
    w1: x + e * mu,
    w2: y + e * nu,
    v: r + e * (sigma - nu * p1),
  };
}

/** Whether `proof` shows that N_P has no factor of ℓ bits or less. */
export function verify(ctx: ProofContext, statement: Statement, proof: Proof): boolean {
  const { key, pedersen } = statement;
  const { P, Q, A, B, T, sigma, z1, z2, w1, w2, v } = proof;
  const range = ranges(key.N, pedersen.N);
  if (!isWithin(z1, range.z) || !isWithin(z2, range.z)) return false;
  if (!isResponse(w1, range.w) || !isResponse(w2, range.w) || !isResponse(v, range.v)) return false;
  if (!isWithin(sigma, range.sigma)) return false;
  if (!inGroup(pedersen.N, [P, Q, A, B, T])) return false;

  const e = challengeOf(ctx, statement, proof);
  const times = (a: bigint, b: bigint) => (a * b) % pedersen.N;
  return (
    pedersen.commit(z1, w1) === times(A, publicPower(P, e, pedersen.N)) &&
    pedersen.commit(z2, w2) === times(B, publicPower(Q, e, pedersen.N)) &&
    // Q^{z1} t^v = T·(s^{N_P} t^σ)^e with the powers of s and t on one side.
    times(pedersen.pow(Q, z1), pedersen.commit(-e * key.N, v - e * sigma)) === T
  );
}
