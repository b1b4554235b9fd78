/**
 * Provers that claim what is not so, and do it as well as can be done: they know all factors, take the masks that
 * suit them, and all equations hold that can. What refuses their proofs is the one check that each was made for.
 */
import { generatePrimeSync } from 'node:crypto';
import { bitLength, bytesToBigint, randomBytes } from '#src/core/bytes.js';
import { challenge, hashStream } from '#src/core/transcript.js';
import { modPow } from '#src/math/modpow.js';
import { areUnits, gcd, jacobi, modInverse, mod as reduce } from '#src/math/modular.js';
import { add, encrypt, scale } from '#src/paillier/cipher.js';
import type { PaillierKey, PrivateKey, VerifiedPublicKey } from '#src/paillier/keys.js';
import type { VerifiedRingPedersen } from '#src/paillier/ring-pedersen.js';
import type * as aff from '#src/zk/aff.js';
import { contextFields, type ProofContext } from '#src/zk/context.js';
import type * as enc from '#src/zk/enc.js';
import type * as fac from '#src/zk/fac.js';
import type * as mod from '#src/zk/mod.js';
import type * as prm from '#src/zk/prm.js';

/** A key of any modulus, without its factors. */
export const strangerKey = (N: bigint): PaillierKey => ({
  N,
  NN: N * N,
  pow: (base, exponent) => modPow(base, exponent, N),
  powSquare: (base, exponent) => modPow(base, exponent, N * N),
  nthPower: (rho) => modPow(rho, N, N * N),
});

// Moduli

/** p^power, a factor of a modulus; p ≢ 1 mod 8. */
export class Factor {
  readonly p: bigint;
  readonly modulus: bigint;
  readonly #order: bigint;
  readonly #quarter: bigint;

  constructor(p: bigint, power = 1n) {
    this.p = p;
    this.modulus = p ** power;
    this.#order = p ** (power - 1n) * (p - 1n);
    let odd = this.#order;
    while (odd % 2n === 0n) odd /= 2n;
    this.#quarter = modInverse(4n, odd)!;
  }

