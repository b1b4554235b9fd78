/**
 * Set-ups of oblivious transfers without their base transfers, and a second implementation of the transfers themselves,
 * naive and from docs/protocol.md §7 alone: columns, rows and field elements are BigInts whose bit k stands for X^k.
 * It deviates from the protocol where it is told to.
 */
import { createCipheriv } from 'node:crypto';
import { bigintToBytes, bytesToBigint, concatBytes, randomBytes, Secret } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { hash, hashStream } from '#src/core/transcript.js';
import { type Curve, curveByName } from '#src/curve/curve.js';
import { OtSetup } from '#src/multiplication/ot.js';
import type { OtContext } from '#src/multiplication/ot-context.js';
import type { Extension } from '#src/multiplication/ot-extension.js';
import type { Correction } from '#src/multiplication/ot-products.js';

const COLUMNS = 128;
const TRANSFERS = 416;

/** What an ordered pair has after honest base transfers. */
export interface PairKeys {
  /** The receiver's: all k_{i,0}, then all k_{i,1}. */
  readonly both: Uint8Array;
  /** The sender's. */
  readonly delta: Uint8Array;
  readonly chosen: Uint8Array;
}

export function pairKeys(): PairKeys {
  const [both, delta] = [randomBytes(2 * COLUMNS * 16), randomBytes(COLUMNS / 8)];
  const chosen = new Uint8Array(COLUMNS * 16);
  for (let i = 0; i < COLUMNS; i += 1) {
    const at = (bit(delta, i) * COLUMNS + i) * 16;
    chosen.set(both.subarray(at, at + 16), i * 16);
  }
  return { both, delta, chosen };
}

/** The i-th bit of a byte string. */
export const bit = (bytes: Uint8Array, i: number): number => (bytes[i >> 3]! >> (i & 7)) & 1;

/** Set-ups of all parties, and the keys of every ordered pair, by `receiver sender`. */
export function otSetups(curve: Curve, parties: readonly PartyName[]) {
  const keys = new Map<string, PairKeys>();
  for (const receiver of parties)
    for (const sender of parties) if (receiver !== sender) keys.set(`${receiver} ${sender}`, pairKeys());
  const setups = new Map(
    parties.map((self) => {
      const peers = parties.filter((name) => name !== self);
      const secrets = peers.map((peer): [PartyName, Secret] => {
        const { delta, chosen } = keys.get(`${peer} ${self}`)!;
        const { both } = keys.get(`${self} ${peer}`)!;
        return [peer, Secret.own(concatBytes(both, delta, chosen))];
      });
      return [self, new OtSetup(curve, new Map(secrets))];
    }),
  );
  return { keys, setups };
}

const fields = ({ sid, step, curve, receiver, sender }: OtContext) => [sid, step, curve, receiver, sender];

const littleEndian = (bytes: Uint8Array): bigint => bytesToBigint(Uint8Array.from(bytes).reverse());
const toLittleEndian = (value: bigint, length: number): Uint8Array => bigintToBytes(value, length).reverse();

const range = (count: number): number[] => [...new Array(count).keys()];

const bitAt = (value: bigint, k: number): bigint => (value >> BigInt(k)) & 1n;

/** The product in F_2[X]/(X^128 + X^7 + X^2 + X + 1). */
export function times(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let k = 127; k >= 0; k -= 1) {
    product <<= 1n;
    if (product >> 128n) product ^= (1n << 128n) | 0x87n;
    if (bitAt(b, k)) product ^= a;
  }
  return product;
}

function prg(ctx: OtContext, k: Uint8Array): bigint {
  const key = hash('ot prg', [...fields(ctx), k], 16);
  return littleEndian(createCipheriv('aes-128-ctr', key, new Uint8Array(16)).update(new Uint8Array(80)));
}

const keyAt = (keys: Uint8Array, i: number): Uint8Array => keys.subarray(16 * i, 16 * i + 16);

/** w_1 … w_4. */
function weightsOf(ctx: OtContext, u: Uint8Array): bigint[] {
  const bytes = hash('ot check', [...fields(ctx), u], 64);
  return range(4).map((b) => littleEndian(bytes.subarray(16 * b, 16 * b + 16)));
}

/** ĉ of a column. */
function columnSum(weights: readonly bigint[], column: bigint): bigint {
  const block = (b: number) => BigInt.asUintN(128, column >> BigInt(128 * b));
  return weights.reduce((sum, weight, b) => sum ^ times(weight, block(b)), block(4));
}

/** The row j of columns. */
const rowOf = (columns: readonly bigint[], j: number): bigint =>
  columns.reduce((row, column, i) => row | (bitAt(column, j) << BigInt(i)), 0n);

/** E(j, row_j) of all rows: three scalars mod q each. */
function padsOf(ctx: OtContext, rows: readonly bigint[]): bigint[][] {
  const cipher = createCipheriv('aes-128-ecb', hash('ot key', fields(ctx)).subarray(0, 16), null);
  const pi = (block: bigint) => littleEndian(cipher.update(toLittleEndian(block, 16)));
  const { q } = curveByName(ctx.curve);
  return rows.map((row, j) => {
    const once = pi(row);
    const blocks = range(9).map((b) => toLittleEndian(pi(once ^ BigInt(9 * j + b)) ^ once, 16));
    const bytes = concatBytes(...blocks);
    return range(3).map((i) => bytesToBigint(bytes.subarray(48 * i, 48 * i + 48)) % q);
  });
}

