/**
 * Paillier keys and the arithmetic modulo N and N² that goes with them (docs/protocol.md §2).
 *
 * Strangers and the owner share one interface, {@link PaillierKey}; the owner computes everything by the
 * Chinese remainder theorem with exponents reduced by the group's order.
 */
import { bigintToBytes, bitLength, bytesToBigint, concatBytes } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { FixedExponent, modPow } from '../math/modpow.js';
import { crt, mod, modInverse } from '../math/modular.js';
import type { SecurityLevel } from '../math/params.js';
import { hasSmallFactor } from '../math/prime.js';

/** Arithmetic modulo N and N². Negative exponents are for units only. */
export interface PaillierKey {
  readonly N: bigint;
  /** N². */
  readonly NN: bigint;
  /** base^exponent mod N. */
  pow(base: bigint, exponent: bigint): bigint;
  /** base^exponent mod N². */
  powSquare(base: bigint, exponent: bigint): bigint;
  /** ρ^N mod N², what hides the plaintext of a ciphertext. */
  nthPower(rho: bigint): bigint;
}

/** base^−1 mod N² for a unit: its inverse modulo N, which is quicker, lifted by one step of Newton's iteration. */
function inverseSquare({ N, NN }: PaillierKey, base: bigint): bigint {
  const inverse = modInverse(base, N);
  invariant(inverse !== undefined, 'powSquare: negative power of a non-unit');
  return mod(inverse * (2n - base * inverse), NN);
}

/** A peer's modulus that has the right size and shape; nothing is proved about it yet. */
export class PublicKey implements PaillierKey {
  readonly N: bigint;
  readonly NN: bigint;

  protected constructor(N: bigint) {
    this.N = N;
    this.NN = N * N;
  }

  /**
   * The key with modulus N when N is odd, of exactly the level's length, and without prime factors below 2^16;
   * `undefined` otherwise. That N is not prime and has two large factors is for Π^mod and Π^fac to show.
   */
  static parse(N: bigint, level: SecurityLevel): PublicKey | undefined {
    if (N <= 0n || bitLength(N) !== level.modulusBits || hasSmallFactor(N)) return undefined;
    return new PublicKey(N);
  }

  pow(base: bigint, exponent: bigint): bigint {
    return modPow(base, exponent, this.N);
  }

  powSquare(base: bigint, exponent: bigint): bigint {
    if (exponent < 0n) return this.powSquare(inverseSquare(this, base), -exponent);
    return modPow(base, exponent, this.NN);
  }

  nthPower(rho: bigint): bigint {
    return modPow(rho, this.N, this.NN);
  }
}

/** A key whose proofs have been checked, or one's own. Made only by {@link verifiedPublicKey} and {@link PrivateKey}. */
export interface VerifiedPublicKey extends PaillierKey {
  readonly verified: true;
}

class ProvedPublicKey extends PublicKey implements VerifiedPublicKey {
  readonly verified = true;
  // Such keys are kept and used again, and most of what one costs are its N-th powers.
  readonly #nthPowers: FixedExponent;

  constructor(key: PublicKey) {
    super(key.N);
    this.#nthPowers = new FixedExponent(this.N, this.NN);
  }

  override nthPower(rho: bigint): bigint {
    return this.#nthPowers.power(rho);
  }
}

/**
 * `key` marked as verified. The caller has checked Π^mod (N is a Paillier–Blum modulus) and Π^fac (both factors
 * exceed 2^ℓ) of its owner in the session that sent it, or loads it from where such a caller stored it.
 */
export const verifiedPublicKey = (key: PublicKey): VerifiedPublicKey => new ProvedPublicKey(key);

/** Arithmetic modulo one prime factor p of N and modulo p². */
class Factor {
  readonly p: bigint;
  /** p². */
  readonly pp: bigint;
  /** The other factor of N. */
  readonly other: bigint;
  /** other^−1 mod p. */
  readonly inverse: bigint;

  constructor(p: bigint, other: bigint, inverse: bigint) {
    this.p = p;
    this.pp = p * p;
    this.other = other;
    this.inverse = inverse;
  }

  /** base^exponent mod p. */
  pow(base: bigint, exponent: bigint): bigint {
    // An exponent may be reduced by the group's order only when the base is in the group.
    return modPow(base, base % this.p === 0n ? exponent : mod(exponent, this.p - 1n), this.p);
  }

  /** base^exponent mod p². */
  powSquare(base: bigint, exponent: bigint): bigint {
    const order = this.p * (this.p - 1n);
    return modPow(base, base % this.p === 0n ? exponent : mod(exponent, order), this.pp);
  }

  /** ρ^N mod p². A p-th power modulo p² depends on its base modulo p only, so that the rest is done there. */
  nthPower(rho: bigint): bigint {
    return modPow(this.pow(rho, this.other), this.p, this.pp);
  }

