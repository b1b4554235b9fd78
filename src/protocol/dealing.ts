/**
 * Joint Feldman dealing, the part that key generation and refresh have in common (docs/protocol.md §5, §9):
 * every party commits to a sharing of its own a_i along the policy, then opens it and hands out the shares, and
 * each checks what it got. Feldman, FOCS 1987; Benaloh–Leichter, CRYPTO 1988.
 *
 * In a refresh a_i = 0: the root's constant is left out of F_i, and there is no proof of knowledge.
 */
import { z } from 'zod';
import type { Policy } from '../access/policy.js';
import { commitmentCount, publicShareOf, publicShares, share, shareZero } from '../access/sharing.js';
import { equalBytes, Secret } from '../core/bytes.js';
import { bytesField, listField } from '../core/codec.js';
import type { PartyName } from '../core/errors.js';
import type { Field } from '../core/transcript.js';
import { hash } from '../core/transcript.js';
import type { Curve, Point } from '../curve/curve.js';
import { pointField, scalarField } from '../curve/fields.js';
import type { Run } from '../rounds/run.js';
import { broadcastRound, mixedRound, ofPeer, peerMap } from '../rounds/run.js';
import * as dlog from '../zk/dlog.js';
import { proofContext } from './context.js';

export interface DealingParams {
  readonly step: 'keygen' | 'refresh';
  readonly curve: Curve;
  readonly policy: Policy;
}

/** What everyone's dealing adds up to. */
export interface Dealt {
  /** Σ_j (share of a_j for this party), 32 bytes; the caller disposes it. */
  readonly share: Secret;
  /** Σ_j a_j·G: the identity in a refresh. */
  readonly constant: Point;
  /** Each party's summed share times G. */
  readonly publicShares: ReadonlyMap<PartyName, Point>;
  /** XOR of every party's rid_j, 32 bytes. */
  readonly rid: Uint8Array;
}

const isZero = ({ step }: DealingParams): boolean => step === 'refresh';

/** The rounds of a dealing, in order. */
export function dealingRounds(params: DealingParams) {
  const { step, curve, policy } = params;
  const zero = isZero(params);
  return {
    commit: broadcastRound({
      step,
      name: 'commit',
      broadcast: z.strictObject({ V: bytesField(32) }),
      maxBytes: 64,
    }),
    open: mixedRound({
      step,
      name: 'open',
      broadcast: z.strictObject({
        F: listField(pointField(curve), commitmentCount(policy, { zero })),
        proof: listField(dlog.proofSchema(curve), zero ? 0 : 1),
        rid: bytesField(32),
        blind: bytesField(32),
      }),
      direct: z.strictObject({ share: scalarField(curve) }),
      maxBytes: 1024 + 40 * commitmentCount(policy, { zero }),
    }),
  };
}

type Rounds = ReturnType<typeof dealingRounds>;
type Opening = NonNullable<Rounds['open']['broadcast']>['_output'];

/** V_i = H("dkg commit"; sid, i, F_i, proof, rid_i, blind_i). */
function commitment(run: Run, params: DealingParams, dealer: PartyName, opening: Opening): Uint8Array {
  const proof: Field[] = opening.proof.flatMap(({ A, z }) => [A.toBytes(), z]);
  const F = opening.F.map((point) => point.toBytes());
  return hash('dkg commit', [run.sid, params.step, dealer, F, proof, opening.rid, opening.blind]);
}

/**
 * Runs the dealing among all parties of `run`. Aborts naming the dealer whose commitment, proof or share is bad.
 */
export async function deal(run: Run, params: DealingParams): Promise<Dealt> {
  const { curve, policy } = params;
  const zero = isZero(params);
  const rounds = dealingRounds(params);

  // Round 1
  const a = curve.randomScalar(run.random);
  const { shares, commitments } = zero
    ? shareZero(curve, policy, run.random)
    : share(curve, policy, a, run.random);
  const opening: Opening = {
    F: [...commitments],
    proof: zero
      ? []
      : [dlog.prove(proofContext(run, params, run.self, '*'), { X: commitments[0]! }, { x: a }, run.random)],
    rid: run.random(32),
    blind: run.random(32),
  };
  const committed = await run.broadcast(rounds.commit, { V: commitment(run, params, run.self, opening) });

  // Round 2
  const direct = peerMap(run.peers, (peer) => ({ share: ofPeer(shares, peer) }));
  const opened = await run.broadcastAndExchange(rounds.open, opening, direct);

  // Checks
  const openingOf = (peer: PartyName): Opening => ofPeer(opened, peer).broadcast;
  await run.check('dealing commitment', (peer) =>
    equalBytes(ofPeer(committed, peer).V, commitment(run, params, peer, openingOf(peer))),
  );
  await run.check('proof of knowledge of a', (peer) =>
    openingOf(peer).proof.every((proof) =>
      dlog.verify(proofContext(run, params, peer, '*'), { X: openingOf(peer).F[0]! }, proof),
    ),
  );
  await run.check('share against its commitments', (peer) =>
    curve
      .multiplyBase(ofPeer(opened, peer).direct.share)
      .equals(publicShareOf(curve, policy, run.self, openingOf(peer).F, { zero })),
  );

  // Sums
  const dealtToSelf = run.peers.reduce(
    (sum, peer) => sum + ofPeer(opened, peer).direct.share,
    ofPeer(shares, run.self),
  );
  const openings = [opening, ...run.peers.map(openingOf)];
  // Of the sum of all polynomials, whose commitments are the sums.
  const F = commitments.map((_, index) => curve.sum(openings.map((each) => each.F[index]!)));
  const sums = publicShares(curve, policy, F, { zero });
  return {
    share: Secret.fromBigint(curve.mod(dealtToSelf), 32),
    constant: zero ? curve.identity : F[0]!,
    publicShares: peerMap(run.parties, (party) => ofPeer(sums, party)),
    rid: openings.reduce((sum, { rid }) => sum.map((byte, k) => byte ^ rid[k]!), new Uint8Array(32)),
  };
}
