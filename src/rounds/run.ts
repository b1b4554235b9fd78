/**
 * What a protocol sees of its session: rounds of messages, echo broadcast, checks that name their culprits,
 * heavy work, progress. docs/protocol.md §1 and §11.
 */
import type { z } from 'zod';
import type { Random } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import { invariant, type PartyName } from '../core/errors.js';

/** One value per peer, in canonical order. */
export type PeerMap<T> = ReadonlyMap<PartyName, T>;

/** The map that gives every peer `value(peer)`, in the order of `peers`. */
export const peerMap = <T>(peers: Iterable<PartyName>, value: (peer: PartyName) => T): PeerMap<T> =>
  new Map(Array.from(peers, (peer) => [peer, value(peer)]));

/** As {@link peerMap}, for values that come later; all are asked for at once. */
export async function peerMapAsync<T>(
  peers: Iterable<PartyName>,
  value: (peer: PartyName) => Promise<T>,
): Promise<PeerMap<T>> {
  return new Map(await Promise.all(Array.from(peers, async (peer) => [peer, await value(peer)] as const)));
}

/**
 * How a round's broadcast parts are compared (docs/protocol.md §1, reliable broadcast): `own`, by an exchange that
 * follows the round at once; `rides`, by a field of the protocol's next message, made with {@link Run.echo} and
 * compared with {@link Run.checkEcho}; `none`, for rounds without a broadcast part.
 */
export type Echo = 'own' | 'rides' | 'none';

/** One round: its place, the schemas of its broadcast part `B` and its direct part `D`, and its size limit. */
export interface Round<B, D> {
  readonly step: string;
  readonly name: string;
  readonly broadcast?: z.ZodType<B>;
  readonly direct?: z.ZodType<D>;
  /** Most bytes of both encoded parts together; longer messages are refused before they are decoded. */
  readonly maxBytes: number;
  readonly echo: Echo;
}

export type AnyRound = Round<unknown, unknown>;

/** What a party gets from each peer in a round `R`: its one part, or both. */
export type MessageOf<R> =
  R extends Round<infer B, infer D>
    ? [D] extends [never]
      ? B
      : [B] extends [never]
        ? D
        : { readonly broadcast: B; readonly direct: D }
    : never;

interface Place {
  readonly step: string;
  readonly name: string;
  readonly maxBytes: number;
}

/** A round in which everybody sends the same to all. */
export const broadcastRound = <B>(
  place: Place & { readonly broadcast: z.ZodType<B>; readonly echo?: 'own' | 'rides' },
): Round<B, never> => ({ echo: 'own', ...place });

/** A round in which everybody sends each peer its own message. */
export const directRound = <D>(place: Place & { readonly direct: z.ZodType<D> }): Round<never, D> => ({
  ...place,
  echo: 'none',
});

/** A round in which each message has a part that is the same for all and a part for its receiver. */
export const mixedRound = <B, D>(
  place: Place & {
    readonly broadcast: z.ZodType<B>;
    readonly direct: z.ZodType<D>;
    readonly echo?: 'own' | 'rides';
  },
): Round<B, D> => ({ echo: 'own', ...place });

/** Bytes of an echo or confirmation: one transcript hash. */
export const DIGEST_BYTES = 32;

/** A round in which everybody sends a digest of its view, for {@link Run.confirm}. */
export const confirmRound = (step: string, name: string): Round<never, Uint8Array> =>
  directRound({ step, name, maxBytes: DIGEST_BYTES + 8, direct: bytesField(DIGEST_BYTES) });

/** A sharing of the key that a party holds (docs/protocol.md §9). */
export interface HeldSharing {
  readonly epoch: number;
  readonly shid: Uint8Array;
}

/** Reports that `done` of `total` parts of a stage are finished. */
export type Progress = (stage: string, done: number, total: number) => void;

export interface JobContext {
  readonly random: Random;
  /** Turns true when the result is no longer wanted; long jobs ask between their parts. */
  readonly aborted: () => boolean;
}

/**
 * A named piece of heavy work, made by `defineJob` of work/job.ts. Input and output are plain data that structured
 * cloning keeps. Secrets among them are byte arrays under the key `secret` (one array, or an array or object of
 * them; at any depth): copied for the job, moved between threads, and wiped when the job ends.
 */
