/**
 * Products from correlated oblivious transfers (docs/protocol.md §7, `ot`): Doerner–Kondi–Lee–shelat, "Threshold ECDSA
 * in Three Rounds" (ePrint 2023/765), §5, vectorised random multiplication, with two inputs and one check.
 *
 * S has rows q_j, R rows t_j with q_j = t_j ⊕ β_j·Δ. Hashed, they are pads α⁰_j, α¹_j of which R has the one that β_j
 * chose. By ã_j = α⁰_j − α¹_j + (a_0, a_1, â) R's pad becomes ḋ_j = α⁰_j + β_j·(a_0, a_1, â); summed up with the
 * gadget g, that is a share of a_l·χ, χ = Σ g_j·β_j. The third input, â, is random and masks what the check reveals.
 *
 * An S whose ã_j are of different inputs is caught by μ unless it has guessed the β_j concerned; that it may guess some
 * is why there are 160 transfers more than χ has bits.
 *
 * Scalars are BigInts: their arithmetic takes time that depends on them. What β_j chooses is chosen by masks before it
 * becomes a number, and one that is not 0: instead of 0 it is a multiple of q, as long as what it stands for.
 */
import { createCipheriv } from 'node:crypto';
import { bigintToBytes, concatBytes, equalBytes, type Random, Secret } from '../core/bytes.js';
import { hash, hashStream } from '../core/transcript.js';
import { type Curve, curveByName, SCALAR_BYTES } from '../curve/curve.js';
import type { ScalarPair } from './multiplication.js';
import { bitOf } from './ot-base.js';
import { type OtContext, otFields } from './ot-context.js';
import { ROW_BYTES, TRANSFERS } from './ot-extension.js';

/** Inputs a_0, a_1 and â. */
const INPUTS = 3;
/** A scalar before it is reduced. */
const WIDE_BYTES = 48;
const WIDE_BOUND = 1n << BigInt(8 * WIDE_BYTES);
const BLOCK_BYTES = 16;
const BLOCKS_PER_ROW = (INPUTS * WIDE_BYTES) / BLOCK_BYTES;

/** How many scalars all ã_j are. */
export const CORRECTIONS = TRANSFERS * INPUTS;

/** What S sends: all ã_j, 32 bytes for each scalar; η; μ. */
export interface Correction {
  readonly a: Uint8Array;
  readonly eta: bigint;
  readonly mu: Uint8Array;
}

/** χ = Σ g_j·β_j. */
export function chosenSum(ctx: OtContext, choice: Uint8Array): bigint {
  const { q } = curveByName(ctx.curve);
  // The largest multiple of q in 48 bytes: as long a number as the g_j are.
  const zero = bigintToBytes(WIDE_BOUND - (WIDE_BOUND % q), WIDE_BYTES);
  const gadget = gadgetBytes(ctx);
  using chosen = Secret.own(new Uint8Array(gadget.length));
  for (let j = 0; j < TRANSFERS; j += 1)
    select(chosen.bytes, j * WIDE_BYTES, WIDE_BYTES, bitOf(choice, j), gadget, j * WIDE_BYTES, zero);
  const view = viewOf(chosen.bytes);
  let sum = 0n;
  for (let j = 0; j < TRANSFERS; j += 1) sum += wideAt(view, j * WIDE_BYTES);
  return sum % q;
}

