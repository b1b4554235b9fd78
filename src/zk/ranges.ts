/**
 * Ranges and group membership, the checks that come first in every proof (docs/protocol.md §3).
 *
 * A mask drawn from ±2^ε·B hides a response whose secret part is at most 2^128·B: the distance from uniform is
 * 2^(128 − ε) = 2^−102. Such a response exceeds its mask's range with no larger probability.
 */
import { areUnits } from '../math/modular.js';
import { ELL, ELL_PRIME, EPSILON } from '../math/params.js';

/** 2^ℓ: bound of the multiplication's inputs. */
export const BOUND = 1n << BigInt(ELL);
/** 2^{ℓ'}: bound of the additive mask of Π^aff. */
export const BOUND_PRIME = 1n << BigInt(ELL_PRIME);
/** 2^ε: by how much a mask is larger than what it hides. */
export const SLACK = 1n << BigInt(EPSILON);

/** |x| ≤ bound. */
export const isWithin = (x: bigint, bound: bigint): boolean => -bound <= x && x <= bound;

/** Whether a response is at most one bit longer than the range ±mask of its mask. */
export const isResponse = (z: bigint, mask: bigint): boolean => isWithin(z, 2n * mask);

/** Whether all of `units` are in Z*_N and all of `ciphertexts` in Z*_{N²}, reduced; one gcd serves them all. */
export const inGroup = (N: bigint, units: readonly bigint[], ciphertexts: readonly bigint[] = []): boolean =>
  ciphertexts.every((c) => 0n < c && c < N * N) && areUnits([...units, ...ciphertexts.map((c) => c % N)], N);
