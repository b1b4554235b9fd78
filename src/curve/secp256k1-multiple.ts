/**
 * Multiples of points of secp256k1, for which OpenSSL has no fast arithmetic: secret ones of any point, in a third of
 * noble's time, and of G, in two thirds of OpenSSL's; public ones of G, in a third of it. (Secret ones of any point would
 * take OpenSSL nearly as long as noble, because Node checks its own key each time, by two more multiples.)
 *
 * For secret ones it is a ladder with windows of some bits, each of them so many doublings, and for each half of the
 * scalar a look at every entry of a table and one addition, whatever the scalar is, which is blinded. Halves: λP is P
 * with its x-coordinate times β (Gallant–Lambert–Vanstone 2001), so that k·P = k_1·P + k_2·λP for all k_1 + k_2·λ = k
 * modulo q, of which there are pairs of half the length; with the blinding, of two thirds of what noble goes through.
 * What is saved besides are reductions: sums of products are reduced once, and reducing folds, because p is 2^256 less
 * a small number.
 *
 * The formulas are complete (Renes, Costello, Batina, ePrint 2015/1060, algorithms 7 and 9): they hold for all points,
 * the identity and equal or opposite ones among them.
 */
import type { WeierstrassPoint } from '@noble/curves/abstract/weierstrass.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToBigint, type Random, randomBytes } from '../core/bytes.js';
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

/** λP = (β·x, y), for certain cube roots λ and β of 1, modulo q and p. */
const BETA = 0x7ae96a2b657c07106e64479eac3434e99cf0497512f58995c1396c28719501een;

/** A short basis of the pairs (k_1, k_2) with k_1 + k_2·λ = 0 modulo q: (A1, −B1) and (A2, A1). */
const A1 = 0x3086d221a7d46bcde86c90e49284eb15n;
const B1 = 0xe4437ed6010e88286f547fa90abfe4c3n;
const A2 = 0x114ca50f7a8e2f3f657c1108d9d44cfd8n;

/** Division by q as a product and a shift: BigInt's division would take the scalar as it is. */
const SHIFT = 384n;
const A1_OVER_Q = (A1 << SHIFT) / q;
const B1_OVER_Q = (B1 << SHIFT) / q;

const BLIND_BYTES = 8;
/** Bits of {@link halvesOf}: those of the blinds, 128 of the basis, and one for the sum of two. */
export const HALF_BITS = 8 * BLIND_BYTES + 129;

/**
 * Random k_1, k_2 ≥ 0 with k_1 + k_2·λ = k modulo q, for 0 ≤ k < q. The pair next to 0 would be k·(1, 0) less
 * c·(A1, −B1) and d·(A2, A1). Added to it are random multiples of (A2, A1) and of (A2 − A1, A1 + B1), vectors of
 * positive numbers, so large that both sums are positive.
 */
export function halvesOf(k: bigint, random: Random = randomBytes): readonly [bigint, bigint] {
  const [first, second] = [blind(random), blind(random)];
  const c = ((k * A1_OVER_Q) >> SHIFT) + second;
  const d = ((k * B1_OVER_Q) >> SHIFT) - first - second;
  return [k - c * A1 - d * A2, c * B1 - d * A1];
}

/** Random, of the same length always. */
function blind(random: Random): bigint {
  const bytes = random(BLIND_BYTES);
  bytes[0] = bytes[0]! | 0x80;
  const value = bytesToBigint(bytes);
  bytes.fill(0);
  return value;
}

/** Windows of `bits` bits, of which the digits go from −2^(bits − 1) to 2^(bits − 1) − 1. */
class Windows {
  readonly count: number;
  readonly #mask: bigint;
  /** Half of a window's range, in each window: with it added, digits are those of an integer. */
  readonly #offset: bigint;

  constructor(readonly bits: number) {
    // Two bits more than the halves have, for the offset: it is little more than half of all that the windows hold.
    this.count = Math.ceil((HALF_BITS + 2) / bits);
    this.#mask = (1n << BigInt(bits)) - 1n;
    this.#offset = (((1n << BigInt(this.count * bits)) - 1n) / this.#mask) << BigInt(bits - 1);
  }

  /** Indices in the tables of {@link tableOf}, by window. */
  digits(k: bigint): number[] {
    const shifted = k + this.#offset;
    return Array.from({ length: this.count }, (_, window) =>
      Number((shifted >> BigInt(window * this.bits)) & this.#mask),
    );
  }

  /** The multiples of P by all digits, the smallest first. */
  tableOf(P: Projective): readonly Projective[] {
    const half = 2 ** (this.bits - 1);
    const multiples = [IDENTITY, P];
    for (let k = 2; k <= half; k += 1)
      multiples.push(k % 2 === 0 ? double(multiples[k / 2]!) : add(multiples[k - 1]!, P));
    // 2p − Y: opposite, and positive, for Y has hardly more than 256 bits.
    const opposites = multiples.slice(1).map(({ X, Y, Z }) => ({ X, Y: 2n * p - Y, Z }));
    return [...opposites.reverse(), ...multiples.slice(0, half)];
  }
}

/** Of λ times the points of a table. */
const timesLambda = (table: readonly Projective[]): readonly Projective[] =>
  table.map(({ X, Y, Z }) => ({ X: fold(BETA * X), Y, Z }));

/** The entry at `digit`, after a look at all of them. */
function entry(table: readonly Projective[], digit: number): Projective {
  let chosen = IDENTITY;
  for (let i = 0; i < table.length; i += 1) chosen = i === digit ? table[i]! : chosen;
  return chosen;
}

const nobleOf = ({ X, Y, Z }: Projective): NoblePoint => new secp256k1.Point(mod(X, p), mod(Y, p), mod(Z, p));

const windows = new Windows(5);

/** k·P for 0 ≤ k < q. */
export function secp256k1Multiple({ X, Y, Z }: NoblePoint, k: bigint): NoblePoint {
  const table = windows.tableOf({ X, Y, Z });
  const lambdaTable = timesLambda(table);
  const [digits1, digits2] = halvesOf(k).map((half) => windows.digits(half));
  let sum = IDENTITY;
  for (let window = windows.count - 1; window >= 0; window -= 1) {
    if (window < windows.count - 1) for (let i = 0; i < windows.bits; i += 1) sum = double(sum);
    sum = add(sum, entry(table, digits1![window]!));
    sum = add(sum, entry(lambdaTable, digits2![window]!));
  }
  return nobleOf(sum);
}

const baseWindows = new Windows(6);

/** Of G times 2^(6w) and of λ times that, for each window w. */
let secretTables: readonly (readonly [readonly Projective[], readonly Projective[]])[] | undefined;

/** k·G for a secret k, 0 ≤ k < q. The first call makes the tables, which takes as long as ten multiples. */
export function secp256k1BaseMultiple(k: bigint): NoblePoint {
  secretTables ??= secretBaseTables();
  const [digits1, digits2] = halvesOf(k).map((half) => baseWindows.digits(half));
  let sum = IDENTITY;
  for (const [window, [table, lambdaTable]] of secretTables.entries()) {
    sum = add(sum, entry(table, digits1![window]!));
    sum = add(sum, entry(lambdaTable, digits2![window]!));
  }
  return nobleOf(sum);
}

function secretBaseTables() {
  const { X, Y, Z } = secp256k1.Point.BASE;
  let first: Projective = { X, Y, Z };
  return Array.from({ length: baseWindows.count }, () => {
    const table = baseWindows.tableOf(first);
    for (let i = 0; i < baseWindows.bits; i += 1) first = double(first);
    return [table, timesLambda(table)] as const;
  });
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
