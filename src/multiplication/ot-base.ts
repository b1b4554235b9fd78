/**
 * Base transfers: 128 oblivious transfers of random 16-byte keys (docs/protocol.md §7, `ot`). Endemic oblivious
 * transfer of Masny and Rindal (ePrint 2019/706) from Diffie–Hellman, with RFC 9380 as its random oracle to the curve.
 *
 * The roles are turned round: the multiplication's sender S chooses, by the bits Δ_i, and its receiver R ends with both
 * keys k_{i,0}, k_{i,1} of each transfer. R learns nothing of Δ, because p_{i,0} and p_{i,1} are both uniform; S learns
 * nothing of k_{i,1−Δ_i}, because it would need the logarithm of p_{i,1−Δ_i} + Hc(1−Δ_i; i, p_{i,Δ_i}).
 *
 * Points and keys stand one after the other in byte strings. Everything chosen by Δ is chosen by masks.
 */
import { bytesToBigint, concatBytes, type Random } from '../core/bytes.js';
import { hasher } from '../core/transcript.js';
import { type Curve, curveByName, POINT_BYTES, type Point, SCALAR_BYTES } from '../curve/curve.js';
import { type HashInput, hashToCurve, suiteOf } from '../curve/hash-to-curve.js';
import { type OtContext, otFields } from './ot-context.js';

/** Base transfers of an ordered pair. */
export const BASE_TRANSFERS = 128;
export const KEY_BYTES = 16;

/** Lengths of p_{1,0} ‖ p_{1,1} ‖ p_{2,0} … and A_1 ‖ A_2 …; of Δ; of the b_i; of one key for each transfer. */
export const CHOICE_POINTS_BYTES = 2 * BASE_TRANSFERS * POINT_BYTES;
export const TRANSFER_POINTS_BYTES = BASE_TRANSFERS * POINT_BYTES;
export const DELTA_BYTES = BASE_TRANSFERS / 8;
export const KEYS_BYTES = BASE_TRANSFERS * KEY_BYTES;

const text = new TextEncoder();

/** The i-th bit of `bits`, 0 or 1; bit k of a byte string is bit k mod 8 of byte ⌊k/8⌋, least significant first. */
export const bitOf = (bits: Uint8Array, i: number): number => (bits[i >> 3]! >>> (i & 7)) & 1;

const item = (bytes: Uint8Array, i: number, length: number): Uint8Array =>
  bytes.subarray(i * length, (i + 1) * length);

/** What Hc(bit; i, p) hashes: the bit is the last character of the domain separation tag's first part. */
function maskInputs(ctx: OtContext, curve: Curve) {
  const message = hasher('base ot point', otFields(ctx));
  const before = text.encode('ecdsa-mpc/v1/base ot ');
  const after = text.encode(` with ${suiteOf(curve)}`);
  return (bit: number, i: number, p: Uint8Array): HashInput => ({
    message: message([BigInt(i), p]),
    dst: concatBytes(before, Uint8Array.of(0x30 + bit), after),
  });
}

/**
 * k_{i,x} = H("base ot"; i, x, p_{i,0}, p_{i,1}, A_i, the point that both sides can compute), of all p and A; written to
 * its place in `keys`.
 */
function keyWriter(ctx: OtContext, points: Uint8Array, A: Uint8Array, keys: Uint8Array) {
  const keyOf = hasher('base ot', otFields(ctx));
  return (place: number, i: number, x: number, shared: Point): void => {
    const [p0, p1] = [item(points, 2 * i, POINT_BYTES), item(points, 2 * i + 1, POINT_BYTES)];
    const fields = [BigInt(i), Uint8Array.of(x), p0, p1, item(A, i, POINT_BYTES), shared.toBytes()];
    const key = keyOf(fields, KEY_BYTES);
    keys.set(key, place * KEY_BYTES);
    key.fill(0);
  };
}

