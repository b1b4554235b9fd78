/**
 * Distributed key generation (docs/protocol.md §5): commit-then-reveal of everyone's Feldman sharing, so that
 * nobody picks its part after seeing the others', and a confirmation before the key is used or shown.
 */
import type { Policy } from '../access/policy.js';
import { policyBytes } from '../access/policy.js';
import { hash } from '../core/transcript.js';
import type { Curve } from '../curve/curve.js';
import type { AnyRound, Run } from '../rounds/run.js';
import { confirmRound } from '../rounds/run.js';
import { deal, dealingRounds } from './dealing.js';
import type { KeyShare } from './key-share.js';
import { makeKeyShare, makeSharing, publicShareList } from './key-share.js';

export interface DkgParams {
  readonly curve: Curve;
  readonly policy: Policy;
}

/** Keeps a key that its parties have not all confirmed yet; must be durable when it resolves. */
export type StorePending = (share: KeyShare) => Promise<void>;

const confirmation = confirmRound('keygen', 'confirm');

export const dkgRounds = (params: DkgParams): readonly AnyRound[] => [
  ...Object.values(dealingRounds({ ...params, step: 'keygen' })),
  confirmation,
];

/**
 * A fresh key at epoch 0, confirmed by all n parties. `storePending` is called before the confirmation is sent.
 * The caller disposes the share.
 */
export async function dkg(run: Run, params: DkgParams, storePending?: StorePending): Promise<KeyShare> {
  const { curve, policy } = params;
  const dealt = await deal(run, { ...params, step: 'keygen' });
  try {
    const { constant: publicKey, publicShares, rid } = dealt;
    if (publicKey.isIdentity) run.fail('the public key is the identity');
    const sharing = makeSharing(
      { curve, policy, parties: run.parties, epoch: 0, publicKey, publicShares },
      run.sid,
    );
    const share = makeKeyShare(sharing, run.self, dealt.share);
    await storePending?.(share);
    const digest = hash('dkg confirm', [
      run.sid,
      publicKey.toBytes(),
      publicShareList(run.parties, publicShares),
      policyBytes(policy),
      rid,
    ]);
    await run.confirm(confirmation, digest);
    return share;
  } catch (error) {
    dealt.share.dispose();
    throw error;
  }
}
