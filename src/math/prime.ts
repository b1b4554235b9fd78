/** Safe primes, and primality of numbers that a peer chose. */
import { checkPrimeSync } from 'node:crypto';
import { bitLength, type Random } from '../core/bytes.js';
import { invariant, MpcError } from '../core/errors.js';
import { engineName, modPow } from './modpow.js';
import { gcd } from './modular.js';
import { sampleBits } from './sample.js';

/** The primes below `bound`, by Eratosthenes. */
function primesBelow(bound: number): Uint32Array {
  const composite = new Uint8Array(bound);
  const primes: number[] = [];
  for (let i = 2; i < bound; i += 1) {
    if (composite[i] === 1) continue;
    primes.push(i);
    for (let j = i * i; j < bound; j += i) composite[j] = 1;
  }
  return Uint32Array.from(primes);
}

/**
 * Whether n is prime: OpenSSL's Miller–Rabin with random bases, at least 64 of them, so that even a composite
 * made by an adversary passes with probability at most 2^−128.
 */
export const isPrime = (n: bigint): boolean => n > 1n && checkPrimeSync(n);

/** Whether p = 2p' + 1 with p and p' prime. */
export const isSafePrime = (p: bigint): boolean => p % 2n === 1n && isPrime((p - 1n) / 2n) && isPrime(p);

let smallPrimorial: bigint | undefined;

/** Whether a prime below 2^16 divides n, for n > 2^16. */
export function hasSmallFactor(n: bigint): boolean {
  smallPrimorial ??= primesBelow(2 ** 16).reduce((product, prime) => product * BigInt(prime), 1n);
  return gcd(smallPrimorial % n, n) !== 1n;
}

/**
 * Candidates with a smaller prime factor than this, in p or (p − 1)/2, are sieved out. A bound of 2^18 leaves a
 * quarter more candidates to test, one of 2^22 takes longer in the sieve than it saves.
 */
const SIEVE_BOUND = 2 ** 20;

/** A safe prime above 7 is ≡ 11 mod 12: neither it nor its odd half p' is a multiple of 2 or 3. */
const STEP = 12n;

/**
 * Candidates per random start: bits²/64, in which a quarter of a safe prime is to be expected at any length.
 *
 * Walking on from one random start until a prime is met would pick primes in proportion to the gaps before
 * them. Bounded windows bound that: with λ = 1/4 primes per window no prime is more than λ/(1 − e^−λ) = 1.13
 * times as likely as on average, a loss of less than 0.2 bits of min-entropy, and the sieve is still shared by
 * enough candidates.
 */
const windowLength = (bits: number): number => Math.ceil(bits ** 2 / 64);

/**
 * A random safe prime of exactly `bits` bits, the top two of them set; bits ≥ 128.
 *
 * About 800 candidates at 1024 bits, 1800 at 1536. `aborted` is read between candidates, which take about a
 * millisecond each; when it turns true the search ends with code `INTERRUPTED`.
 */
export function safePrime(bits: number, random: Random, aborted: () => boolean): bigint {
  invariant(bits >= 128, 'safePrime: shorter than its sieve allows');
  const sievePrimes = primesBelow(SIEVE_BOUND);
  const topBits = 3n << BigInt(bits - 2);
  for (;;) {
    const start = topBits + STEP * (sampleBits(bits - 2, random) / STEP) + 11n - (topBits % STEP);
    for (const offset of survivors(start, windowLength(bits), sievePrimes)) {
      if (aborted()) throw new MpcError('INTERRUPTED', 'the search for safe primes was interrupted');
      const p = start + STEP * BigInt(offset);
      if (mayBePrime(p) && isSafePrime(p) && bitLength(p) === bits) return p;
    }
  }
}

/**
 * Those k in 0 … length − 1 for which neither p = start + 12k nor (p − 1)/2 is a multiple of one of `primes`,
 * for start ≡ 11 mod 12.
 */
function survivors(start: bigint, length: number, primes: Uint32Array): number[] {
  const struck = new Uint8Array(length);
  const strike = (first: number, prime: number): void => {
    for (let k = first; k < length; k += prime) struck[k] = 1;
  };
  for (const prime of primes) {
    if (prime <= 3) continue;
    const residue = Number(start % BigInt(prime));
    // 12^−1 = (1 + prime·j)/12 where prime·j ≡ −1 mod 12; units mod 12 are their own inverses.
    const inverse = (1 + prime * (12 - (prime % 12))) / 12;
    strike(((prime - residue) * inverse) % prime, prime); // start + 12k ≡ 0
    strike(((prime - residue + 1) * inverse) % prime, prime); // start + 12k ≡ 1
  }
  return Array.from(struck.keys()).filter((k) => struck[k] === 0);
}

/**
 * One Euler test of p to the base 3, a square modulo p ≡ 11 mod 12: false only for composites, and for nearly
 * all of them. It goes first because {@link isSafePrime} takes 64 rounds to find one half of p prime before it
 * looks at the other, 31 times out of 32 for nothing: without this the search takes a third longer at 1024 bits.
 * With BigInt powers it would not pay.
 */
const mayBePrime = (p: bigint): boolean => engineName() === 'bigint' || modPow(3n, (p - 1n) / 2n, p) === 1n;
