/**
 * Paillier encryption of signed integers (docs/protocol.md §2; Paillier, EUROCRYPT 1999, with generator 1 + N).
 *
 * Plaintexts are −(N−1)/2 … (N−1)/2. Sums and multiples that leave this range wrap around modulo N: protocols
 * bound their plaintexts by range proofs.
 */
import { invariant } from '../core/errors.js';
import { gcd, mod } from '../math/modular.js';
import type { PaillierKey, PrivateKey } from './keys.js';

/** Whether |x| ≤ (N − 1)/2. */
export const isPlaintext = (key: PaillierKey, x: bigint): boolean => 2n * (x < 0n ? -x : x) < key.N;

/** Whether 0 < c < N² and gcd(c, N) = 1; what a peer sends as a ciphertext and is not one is refused. */
export const isCiphertext = (key: PaillierKey, c: bigint): boolean =>
  c > 0n && c < key.NN && gcd(c % key.N, key.N) === 1n;

/** (1 + xN)·ρ^N mod N², for a plaintext x (`BUG` otherwise, it would not decrypt to itself) and ρ ∈ Z*_N. */
export function encrypt(key: PaillierKey, x: bigint, rho: bigint): bigint {
  invariant(isPlaintext(key, x), 'encrypt: the plaintext is out of range');
  return mod((1n + x * key.N) * key.nthPower(rho), key.NN);
}

/** The signed plaintext of a ciphertext of one's own key; check {@link isCiphertext} first, `BUG` otherwise. */
export function decrypt(key: PrivateKey, c: bigint): bigint {
  invariant(isCiphertext(key, c), 'decrypt: not a ciphertext');
  const x = key.plaintext(c);
  return 2n * x < key.N ? x : x - key.N;
}

/** A ciphertext of the sum of the plaintexts of c and d. */
export const add = (key: PaillierKey, c: bigint, d: bigint): bigint => mod(c * d, key.NN);

/** A ciphertext of k times the plaintext of c, for any integer k. Deterministic: it hides neither c nor k. */
export const scale = (key: PaillierKey, c: bigint, k: bigint): bigint => key.powSquare(c, k);
