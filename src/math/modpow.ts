/**
 * The only modular exponentiation of the program, but for powers of what is public (public-power.ts), the roots that
 * Π^mod shows (roots.ts), and powers of 3 modulo what may turn out prime (prime.ts).
 *
 * BigInt exponentiation is slow and its time depends on its secrets. OpenSSL's constant-time routine is 7–10
 * times faster, and Node offers it for any odd modulus through the Diffie–Hellman class: with the modulus as
 * "prime" and the exponent as private key, `computeSecret(base)` is base^exponent.
 *
 * The class refuses to *return* 0, 1 and modulus − 1. Computing these otherwise would show by its time that they
 * came up, and a peer that sends elements of small order k would learn whether k divides a secret exponent. So a
 * power modulo m is computed modulo 3^323·m, of a base that 3 divides: such a power is a multiple of 3 like its
 * modulus, so neither 1 nor −1, and 0 is no power of a unit. The factor does two things more:
 *
 * - OpenSSL looks for small factors in a new modulus and is done at once; finding none it would test the modulus
 *   for primality, which takes as long as many powers. So no object needs to be kept, and nothing of a secret
 *   modulus outlives the call.
 * - Of 512 bits, it keeps lengths at multiples of 512 bits, which OpenSSL multiplies fastest: modulo 3m a power
 *   takes twice as long as modulo m, modulo 3^323·m a sixth longer at 6144 bits and a half at 2048.
 */
import { createDiffieHellman, type DiffieHellman } from 'node:crypto';
import { modPow as bigintModPow } from 'bigint-crypto-utils';
import { bigintToBytes, bitLength, bytesToBigint } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { mod, modInverse } from './modular.js';

/** 512 bits of nothing but threes. */
const MULTIPLIER = 3n ** 323n;

/** OpenSSL refuses Diffie–Hellman moduli of more than 10,000 bits. */
const MAX_BITS = 10_000 - bitLength(MULTIPLIER);

const ONE = Uint8Array.of(1);

/** Of one word: what shows that a {@link FixedBase} or {@link FixedExponent} computes as it should. */
const SAMPLE_EXPONENT = (1n << 64n) / 3n;

/** OpenSSL's arithmetic modulo `modulus`. The generator is never used, 2 is merely valid. */
const openSslGroup = (modulus: Uint8Array): DiffieHellman => createDiffieHellman(modulus, 2);

/**
 * The power of `base` by the exponent that is set, never 0. Throws where OpenSSL refuses or fails: instead of that some
 * versions of Node.js, 20.20 and 22.23 among them, return no bytes, or zeros.
 */
function powerOf(group: DiffieHellman, base: bigint): bigint {
  const bytes = bigintToBytes(base);
  try {
    const power = group.computeSecret(bytes);
    const value = bytesToBigint(power);
    power.fill(0);
    if (value === 0n) throw new RangeError('OpenSSL refuses this power');
    return value;
  } finally {
    bytes.fill(0);
  }
}

/** Exponentiation by OpenSSL; each thread has one, tests make their own. */
export class Engine {
  readonly #makeGroup: (modulus: Uint8Array) => DiffieHellman;
  #selfTestPassed: boolean | undefined;

  constructor(makeGroup = openSslGroup) {
    this.#makeGroup = makeGroup;
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
    if (b === 0n) return 0n;
    return this.#throughOpenSsl(b, e, modulus) ?? bigintModPow(b, e, modulus);
  }

  /** Whether OpenSSL's powers equal BigInt's, also where the exponent is longer than the modulus. */
  selfTest(): boolean {
    const modulus = (1n << 521n) - 1n;
    const base = modulus / 7n;
    try {
      return [3n, modulus / 5n, (modulus << 64n) / 11n].every(
        (exponent) => this.#compute(base, exponent, modulus) === bigintModPow(base, exponent, modulus),
      );
    } catch {
      return false;
    }
  }

  /** The power, or `undefined` when it must be computed otherwise. */
  #throughOpenSsl(base: bigint, exponent: bigint, modulus: bigint): bigint | undefined {
    const fits = modulus % 2n !== 0n && modulus % 3n !== 0n && bitLength(modulus) <= MAX_BITS;
    if (!fits || this.name === 'bigint') return undefined;
    try {
      return this.#compute(base, exponent, modulus);
    } catch {
      // The power of a non-unit that is 0, or an OpenSSL that fails later than in the self-test.
      return undefined;
    }
  }

  #compute(base: bigint, exponent: bigint, modulus: bigint): bigint {
    const group = this.#groupOf(MULTIPLIER * modulus);
    const key = bigintToBytes(exponent);
    try {
      group.setPrivateKey(key);
      return powerOf(group, multipleOf3(base, modulus)) % modulus;
    } finally {
      // The object lives until it is collected and must not keep the exponent; OpenSSL wipes the old value.
      key.fill(0);
      group.setPrivateKey(ONE);
    }
  }

  #groupOf(modulus: bigint): DiffieHellman {
    const bytes = bigintToBytes(modulus);
    try {
      return this.#makeGroup(bytes);
    } finally {
      bytes.fill(0);
    }
  }
}

/** The x ≡ base mod m in 0 … 3m − 1 that 3 divides, for 0 ≤ base < m. */
function multipleOf3(base: bigint, m: bigint): bigint {
  // m is its own inverse modulo 3.
  return base + m * mod(-base * m, 3n);
}

const engine = new Engine();

/**
 * base^exponent mod modulus in 0 … modulus − 1, for modulus > 0 and any base. A negative exponent needs a unit
 * as base: verify that first, it throws `BUG` otherwise.
 *
 * For moduli of at most 9,488 bits that neither 2 nor 3 divides, for units, and where {@link engineName} is
 * `openssl`, the time of the power itself depends on the lengths of exponent and modulus only, in words of 64
 * bits. Reductions and conversions around it are BigInt's and promise nothing.
 */
