/**
 * The only modular exponentiation of the program.
 *
 * BigInt exponentiation is slow and its time depends on its secrets. OpenSSL's constant-time routine is 7–10
 * times faster, and Node offers it for any odd modulus through the Diffie–Hellman class: with the modulus as
 * "prime" and the exponent as private key, `computeSecret(base)` is base^exponent mod modulus. The class has
 * edges, and {@link Engine} rounds them off: it refuses to *return* 0, 1 or modulus − 1, whatever the base.
 * Whatever it refuses is computed by bigint-crypto-utils instead, so that no input makes `modPow` fail.
 */
import { createDiffieHellman, type DiffieHellman } from 'node:crypto';
import { modPow as bigintModPow } from 'bigint-crypto-utils';
import { bigintToBytes, bitLength, bytesToBigint } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { mod, modInverse } from './modular.js';

/** OpenSSL refuses Diffie–Hellman moduli outside these lengths. */
const MIN_BITS = 512;
const MAX_BITS = 10_000;

/**
 * Objects kept per thread. Four moduli of one's own (p₁, p₂ and their squares) and two per peer (N and N²)
 * are in use at a time, and as many again while a refresh replaces them.
 */
const MAX_GROUPS = 128;

const ONE = Uint8Array.of(1);

/** OpenSSL's arithmetic modulo `modulus`. The generator is never used, 2 is merely valid. */
const openSslGroup = (modulus: Uint8Array): DiffieHellman => createDiffieHellman(modulus, 2);

/** Exponentiation with a cache of OpenSSL objects; each thread has one, tests make their own. */
export class Engine {
  readonly #makeGroup: (modulus: Uint8Array) => DiffieHellman;
  readonly #maxGroups: number;
  /** Least recently used first. */
  readonly #groups = new Map<bigint, DiffieHellman>();
  #selfTestPassed: boolean | undefined;

  constructor(makeGroup = openSslGroup, maxGroups = MAX_GROUPS) {
    this.#makeGroup = makeGroup;
    this.#maxGroups = maxGroups;
  }

  /** Whether OpenSSL does the work here. The first call in a thread runs the self-test, a few milliseconds. */
  get name(): 'openssl' | 'bigint' {
    this.#selfTestPassed ??= this.selfTest();
    return this.#selfTestPassed ? 'openssl' : 'bigint';
  }

  /** See {@link modPow}. */
  power(base: bigint, exponent: bigint, modulus: bigint): bigint {
    invariant(modulus > 0n, 'modPow: the modulus must be positive');
    if (modulus === 1n) return 0n;
    let b = mod(base, modulus);
    if (exponent < 0n) {
      // The base is inverted, not the result: bases are public more often than exponents are.
      const inverse = modInverse(b, modulus);
      invariant(inverse !== undefined, 'modPow: negative power of a non-unit');
      b = inverse;
    }
    const e = exponent < 0n ? -exponent : exponent;
    if (e === 0n) return 1n;
    if (b <= 1n) return b;
    if (b === modulus - 1n) return e % 2n === 0n ? 1n : b;
    return this.#throughOpenSsl(b, e, modulus) ?? bigintModPow(b, e, modulus);
  }

  /** Drops what is kept for `modulus`; for moduli that are themselves secret, or no longer used. */
  forget(modulus: bigint): void {
    this.#groups.delete(modulus);
  }

  /** Whether OpenSSL's powers equal BigInt's, also where the exponent is longer than the modulus. */
  selfTest(): boolean {
    const modulus = (1n << 512n) - 1n;
    const base = modulus / 7n;
    try {
      return [3n, modulus / 5n, (modulus << 64n) / 11n].every(
        (exponent) => this.#compute(base, exponent, modulus) === bigintModPow(base, exponent, modulus),
      );
    } catch {
      return false;
    } finally {
      this.forget(modulus);
    }
  }

  /** The power, or `undefined` when it must be computed otherwise. */
  #throughOpenSsl(base: bigint, exponent: bigint, modulus: bigint): bigint | undefined {
    if (modulus % 2n === 0n || this.name === 'bigint') return undefined;
    const bits = bitLength(modulus);
    if (bits < MIN_BITS || bits > MAX_BITS) return undefined;
    try {
      return this.#compute(base, exponent, modulus);
    } catch {
      // A result of 0, 1 or modulus − 1, which OpenSSL takes for an attack on a key agreement.
      return undefined;
    }
  }

  #compute(base: bigint, exponent: bigint, modulus: bigint): bigint {
    const group = this.#group(modulus);
    const key = bigintToBytes(exponent);
    try {
      group.setPrivateKey(key);
      return bytesToBigint(group.computeSecret(bigintToBytes(base)));
    } finally {
      // The cached object outlives the call and must not keep a secret exponent; OpenSSL wipes the old value.
      key.fill(0);
      group.setPrivateKey(ONE);
    }
  }

  /** Making an object costs OpenSSL a primality test of the modulus, as much as one power or (primes) many. */
  #group(modulus: bigint): DiffieHellman {
    const known = this.#groups.get(modulus);
    const group = known ?? this.#makeGroup(bigintToBytes(modulus));
    this.#groups.delete(modulus);
    this.#groups.set(modulus, group);
    if (this.#groups.size > this.#maxGroups) {
      const [oldest] = this.#groups.keys();
      if (oldest !== undefined) this.#groups.delete(oldest);
    }
    return group;
  }
}

const engine = new Engine();

/**
 * base^exponent mod modulus in 0 … modulus − 1, for modulus > 0 and any base. A negative exponent needs a unit
 * as base: verify that first, it throws `BUG` otherwise.
 *
 * For odd moduli of 512 to 10,000 bits, and where {@link engineName} is `openssl`, the time of the power itself
 * depends on the lengths of exponent and modulus only, unless the result is 0, 1 or modulus − 1. Reductions and
 * conversions around it are BigInt's and promise nothing.
 */
export const modPow = (base: bigint, exponent: bigint, modulus: bigint): bigint =>
  engine.power(base, exponent, modulus);

/** What computes powers in this thread. `bigint` (slow, not constant time) is worth a warning to the user. */
export const engineName = (): 'openssl' | 'bigint' => engine.name;

/** Whether OpenSSL and BigInt agree now; {@link engineName} holds the result of the first time. */
export const selfTest = (): boolean => engine.selfTest();

/** Drops this thread's cached object for `modulus`, whose memory may then be reclaimed. */
export const forgetModulus = (modulus: bigint): void => engine.forget(modulus);
