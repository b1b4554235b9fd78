/**
 * What every use of a stored key begins with (docs/protocol.md §9): its participants have found, by their hellos,
 * the newest sharing that all of them hold; here they complete its confirmation where that was interrupted, and find
 * the newest set-up that all of them hold.
 */
import { z } from 'zod';
import { equalBytes } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import { invariant, MpcError, type PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import type { AnyRound, HeldSharing, Run } from '../rounds/run.js';
import { broadcastRound, confirmRound } from '../rounds/run.js';

/** A sharing that this party has stored. */
export interface StoredSharing extends HeldSharing {
  /** All parties of the key under this sharing. */
  readonly parties: readonly PartyName[];
  /** Whether this party has once held the confirmations of all n parties. */
  readonly confirmed: boolean;
  /** Whether nobody may use it before it is confirmed: the key is new. */
  readonly pending: boolean;
  /** The set-ups that the participants can use, newest first: identifiers of the sessions that made them. */
  readonly setups: readonly Uint8Array[];
}

export interface Settled {
  readonly shid: Uint8Array;
  /** Whether all n parties are known to hold the sharing: what is older than it may be erased. */
  readonly confirmed: boolean;
  /** The set-up that all participants hold; undefined: one has to be made. */
  readonly setup: Uint8Array | undefined;
  /** Whether a confirmation that all have to repeat has been left to an operation that runs alone. */
  readonly outstanding: boolean;
}

/** Most set-ups that a party tells of. */
const MAX_SETUPS = 16;

const rounds = {
  state: broadcastRound({
    step: 'settle',
    name: 'state',
    broadcast: z.strictObject({ confirmed: z.boolean(), setups: z.array(bytesField(32)).max(MAX_SETUPS) }),
    maxBytes: 64 + 40 * MAX_SETUPS,
  }),
  confirm: confirmRound('settle', 'confirm'),
};

export const settleRounds: readonly AnyRound[] = Object.values(rounds);

const pendingError = (): MpcError =>
  new MpcError(
    'DISAGREEMENT',
    'the key is pending: not all of its parties have confirmed that they have stored it',
    {
      hint: 'complete it first, with all of its parties: run keygen, or refresh with this key, at each of them',
    },
  );

/** H("refresh confirm"; shid): says that its sender has stored this sharing for good. */
export const confirmationOf = (shid: Uint8Array): Uint8Array => hash('refresh confirm', [shid]);

const includes = (list: readonly Uint8Array[], id: Uint8Array): boolean =>
  list.some((other) => equalBytes(other, id));

/**
 * Settles on one of `stored`, which the session's hellos have listed. Where the participants are all parties of the
 * key, a sharing that one of them has not seen confirmed is confirmed by all once more; not when the operation is
 * `shared`, that is, when others may be using the key meanwhile. All participants come to the same end, by what
 * everybody has told everybody.
 */
export async function settle(run: Run, stored: readonly StoredSharing[], shared = false): Promise<Settled> {
  const chosen = stored.find(({ shid }) => run.sharing && equalBytes(shid, run.sharing.shid));
  invariant(chosen, 'the session chose a sharing that this party does not hold');
  const everyone = chosen.parties.every((party) => run.parties.includes(party));
  if (chosen.pending && !everyone) throw pendingError();
  const { shid } = chosen;
  const own = { confirmed: chosen.confirmed, setups: chosen.setups.slice(0, MAX_SETUPS) };
  const states = await run.broadcast(rounds.state, own);

  const all = [own, ...states.values()];
  const repeated = everyone && all.some(({ confirmed }) => !confirmed);
  if (repeated && !shared) await run.confirm(rounds.confirm, confirmationOf(shid));

  const outstanding = repeated && shared;
  const [first = ''] = run.parties;
  const listed = (states.get(first) ?? own).setups;
  return {
    shid,
    confirmed: own.confirmed || (everyone && !outstanding),
    outstanding,
    setup: listed.find((id) => all.every(({ setups }) => includes(setups, id))),
  };
}
