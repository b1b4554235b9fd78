/**
 * Oblivious-transfer extension (docs/protocol.md §7, `ot`): from 128 base transfers as many correlated ones as a
 * multiplication needs, by symmetric cryptography only. Keller–Orsini–Scholl (ePrint 2015/546, revision of 2022), with
 * the check as a universal hash of columns (compare Roy, SoftSpokenOT, ePrint 2022/192).
 *
 * R has both keys of each base transfer, S those that Δ chose. R extends with its choice bits x: its matrix T has the
 * columns t_i = PRG(k_{i,0}), S's matrix Q the columns q_i = t_i ⊕ Δ_i·x. So in rows q_j = t_j ⊕ x_j·Δ.
 *
 * An R that uses another x in some column learns Δ_i by whether S still works. The check limits this: it fails for such
 * an R unless it has guessed those Δ_i, and a failure is final (see ot.ts).
 *
 * Columns have 640 bits: 416 transfers, 96 that only fill up four blocks of 128, and a block that hides x and the t_i
 * from what the check reveals of them. Bits stand least significant first, as in GF(2^128).
 */
import { createCipheriv } from 'node:crypto';
import { equalBytes, type Random, Secret } from '../core/bytes.js';
import { hash, hasher } from '../core/transcript.js';
import {
  addElement,
  addProduct,
  ELEMENT_BYTES,
  type Multiples,
  multiplesOf,
  writeElement,
} from '../math/gf128.js';
import { BASE_TRANSFERS, bitOf, KEY_BYTES, KEYS_BYTES } from './ot-base.js';
import { type OtContext, otFields } from './ot-context.js';

/** Correlated transfers of one multiplication: λ + 160. */
export const TRANSFERS = 416;
const COLUMN_BYTES = 80;
/** Blocks of a column that are weighted; the last one masks the result. */
const WEIGHTED = COLUMN_BYTES / ELEMENT_BYTES - 1;

/** Lengths of all u_i, of x̂, of all t̂_i; of a row, and of all rows. */
export const COLUMNS_BYTES = BASE_TRANSFERS * COLUMN_BYTES;
export const SUM_BYTES = ELEMENT_BYTES;
export const SUMS_BYTES = BASE_TRANSFERS * ELEMENT_BYTES;
export const ROW_BYTES = BASE_TRANSFERS / 8;
export const CHOICE_BYTES = TRANSFERS / 8;

/** What R sends: all u_i, x̂, all t̂_i. */
export interface Extension {
  readonly u: Uint8Array;
  readonly x: Uint8Array;
  readonly t: Uint8Array;
}

/** R: draws x; what it sends, its choice bits x_j and its rows t_j, j < 416. */
export function extend(ctx: OtContext, keys: Uint8Array, random: Random) {
  using x = Secret.own(random(COLUMN_BYTES));
  using t = Secret.own(expandKeys(ctx, keys.subarray(0, KEYS_BYTES)));
  const u = expandKeys(ctx, keys.subarray(KEYS_BYTES));
  for (let i = 0; i < BASE_TRANSFERS; i += 1) {
    const column = columnOf(u, i);
    addMasked(column, columnOf(t.bytes, i), 1);
    addMasked(column, x.bytes, 1);
  }
  const weights = weightsOf(ctx, u);
  const extension: Extension = { u, x: columnSums(weights, x.bytes), t: columnSums(weights, t.bytes) };
  return { extension, choice: x.bytes.slice(0, CHOICE_BYTES), rows: rowsOf(t.bytes) };
}

/** S: its rows q_j. `undefined`: the check fails. */
export function extendChosen(
  ctx: OtContext,
  { u, x, t }: Extension,
  { delta, keys }: { readonly delta: Uint8Array; readonly keys: Uint8Array },
): Uint8Array | undefined {
  using q = Secret.own(expandKeys(ctx, keys));
  using expected = Secret.own(Uint8Array.from(t));
  for (let i = 0; i < BASE_TRANSFERS; i += 1) {
    const bit = bitOf(delta, i);
    addMasked(columnOf(q.bytes, i), columnOf(u, i), bit);
    addMasked(expected.bytes.subarray(i * SUM_BYTES, (i + 1) * SUM_BYTES), x, bit);
  }
  using sums = Secret.own(columnSums(weightsOf(ctx, u), q.bytes));
  // q̂_i = t̂_i ⊕ Δ_i·x̂, all at once
  return equalBytes(sums.bytes, expected.bytes) ? rowsOf(q.bytes) : undefined;
}

