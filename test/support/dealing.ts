/** A dealer that deals what it likes in a key generation or a refresh, and commits to it as it should. */

import { decodeAs } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { type Field, hash } from '#src/core/transcript.js';
import type { Point } from '#src/curve/curve.js';
import { type DealingParams, dealingRounds } from '#src/protocol/dealing.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { peerMap, type Run } from '#src/rounds/run.js';
import type * as dlog from '#src/zk/dlog.js';
import type { Intercept } from './memory-network.js';

/** What a dealer broadcasts in round 2. */
export interface Opening {
  readonly F: readonly Point[];
  readonly proof: readonly dlog.Proof[];
  readonly rid: Uint8Array;
  readonly blind: Uint8Array;
}

export interface Dealing extends Opening {
  readonly shareOf: (peer: PartyName) => bigint;
}

/** H("dkg commit"; …) of `dealer` in the session `sid`. */
export function commitmentTo(
  { F, proof, rid, blind }: Opening,
  { sid, step, dealer }: { readonly sid: Uint8Array; readonly step: string; readonly dealer: PartyName },
): Uint8Array {
  const proofs: Field[] = proof.flatMap(({ A, z }) => [A.toBytes(), z]);
  return hash('dkg commit', [sid, step, dealer, F.map((point) => point.toBytes()), proofs, rid, blind]);
}

export interface Dealer {
  /** Made when the session is open. */
  readonly dealing: (run: Run) => Dealing | Promise<Dealing>;
  /** What it commits to, if not to its dealing. */
  readonly V?: (run: Run) => Uint8Array | Promise<Uint8Array>;
  /** What it opens with, if not with its dealing. */
  readonly opening?: (run: Run) => Dealing | Promise<Dealing>;
}

/** For `withRun`: deals as `dealer` does. */
export const dealingAs =
  ({ dealing, V, opening }: Dealer) =>
  (run: Run): Partial<Run> => {
    const isDealing = (step: string) => step === 'keygen' || step === 'refresh';
    let made: Promise<Dealing> | undefined;
    const own = () => {
      made ??= (async () => dealing(run))();
      return made;
    };
    return {
      broadcast: async (round, message) => {
        if (!isDealing(round.step) || round.name !== 'commit') return run.broadcast(round, message);
        const at = { sid: run.sid, step: round.step, dealer: run.self };
        return run.broadcast(round, { V: (await V?.(run)) ?? commitmentTo(await own(), at) } as never);
      },
      broadcastAndExchange: async (round, message, direct) => {
        if (!isDealing(round.step)) return run.broadcastAndExchange(round, message, direct);
        const { shareOf, ...rest } = (await opening?.(run)) ?? (await own());
        const shares = peerMap(run.peers, (peer) => ({ share: shareOf(peer) }));
        return run.broadcastAndExchange(round, rest as never, shares as never);
      },
    };
  };

/** Shows what `victim` commits to and opens, as soon as it is sent: for a cheat that waits for it. */
export function spyOn(victim: PartyName, params: DealingParams) {
  const rounds = dealingRounds(params);
  const committed = deferred<Uint8Array>();
  const opened = deferred<Opening>();
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (from !== victim || frame.kind !== 'round' || frame.step !== params.step) return undefined;
    if (frame.round === 'commit')
      committed.resolve(decodeAs(rounds.commit.broadcast!, frame.broadcast!, 1 << 12).V);
    if (frame.round === 'open') opened.resolve(decodeAs(rounds.open.broadcast!, frame.broadcast!, 1 << 16));
    return undefined;
  };
  return { intercept, committed: committed.promise, opened: opened.promise };
}

function deferred<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