/** S: its message, and its shares c_0, c_1, for the inputs a_0, a_1. */
export function sendProducts(
  ctx: OtContext,
  { rows, delta }: { readonly rows: Uint8Array; readonly delta: Uint8Array },
  inputs: ScalarPair,
  random: Random,
): { readonly correction: Correction; readonly c: ScalarPair } {
  const curve = curveByName(ctx.curve);
  const { q } = curve;
  const key = rowKey(ctx);
  using pads0 = Secret.own(padsOf(key, rows));
  using flipped = Secret.own(rows.map((byte, k) => byte ^ delta[k % ROW_BYTES]!));
  using pads1 = Secret.own(padsOf(key, flipped.bytes));

  const [a_0, a_1] = inputs;
  const mask = curve.randomScalar(random);
  const [view0, view1] = [viewOf(pads0.bytes), viewOf(pads1.bytes)];
  const alpha = Array.from({ length: CORRECTIONS }, (_, k) => wideAt(view0, k * WIDE_BYTES));
  const a = new Uint8Array(CORRECTIONS * SCALAR_BYTES);
  const aView = viewOf(a);
  // A multiple of q above every pad, so that no difference is negative.
  const above = q << 129n;
  const added = [a_0 + above, a_1 + above, mask + above] as const;
  for (let k = 0; k < CORRECTIONS; k += 1)
    writeScalar(aView, k, (alpha[k]! + added[k % INPUTS]! - wideAt(view1, k * WIDE_BYTES)) % q);

  const [theta0, theta1] = thetaOf(ctx, curve, a);
  const gadget = viewOf(gadgetBytes(ctx));
  using checked = Secret.own(new Uint8Array(TRANSFERS * SCALAR_BYTES));
  const checkedView = viewOf(checked.bytes);
  let [sum0, sum1] = [0n, 0n];
  for (let j = 0; j < TRANSFERS; j += 1) {
    const [alpha0, alpha1, alpha2] = [alpha[3 * j]!, alpha[3 * j + 1]!, alpha[3 * j + 2]!];
    const g = wideAt(gadget, j * WIDE_BYTES);
    sum0 += g * alpha0;
    sum1 += g * alpha1;
    writeScalar(checkedView, j, (alpha2 + theta0 * alpha0 + theta1 * alpha1) % q);
  }
  const eta = curve.mod(mask + theta0 * a_0 + theta1 * a_1);
  return {
    correction: { a, eta, mu: muOf(ctx, checked.bytes) },
    c: [curve.mod(-sum0), curve.mod(-sum1)],
  };
}

/** R: its shares d_0, d_1. `undefined`: the check fails. */
export function receiveProducts(
  ctx: OtContext,
  { rows, choice }: { readonly rows: Uint8Array; readonly choice: Uint8Array },
  { a, eta, mu }: Correction,
): ScalarPair | undefined {
  const curve = curveByName(ctx.curve);
  const { q } = curve;
  using pads = Secret.own(padsOf(rowKey(ctx), rows));
  // β_j·ã_j, and −β_j·η
  using corrections = Secret.own(new Uint8Array(a.length));
  using masks = Secret.own(new Uint8Array(TRANSFERS * SCALAR_BYTES));
  const zero = bigintToBytes(q, SCALAR_BYTES);
  const zeros = concatBytes(zero, zero, zero);
  const minusEta = bigintToBytes(q - eta, SCALAR_BYTES);
  for (let j = 0; j < TRANSFERS; j += 1) {
    const bit = bitOf(choice, j);
    select(corrections.bytes, j * zeros.length, zeros.length, bit, a, j * zeros.length, zeros);
    select(masks.bytes, j * SCALAR_BYTES, SCALAR_BYTES, bit, minusEta, 0, zero);
  }

  const [theta0, theta1] = thetaOf(ctx, curve, a);
  const gadget = viewOf(gadgetBytes(ctx));
  const [padsView, correctionsView, masksView] = [pads, corrections, masks].map(({ bytes }) => viewOf(bytes));
  using checked = Secret.own(new Uint8Array(TRANSFERS * SCALAR_BYTES));
  const checkedView = viewOf(checked.bytes);
  const dAt = (k: number): bigint => wideAt(padsView!, k * WIDE_BYTES) + scalarAt(correctionsView!, k);
  let [sum0, sum1] = [0n, 0n];
  for (let j = 0; j < TRANSFERS; j += 1) {
    const [d0, d1, d2] = [dAt(3 * j), dAt(3 * j + 1), dAt(3 * j + 2)];
    const g = wideAt(gadget, j * WIDE_BYTES);
    sum0 += g * d0;
    sum1 += g * d1;
    writeScalar(checkedView, j, (d2 + theta0 * d0 + theta1 * d1 + scalarAt(masksView!, j)) % q);
  }
  if (!equalBytes(mu, muOf(ctx, checked.bytes))) return undefined;
  return [sum0 % q, sum1 % q];
}

/** The g_j before they are reduced, 48 bytes each: H("gadget"). */
const gadgetBytes = (ctx: OtContext): Uint8Array =>
  hashStream('gadget', otFields(ctx), TRANSFERS * WIDE_BYTES);

