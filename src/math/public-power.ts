/**
 * Modular powers of what everybody may know: base, exponent and modulus. For the verification of proofs; what is
 * secret goes through modpow.ts.
 *
 * One power is RSA encryption where that serves (rsa-power.ts), and `modPow` for whatever else. Many powers of one
 * base share their products instead.
 */
import { bitLength } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { modPow } from './modpow.js';
import { mod } from './modular.js';
import { rsaPower } from './rsa-power.js';

/**
 * base^exponent mod modulus in 0 … modulus − 1, for modulus > 0, exponent ≥ 0 and any base. Never for a secret: its
 * time depends on all three. Faster than `modPow` for odd moduli of 512 to 3072 bits and exponents below them.
 */
export function publicPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  invariant(exponent >= 0n, 'publicPower: a negative exponent');
  return rsaPower(base, exponent, modulus) ?? modPow(base, exponent, modulus);
}

/** Exponents that share buckets; with seven at a time it takes little longer, with nine a tenth. */
const GROUP = 8;

/**
 * base^e mod modulus for each of `exponents`, as {@link publicPower} and quicker when they are many and long: by the
 * method of Yao (SIAM J. Comput. 5, 1976), with the bits of eight exponents in the place of a digit. Of the factors
 * base^(2^k) those go into one bucket at whose places these exponents have the same bits, and of the 256 buckets their
 * powers are made. For 128 exponents of 2048 bits that makes 335 products each, instead of 2400, four out of five of
 * them without a division: but of BigInt, which takes three to five times as long for one as OpenSSL.
 */
export function publicPowers(base: bigint, exponents: readonly bigint[], modulus: bigint): bigint[] {
  invariant(modulus > 0n, 'publicPowers: the modulus must be positive');
  invariant(
    exponents.every((exponent) => exponent >= 0n),
    'publicPowers: a negative exponent',
  );
  const places = Math.max(0, ...exponents.map(bitLength));
  const factors: Factor[] = [];
  for (let power = mod(base, modulus); factors.length < places; ) {
    const factor = factorOf(power, modulus);
    factors.push(factor);
    power = times(power, factor) % modulus;
  }
  const groups = Array.from({ length: Math.ceil(exponents.length / GROUP) }, (_, k) =>
    exponents.slice(k * GROUP, (k + 1) * GROUP),
  );
  return groups.flatMap((group) => productsOf(factors, group, modulus));
}

/** A factor f of many products modulo one modulus, which has at most 2w bits. */
interface Factor {
  /** w, as a number and as an integer. */
  readonly bits: number;
  readonly width: bigint;
  /** f, f·2^w and f·2^2w, reduced. */
  readonly low: bigint;
  readonly middle: bigint;
  readonly high: bigint;
}

function factorOf(f: bigint, modulus: bigint): Factor {
  const bits = Math.ceil(bitLength(modulus) / 2);
  const width = BigInt(bits);
  const middle = (f << width) % modulus;
  return { bits, width, low: f, middle, high: (middle << width) % modulus };
}

/**
 * value·f but for a multiple of the modulus, for value ≥ 0, without a division, which would take longer than all of
 * this: each of the value's three parts, of w bits, is multiplied with its own multiple of f. That leaves 3w bits and
 * a few more, to which ever so many products in a row add hardly any.
 */
function times(value: bigint, { bits, width, low, middle, high }: Factor): bigint {
  const rest = value >> width;
  return BigInt.asUintN(bits, value) * low + BigInt.asUintN(bits, rest) * middle + (rest >> width) * high;
}

/** For each of a few exponents the product of the factors at the places of its bits, the lowest place first. */
function productsOf(factors: readonly Factor[], exponents: readonly bigint[], modulus: bigint): bigint[] {
  const rows = exponents.map((exponent) => exponent.toString(2).padStart(factors.length, '0'));
  const buckets = new Array<bigint>(2 ** exponents.length).fill(1n);
  factors.forEach((factor, place) => {
    let column = 0;
    for (const row of rows) column = 2 * column + (row[row.length - 1 - place] === '1' ? 1 : 0);
    buckets[column] = times(buckets[column]!, factor);
  });
  // The upper half is for places at which the first exponent has a bit; to the others that makes no difference.
  let products = buckets.map((bucket) => bucket % modulus);
  return exponents.map(() => {
    const upper = products.splice(products.length / 2);
    products = products.map((product, k) => (product * upper[k]!) % modulus);
    return upper.reduce((product, factor) => (product * factor) % modulus);
  });
}