/** S: draws Δ and the b_i, and makes the points that hide them. */
export function choose(ctx: OtContext, random: Random) {
  const curve = curveByName(ctx.curve);
  const delta = random(DELTA_BYTES);
  const b = new Uint8Array(BASE_TRANSFERS * SCALAR_BYTES);
  const scalars = Array.from({ length: BASE_TRANSFERS }, () => curve.randomScalar(random));
  for (const [i, b_i] of scalars.entries()) b.set(curve.scalarBytes(b_i), i * SCALAR_BYTES);
  const others = curve.randomPoints(BASE_TRANSFERS, random).map((point) => point.toBytes());
  const maskInput = maskInputs(ctx, curve);
  const masks = hashToCurve(
    curve,
    others.map((other, i) => maskInput(bitOf(delta, i), i, other)),
    { secret: true },
  );
  const masked = curve.addAll(
    curve.multiplyBaseAll(scalars),
    masks.map((mask) => mask.negate()),
  );

  const points = new Uint8Array(CHOICE_POINTS_BYTES);
  for (const [i, point] of masked.entries()) {
    const [chosen, other] = [point.toBytes(), others[i]!];
    const [p0, p1] = [item(points, 2 * i, POINT_BYTES), item(points, 2 * i + 1, POINT_BYTES)];
    // p_{i,0} is the chosen one unless Δ_i is 1.
    const mask = -bitOf(delta, i);
    for (let k = 0; k < POINT_BYTES; k += 1) {
      const swap = mask & (chosen[k]! ^ other[k]!);
      p0[k] = chosen[k]! ^ swap;
      p1[k] = other[k]! ^ swap;
    }
  }
  return { points, delta, b };
}

/**
 * R: answers S's points by the A_i, and has both keys of every transfer, all k_{i,0} before all k_{i,1}.
 * `undefined`: something among the points is none, or gives the identity, with which S would know a key without b_i.
 */
export function transfer(ctx: OtContext, points: Uint8Array, random: Random) {
  const curve = curveByName(ctx.curve);
  const bases = basesOf(ctx, curve, points);
  if (bases === undefined) return undefined;

  const a = Array.from({ length: BASE_TRANSFERS }, () => curve.randomScalar(random));
  const multiples = curve.multiplyPairs(bases, a);
  const A = concatBytes(...multiples.map(([A_i]) => A_i.toBytes()));
  const keys = new Uint8Array(2 * KEYS_BYTES);
  const writeKey = keyWriter(ctx, points, A, keys);
  for (const [i, [, ...shared]] of multiples.entries())
    for (const [x, point] of shared.entries()) writeKey(x * BASE_TRANSFERS + i, i, x, point);
  return { A, keys };
}

/** p_{i,x} + Hc(x; i, p_{i,1−x}) for x = 0, 1; `undefined`: something is no point, or a sum is the identity. */
function basesOf(ctx: OtContext, curve: Curve, points: Uint8Array): (readonly [Point, Point])[] | undefined {
  const decoded: Point[] = [];
  const inputs: HashInput[] = [];
  const maskInput = maskInputs(ctx, curve);
  for (let k = 0; k < 2 * BASE_TRANSFERS; k += 1) {
    const p = curve.point(item(points, k, POINT_BYTES));
    if (p === undefined) return undefined;
    decoded.push(p);
    inputs.push(maskInput(k & 1, k >> 1, item(points, k ^ 1, POINT_BYTES)));
  }
  const masks = hashToCurve(curve, inputs, { secret: false });
  const bases = curve.addAll(decoded, masks);
  if (bases.some((base) => base.isIdentity)) return undefined;
  return Array.from({ length: BASE_TRANSFERS }, (_, i) => [bases[2 * i]!, bases[2 * i + 1]!]);
}

/** S: the k_{i,Δ_i}, from R's answer to its points. `undefined`: something in the answer is no point. */
export function receive(
  ctx: OtContext,
  points: Uint8Array,
  A: Uint8Array,
  { delta, b }: { readonly delta: Uint8Array; readonly b: Uint8Array },
): Uint8Array | undefined {
  const curve = curveByName(ctx.curve);
  const answers: Point[] = [];
  for (let i = 0; i < BASE_TRANSFERS; i += 1) {
    const A_i = curve.point(item(A, i, POINT_BYTES));
    if (A_i === undefined) return undefined;
    answers.push(A_i);
  }

  const scalars = answers.map((_, i) => bytesToBigint(item(b, i, SCALAR_BYTES)));
  const keys = new Uint8Array(KEYS_BYTES);
  const writeKey = keyWriter(ctx, points, A, keys);
  for (const [i, point] of curve.multiplyAll(answers, scalars).entries())
    writeKey(i, i, bitOf(delta, i), point);
  return keys;
}
