/**
 * Modular powers by RSA encryption without padding, which is base^exponent below any odd modulus.
 *
 * OpenSSL computes it in time that depends on the exponent, without a padded modulus and without a table that is read
 * in constant time: in half the time of `modPow` or less. That is for what everybody may know (public-power.ts), and
 * for the first test of numbers that may turn out prime (prime.ts says why). Of moduli longer than 3072 bits OpenSSL
 * allows exponents of 64 bits at most.
 */
import { constants, publicEncrypt } from 'node:crypto';
import { bigintToBytes, bitLength, bytesToBigint, concatBytes } from '../core/bytes.js';
import { modPow } from './modpow.js';
import { mod } from './modular.js';

const MIN_BITS = 512;
const MAX_BITS = 3072;

/** The DER element (X.690) with these contents, less than 64 KiB; wipes them. */
function element(tag: number, ...contents: Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, content) => sum + content.length, 0);
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  const der = concatBytes(Uint8Array.of(tag, ...size), ...contents);
  for (const content of contents) content.fill(0);
  return der;
}

/** A positive integer: its bytes start with a zero bit. */
const integer = (value: bigint): Uint8Array =>
  element(0x02, bigintToBytes(value, Math.floor(bitLength(value) / 8) + 1));

/**
 * base^exponent mod modulus for base < modulus, exponent < modulus, by OpenSSL. It parses the key for this one call
 * and frees it at the end, if without wiping.
 */
function encrypt(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const der = element(0x30, integer(modulus), integer(exponent)); // RSAPublicKey of RFC 8017 §A.1.1
  const message = bigintToBytes(base, Math.ceil(bitLength(modulus) / 8));
  const key = {
    key: Buffer.from(der.buffer),
    format: 'der',
    type: 'pkcs1',
    padding: constants.RSA_NO_PADDING,
  };
  try {
    return bytesToBigint(publicEncrypt(key, message));
  } finally {
    der.fill(0);
  }
}

/** Powers by RSA encryption; each thread has one, tests make their own. */
export class RsaEngine {
  readonly #encrypt: typeof encrypt;
  #selfTestPassed: boolean | undefined;

  constructor(power = encrypt) {
    this.#encrypt = power;
  }

  /** See {@link rsaPower}. */
  power(base: bigint, exponent: bigint, modulus: bigint): bigint | undefined {
    const bits = bitLength(modulus);
    if (modulus % 2n !== 1n || bits < MIN_BITS || bits > MAX_BITS) return undefined;
    if (exponent <= 0n || exponent >= modulus) return undefined;
    this.#selfTestPassed ??= this.selfTest();
    if (!this.#selfTestPassed) return undefined;
    try {
      return this.#encrypt(mod(base, modulus), exponent, modulus);
    } catch {
      return undefined;
    }
  }

  /** Whether RSA encryption gives the same powers as {@link modPow}. */
  selfTest(): boolean {
    const modulus = (1n << 521n) - 1n;
    const base = modulus / 7n;
    try {
      return [3n, modulus / 5n].every(
        (exponent) => this.#encrypt(base, exponent, modulus) === modPow(base, exponent, modulus),
      );
    } catch {
      return false;
    }
  }
}

const engine = new RsaEngine();

/**
 * base^exponent mod modulus in 0 … modulus − 1, for any base: for odd moduli of 512 to 3072 bits and positive exponents
 * below them, where OpenSSL does it; `undefined` otherwise. Its time depends on all three.
 */
export const rsaPower = (base: bigint, exponent: bigint, modulus: bigint): bigint | undefined =>
  engine.power(base, exponent, modulus);
