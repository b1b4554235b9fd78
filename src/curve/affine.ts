/**
 * Sums of points in affine coordinates, many at once: one division serves them all, and the rest takes a third of the
 * time that formulas for all cases take.
 */
import { FpInvertBatch } from '@noble/curves/abstract/modular.js';
import type { WeierstrassPointCons } from '@noble/curves/abstract/weierstrass.js';
import { mod } from '../math/modular.js';

/** A point but the identity; 0 ≤ x, y < p. */
export interface Affine {
  readonly x: bigint;
  readonly y: bigint;
}

export type Field = WeierstrassPointCons<bigint>['Fp'];

/** P_i + Q_i, by the chord through them; `undefined` where there is none, because P_i = ±Q_i. */
export function chordSums(Fp: Field, Ps: readonly Affine[], Qs: readonly Affine[]): (Affine | undefined)[] {
  const p = Fp.ORDER;
  const inverses = FpInvertBatch(
    Fp,
    Ps.map((P, i) => mod(Qs[i]!.x - P.x, p)),
  );
  return Ps.map((P, i) => {
    const [Q, inverse] = [Qs[i]!, inverses[i]];
    if (inverse === undefined) return undefined;
    const slope = ((Q.y - P.y) * inverse) % p;
    const x = mod(slope * slope - P.x - Q.x, p);
    return { x, y: mod(slope * (P.x - x) - P.y, p) };
  });
}
