/**
 * What key generation with stored keys begins with (docs/protocol.md §5): a key whose confirmation was interrupted
 * is completed, if every party has stored it, before another one is made.
 */
import { z } from 'zod';
import { equalBytes } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import type { AnyRound, Run } from '../rounds/run.js';
import { broadcastRound, confirmRound } from '../rounds/run.js';
import { confirmationOf } from './settle.js';

/** Most sharings that a party tells of, in each round. */
const MAX_PENDING = 16;
const MAX_HELD = 1024;

const step = 'pending';
const shids = (most: number) => z.strictObject({ shids: z.array(bytesField(32)).max(most) });

const rounds = {
  pending: broadcastRound({
    step,
    name: 'pending',
    broadcast: shids(MAX_PENDING),
    maxBytes: 64 + 40 * MAX_PENDING,
  }),
  held: broadcastRound({ step, name: 'held', broadcast: shids(MAX_HELD), maxBytes: 64 + 40 * MAX_HELD }),
  confirm: confirmRound(step, 'confirm'),
};

export const pendingRounds: readonly AnyRound[] = Object.values(rounds);

export interface StoredKeys {
  /** Names of the sharings of pending keys that this cluster could complete. */
  readonly pending: readonly Uint8Array[];
  /** Whether this party has stored the sharing `shid`, pending or not. */
  readonly holds: (shid: Uint8Array) => boolean;
}

/**
 * The name of a sharing that somebody holds as pending and all have stored, now confirmed by all; undefined when
 * there is none. Among all parties.
 */
export async function completePending(run: Run, stored: StoredKeys): Promise<Uint8Array | undefined> {
  const own = { shids: stored.pending.slice(0, MAX_PENDING) };
  const pending = await run.broadcast(rounds.pending, own);
  const named = unique([own, ...pending.values()].flatMap(({ shids }) => shids)).slice(0, MAX_HELD);
  const ownHeld = { shids: named.filter(stored.holds) };
  const held = await run.broadcast(rounds.held, ownHeld);
  const common = named.find((shid) =>
    [ownHeld, ...held.values()].every(({ shids }) => shids.some((other) => equalBytes(other, shid))),
  );
  if (common) await run.confirm(rounds.confirm, confirmationOf(common));
  return common;
}

/** Each of `ids` once, in an order that is the same on every party. */
function unique(ids: readonly Uint8Array[]): Uint8Array[] {
  const sorted = [...ids].sort(Buffer.compare);
  return sorted.filter((id, k) => k === 0 || !equalBytes(id, sorted[k - 1]!));
}
