/**
 * Proactive refresh (docs/protocol.md §9): everyone deals a sharing of 0, so that all shares change and the key
 * does not; the pairwise set-up is made anew; nothing is confirmed before it is stored.
 */
import { isConsistent } from '../access/sharing.js';
import { Secret } from '../core/bytes.js';
import type { Multiplication } from '../multiplication/multiplication.js';
import type { AnyRound, Run } from '../rounds/run.js';
import { confirmRound } from '../rounds/run.js';
import { deal, dealingRounds } from './dealing.js';
import type { KeyShare, Sharing } from './key-share.js';
import { makeKeyShare, makeSharing } from './key-share.js';
import { confirmationOf } from './settle.js';
import type { PairwiseSetup } from './setup.js';
import { setup, setupRounds } from './setup.js';

/** A share with the set-up that belongs to it: the two are born, kept and erased together. */
export interface SharingState extends Disposable {
  readonly share: KeyShare;
  readonly setup: PairwiseSetup;
}

/** Keeps a candidate sharing beside the one in force; must be durable when it resolves. */
export type StoreCandidate = (state: SharingState) => Promise<void>;

const confirmation = confirmRound('refresh', 'confirm');

export const refreshRounds = (sharing: Sharing, multiplication: Multiplication): readonly AnyRound[] => [
  ...Object.values(dealingRounds({ ...sharing, step: 'refresh' })),
  ...setupRounds(multiplication),
  confirmation,
];

/** A share and its set-up as one disposable. */
export const sharingState = (share: KeyShare, pairwise: PairwiseSetup): SharingState => ({
  share,
  setup: pairwise,
  [Symbol.dispose]: () => {
    share[Symbol.dispose]();
    pairwise[Symbol.dispose]();
  },
});

/**
 * The next epoch's share and set-up, confirmed by all n parties: only then may the old ones be erased.
 * `storeCandidate` is called before the confirmation is sent. The caller disposes the result, and `old`.
 */
export async function refresh(
  run: Run,
  old: KeyShare,
  multiplication: Multiplication,
  storeCandidate?: StoreCandidate,
): Promise<SharingState> {
  const share = await refreshShare(run, old);
  let pairwise: PairwiseSetup | undefined;
  try {
    pairwise = await setup(run, multiplication);
    const state = sharingState(share, pairwise);
    await storeCandidate?.(state);
    await run.confirm(confirmation, confirmationOf(share.sharing.shid));
    return state;
  } catch (error) {
    share[Symbol.dispose]();
    pairwise?.[Symbol.dispose]();
    throw error;
  }
}

/** x'_i = x_i + Σ (shares of 0), and X'_j likewise; the public key stays as it is. */
async function refreshShare(run: Run, old: KeyShare): Promise<KeyShare> {
  const { curve, policy, parties, publicKey, epoch, publicShares } = old.sharing;
  const dealt = await deal(run, { step: 'refresh', curve, policy });
  using zeroShare = dealt.share;
  const refreshed = new Map(
    parties.map((party) => [party, publicShares.get(party)!.add(dealt.publicShares.get(party)!)]),
  );
  if (!isConsistent(curve, policy, publicKey, refreshed)) {
    run.fail('the refreshed public shares do not belong to the public key');
  }
  const sharing = makeSharing(
    { curve, policy, parties, epoch: epoch + 1, publicKey, publicShares: refreshed },
    run.sid,
  );
  const x = Secret.fromBigint(curve.mod(old.x.toBigint() + zeroShare.toBigint()), 32);
  return makeKeyShare(sharing, run.self, x);
}
