/**
 * Modular powers of what everybody may know: base, exponent and modulus. For the verification of proofs; what is
 * secret goes through modpow.ts.
 *
 * RSA encryption without padding is a power, of any base below an odd modulus. OpenSSL computes it in time that
 * depends on the exponent, without a padded modulus and without a table that is read in constant time: in less than
 * half the time of `modPow`. Of moduli longer than 3072 bits it allows exponents of 64 bits at most: for these, and
 * for whatever else it does not take, there is `modPow`. Many powers of one base share tables instead.
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

/** Rows that an exponent is cut into, one above the other, and blocks of columns that have a table each. */
const ROWS = 9;
const BLOCKS = 6;

/**
 * base^e mod modulus for each of `exponents`, as {@link publicPower} and quicker when they are many and long: by the
 * comb of Lim and Lee (CRYPTO 1994). A column is one bit of each row; its factor is in a table of all the products of
 * base^(2^k), k being the places of these bits. With a table for each block, column c of all blocks is multiplied
 * up between two squarings. For 128 exponents of 2048 bits that makes 290 products each, tables included, instead of
 * 2400, but of BigInt, which takes seven times as long for one as OpenSSL.
 */
export function publicPowers(base: bigint, exponents: readonly bigint[], modulus: bigint): bigint[] {
  invariant(modulus > 0n, 'publicPowers: the modulus must be positive');
  invariant(
    exponents.every((exponent) => exponent >= 0n),
    'publicPowers: a negative exponent',
  );
  const columns = Math.ceil(Math.max(1, ...exponents.map(bitLength)) / ROWS);
  const width = Math.ceil(columns / BLOCKS);
  const tables = combTables(mod(base, modulus), modulus, columns, width);
  const one = mod(1n, modulus);

  const power = (exponent: bigint): bigint => {
    const bits = exponent.toString(2).padStart(ROWS * columns, '0');
    let result = one;
    for (let place = width - 1; place >= 0; place -= 1) {
      result = (result * result) % modulus;
      tables.forEach((table, block) => {
        const factor = table[columnOf(bits, columns, block * width + place)];
        if (factor !== undefined) result = (result * factor) % modulus;
      });
    }
    return result;
  };
  return exponents.map(power);
}

/** The bits of one column, row 0 lowest; 0, for which no table has a factor, for a column beyond the last. */
function columnOf(bits: string, columns: number, column: number): number {
  if (column >= columns) return 0;
  let index = 0;
  for (let row = ROWS - 1; row >= 0; row -= 1) {
    index = 2 * index + (bits[bits.length - 1 - row * columns - column] === '1' ? 1 : 0);
  }
  return index;
}

/** For each block the products of base^(2^(row·columns + block·width)) over the rows that an index has bits for. */
function combTables(base: bigint, modulus: bigint, columns: number, width: number): (bigint | undefined)[][] {
  const squares = [base];
  while (squares.length < ROWS * columns) squares.push(squares.at(-1)! ** 2n % modulus);
  return Array.from({ length: Math.ceil(columns / width) }, (_, block) => {
    const table: (bigint | undefined)[] = [undefined];
    for (let row = 0; row < ROWS; row += 1) {
      const tooth = squares[row * columns + block * width]!;
      for (const product of table.slice(0))
        table.push(product === undefined ? tooth : (product * tooth) % modulus);
    }
    return table;
  });
}
