/**
 * Modular powers of what everybody may know: base, exponent and modulus. For the verification of proofs; what is
 * secret goes through modpow.ts.
 *
 * RSA encryption without padding is a power, of any base below an odd modulus. OpenSSL computes it in time that
 * depends on the exponent, without a padded modulus and without a table that is read in constant time: in less than
 * half the time of `modPow`. Of moduli longer than 3072 bits it allows exponents of 64 bits at most: for these, and
 * for whatever else it does not take, there is `modPow`.
 */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { bigintToBytes, bitLength, bytesToBigint } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { modPow } from './modpow.js';
import { mod } from './modular.js';

const MIN_BITS = 512;
const MAX_BITS = 3072;

const base64url = (value: bigint): string => Buffer.from(bigintToBytes(value)).toString('base64url');

/** base^exponent mod modulus for base < modulus, exponent < modulus, by OpenSSL. */
function rsaPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const jwk = { kty: 'RSA', n: base64url(modulus), e: base64url(exponent) };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const message = bigintToBytes(base, bigintToBytes(modulus).length);
  return bytesToBigint(publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, message));
}

/** Public powers by RSA encryption; each thread has one, tests make their own. */
export class PublicEngine {
  readonly #rsaPower: typeof rsaPower;
  #selfTestPassed: boolean | undefined;

  constructor(power = rsaPower) {
    this.#rsaPower = power;
  }

  /** See {@link publicPower}. */
  power(base: bigint, exponent: bigint, modulus: bigint): bigint {
    invariant(exponent >= 0n, 'publicPower: a negative exponent');
    return this.#throughRsa(base, exponent, modulus) ?? modPow(base, exponent, modulus);
  }

  /** Whether RSA encryption gives the same powers as {@link modPow}. */
  selfTest(): boolean {
    const modulus = (1n << 521n) - 1n;
    const base = modulus / 7n;
    try {
      return [3n, modulus / 5n].every(
        (exponent) => this.#rsaPower(base, exponent, modulus) === modPow(base, exponent, modulus),
      );
    } catch {
      return false;
    }
  }

  #throughRsa(base: bigint, exponent: bigint, modulus: bigint): bigint | undefined {
    const bits = bitLength(modulus);
    if (modulus % 2n !== 1n || bits < MIN_BITS || bits > MAX_BITS) return undefined;
    if (exponent === 0n || exponent >= modulus) return undefined;
    this.#selfTestPassed ??= this.selfTest();
    if (!this.#selfTestPassed) return undefined;
    try {
      return this.#rsaPower(mod(base, modulus), exponent, modulus);
    } catch {
      return undefined;
    }
  }
}

const engine = new PublicEngine();

/**
 * base^exponent mod modulus in 0 … modulus − 1, for modulus > 0, exponent ≥ 0 and any base. Never for a secret: its
 * time depends on all three. Faster than `modPow` for odd moduli of 512 to 3072 bits and exponents below them.
 */
export const publicPower = (base: bigint, exponent: bigint, modulus: bigint): bigint =>
  engine.power(base, exponent, modulus);
