/**
 * Arithmetic on residues. Everything here takes time that depends on its arguments, as BigInt itself does;
 * powers are in modpow.ts.
 */
import { gcd as libraryGcd, modInv } from 'bigint-crypto-utils';
import { bitLength } from '../core/bytes.js';
import { invariant } from '../core/errors.js';

/** a mod n in 0 … n − 1, for n > 0 and any a. */
export function mod(a: bigint, n: bigint): bigint {
  const r = a % n;
  return r < 0n ? r + n : r;
}

/** Greatest common divisor, ≥ 0. */
export const gcd = (a: bigint, b: bigint): bigint => libraryGcd(a, b);

/** a^−1 mod n in 1 … n − 1 for n > 1, or `undefined` when gcd(a, n) ≠ 1. */
export function modInverse(a: bigint, n: bigint): bigint | undefined {
  try {
    return modInv(a, n);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** x ∈ Z*_N in its only representation: 0 < x < N and gcd(x, N) = 1. */
export const isUnit = (x: bigint, N: bigint): boolean => areUnits([x], N);

/** {@link isUnit} of every element, for the price of one gcd: a product is a unit iff all its factors are. */
export function areUnits(elements: readonly bigint[], N: bigint): boolean {
  let product = 1n;
  for (const x of elements) {
    if (x <= 0n || x >= N) return false;
    product = (product * x) % N;
  }
  return gcd(product, N) === 1n;
}

/** Jacobi symbol (a/n) for odd n > 0 and any a: 0 iff gcd(a, n) ≠ 1 (Cohen, algorithm 1.4.10, with n odd). */
export function jacobi(a: bigint, n: bigint): -1 | 0 | 1 {
  invariant(n > 0n && n % 2n === 1n, 'jacobi: the lower argument must be odd and positive');
  let top = mod(a, n);
  let bottom = n;
  let negative = false;
  while (top !== 0n) {
    const twos = trailingZeros(top);
    top >>= BigInt(twos);
    // (2/n) = −1 iff n ≡ ±3 mod 8.
    const eighth = bottom & 7n;
    if (twos % 2 === 1 && (eighth === 3n || eighth === 5n)) negative = !negative;
    // Quadratic reciprocity: the sign turns iff both are ≡ 3 mod 4.
    if ((top & 3n) === 3n && (bottom & 3n) === 3n) negative = !negative;
    [top, bottom] = [bottom % top, top];
  }
  if (bottom !== 1n) return 0;
  return negative ? -1 : 1;
}

/** Number of low zero bits of a positive integer. */
function trailingZeros(value: bigint): number {
  let count = 0;
  while (((value >> BigInt(count)) & 1n) === 0n) count += 1;
  return count;
}

/** ⌊√n⌋ for n ≥ 0, by Newton's method from above. */
export function isqrt(n: bigint): bigint {
  invariant(n >= 0n, 'isqrt: negative argument');
  if (n < 2n) return n;
  let root = 1n << BigInt(Math.ceil(bitLength(n) / 2));
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/**
 * Chinese remainder theorem (Garner): the x in 0 … mn − 1 with x ≡ a mod m and x ≡ b mod n,
 * for 0 ≤ b < n and `nInverse` = n^−1 mod m.
 */
export const crt = (a: bigint, m: bigint, b: bigint, n: bigint, nInverse: bigint): bigint =>
  b + n * mod((a - b) * nInverse, m);