const columnOf = (columns: Uint8Array, i: number): Uint8Array =>
  columns.subarray(i * COLUMN_BYTES, (i + 1) * COLUMN_BYTES);

/** target ← target ⊕ bit·source. */
function addMasked(target: Uint8Array, source: Uint8Array, bit: number): void {
  const mask = -bit;
  for (let k = 0; k < target.length; k += 1) target[k] = target[k]! ^ (mask & source[k]!);
}

/** PRG(k) of all keys, a column each: AES-128-CTR under H("ot prg"; k). */
function expandKeys(ctx: OtContext, keys: Uint8Array): Uint8Array {
  const seedOf = hasher('ot prg', otFields(ctx));
  const columns = new Uint8Array(COLUMNS_BYTES);
  const zeros = new Uint8Array(COLUMN_BYTES);
  const counter = new Uint8Array(16);
  for (let i = 0; i < BASE_TRANSFERS; i += 1) {
    const key = seedOf([keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES)], 16);
    const column = createCipheriv('aes-128-ctr', key, counter).update(zeros);
    columns.set(column, i * COLUMN_BYTES);
    column.fill(0);
    key.fill(0);
  }
  return columns;
}

/** w_1 … w_4 = H("ot check"; all u_i), as multiples. */
function weightsOf(ctx: OtContext, u: Uint8Array): readonly Multiples[] {
  const weights = hash('ot check', [...otFields(ctx), u], WEIGHTED * ELEMENT_BYTES);
  return Array.from({ length: WEIGHTED }, (_, b) => multiplesOf(weights.subarray(b * ELEMENT_BYTES)));
}

/** ĉ = Σ w_b·c_b + c_5 of every column c. */
function columnSums(weights: readonly Multiples[], columns: Uint8Array): Uint8Array {
  const view = new DataView(columns.buffer, columns.byteOffset, columns.length);
  const count = columns.length / COLUMN_BYTES;
  const sums = new Uint8Array(count * ELEMENT_BYTES);
  const sumsView = new DataView(sums.buffer);
  const sum = new Uint32Array(ELEMENT_BYTES / 4);
  for (let i = 0; i < count; i += 1) {
    sum.fill(0);
    for (let b = 0; b < WEIGHTED; b += 1)
      addProduct(sum, weights[b]!, view, i * COLUMN_BYTES + b * ELEMENT_BYTES);
    addElement(sum, view, i * COLUMN_BYTES + WEIGHTED * ELEMENT_BYTES);
    writeElement(sum, sumsView, i * ELEMENT_BYTES);
  }
  return sums;
}

/** The first 416 rows of the matrix that has these columns; bit i of a row is that of column i. */
function rowsOf(columns: Uint8Array): Uint8Array {
  const rows = new Uint8Array(TRANSFERS * ROW_BYTES);
  for (let group = 0; group < ROW_BYTES; group += 1) {
    for (let byte = 0; byte < CHOICE_BYTES; byte += 1) {
      const at = 8 * group * COLUMN_BYTES + byte;
      transpose8(columns, at, COLUMN_BYTES, rows, 8 * byte * ROW_BYTES + group, ROW_BYTES);
    }
  }
  return rows;
}

/** Transposes 8 × 8 bits, a byte each `step` bytes: Warren, Hacker's Delight, 2nd edition, §7-3. */
function transpose8(
  from: Uint8Array,
  at: number,
  step: number,
  to: Uint8Array,
  toAt: number,
  toStep: number,
): void {
  let low = 0;
  let high = 0;
  for (let k = 0; k < 4; k += 1) {
    low |= from[at + k * step]! << (8 * k);
    high |= from[at + (k + 4) * step]! << (8 * k);
  }
  let swap = (low ^ (low >>> 7)) & 0x00aa00aa;
  low ^= swap ^ (swap << 7);
  swap = (high ^ (high >>> 7)) & 0x00aa00aa;
  high ^= swap ^ (swap << 7);
  swap = (low ^ (low >>> 14)) & 0x0000cccc;
  low ^= swap ^ (swap << 14);
  swap = (high ^ (high >>> 14)) & 0x0000cccc;
  high ^= swap ^ (swap << 14);
  swap = (low & 0xf0f0f0f0) ^ ((high << 4) & 0xf0f0f0f0);
  low ^= swap;
  high ^= swap >>> 4;
  for (let k = 0; k < 4; k += 1) {
    to[toAt + k * toStep] = low >>> (8 * k);
    to[toAt + (k + 4) * toStep] = high >>> (8 * k);
  }
}
