/**
 * Two-party multiplication behind one interface (docs/protocol.md §7): the receiver has a random χ, the sender two
 * inputs a_0, a_1, and they end with additive shares c_l + d_l = a_l·χ mod q. Signing needs nothing else, and
 * nothing outside this folder may depend on which multiplication runs.
 */
import type { z } from 'zod';
import { type Random, Secret } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import type { Curve } from '../curve/curve.js';
import { whenAborted } from '../rounds/abort-signal.js';
import type { AnyRound, Compute, Run } from '../rounds/run.js';

/** A pair of scalars mod q, one per input. */
export type ScalarPair = readonly [bigint, bigint];

/** The same as big-endian bytes: the form in which jobs on worker threads give them. */
export type ScalarBytes = readonly [Uint8Array, Uint8Array];

/**
 * The scalars of a job's result: bytes, until somebody takes them as numbers, which cannot be wiped. What nobody has
 * taken when the session ends is wiped.
 */
export class HeldScalars implements Disposable {
  readonly #secrets: readonly [Secret, Secret];
  readonly #stopListening: () => void;

  constructor({ signal }: Pick<Run, 'signal'>, bytes: ScalarBytes) {
    this.#secrets = [Secret.own(bytes[0]), Secret.own(bytes[1])];
    this.#stopListening = whenAborted(signal, () => this.#wipe());
  }

  /** The scalars, once: after that, and after the end of the session, it throws `BUG`. */
  take(): ScalarPair {
    try {
      const [first, second] = this.#secrets;
      return [first.toBigint(), second.toBigint()];
    } finally {
      this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    this.#wipe();
  }

  #wipe(): void {
    for (const secret of this.#secrets) secret.dispose();
  }
}

/** The receiver's state between its two messages. */
export interface Opened {
  /** Goes to the sender. */
  readonly message1: unknown;
  /** Uniform mod q. */
  readonly chi: bigint;
}

/** A use of the multiplication: which pair's, in which session and step. */
export interface Use {
  readonly run: Run;
  readonly step: string;
  /** The presignature's sid: every proof and hash of this use is bound to it. */
  readonly sid: Uint8Array;
  readonly peer: PartyName;
}

/** What work ahead of all sessions needs. */
export interface IdleWork {
  readonly compute: Compute;
  readonly random: Random;
}

/** What one party keeps after the set-up with all its peers. Secret; wiped when disposed. */
export interface MultiplicationSetup extends Disposable {
  /** As receiver towards `use.peer`: draws χ. */
  open(use: Use): Promise<Opened>;
  /**
   * As sender: answers the peer's message1 for inputs a_0, a_1 mod q. May begin as soon as that is here.
   * `undefined`: the message fails its checks, and its sender is at fault.
   */
  respond(
    use: Use,
    message1: unknown,
    inputs: ScalarPair,
  ): Promise<{ readonly message2: unknown; readonly c: HeldScalars } | undefined>;
  /**
   * As receiver: works on the peer's answer. May begin as soon as that is here. What it returns gives d_0, d_1, once,
   * or `undefined`: the answer fails its checks, and the peer is at fault. That is the verdict, with all that follows
   * from it, and so it is asked for when all that comes before it in docs/protocol.md §8.3 holds for every peer.
   */
  finish(use: Use, opened: Opened, message2: unknown): Promise<() => ScalarPair | undefined>;
  /**
   * Makes ahead, in memory, what uses with `peer` need and what does not depend on its messages: enough for `count`
   * of each kind, within a limit. For a party that is idle; uses take from it and compute what is missing. Absent
   * where there is nothing to gain.
   */
  prepare?(work: IdleWork, peer: PartyName, count: number): Promise<void>;
  /** All that {@link Multiplication.restore} needs to make this set-up again. The caller disposes it. */
  save(): Secret;
  /**
   * Aborted, with the error that names the peer, when a failed check has made this set-up useless: every session
   * that uses it ends. Only where a failed check tells something about the secrets, which Paillier's do not.
   */
  readonly voided: AbortSignal;
  /** Called before `voided` is aborted, and done when it returns: whoever stores the set-up erases it here. */
  beforeVoid: (() => void) | undefined;
}

/** One kind of multiplication, for a curve and a security level. */
export interface Multiplication {
  readonly name: 'paillier' | 'ot';
  readonly curve: Curve;
  /** Rounds of the set-up, in order. */
  readonly setupRounds: readonly AnyRound[];
  /** Wire schemas of the two messages of a use, and a bound on the larger one's encoding. */
  readonly message1: z.ZodType;
  readonly message2: z.ZodType;
  readonly maxBytes: number;
  /** Set-up with every peer of `run`. The caller disposes it. */
  setup(run: Run): Promise<MultiplicationSetup>;
  /** A set-up from what {@link MultiplicationSetup.save} gave; throws `FILE` when it is nothing of that. */
  restore(saved: Secret): MultiplicationSetup;
}