/** The key of the permutation π: H("ot key"). */
const rowKey = (ctx: OtContext): Uint8Array => hash('ot key', otFields(ctx)).subarray(0, BLOCK_BYTES);

/** θ_0, θ_1 = H("theta"; all ã_j). */
function thetaOf(ctx: OtContext, { q }: Curve, a: Uint8Array): ScalarPair {
  const bytes = viewOf(hash('theta', [...otFields(ctx), a], 2 * WIDE_BYTES));
  return [wideAt(bytes, 0) % q, wideAt(bytes, WIDE_BYTES) % q];
}

const muOf = (ctx: OtContext, checked: Uint8Array): Uint8Array => hash('mu', [...otFields(ctx), checked]);

/**
 * E(j, row_j) of all rows: nine blocks π(π(row) ⊕ (9j + b)) ⊕ π(row), b = 0 … 8, the number as a little-endian block.
 * Guo, Katz, Wang, Yu (ePrint 2019/074): a tweakable hash that stays random for rows with a common secret difference.
 */
function padsOf(key: Uint8Array, rows: Uint8Array): Uint8Array {
  using once = Secret.own(permuted(key, rows));
  using tweaked = Secret.own(new Uint8Array(TRANSFERS * BLOCKS_PER_ROW * BLOCK_BYTES));
  const view = viewOf(tweaked.bytes);
  repeatBlocks(tweaked.bytes, once.bytes);
  for (let n = 0; n < TRANSFERS * BLOCKS_PER_ROW; n += 1)
    view.setUint16(n * BLOCK_BYTES, view.getUint16(n * BLOCK_BYTES, true) ^ n, true);
  const pads = permuted(key, tweaked.bytes);
  repeatBlocks(pads, once.bytes);
  return pads;
}

/** Adds the j-th of `blocks` to nine blocks of `target` each. */
function repeatBlocks(target: Uint8Array, blocks: Uint8Array): void {
  const to = new Uint32Array(target.buffer, target.byteOffset, target.length / 4);
  const from = new Uint32Array(blocks.buffer, blocks.byteOffset, blocks.length / 4);
  let at = 0;
  for (let block = 0; block < from.length; block += 4) {
    for (let b = 0; b < BLOCKS_PER_ROW; b += 1) {
      for (let word = block; word < block + 4; word += 1) {
        to[at] = to[at]! ^ from[word]!;
        at += 1;
      }
    }
  }
}

/** π of every block. */
function permuted(key: Uint8Array, blocks: Uint8Array): Uint8Array {
  const output = createCipheriv('aes-128-ecb', key, null).update(blocks);
  // A copy of our own is aligned, whatever Node gave.
  const copy = new Uint8Array(output);
  output.fill(0);
  return copy;
}

/** Copies `length` bytes to `target` at `at`: of `one` at `oneAt` if `bit` is 1, otherwise of `zero`. */
function select(
  target: Uint8Array,
  at: number,
  length: number,
  bit: number,
  one: Uint8Array,
  oneAt: number,
  zero: Uint8Array,
): void {
  const mask = -bit;
  for (let k = 0; k < length; k += 1) target[at + k] = (one[oneAt + k]! & mask) | (zero[k]! & ~mask);
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** The 48 bytes at `offset`, as a number. */
const wideAt = (view: DataView, offset: number): bigint =>
  (((view.getBigUint64(offset) << 64n) | view.getBigUint64(offset + 8)) << 256n) |
  fourWords(view, offset + 16);

/** The k-th of the scalars that stand one after the other. */
const scalarAt = (view: DataView, k: number): bigint => fourWords(view, k * SCALAR_BYTES);

const fourWords = (view: DataView, offset: number): bigint =>
  (((view.getBigUint64(offset) << 64n) | view.getBigUint64(offset + 8)) << 128n) |
  (view.getBigUint64(offset + 16) << 64n) |
  view.getBigUint64(offset + 24);

function writeScalar(view: DataView, k: number, value: bigint): void {
  const offset = k * SCALAR_BYTES;
  view.setBigUint64(offset, value >> 192n);
  view.setBigUint64(offset + 8, BigInt.asUintN(64, value >> 128n));
  view.setBigUint64(offset + 16, BigInt.asUintN(64, value >> 64n));
  view.setBigUint64(offset + 24, BigInt.asUintN(64, value));
}
