/**
 * Multiples of points of secp256k1, for which OpenSSL has no fast arithmetic: secret ones of any point, in less than half
 * of noble's time, and public ones of G, in a third of OpenSSL's. (Secret ones of any point would take OpenSSL nearly as
 * long as noble, because Node checks its own key each time, by two more multiples.)
 *
 * For secret ones the method is noble's: a ladder with windows of four bits, each of them four doublings, a look at every
 * entry of the table and one addition, whatever the scalar is, which is blinded by a random multiple of q. What is saved
 * are reductions: sums of products are reduced once, and reducing folds, because p is 2^256 less a small number.
 *
 * The formulas are complete (Renes, Costello, Batina, ePrint 2015/1060, algorithms 7 and 9): they hold for all points,
 * the identity and equal or opposite ones among them.
 */
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToBigint, randomBytes } from '../core/bytes.js';
import { mod } from '../math/modular.js';

type NoblePoint = WeierstrassPoint<bigint>;

const { p, n: q } = secp256k1.Point.CURVE();
/** p = 2^256 − FOLD. */
const FOLD = (1n << 256n) - p;
const MASK = (1n << 256n) - 1n;
/** 3·b. */
const B3 = 21n;

/** Coordinates of X/Z, Y/Z, as a number modulo p each, not always the smallest. */
interface Projective {
  readonly X: bigint;
  readonly Y: bigint;
  readonly Z: bigint;
}

const IDENTITY: Projective = { X: 0n, Y: 1n, Z: 0n };

/** Modulo p a number of up to 600 bits, either sign, becomes one of 256 or slightly more. */
function fold(value: bigint): bigint {
  const once = (value >> 256n) * FOLD + (value & MASK);
  return (once >> 256n) * FOLD + (once & MASK);
}

/** Algorithm 7. */
function add(P: Projective, Q: Projective): Projective {
  const xx = fold(P.X * Q.X);
  const yy = fold(P.Y * Q.Y);
  const zz = fold(P.Z * Q.Z);
  const xy = fold((P.X + P.Y) * (Q.X + Q.Y) - xx - yy);
  const yz = fold((P.Y + P.Z) * (Q.Y + Q.Z) - yy - zz);
  const xz = B3 * fold((P.X + P.Z) * (Q.X + Q.Z) - xx - zz);
  const xx3 = 3n * xx;
  const sum = yy + B3 * zz;
  const difference = yy - B3 * zz;
  return {
    X: fold(xy * difference - yz * xz),
    Y: fold(difference * sum + xz * xx3),
    Z: fold(sum * yz + xx3 * xy),
  };
}

/** Algorithm 9. */
function double({ X, Y, Z }: Projective): Projective {
  const yy = fold(Y * Y);
  const zz = B3 * fold(Z * Z);
  const yy8 = 8n * yy;
  const difference = yy - 3n * zz;
  return {
    X: fold(2n * difference * fold(X * Y)),
    Y: fold(difference * (yy + zz) + zz * yy8),
    Z: fold(fold(Y * Z) * yy8),
  };
}

const WINDOW = 4;
const BLIND_BYTES = 16;
const WINDOWS = (256 + 8 * BLIND_BYTES) / WINDOW;

/** k·P for 0 ≤ k < q. */
export function secp256k1Multiple(P: NoblePoint, k: bigint): NoblePoint {
  const table = tableOf(P);
  const blinded = k + blind() * q;
  let sum = IDENTITY;
  for (let window = WINDOWS - 1; window >= 0; window -= 1) {
    if (window < WINDOWS - 1) for (let i = 0; i < WINDOW; i += 1) sum = double(sum);
    const digit = Number((blinded >> BigInt(window * WINDOW)) & 15n);
    sum = add(sum, entry(table, digit));
  }
  return nobleOf(sum);
}

const nobleOf = ({ X, Y, Z }: Projective): NoblePoint => new secp256k1.Point(mod(X, p), mod(Y, p), mod(Z, p));

/** Random, of the same length always, and so small that the blinded scalar has no more windows than there are. */
function blind(): bigint {
  const bytes = randomBytes(BLIND_BYTES);
  bytes[0] = (bytes[0]! & 0x3f) | 0x80;
  const value = bytesToBigint(bytes);
  bytes.fill(0);
  return value;
}

/** 0·P, 1·P, … 15·P. */
function tableOf({ X, Y, Z }: NoblePoint): readonly Projective[] {
  const P: Projective = { X, Y, Z };
  const table = [IDENTITY];
  while (table.length < 2 ** WINDOW) table.push(add(table.at(-1)!, P));
  return table;
}

/** The entry at `digit`, after a look at all of them. */
function entry(table: readonly Projective[], digit: number): Projective {
  let chosen = IDENTITY;
  for (let i = 0; i < table.length; i += 1) chosen = i === digit ? table[i]! : chosen;
  return chosen;
}

const PUBLIC_WINDOW = 6;
const PUBLIC_WINDOWS = Math.ceil(256 / PUBLIC_WINDOW);

/** The multiples of G by 1 … 63 times 64^w, for each window w. */
let tables: readonly (readonly Projective[])[] | undefined;

/**
 * k·G for 0 ≤ k < q, in time that depends on k. The first call makes the tables, which pays from some thirty multiples
 * on.
 */
export function secp256k1PublicBaseMultiple(k: bigint): NoblePoint {
  tables ??= baseTables();
  let sum = IDENTITY;
  for (let window = 0; window < PUBLIC_WINDOWS; window += 1) {
    const digit = Number((k >> BigInt(window * PUBLIC_WINDOW)) & 63n);
    if (digit > 0) sum = add(sum, tables[window]![digit - 1]!);
  }
  return nobleOf(sum);
}

function baseTables(): Projective[][] {
  const { X, Y, Z } = secp256k1.Point.BASE;
  let first: Projective = { X, Y, Z };
  return Array.from({ length: PUBLIC_WINDOWS }, () => {
    const table = [first];
    while (table.length < 2 ** PUBLIC_WINDOW - 1) table.push(add(table.at(-1)!, first));
    first = add(table.at(-1)!, first);
    return table;
  });
}
