/** The sieve of the search for safe primes (prime.ts): what near a given number is worth a test of primality. */
import { bitLength, Secret } from '../core/bytes.js';
import { invariant } from '../core/errors.js';

/** A safe prime above 7 is ≡ 11 mod 12: neither it nor its odd half is a multiple of 2 or 3. */
export const STEP = 12;

/** The primes below `bound` > 2, by Eratosthenes. */
export function primesBelow(bound: number): Uint32Array {
  const composite = new Uint8Array(bound >> 1); // of odd numbers
  const root = Math.sqrt(bound);
  const primes = [2];
  for (let n = 3; n < bound; n += 2) {
    if (composite[n >> 1] === 1) continue;
    primes.push(n);
    if (n > root) continue;
    for (let m = n * n; m < bound; m += 2 * n) composite[m >> 1] = 1;
  }
  return Uint32Array.from(primes);
}

/** No prime that sieves is longer. */
const PRIME_BITS = 23;

/** What a residue grows by in a step: as much as {@link remainder} allows. */
const LIMB_BITS = 53 - PRIME_BITS;
const LIMB = 2 ** LIMB_BITS;

/** For each bound in use, in this thread, the primes that sieve: those below it, without 2 and 3. */
const cache = new Map<number, Uint32Array>();

function sievePrimes(bound: number): Uint32Array {
  const primes = cache.get(bound) ?? primesBelow(bound).subarray(2);
  cache.set(bound, primes);
  return primes;
}

/**
 * x mod prime, for an integer x ≥ 0 with x + prime ≤ 2^53, in less than half the time that `%` takes for such
 * numbers. The quotient is never rounded up to an integer n: it is at most n − 1/prime, and doubles below n lie at most
 * n/2^52 apart, which is less than 2/prime for an odd prime.
 */
const remainder = (x: number, prime: number): number => x - Math.floor(x / prime) * prime;

/**
 * The residues of `value` ≥ 0 modulo `primes`, below 2^23 each. One limb at a time for all primes, not one prime at a
 * time: so no division waits for another. `pause` is called before each limb, every millisecond or two.
 */
export function residues(value: bigint, primes: Uint32Array, pause: () => void): Float64Array {
  const result = new Float64Array(primes.length);
  const length = bitLength(value);
  for (let shift = length - (length % LIMB_BITS); shift >= 0; shift -= LIMB_BITS) {
    pause();
    append(Number(BigInt.asUintN(LIMB_BITS, value >> BigInt(shift))), result, primes);
  }
  return result;
}

function append(limb: number, residues: Float64Array, primes: Uint32Array): void {
  for (let i = 0; i < primes.length; i += 1) residues[i] = remainder(residues[i]! * LIMB + limb, primes[i]!);
}

/** A number ≡ 11 mod 12 and its residues, which give it away: they are wiped on disposal. */
export class Sieve implements Disposable {
  readonly #primes: Uint32Array;
  readonly #residues: Secret;

  /** By the primes below `bound` ≤ 2^23; for `pause` see {@link residues}. */
  constructor(centre: bigint, bound: number, pause: () => void) {
    invariant(bound <= 2 ** PRIME_BITS, 'Sieve: primes too long for its arithmetic');
    this.#primes = sievePrimes(bound);
    this.#residues = Secret.own(new Uint8Array(residues(centre, this.#primes, pause).buffer));
  }

  /**
   * Those i in 0 … length − 1 for which neither p = centre + 12(first − i) nor (p − 1)/2 is a multiple of one of the
   * primes; for 0 ≤ first ≤ 2^52.
   */
  survivors(first: number, length: number): number[] {
    const struck = new Uint8Array(length);
    const centre = new Float64Array(this.#residues.bytes.buffer);
    for (let k = 0; k < centre.length; k += 1) {
      const prime = this.#primes[k]!;
      // 1/12 = (1 + prime·j)/12 where prime·j ≡ −1 mod 12; units mod 12 are their own inverses.
      const twelfth = (1 + prime * (STEP - (prime % STEP))) / STEP;
      const i = remainder(first + centre[k]! * twelfth, prime);
      strike(struck, i, prime); // p ≡ 0
      strike(struck, i < twelfth ? i - twelfth + prime : i - twelfth, prime); // p ≡ 1
    }
    const survivors: number[] = [];
    struck.forEach((is, i) => {
      if (is === 0) survivors.push(i);
    });
    return survivors;
  }

  [Symbol.dispose](): void {
    this.#residues.dispose();
  }
}

function strike(struck: Uint8Array, from: number, prime: number): void {
  for (let i = from; i < struck.length; i += prime) struck[i] = 1;
}
