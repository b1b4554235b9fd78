/** Security levels and the statistical parameters of the Paillier proofs (docs/protocol.md §0). */

/** Bits of symmetric security that the Paillier modulus is sized for (NIST SP 800-57 part 1, table 2). */
export type SecurityBits = 112 | 128;

/** Sizes that follow from the level. */
export interface SecurityLevel {
  readonly bits: SecurityBits;
  /** Exact bit length of a Paillier (and ring-Pedersen) modulus. */
  readonly modulusBits: 2048 | 3072;
  /** Exact bit length of each of its two safe primes. */
  readonly primeBits: 1024 | 1536;
}

const LEVELS: Readonly<Record<SecurityBits, SecurityLevel>> = {
  112: { bits: 112, modulusBits: 2048, primeBits: 1024 },
  128: { bits: 128, modulusBits: 3072, primeBits: 1536 },
};

export const securityLevel = (bits: SecurityBits): SecurityLevel => LEVELS[bits];

/** Parallel repetitions of Π^prm and Π^mod, each of soundness 1/2. */
export const REPETITIONS = 128;

/** ℓ: a secret scalar lies in ±2^ℓ; both curves have a group order of 256 bits. */
export const ELL = 256;

/**
 * ε: slack of the range proofs. A response α + e·x with |e·x| < 2^(ℓ+128) must be within statistical distance
 * 2^−s of α, s = 100, after at most two such terms: ε ≥ 2 + s + 128.
 */
export const EPSILON = 230;

/**
 * ℓ': the mask y of a multiplication lies in ±2^ℓ'. It hides the integer a·χ, which a cheating receiver can
 * push to 2λ + ε bits, up to 2^−s: ℓ' ≥ 2·256 + 230 + 100 = 842, rounded up to whole bytes.
 */
export const ELL_PRIME = 848;