export const modPow = (base: bigint, exponent: bigint, modulus: bigint): bigint =>
  engine.power(base, exponent, modulus);

/** OpenSSL's arithmetic modulo `modulus`, with `generator` as the base of public keys. */
const fixedBaseGroup = (modulus: Uint8Array, generator: Uint8Array): DiffieHellman =>
  createDiffieHellman(modulus, generator);

/**
 * Powers of one base modulo one modulus, both public, for secret exponents: as fast as a modulus without a factor
 * 3^323 allows, and as constant in time as {@link modPow}.
 *
 * With the base as generator, a power is the public key of the exponent, which OpenSSL never refuses to return. What
 * the primality test of a new modulus takes, as long as one power or two, is paid once: keep the object for as long
 * as powers of the base are needed. Between two powers it keeps nothing secret.
 */
export class FixedBase {
  readonly base: bigint;
  readonly modulus: bigint;
  readonly #makeGroup: typeof fixedBaseGroup;
  #group: DiffieHellman | 'unusable' | undefined;

  constructor(base: bigint, modulus: bigint, makeGroup = fixedBaseGroup) {
    this.base = base;
    this.modulus = modulus;
    this.#makeGroup = makeGroup;
  }

  /** base^exponent mod modulus, for exponent ≥ 0. */
  power(exponent: bigint): bigint {
    invariant(exponent >= 0n, 'FixedBase: a negative exponent');
    if (exponent === 0n) return mod(1n, this.modulus);
    this.#group ??= this.#usableGroup();
    if (this.#group !== 'unusable') {
      try {
        return this.#compute(this.#group, exponent);
      } catch {
        // An OpenSSL that fails later than with the first power.
      }
    }
    return modPow(this.base, exponent, this.modulus);
  }

  /** A group whose powers are those of {@link modPow}, as far as one can tell by a power. */
  #usableGroup(): DiffieHellman | 'unusable' {
    if (engineName() === 'bigint') return 'unusable';
    try {
      const group = this.#makeGroup(bigintToBytes(this.modulus), bigintToBytes(this.base));
      const expected = modPow(this.base, SAMPLE_EXPONENT, this.modulus);
      return this.#compute(group, SAMPLE_EXPONENT) === expected ? group : 'unusable';
    } catch {
      return 'unusable';
    }
  }

  #compute(group: DiffieHellman, exponent: bigint): bigint {
    const key = bigintToBytes(exponent);
    try {
      group.setPrivateKey(key);
      const power = group.generateKeys();
      const value = bytesToBigint(power);
      power.fill(0);
      return value;
    } finally {
      key.fill(0);
      group.setPrivateKey(ONE);
      group.setPublicKey(ONE);
    }
  }
}

/**
 * How many powers are computed modulo 3^323·m before it pays to make a group of m itself: the primality test of m takes
 * as long as eight to fifteen times what such a group saves of one power, for m of 4096 and 6144 bits.
 */
const POWERS_BEFORE_GROUP = 10;

/**
 * Powers with one exponent modulo one modulus, both public and for long use, of bases that may be secret: after the first
 * few of them in a tenth to a fifth less time than {@link modPow}, because without the factor 3^323, and as constant in
 * time but for the results 0, 1 and modulus − 1: OpenSSL refuses to return these, so that they take as long again.
 *
 * With a public exponent these results tell about the base only what the power itself does. With a secret one, and a base
 * of small order that a peer has chosen, they would tell about the exponent: that is for {@link modPow}.
 */
export class FixedExponent {
  readonly exponent: bigint;
  readonly modulus: bigint;
  readonly #makeGroup: typeof openSslGroup;
  #powers = 0;
  #group: DiffieHellman | 'unusable' | undefined;

  constructor(exponent: bigint, modulus: bigint, makeGroup = openSslGroup) {
    invariant(exponent > 0n, 'FixedExponent: the exponent must be positive');
    this.exponent = exponent;
    this.modulus = modulus;
    this.#makeGroup = makeGroup;
  }

  /** base^exponent mod modulus. */
  power(base: bigint): bigint {
    this.#powers += 1;
    if (this.#powers > POWERS_BEFORE_GROUP) this.#group ??= this.#usableGroup();
    if (this.#group !== undefined && this.#group !== 'unusable') {
      try {
        return powerOf(this.#group, mod(base, this.modulus));
      } catch {
        // One of the results that OpenSSL refuses, or an OpenSSL that fails later than with the first power.
      }
    }
    return modPow(base, this.exponent, this.modulus);
  }

  /** A group whose powers are those of {@link modPow}, as far as one can tell by a power with a short exponent. */
  #usableGroup(): DiffieHellman | 'unusable' {
    if (engineName() === 'bigint') return 'unusable';
    try {
      const group = this.#makeGroup(bigintToBytes(this.modulus));
      group.setPrivateKey(bigintToBytes(SAMPLE_EXPONENT));
      const right = powerOf(group, 2n) === modPow(2n, SAMPLE_EXPONENT, this.modulus);
      group.setPrivateKey(bigintToBytes(this.exponent));
      return right ? group : 'unusable';
    } catch {
      return 'unusable';
    }
  }
}

/** What computes powers in this thread. `bigint` (slow, not constant time) is worth a warning to the user. */
export const engineName = (): 'openssl' | 'bigint' => engine.name;

/** Whether OpenSSL and BigInt agree now; {@link engineName} holds the result of the first time. */
export const selfTest = (): boolean => engine.selfTest();
