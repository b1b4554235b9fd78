/**
 * Π^mod — N is a Paillier–Blum modulus: N = p₁p₂ with primes p₁ ≡ p₂ ≡ 3 mod 4 and gcd(N, φ(N)) = 1.
 *
 * CGGMP24, "Paillier–Blum modulus", with the N-th roots cut down to eight as in GRSB19; docs/protocol.md §3.
 * Nothing needs to have been verified about N before.
 *
 * Why it is sound, for N odd and without prime factors below 2^16:
 * - A prime p dividing both N and φ(N) leaves an N-th root to at most one unit in p > 2^16: eight random units
 *   all have one with probability below 2^−128. So gcd(N, φ(N)) = 1, whence N is square-free.
 * - The fourth powers of Z*_N have index 2 for each prime factor ≡ 3 mod 4 and index 4 for every other. The four
 *   multiples ±y, ±wy reach at most half of an index of eight or more; so with 128 random units only an index
 *   of four remains: two prime factors, both ≡ 3 mod 4 (a single prime is excluded by the primality test).
 * A y_i that is not a unit is refused (with its x_i), since it would have more roots than a unit. The Jacobi
 * symbol of w follows from the rest but for a probability of 2^−128; it is checked as in the paper.
 */
import { z } from 'zod';
import { bitLength, bytesToBigint, type Random } from '../core/bytes.js';
import { listField, naturalField } from '../core/codec.js';
import { hashStream } from '../core/transcript.js';
import { jacobi, mod, modInverse } from '../math/modular.js';
import { REPETITIONS, type SecurityLevel } from '../math/params.js';
import { hasSmallFactor, isPrime } from '../math/prime.js';
import { publicPower } from '../math/public-power.js';
import { EighthRoots } from '../math/roots.js';
import { sampleUnit } from '../math/sample.js';
import type { PaillierKey } from '../paillier/keys.js';
import { contextFields, type ProofContext } from './context.js';
import { inGroup } from './ranges.js';

/** N-th roots shown: (2^16)^8 = 2^128. */
const ROOTS = 8;

export interface Statement {
  readonly level: SecurityLevel;
  /** The prover's key: its private key when proving, its public key, size-checked, when verifying. */
  readonly key: PaillierKey;
}

export interface Witness {
  readonly p1: bigint;
  readonly p2: bigint;
}

type Bit = 0 | 1;

export interface Proof {
  /** An element of Z*_N with Jacobi symbol −1. */
  readonly w: bigint;
  /** 128 pairs of bits: (−1)^{a_i} w^{b_i} y_i is a square. */
  readonly a: readonly Bit[];
  readonly b: readonly Bit[];
  /** The principal fourth root of that square: the one that is itself a square. */
  readonly x: readonly bigint[];
  /** The N-th roots of the first eight y_i. */
  readonly z: readonly bigint[];
}

export const proofSchema = (level: SecurityLevel) =>
  z.strictObject({
    w: naturalField(level.modulusBits),
    a: listField(z.literal([0, 1]), REPETITIONS),
    b: listField(z.literal([0, 1]), REPETITIONS),
    x: listField(naturalField(level.modulusBits), REPETITIONS),
    z: listField(naturalField(level.modulusBits), ROOTS),
  });

/** y_1 … y_128: |N| + 128 bits of the stream each, mod N, so that the bias is below 2^−128. */
function challenges(ctx: ProofContext, N: bigint, w: bigint): readonly bigint[] {
  const width = Math.ceil(bitLength(N) / 8) + 16;
  const stream = hashStream('proof mod', [...contextFields(ctx), N, w], REPETITIONS * width);
  return Array.from(
    { length: REPETITIONS },
    (_, i) => bytesToBigint(stream.subarray(i * width, (i + 1) * width)) % N,
  );
}

/** (−1)^a w^b y mod N. */
const shifted = (N: bigint, w: bigint, a: Bit, b: Bit, y: bigint): bigint =>
  mod((a === 1 ? -1n : 1n) * (b === 1 ? w : 1n) * y, N);

const fourthPower = (x: bigint, N: bigint): bigint => {
  const square = (x * x) % N;
  return (square * square) % N;
};

/** w ← Z*_N with Jacobi symbol −1: half of all units. */
function sampleNonResidue(N: bigint, random: Random): bigint {
  for (;;) {
    const w = sampleUnit(N, random);
    if (jacobi(w, N) === -1) return w;
  }
}

/**
 * Raising to this exponent takes a unit y to a square whose fourth power agrees with y, modulo each prime, up
 * to sign: the exponent is even, and it inverts 4 modulo p'₁p'₂ = φ(N)/4, the order of the group of squares.
 */
function fourthRootExponent(phi: bigint): bigint {
  const order = phi / 4n;
  const inverse = modInverse(4n, order)!;
  return inverse % 2n === 0n ? inverse : inverse + order;
}

/** Proves that N = p₁p₂ is a Paillier–Blum modulus made of safe primes. */
export function prove(ctx: ProofContext, statement: Statement, witness: Witness, random: Random): Proof {
  const { key } = statement;
  const { N } = key;
  const phi = (witness.p1 - 1n) * (witness.p2 - 1n);
  const w = sampleNonResidue(N, random);
  const y = challenges(ctx, N, w);

  const quarter = fourthRootExponent(phi);
  const roots = new EighthRoots(witness.p1, witness.p2);
  const rootOf = (unit: bigint): bigint => roots.ofSquare(unit) ?? key.pow(unit, quarter);
  const rootOfW = rootOf(w);
  const a: Bit[] = [];
  const b: Bit[] = [];
  const x: bigint[] = [];
  for (const yi of y) {
    // The fourth power of `root` is y times a square root of 1. Where that is not ±1, it is one of the two others,
    // as it is for w; the two multiply to ±1, so the product of the roots of w and y serves for wy.
    const root = rootOf(yi);
    const power = fourthPower(root, N);
    const bi: Bit = power === yi || power === N - yi ? 0 : 1;
    const xi = bi === 0 ? root : (root * rootOfW) % N;
    const ai: Bit = fourthPower(xi, N) === shifted(N, w, 0, bi, yi) ? 0 : 1;
    a.push(ai);
    b.push(bi);
    x.push(xi);
  }
  const nthRoot = modInverse(N, phi)!;
  return { w, a, b, x, z: y.slice(0, ROOTS).map((yi) => key.pow(yi, nthRoot)) };
}

/** What can be seen of N itself: odd, of the exact length, composite, without prime factors below 2^16. */
const isCandidate = (N: bigint, level: SecurityLevel): boolean =>
  N % 2n === 1n && bitLength(N) === level.modulusBits && !hasSmallFactor(N) && !isPrime(N);

/** Whether `proof` shows that N is a Paillier–Blum modulus of the level's exact length. */
export function verify(ctx: ProofContext, statement: Statement, proof: Proof): boolean {
  const { N } = statement.key;
  const { w, a, b, x, z } = proof;
  if (!isCandidate(N, statement.level)) return false;
  if (a.length !== REPETITIONS || b.length !== REPETITIONS) return false;
  if (x.length !== REPETITIONS || z.length !== ROOTS) return false;
  if (!inGroup(N, [w, ...x, ...z]) || jacobi(w, N) !== -1) return false;

  const y = challenges(ctx, N, w);
  return (
    y.every((yi, i) => fourthPower(x[i]!, N) === shifted(N, w, a[i]!, b[i]!, yi)) &&
    // The last factor apart: below N, the exponent is one for the fast engine.
    z.every((zi, i) => (publicPower(zi, N - 1n, N) * zi) % N === y[i])
  );
}
