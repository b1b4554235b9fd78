/**
 * Ring-Pedersen parameters (N, s, t) and commitments s^a·t^b mod N (docs/protocol.md §2; CGGMP24, §3.3).
 *
 * As with Paillier keys, strangers and the owner share one interface; the owner knows κ with s = t^κ and the
 * factors of N, and commits by one exponentiation.
 */
import { bigintToBytes, bitLength, bytesToBigint, concatBytes, type Random } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { FixedBase } from '../math/modpow.js';
import { jacobi, mod, modInverse } from '../math/modular.js';
import { sampleBelow, sampleUnit } from '../math/sample.js';
import type { PaillierKey, PrivateKey } from './keys.js';

export interface RingPedersen {
  readonly N: bigint;
  readonly s: bigint;
  readonly t: bigint;
  /** s^a·t^b mod N, for any integers a and b. */
  commit(a: bigint, b: bigint): bigint;
  /** base^exponent mod N; negative exponents for units only. */
  pow(base: bigint, exponent: bigint): bigint;
}

/** Whether x may be s or t: 0 < x < N, Jacobi symbol +1 (so a unit, and perhaps a square), and neither 1 nor −1. */
const isParameter = (x: bigint, N: bigint): boolean => x > 1n && x < N - 1n && jacobi(x, N) === 1;

/** A peer's parameters of the right shape; nothing is proved about them yet. */
export class RingPedersenPublic implements RingPedersen {
  readonly key: PaillierKey;
  readonly s: bigint;
  readonly t: bigint;
  // Inverses, when first needed: half of all exponents are negative.
  #sInverse: bigint | undefined;
  #tInverse: bigint | undefined;

  protected constructor(key: PaillierKey, s: bigint, t: bigint) {
    this.key = key;
    this.s = s;
    this.t = t;
  }

  /**
   * The parameters with the modulus of `key`, the same party's Paillier key; `undefined` when s or t is not a
   * unit, is 1 or N − 1, or has Jacobi symbol −1.
   */
  static parse(key: PaillierKey, s: bigint, t: bigint): RingPedersenPublic | undefined {
    return isParameter(s, key.N) && isParameter(t, key.N) ? new RingPedersenPublic(key, s, t) : undefined;
  }

  get N(): bigint {
    return this.key.N;
  }

  commit(a: bigint, b: bigint): bigint {
    return mod(this.#powerOfS(a) * this.powerOfT(b), this.N);
  }

  #powerOfS(a: bigint): bigint {
    if (a >= 0n) return this.pow(this.s, a);
    this.#sInverse ??= modInverse(this.s, this.N)!;
    return this.pow(this.#sInverse, -a);
  }

  protected powerOfT(b: bigint): bigint {
    if (b >= 0n) return this.pow(this.t, b);
    this.#tInverse ??= modInverse(this.t, this.N)!;
    return this.pow(this.#tInverse, -b);
  }

  pow(base: bigint, exponent: bigint): bigint {
    return this.key.pow(base, exponent);
  }
}

/** Parameters whose proofs have been checked, or one's own. */
export interface VerifiedRingPedersen extends RingPedersen {
  readonly verified: true;
}

class ProvedRingPedersen extends RingPedersenPublic implements VerifiedRingPedersen {
  readonly verified = true;
  // Such parameters are kept and used again, and most of a commitment is a power of t: its exponents are long.
  readonly #t: FixedBase;
  readonly #tInverse: FixedBase;

  constructor({ key, s, t }: RingPedersenPublic) {
    super(key, s, t);
    this.#t = new FixedBase(t, key.N);
    this.#tInverse = new FixedBase(modInverse(t, key.N)!, key.N);
  }

  protected override powerOfT(b: bigint): bigint {
    return b < 0n ? this.#tInverse.power(-b) : this.#t.power(b);
  }
}

/**
 * `parameters` marked as verified. The caller has checked Π^prm (s ∈ ⟨t⟩) of its owner, and Π^mod and Π^fac of
 * the modulus, in the session that sent it, or loads it from where such a caller stored it.
 */
export const verifiedRingPedersen = (parameters: RingPedersenPublic): VerifiedRingPedersen =>
  new ProvedRingPedersen(parameters);

/** One's own parameters, with the trapdoor κ. */
export class RingPedersenOwner implements VerifiedRingPedersen {
  readonly verified = true;
  readonly key: PrivateKey;
  readonly s: bigint;
  readonly t: bigint;
  // A private field behind a getter: neither inspection nor JSON shows it.
  readonly #kappa: bigint;

  private constructor(key: PrivateKey, s: bigint, t: bigint, kappa: bigint) {
    this.key = key;
    this.s = s;
    this.t = t;
    this.#kappa = kappa;
  }

  /** Fresh parameters: t = r² mod N for r ← Z*_N, κ ← Z_φ(N). */
  static generate(key: PrivateKey, random: Random): RingPedersenOwner {
    const r = sampleUnit(key.N, random);
    const t = mod(r * r, key.N);
    const kappa = sampleBelow(key.phi, random);
    return new RingPedersenOwner(key, key.pow(t, kappa), t, kappa);
  }

  /** s ‖ t ‖ κ, each as long as N; a secret that the caller wipes. */
  toBytes(): Uint8Array {
    const length = Math.ceil(bitLength(this.N) / 8);
    return concatBytes(...[this.s, this.t, this.kappa].map((part) => bigintToBytes(part, length)));
  }

  /**
   * The parameters of {@link toBytes} under the same key; the bytes stay the caller's. `BUG` when they are out of
   * range; that s and t are squares, and s = t^κ, is not computed again.
   */
  static fromBytes(key: PrivateKey, bytes: Uint8Array): RingPedersenOwner {
    const length = bytes.length / 3;
    const [s, t, kappa] = [0, 1, 2].map((k) => bytesToBigint(bytes.subarray(k * length, (k + 1) * length)));
    const fits = [s!, t!].every((x) => x > 1n && x < key.N - 1n) && kappa! < key.phi;
    invariant(fits, 'not ring-Pedersen parameters of this key');
    return new RingPedersenOwner(key, s!, t!, kappa!);
  }

  get N(): bigint {
    return this.key.N;
  }

  /** s = t^κ mod N. */
  get kappa(): bigint {
    return this.#kappa;
  }

  /** s^a·t^b = t^(κa + b). */
  commit(a: bigint, b: bigint): bigint {
    return this.key.pow(this.t, this.kappa * a + b);
  }

  pow(base: bigint, exponent: bigint): bigint {
    return this.key.pow(base, exponent);
  }
}