export interface Job<I, O> {
  readonly name: string;
  /** URL of the module that defines the job when imported. */
  readonly module: string;
  readonly run: (input: I, context: JobContext) => O | Promise<O>;
}

/** Runs a job somewhere. Rejects with the job's own error, or with the reason of `signal` as soon as that is aborted. */
export type Compute = <I, O>(
  job: Job<I, O>,
  input: I,
  options?: { readonly signal?: AbortSignal },
) => Promise<O>;

/**
 * One party's part in an open session. Rounds are entered in the order in which the session declares them, none
 * left out. After the session's first failure every method throws that failure; a promise nobody awaits never
 * becomes an unhandled rejection.
 */
export interface Run {
  readonly self: PartyName;
  /** Participants in canonical order, this party included. */
  readonly parties: readonly PartyName[];
  /** Participants without this party. */
  readonly peers: readonly PartyName[];
  readonly sid: Uint8Array;
  /** The newest sharing that every participant holds; undefined when the hellos listed none. */
  readonly sharing?: HeldSharing | undefined;
  /** Aborted when the session fails or its caller gives up. */
  readonly signal: AbortSignal;
  readonly random: Random;

  /** Sends `message` to all and returns every peer's; then compares the views when the round's echo is its own. */
  broadcast<B>(round: Round<B, never>, message: B): Promise<PeerMap<B>>;

  /**
   * Sends each peer in `messages` its message and returns those of the peers in `from` (default: all).
   * A round may leave pairs out only where nobody can thereby get two rounds ahead of somebody else.
   */
  exchange<D>(round: Round<never, D>, messages: PeerMap<D>, from?: readonly PartyName[]): Promise<PeerMap<D>>;

  /** Both at once: `message` to all and `direct` one to each. */
  broadcastAndExchange<B, D>(
    round: Round<B, D>,
    message: B,
    direct: PeerMap<D>,
  ): Promise<PeerMap<{ readonly broadcast: B; readonly direct: D }>>;

  /**
   * Has `work` begin on each peer's message of `round`, which is yet to be entered, as soon as that message is here and
   * decoded. Returns what it comes to for a peer, to be asked for when the round is complete: then it makes no
   * difference to what follows in which order the messages came. Several works on one round begin in the order in
   * which they were given, and may ask for what an earlier one comes to. A session that fails has not ended before all
   * that has begun has.
   */
  onArrival<R extends AnyRound, T>(
    round: R,
    work: (peer: PartyName, message: MessageOf<R>) => T | Promise<T>,
  ): (peer: PartyName) => Promise<T>;

  /** H("echo"; sid, step, round, all broadcast parts) of a finished round. */
  echo(round: Round<unknown, unknown>): Uint8Array;

  /** Compares the peers' echoes of a round whose echo `rides`. Throws `EQUIVOCATION`, which names nobody. */
  checkEcho(round: Round<unknown, unknown>, echoes: PeerMap<Uint8Array>): void;

  /** Exchanges `digest` with all. Throws `EQUIVOCATION` with the pairs of views that differ, naming nobody. */
  confirm(round: Round<never, Uint8Array>, digest: Uint8Array): Promise<void>;

  /** Tries `verify` for every peer, then throws `PROTOCOL` naming all for whom it did not hold. */
  check(name: string, verify: (peer: PartyName) => boolean | Promise<boolean>): Promise<void>;

  /** Ends the session for a failure that the participants caused together: `EQUIVOCATION`, nobody by name. */
  fail(reason: string): never;

  /**
   * The output of `job`; once the session has failed, that failure at once. `toTheEnd`: the output of a job that has
   * begun comes all the same, for a caller who draws conclusions from it beyond this session.
   */
  compute<I, O>(job: Job<I, O>, input: I, options?: { readonly toTheEnd?: boolean }): Promise<O>;

  readonly progress: Progress;
}

/** Counts the parts of a stage that are finished: one more at each call. */
export function progressOf({ progress }: Pick<Run, 'progress'>, stage: string, total: number): () => void {
  let done = 0;
  return () => {
    done += 1;
    progress(stage, done, total);
  };
}

/** The value of `peer`, which must be there. */
export function ofPeer<T>(map: PeerMap<T>, peer: PartyName): T {
  const value = map.get(peer);
  invariant(value !== undefined, `no value for ${peer}`);
  return value;
}
