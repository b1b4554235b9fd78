/** A session: the hello in which the participants find that they mean the same, and the identifier that follows. */
import type { Random } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import type { AnyRound, Compute, HeldSharing, Progress } from './run.js';

/** Printable: error messages show both sides' values when they differ. Bytes go in as (short) hex. */
export type DescriptorValue = string | number;

/** What all participants must agree on; errors list differences in the order of these fields. */
export type Descriptor = Readonly<Record<string, DescriptorValue>>;

export interface SessionOptions {
  /** Keeps concurrent operations apart; used once in the life of a process. Printable ASCII, at most 80 characters. */
  readonly operation: string;
  /** Participants in canonical order, this party included. */
  readonly parties: readonly PartyName[];
  /** The field `parties` is added to it. */
  readonly descriptor: Descriptor;
  /** Sharings held, newest first; absent or empty where there is no key yet. */
  readonly sharings?: readonly HeldSharing[];
  /** Every round of every step of the session, in the order in which they are run. */
  readonly rounds: readonly AnyRound[];
  readonly signal: AbortSignal;
  readonly random: Random;
  readonly compute: Compute;
  readonly progress?: Progress;
}