  /** The fourth root of v, if v has one: then its order is odd. A homomorphism, so that it may be combined first. */
  quarter(v: bigint): bigint {
    return modPow(v, this.#quarter, this.modulus);
  }

  /** The n-th root of v where each number has exactly one; elsewhere few have any, and the forger gives up. */
  nthRoot(v: bigint, n: bigint): bigint {
    const inverse = modInverse(n, this.#order);
    return inverse === undefined ? 1n : modPow(v, inverse, this.modulus);
  }
}

/** A prime ≡ rem mod add with which the product of `others` has exactly 2048 bits. */
export function fillingPrime(others: bigint, add: bigint, rem: bigint): bigint {
  for (let spare = 0; ; spare = 1 - spare) {
    const q = generatePrimeSync(2048 - bitLength(others) + spare, { bigint: true, add, rem });
    if (bitLength(q * others) === 2048) return q;
  }
}

/** A modulus with the given factors p ≡ 3 mod 4 and one more, of which all else holds that can. */
export function withSmallFactors(small: readonly bigint[]): readonly Factor[] {
  const product = small.reduce((sum, p) => sum * p, 1n);
  for (;;) {
    const q = fillingPrime(product, 4n, 3n);
    if (gcd(q - 1n, product) === 1n) return [...small, q].map((p) => new Factor(p));
  }
}

export const modulusOf = (factors: readonly Factor[]): bigint =>
  factors.reduce((product, { modulus }) => product * modulus, 1n);

interface ModChoice {
  /** Which challenges the prover waits for; units, if nothing else is said. */
  readonly wanted?: (y: readonly bigint[]) => boolean;
  /** Whether it sends w + N for w. */
  readonly lifted?: boolean;
}

const BITS = [0, 1] as const;

/** Π^mod for the product of `factors`, and how many of its 128 and its 8 equations hold. */
export function forgeMod(
  ctx: ProofContext,
  factors: readonly Factor[],
  { wanted, lifted = false }: ModChoice = {},
): { readonly proof: mod.Proof; readonly fourthRoots: number; readonly nthRoots: number } {
  const N = modulusOf(factors);
  const parts = factors.map(({ modulus }) => (N / modulus) * modInverse(N / modulus, modulus)!);
  const combine = (residue: (factor: Factor) => bigint): bigint =>
    factors.reduce((sum, factor, i) => sum + residue(factor) * parts[i]!, 0n) % N;

  const { w, y } = chooseW(ctx, factors, wanted ?? ((y) => areUnits(y, N)), lifted ? N : 0n);
  const rootOf = (v: bigint) => combine((factor) => factor.quarter(v));
  const [rootOfMinusOne, rootOfW] = [rootOf(N - 1n), rootOf(w)];
  const rows = y.map((yi) => {
    const rootOfY = rootOf(yi);
    const choices = BITS.flatMap((a) => BITS.map((b) => ({ a, b })));
    const candidates = choices.map(({ a, b }) => {
      const x = (rootOfMinusOne ** BigInt(a) * rootOfW ** BigInt(b) * rootOfY) % N;
      return { a, b, x, holds: fourthPower(x, N) === reduce((-1n) ** BigInt(a) * w ** BigInt(b) * yi, N) };
    });
    return candidates.find(({ holds }) => holds) ?? candidates[0]!;
  });
  const z = y.slice(0, 8).map((yi) => combine((factor) => factor.nthRoot(yi, N)));
  return {
    proof: { w, a: rows.map(({ a }) => a), b: rows.map(({ b }) => b), x: rows.map(({ x }) => x), z },
    fourthRoots: rows.filter(({ holds }) => holds).length,
    nthRoots: z.filter((zi, i) => modPow(zi, N, N) === y[i]).length,
  };
}

const fourthPower = (x: bigint, N: bigint): bigint => ((x * x) % N) ** 2n % N;

/** A non-residue modulo the last factor only, plus `lift`, whose challenges y_i are as wanted: none serves better. */
function chooseW(
  ctx: ProofContext,
  factors: readonly Factor[],
  wanted: (y: readonly bigint[]) => boolean,
  lift: bigint,
) {
  const N = modulusOf(factors);
  const last = factors.at(-1)!;
  let nonResidue = 2n;
  while (jacobi(nonResidue, last.p) !== -1) nonResidue += 1n;
  const rest = N / last.modulus;
  // 1 modulo the others.
  let w = reduce(1n + (nonResidue - 1n) * rest * modInverse(rest, last.modulus)!, N);
  // Times 4, a square modulo anything, until the hash is right.
  for (; ; w = (4n * w) % N) {
    const width = bitLength(N) / 8 + 16;
    const stream = hashStream('proof mod', [...contextFields(ctx), N, w + lift], 128 * width);
    const part = (i: number) => bytesToBigint(stream.subarray(i * width, (i + 1) * width));
    const y = Array.from({ length: 128 }, (_, i) => part(i) % N);
    if (wanted(y)) return { w: w + lift, y };
  }
}

/** What a forger of Π^fac may choose: factors and masks. It adds N̂ to the element called `lifted`. */
interface FacChoice {
  readonly p1: bigint;
  readonly p2: bigint;
  readonly alpha?: bigint;
  readonly beta?: bigint;
  readonly mu?: bigint;
  readonly nu?: bigint;
  readonly sigma?: bigint;
  readonly r?: bigint;
  readonly x?: bigint;
  readonly y?: bigint;
  readonly lifted?: string;
}

/** Π^fac for N = p1·p2, factored as it likes. Where p1·p2 is not N, all equations but the last hold. */
export function forgeFac(
  ctx: ProofContext,
  N: bigint,
  pedersen: Pick<VerifiedRingPedersen, 'N' | 's' | 't' | 'commit'>,
  choice: FacChoice,
): fac.Proof {
  const { p1, p2, alpha = 0n, beta = 0n, mu = 0n, nu = 0n, sigma = 0n, r = 0n, x = 0n, y = 0n } = choice;
  const lift = (name: string) => (name === choice.lifted ? pedersen.N : 0n);
  const P = pedersen.commit(p1, mu) + lift('P');
  const Q = pedersen.commit(p2, nu) + lift('Q');
  const A = pedersen.commit(alpha, x) + lift('A');
  const B = pedersen.commit(beta, y) + lift('B');
  const T = pedersen.commit(p2 * alpha, nu * alpha + r) + lift('T');
  const fields = [N, pedersen.N, pedersen.s, pedersen.t, P, Q, A, B, T, { signed: sigma }];
  const e = challenge('proof fac', [...contextFields(ctx), ...fields]);
  const [z1, z2] = [alpha + e * p1, beta + e * p2];
  const [w1, w2] = [x + e * mu, y + e * nu];
  return { P, Q, A, B, T, sigma, z1, z2, w1, w2, v: r + e * (sigma - nu * p1) };
}

// Ring-Pedersen parameters

interface PrmClaim {
  readonly key: PaillierKey;
  readonly t: bigint;
  readonly kappa: bigint;
  /** −1: claims s = −t^κ, which is no power of t, and guesses every challenge bit. */
  readonly sign?: 1n | -1n;
}

interface PrmChoice {
  readonly length?: number;
  /** Whether it adds N to the first element. */
  readonly lifted?: boolean;
}

/** Π^prm for s = ±t^κ; how many guesses are right and how many rows hold. A cheat's masks need not be long. */
export function forgePrm(
  ctx: ProofContext,
  { key, t, kappa, sign = 1n }: PrmClaim,
  { length = 128, lifted = false }: PrmChoice = {},
) {
  const { N } = key;
  const s = reduce(sign * key.pow(t, kappa), N);
  // Row i holds iff (−1)^{bit} is the (−1)^{guess} that A_i hides.
  const guesses = Array.from(randomBytes(length), (byte) => byte & 1);
  const a = guesses.map(() => bytesToBigint(randomBytes(8)));
  const A = a.map((ai, i) => reduce(sign ** BigInt(guesses[i]!) * key.pow(t, ai), N));
  if (lifted) A[0]! += N;
  const e = challenge('proof prm', [...contextFields(ctx), N, s, t, A]);
  const bits = guesses.map((_, i) => Number((e >> BigInt(i)) & 1n));
  const z = a.map((ai, i) => ai + BigInt(bits[i]!) * kappa);
  const proof: prm.Proof = { A, z };
  return {
    s,
    proof,
    rows: () => z.filter((zi, i) => key.pow(t, zi) === (A[i]! * s ** BigInt(bits[i]!)) % N).length,
    right: bits.filter((bit, i) => bit === guesses[i]).length,
  };
}

// Ranges

interface EncChoice {
  readonly k?: bigint;
  readonly mu?: bigint;
  readonly alpha?: bigint;
  readonly gamma?: bigint;
  readonly r?: bigint;
  /** The element that is sent with its modulus added. */
  readonly lifted?: string;
}

/** Π^enc for K = encrypt(k; 1) of any k. */
export function forgeEnc(
  ctx: ProofContext,
  { key, pedersen }: { readonly key: PrivateKey; readonly pedersen: VerifiedRingPedersen },
  { k = 0n, mu = 0n, alpha = 0n, gamma = 0n, r = 1n, lifted = '' }: EncChoice,
): [enc.Statement, enc.Proof] {
  const lift = (name: string, modulus: bigint) => (name === lifted ? modulus : 0n);
  const K = encrypt(key, k, 1n) + lift('K', key.NN);
  const S = pedersen.commit(k, mu) + lift('S', pedersen.N);
  const C = pedersen.commit(alpha, gamma) + lift('C', pedersen.N);
  const A = encrypt(key, alpha, r) + lift('A', key.NN);
  const fields = [key.N, pedersen.N, pedersen.s, pedersen.t, K, S, C, A];
  const e = challenge('proof enc', [...contextFields(ctx), ...fields]);
  return [
    { key, pedersen, K },
    { S, C, A, z1: alpha + e * k, z2: r, z3: gamma + e * mu },
  ];
}

interface AffChoice {
  readonly x?: bigint;
  readonly y?: bigint;
  readonly m?: bigint;
  readonly mu?: bigint;
  readonly alpha?: bigint;
  readonly beta?: bigint;
  readonly gamma?: bigint;
  readonly delta?: bigint;
  readonly r?: bigint;
  /** The element that is sent with its modulus added. */
  readonly lifted?: string;
}

/** Π^aff for D = C^x·encrypt(y; 1) of any x and y. */
export function forgeAff(
  ctx: ProofContext,
  statement: {
    readonly key: VerifiedPublicKey;
    readonly pedersen: VerifiedRingPedersen;
    readonly C: bigint;
  },
  choice: AffChoice,
): [aff.Statement, aff.Proof] {
  const { key, pedersen, C } = statement;
  const { x = 0n, y = 0n, m = 0n, mu = 0n, r = 1n, lifted = '' } = choice;
  const { alpha = 0n, beta = 0n, gamma = 0n, delta = 0n } = choice;
  const lift = (name: string, modulus: bigint) => (name === lifted ? modulus : 0n);
  const D = add(key, scale(key, C, x), encrypt(key, y, 1n)) + lift('D', key.NN);
  const A = add(key, scale(key, C, alpha), encrypt(key, beta, r)) + lift('A', key.NN);
  const E = pedersen.commit(alpha, gamma) + lift('E', key.N);
  const S = pedersen.commit(x, m) + lift('S', key.N);
  const F = pedersen.commit(beta, delta) + lift('F', key.N);
  const T = pedersen.commit(y, mu) + lift('T', key.N);
  const fields = [key.N, pedersen.N, pedersen.s, pedersen.t, C, D, A, E, S, F, T];
  const e = challenge('proof aff', [...contextFields(ctx), ...fields]);
  const [z1, z2] = [alpha + e * x, beta + e * y];
  const [z3, z4] = [gamma + e * m, delta + e * mu];
  return [
    { key, pedersen, C, D },
    { A, E, S, F, T, z1, z2, z3, z4, w: r },
  ];
}
