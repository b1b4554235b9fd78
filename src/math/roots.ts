/**
 * Roots modulo N = p₁p₂ by who knows the primes, both ≡ 3 mod 4.
 *
 * Modulo such a prime squaring permutes the squares; so of the 2^k-th roots of a square exactly one is itself a square.
 * RSA decryption without padding finds it, with 2^k as public exponent and its inverse modulo the order of the squares as
 * the private one. OpenSSL does so in constant time, modulo both primes at once and without padding them: 1024 bits each
 * take a fifth of the time that two powers of `modPow` take, 1536 bits three fifths. It does not ask for an odd
 * exponent, and tests no primality.
 */
import { constants, createPrivateKey, type JsonWebKey, privateDecrypt } from 'node:crypto';
import { bigintToBytes, bitLength, bytesToBigint } from '../core/bytes.js';
import { modPow } from './modpow.js';

/** RSA decryption of a block as long as the modulus. */
type Decrypt = (block: Uint8Array) => Uint8Array;

function rsaDecryption(jwk: JsonWebKey): Decrypt {
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  return (block) => privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, block);
}

function base64url(value: bigint): string {
  const bytes = bigintToBytes(value);
  const text = Buffer.from(bytes.buffer).toString('base64url');
  bytes.fill(0);
  return text;
}

/** 16^−1 modulo the odd number m. */
function inverseOf16(m: bigint): bigint {
  let inverse = 1n;
  for (let halvings = 0; halvings < 4; halvings += 1) {
    inverse = (inverse % 2n === 0n ? inverse : inverse + m) / 2n;
  }
  return inverse;
}

/** The key that takes sixteenth roots of squares modulo p₁p₂. */
function rootKey(p1: bigint, p2: bigint): JsonWebKey {
  const d = inverseOf16(((p1 - 1n) / 2n) * ((p2 - 1n) / 2n));
  return {
    kty: 'RSA',
    n: base64url(p1 * p2),
    e: base64url(16n),
    d: base64url(d),
    p: base64url(p1),
    q: base64url(p2),
    dp: base64url(d % (p1 - 1n)),
    dq: base64url(d % (p2 - 1n)),
    // By Fermat, since inversion would take time that depends on the primes.
    qi: base64url(modPow(p2, p1 - 2n, p1)),
  };
}

/** x^(2^squarings) mod N. */
const raised = (x: bigint, squarings: number, N: bigint): bigint =>
  squarings === 0 ? x : raised((x * x) % N, squarings - 1, N);

/** Keeps the primes, and OpenSSL's copy of them: for one use by who has them anyway. */
export class EighthRoots {
  readonly #N: bigint;
  readonly #decrypt: Decrypt | undefined;

  constructor(p1: bigint, p2: bigint, makeDecryption = rsaDecryption) {
    this.#N = p1 * p2;
    try {
      this.#decrypt = makeDecryption(rootKey(p1, p2));
    } catch {
      // An OpenSSL that does not take such a key.
    }
  }

  /**
   * The x with x^8 = y² mod N that is a square modulo both primes, for 0 ≤ y < N; `undefined` where OpenSSL does not
   * compute it, so that it has to be computed as a power of y.
   */
  ofSquare(y: bigint): bigint | undefined {
    try {
      const square = raised(y, 1, this.#N);
      const root = this.#decrypt?.(bigintToBytes(square, Math.ceil(bitLength(this.#N) / 8)));
      if (root === undefined) return undefined;
      // OpenSSL multiplies by the sixteenth power of a random number and divides by the number again, so that its
      // sixteenth root need not be a square; the square of that root is.
      const x = raised(bytesToBigint(root), 1, this.#N);
      root.fill(0);
      return raised(x, 3, this.#N) === square ? x : undefined;
    } catch {
      return undefined;
    }
  }
}
