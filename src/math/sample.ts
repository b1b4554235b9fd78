/** Uniform sampling of integers by rejection from a source of random bytes. */
import { bitLength, bytesToBigint, type Random } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { gcd } from './modular.js';

/** A working generator is refused with probability < 1/2 each time: this many refusals mean a broken one. */
const MAX_REFUSALS = 256;

/** Uniform among the values of `draw` that `accept` takes. Throws `BUG` when the generator is evidently broken. */
function reject(draw: () => bigint, accept: (value: bigint) => boolean): bigint {
  for (let i = 0; i < MAX_REFUSALS; i += 1) {
    const value = draw();
    if (accept(value)) return value;
  }
  invariant(false, 'the random generator is broken');
}

/** Uniform in 0 … 2^bits − 1. */
export function sampleBits(bits: number, random: Random): bigint {
  const bytes = random(Math.ceil(bits / 8));
  const value = BigInt.asUintN(bits, bytesToBigint(bytes));
  bytes.fill(0);
  return value;
}

/** Uniform in 0 … n − 1, for n > 0. */
export function sampleBelow(n: bigint, random: Random): bigint {
  invariant(n > 0n, 'sampleBelow: empty range');
  const bits = bitLength(n - 1n);
  return reject(
    () => sampleBits(bits, random),
    (value) => value < n,
  );
}

/** Uniform in ±bound = {−bound, …, bound}, for bound ≥ 0. */
export const sampleSigned = (bound: bigint, random: Random): bigint =>
  sampleBelow(2n * bound + 1n, random) - bound;

/** Uniform in Z*_N = {x : 0 < x < N, gcd(x, N) = 1}, for N > 1. */
export const sampleUnit = (N: bigint, random: Random): bigint =>
  reject(
    () => sampleBelow(N, random),
    (x) => gcd(x, N) === 1n,
  );