function gadget(ctx: OtContext): bigint[] {
  const stream = hashStream('gadget', fields(ctx), TRANSFERS * 48);
  const { q } = curveByName(ctx.curve);
  return range(TRANSFERS).map((j) => bytesToBigint(stream.subarray(48 * j, 48 * j + 48)) % q);
}

function theta(ctx: OtContext, a: Uint8Array): [bigint, bigint] {
  const bytes = hash('theta', [...fields(ctx), a], 96);
  const { q } = curveByName(ctx.curve);
  return [bytesToBigint(bytes.subarray(0, 48)) % q, bytesToBigint(bytes.subarray(48)) % q];
}

const mu = (ctx: OtContext, values: readonly bigint[]): Uint8Array =>
  hash('mu', [...fields(ctx), concatBytes(...values.map((value) => bigintToBytes(value, 32)))]);

export interface NaiveOpened {
  readonly message1: Extension;
  readonly chi: bigint;
  readonly x: bigint;
  readonly t: readonly bigint[];
}

/** R's first step; column i is made with x ⊕ `errors(i)` instead of x, and everything else fits that. */
export function naiveOpen(
  ctx: OtContext,
  both: Uint8Array,
  errors: (i: number) => bigint = () => 0n,
): NaiveOpened {
  const x = littleEndian(randomBytes(80));
  const t = range(COLUMNS).map((i) => prg(ctx, keyAt(both, i)));
  const columns = t.map((t_i, i) => t_i ^ prg(ctx, keyAt(both, COLUMNS + i)) ^ x ^ errors(i));
  const u = concatBytes(...columns.map((column) => toLittleEndian(column, 80)));
  const weights = weightsOf(ctx, u);
  const sum = (column: bigint) => toLittleEndian(columnSum(weights, column), 16);
  const chi = gadget(ctx).reduce((total, g, j) => total + g * bitAt(x, j), 0n);
  const message1 = { u, x: sum(x), t: concatBytes(...t.map(sum)) };
  return { message1, chi: curveByName(ctx.curve).mod(chi), x, t };
}

/**
 * S's step, without its check. Row j is corrected with `inputs(j)` (a_0, a_1) instead of the inputs, and everything
 * else is as for those of `honest`.
 */
export function naiveRespond(
  ctx: OtContext,
  { delta, chosen }: PairKeys,
  { u }: Extension,
  honest: readonly [bigint, bigint],
  inputs: (j: number) => readonly [bigint, bigint] = () => honest,
): { readonly message2: Correction; readonly c: readonly bigint[]; readonly q: readonly bigint[] } {
  const curve = curveByName(ctx.curve);
  const q = range(COLUMNS).map((i) => {
    const u_i = littleEndian(u.subarray(80 * i, 80 * i + 80));
    return prg(ctx, keyAt(chosen, i)) ^ (bit(delta, i) === 1 ? u_i : 0n);
  });
  const rows = range(TRANSFERS).map((j) => rowOf(q, j));
  const difference = littleEndian(delta);
  const alpha0 = padsOf(ctx, rows);
  const alpha1 = padsOf(
    ctx,
    rows.map((row) => row ^ difference),
  );
  const mask = curve.randomScalar(randomBytes);
  const a = concatBytes(
    ...range(TRANSFERS).flatMap((j) => {
      const added = [...inputs(j), mask];
      return range(3).map((i) => curve.scalarBytes(alpha0[j]![i]! - alpha1[j]![i]! + added[i]!));
    }),
  );
  const [theta0, theta1] = theta(ctx, a);
  const eta = curve.mod(mask + theta0 * honest[0] + theta1 * honest[1]);
  const checked = alpha0.map(([p0, p1, p2]) => curve.mod(p2! + theta0 * p0! + theta1 * p1!));
  const g = gadget(ctx);
  const c = [0, 1].map((i) => curve.mod(-alpha0.reduce((sum, pads, j) => sum + g[j]! * pads[i]!, 0n)));
  return { message2: { a, eta, mu: mu(ctx, checked) }, c, q };
}

/** R's last step, without its check. */
export function naiveFinish(ctx: OtContext, { x, t }: NaiveOpened, { a }: Correction): bigint[] {
  const curve = curveByName(ctx.curve);
  const g = gadget(ctx);
  const own = padsOf(
    ctx,
    range(TRANSFERS).map((j) => rowOf(t, j)),
  );
  const d = own.map((pads, j) => {
    return [0, 1].map((i) => {
      const at = 32 * (3 * j + i);
      return pads[i]! + bitAt(x, j) * bytesToBigint(a.subarray(at, at + 32));
    });
  });
  return [0, 1].map((i) => curve.mod(d.reduce((sum, d_j, j) => sum + g[j]! * d_j[i]!, 0n)));
}