  /**
   * x mod p of c ≡ (1 + xN)·ρ^N mod N². Modulo p², ρ^(N(p−1)) = 1 and so c^(p−1) = 1 + (p−1)·x·N, whence
   * (c^(p−1) − 1)/p ≡ −x·other mod p.
   */
  plaintext(c: bigint): bigint {
    const quotient = (this.powSquare(c, this.p - 1n) - 1n) / this.p;
    return mod(-quotient * this.inverse, this.p);
  }
}

/** One's own key: N = p₁·p₂ for distinct safe primes of equal length. */
export class PrivateKey implements VerifiedPublicKey {
  readonly verified = true;
  readonly N: bigint;
  readonly NN: bigint;
  // Secrets are private fields behind getters: neither inspection nor JSON shows them.
  readonly #first: Factor;
  readonly #second: Factor;
  /** p₂^−2 mod p₁². */
  readonly #inverseSquare: bigint;

  private constructor(p1: bigint, p2: bigint) {
    this.N = p1 * p2;
    this.NN = this.N * this.N;
    // By Fermat, since inversion would take time that depends on the secret primes.
    const inverse = modPow(p2, p1 - 2n, p1);
    this.#first = new Factor(p1, p2, inverse);
    // p₂·(p₂^−1 mod p₁) + p₁·(p₁^−1 mod p₂) = N + 1.
    this.#second = new Factor(p2, p1, (this.N + 1n - p2 * inverse) / p1);
    // p₂^−2 mod p₁, lifted to p₁² by one step of Newton's iteration.
    const square = mod(this.#first.inverse ** 2n, p1);
    this.#inverseSquare = mod(square * (2n - this.#second.pp * square), this.#first.pp);
  }

  /**
   * The key of two safe primes, made by `safePrime` or once stored; their primality is not checked again.
   * Throws `BUG` unless they are distinct, ≡ 3 mod 4, equally long, and N is twice as long.
   */
  static fromPrimes(p1: bigint, p2: bigint): PrivateKey {
    const bits = bitLength(p1);
    invariant(p1 % 4n === 3n && p2 % 4n === 3n && p1 !== p2, 'not the primes of a Paillier key');
    invariant(bitLength(p2) === bits && bitLength(p1 * p2) === 2 * bits, 'primes of the wrong length');
    return new PrivateKey(p1, p2);
  }

  get p1(): bigint {
    return this.#first.p;
  }

  get p2(): bigint {
    return this.#second.p;
  }

  /** φ(N) = (p₁ − 1)(p₂ − 1). */
  get phi(): bigint {
    return (this.p1 - 1n) * (this.p2 - 1n);
  }

  /** p₁ ‖ p₂, each padded to half of the result; a secret that the caller wipes. */
  toBytes(): Uint8Array {
    const length = Math.ceil(bitLength(this.p1) / 8);
    return concatBytes(bigintToBytes(this.p1, length), bigintToBytes(this.p2, length));
  }

  /** The key of {@link toBytes}; the bytes stay the caller's. Throws `BUG` when they are not such. */
  static fromBytes(bytes: Uint8Array): PrivateKey {
    const half = bytes.length / 2;
    return PrivateKey.fromPrimes(bytesToBigint(bytes.subarray(0, half)), bytesToBigint(bytes.subarray(half)));
  }

  pow(base: bigint, exponent: bigint): bigint {
    return this.#combine((factor) => factor.pow(base, exponent));
  }

  powSquare(base: bigint, exponent: bigint): bigint {
    // Reduced by the group's order, a short negative exponent would be a long positive one.
    if (exponent < 0n) return this.powSquare(inverseSquare(this, base), -exponent);
    return this.#combineSquare((factor) => factor.powSquare(base, exponent));
  }

  nthPower(rho: bigint): bigint {
    return this.#combineSquare((factor) => factor.nthPower(rho));
  }

  /** The x in 0 … N − 1 with c ≡ (1 + xN)·ρ^N mod N² for some ρ, for a unit c. */
  plaintext(c: bigint): bigint {
    return this.#combine((factor) => factor.plaintext(c));
  }

  /** The residue mod N of its residues mod p₁ and p₂. */
  #combine(residue: (factor: Factor) => bigint): bigint {
    return crt(residue(this.#first), this.p1, residue(this.#second), this.p2, this.#first.inverse);
  }

  /** The residue mod N² of its residues mod p₁² and p₂². */
  #combineSquare(residue: (factor: Factor) => bigint): bigint {
    const [first, second] = [this.#first, this.#second];
    return crt(residue(first), first.pp, residue(second), second.pp, this.#inverseSquare);
  }
}
