/** What an encrypted logarithm is a share of, as every hash of the encryption takes it (docs/protocol.md §10). */
import { leaves, type Policy, policyBytes } from '../access/policy.js';
import type { PartyName } from '../core/errors.js';
import type { Field } from '../core/transcript.js';
import type { Point } from '../curve/curve.js';

/** What x is a share of. The policy's leaves are the parties; `publicShares` holds X_j for each of them. */
export interface ShareOf {
  readonly keyId: Uint8Array;
  readonly shid: Uint8Array;
  readonly epoch: number;
  readonly party: PartyName;
  /** X. */
  readonly publicKey: Point;
  readonly publicShares: ReadonlyMap<PartyName, Point>;
  readonly policy: Policy;
}

export const shareFields = ({
  keyId,
  shid,
  epoch,
  party,
  publicKey,
  publicShares,
  policy,
}: ShareOf): Field[] => [
  keyId,
  shid,
  BigInt(epoch),
  party,
  publicKey.toBytes(),
  leaves(policy).map((name) => publicShares.get(name)!.toBytes()),
  policyBytes(policy),
];
