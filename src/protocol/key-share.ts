/**
 * A key and one party's share of it: what key generation makes, refresh renews and signing uses
 * (docs/protocol.md §5, §9).
 */
import type { Policy } from '../access/policy.js';
import { policyBytes } from '../access/policy.js';
import type { Secret } from '../core/bytes.js';
import { toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { invariant } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import type { Curve, Point } from '../curve/curve.js';
import { keyIdOf } from '../curve/key-id.js';

/** The public side of a sharing: the same on every party. */
export interface Sharing {
  readonly curve: Curve;
  readonly policy: Policy;
  /** All parties of the key in canonical order. */
  readonly parties: readonly PartyName[];
  /** First 16 bytes of H("key id"; curve, X): the same in every epoch. */
  readonly keyId: Uint8Array;
  /** 0 after key generation, one more after each refresh. */
  readonly epoch: number;
  /** Name of this sharing, 32 bytes: two interrupted refreshes have the same epoch, never the same shid. */
  readonly shid: Uint8Array;
  /** The public key X. */
  readonly publicKey: Point;
  /** X_j = x_j·G for every party. */
  readonly publicShares: ReadonlyMap<PartyName, Point>;
}

/** A party's own share x_i of a {@link Sharing}; wiped when disposed. */
export interface KeyShare extends Disposable {
  readonly sharing: Sharing;
  readonly self: PartyName;
  /** x_i, 32 bytes big-endian. */
  readonly x: Secret;
}

/** The X_j in the order of `parties`, each as 33 bytes. */
export const publicShareList = (
  parties: readonly PartyName[],
  publicShares: ReadonlyMap<PartyName, Point>,
): Uint8Array[] => parties.map((party) => publicShares.get(party)!.toBytes());

/** Names and numbers a new sharing made by the session `sid`. */
export function makeSharing(parts: Omit<Sharing, 'keyId' | 'shid'>, sid: Uint8Array): Sharing {
  const { curve, policy, parties, epoch, publicKey, publicShares } = parts;
  const shid = hash('sharing', [
    curve.name,
    publicKey.toBytes(),
    publicShareList(parties, publicShares),
    policyBytes(policy),
    BigInt(epoch),
    sid,
  ]);
  return { ...parts, keyId: keyIdOf(curve, publicKey), shid };
}

/** Binds a share to its sharing; throws `BUG` unless x·G = X_self. Takes ownership of `x`. */
export function makeKeyShare(sharing: Sharing, self: PartyName, x: Secret): KeyShare {
  const expected = sharing.publicShares.get(self);
  invariant(expected?.equals(sharing.curve.multiplyBase(x.toBigint())), 'share and public share differ');
  return { sharing, self, x, [Symbol.dispose]: () => x.dispose() };
}

/** Text form of a key id or shid. */
export const printId = (id: Uint8Array): string => toHex(id);
