/**
 * The commitments of all protocols, so that a cheat can commit to what it is going to falsify: what catches it then
 * is not the commitment but the check behind it. The formulas are those of docs/protocol.md.
 */
import type { z } from 'zod';
import { hash } from '#src/core/transcript.js';
import type { Point } from '#src/curve/curve.js';
import type { Part } from './cheat.js';
import { CHEAT } from './scenarios.js';
import type { FieldPath } from './schemas.js';

export interface Commitment {
  /** The round that commits, of the same step, and the part in which V stands. */
  readonly round: string;
  readonly part: Part;
  /** Whether it is to what stands at this place of the opening. */
  readonly binds: (path: FieldPath) => boolean;
  /** V of an opening, as decoded by its schema. */
  readonly of: (sid: Uint8Array, to: string, opening: unknown) => Uint8Array;
}

interface Dealing {
  readonly F: readonly Point[];
  readonly proof: readonly { readonly A: Point; readonly z: bigint }[];
  readonly rid: Uint8Array;
  readonly blind: Uint8Array;
}

const dealing = (step: string): Commitment => ({
  round: 'commit',
  part: 'broadcast',
  binds: () => true,
  of: (sid, _to, opening) => {
    const { F, proof, rid, blind } = opening as Dealing;
    const points = F.map((point) => point.toBytes());
    const proofs = proof.flatMap(({ A, z }) => [A.toBytes(), z]);
    return hash('dkg commit', [sid, step, CHEAT, points, proofs, rid, blind]);
  },
});

interface Modulus extends Readonly<Record<'N' | 's' | 't', bigint>> {
  readonly prm: Readonly<Record<'A' | 'z', readonly bigint[]>>;
  readonly coin: Uint8Array;
  readonly blind: Uint8Array;
}

interface Seed {
  readonly seed: Uint8Array;
  readonly blind: Uint8Array;
}

interface NoncePoint {
  readonly R: Point;
  readonly blind: Uint8Array;
}

/** By the round that opens, and its part. */
const COMMITMENTS: Readonly<Record<string, Commitment>> = {
  'keygen/open broadcast': dealing('keygen'),
  'refresh/open broadcast': dealing('refresh'),
  'setup/seed open direct': {
    round: 'seed commit',
    part: 'direct',
    binds: () => true,
    of: (sid, to, opening) => {
      const { seed, blind } = opening as Seed;
      return hash('zero seed commit', [sid, CHEAT, to, seed, blind]);
    },
  },
  'paillier/open broadcast': {
    round: 'commit',
    part: 'broadcast',
    binds: () => true,
    of: (sid, _to, opening) => {
      const { N, s, t, prm, coin, blind } = opening as Modulus;
      return hash('paillier commit', [sid, CHEAT, N, s, t, prm.A, prm.z, coin, blind]);
    },
  },
  'presign/open direct': {
    round: 'commit',
    part: 'broadcast',
    binds: ([key]) => key === 'R' || key === 'blind',
    of: (sid, _to, opening) => {
      const { R, blind } = opening as NoncePoint;
      return hash('presign commit', [sid, CHEAT, R.toBytes(), blind]);
    },
  },
};

export interface Opening {
  readonly step: string;
  readonly round: string;
  readonly part: Part;
  readonly path: FieldPath;
  readonly schema: z.ZodType;
}

/** The commitment that binds this field, if one does. */
export function commitmentTo({ step, round, part, path }: Opening): Commitment | undefined {
  const commitment = COMMITMENTS[`${step}/${round} ${part}`];
  return commitment?.binds(path) ? commitment : undefined;
}
