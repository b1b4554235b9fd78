/** Safe primes, and primality of numbers that a peer chose. */
import { checkPrimeSync } from 'node:crypto';
import type { Random } from '../core/bytes.js';
import { invariant, MpcError } from '../core/errors.js';
import { gcd } from './modular.js';
import { rsaPower } from './rsa-power.js';
import { sampleBelow, sampleBits } from './sample.js';
import { primesBelow, Sieve, STEP } from './sieve.js';

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
 * Candidates per window: bits²/64, in which a quarter of a safe prime is to be expected at any length.
 *
 * Walking on from one random start until a prime is met would pick primes in proportion to the gaps before
 * them. Bounded windows bound that: with λ = 1/4 primes per window no prime is more than λ/(1 − e^−λ) = 1.13
 * times as likely as on average, a loss of less than 0.2 bits of min-entropy, and the sieve is still shared by
 * enough candidates.
 */
const windowLength = (bits: number): number => Math.ceil(bits ** 2 / 64);

/**
 * Candidates with a smaller prime factor, in p or in p', are sieved out: 2^21 at 1024 bits. With half or twice
 * as much a search takes as long: what the tests gain, the sieve loses.
 */
const sieveBound = (bits: number): number => 2 * bits ** 2;

/**
 * The windows of a search start within 12·2^48 of one random number, which alone has to be divided by all the primes
 * that sieve. At 1024 bits 2^32 safe primes are to be expected there, at 1536 bits 2^31, give or take one in 2^15: so
 * a prime is as likely as with windows anywhere. Two primes from there would be close enough to factor their product:
 * a search finds one.
 */
const REACH_BITS = 48;

/**
 * A random safe prime of exactly `bits` bits, the top two of them set; for 128 to 2048 bits.
 *
 * About 770 candidates at 1024 bits, 1550 at 1536. `aborted` is read between candidates, which take a millisecond
 * at most, and in the sieve; when it turns true the search ends with code `INTERRUPTED`.
 */
export function safePrime(bits: number, random: Random, aborted: () => boolean): bigint {
  invariant(bits >= 128, 'safePrime: shorter than its sieve allows');
  const pause = (): void => {
    if (aborted()) throw new MpcError('INTERRUPTED', 'the search for safe primes was interrupted');
  };
  const centre = randomCentre(bits, random);
  using sieve = new Sieve(centre, sieveBound(bits), pause);
  for (;;) {
    const first = Number(sampleBits(REACH_BITS, random));
    for (const i of sieve.survivors(first, windowLength(bits))) {
      pause();
      const p = centre + BigInt(STEP * (first - i));
      if (isSafeCandidate(p)) return p;
    }
  }
}

/** A random number ≡ 11 mod 12 from which no window reaches out of 3·2^(bits − 2) … 2^bits. */
function randomCentre(bits: number, random: Random): bigint {
  const top = 1n << BigInt(bits - 2);
  const reach = 1n << BigInt(REACH_BITS);
  const steps = reach + sampleBelow(top / BigInt(STEP) - 2n * reach, random);
  return 3n * top + BigInt(STEP) * steps - 1n;
}

/**
 * {@link isSafePrime} of a p ≡ 11 mod 12, by way of one power of 3, a square modulo such a prime. It is 1 for hardly any
 * composite, so it goes first: OpenSSL's test takes 64 rounds to find one half of p prime before it looks at the
 * other, 27 times out of 28 for nothing. And if p' is prime and greater than √p, it proves p prime: p' divides p − 1,
 * 3^(p − 1) ≡ 1, and 3² − 1 is prime to p (Pocklington).
 *
 * The time of the power depends on its exponent, p'. So does that of every round of OpenSSL's test, a power by the
 * very same routine (BN_mod_exp_mont) with the odd part of p' − 1 as exponent: one such power more adds nothing to
 * the 64 of the prime that is found. The rest are thrown away.
 */
function isSafeCandidate(p: bigint): boolean {
  const half = (p - 1n) / 2n;
  const power = rsaPower(3n, half, p);
  return power === undefined ? isSafePrime(p) : power === 1n && isPrime(half);
}
