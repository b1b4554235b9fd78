/** A session: the hello in which the participants find that they mean the same, and the identifier that follows. */
import type { Random } from '../core/bytes.js';
import { asMpcError, invariant, type PartyName } from '../core/errors.js';
import { whenAborted } from './abort-signal.js';
import { type HelloFrame, MAX_SHARINGS, NONCE_BYTES, PROTOCOL_VERSION } from './frames.js';
import type { Mailbox } from './mailbox.js';
import type { AnyRound, Compute, HeldSharing, Progress, Run } from './run.js';
import { SessionRun } from './session-run.js';

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

/**
 * Opens the session and runs `body` in it. Resolves to what `body` returns, and then the session is over.
 * On the first failure, here or of a peer, all that `body` waits for is rejected with it, the peers are told, and it
 * is thrown: `DISAGREEMENT` when the participants do not mean the same, `EQUIVOCATION` when their views of the
 * hellos differ, `PEER_LEFT`, `PEER_ABORTED`, `PROTOCOL` or `TIMEOUT` as in docs/protocol.md §11, or what `body` threw.
 * A failure that comes after the last thing `body` needed from others does not undo its result.
 */
export async function withSession<T>(
  mailbox: Mailbox,
  options: SessionOptions,
  body: (run: Run) => Promise<T>,
): Promise<T> {
  const { parties, rounds, signal } = options;
  const channel = mailbox.open({ parties, rounds, hello: helloOf(options) });
  const stopListening = whenAborted(signal, (reason) => channel.giveUp(reason));
  let run: SessionRun | undefined;
  try {
    const opening = channel.open();
    mailbox.deliverEarly(channel);
    run = new SessionRun({ channel, ...(await opening), ...runOptions(options) });
    const result = await body(run);
    await run.finished();
    return result;
  } catch (cause) {
    const failure = channel.fail(asMpcError(cause));
    channel.sendAbort(failure);
    await run?.idle();
    throw failure;
  } finally {
    stopListening();
    mailbox.end(channel);
  }
}

function helloOf(options: SessionOptions): HelloFrame {
  invariant(
    options.descriptor.parties === undefined,
    'the descriptor’s field parties is added by the session',
  );
  return {
    kind: 'hello',
    operation: options.operation,
    version: PROTOCOL_VERSION,
    descriptor: { ...options.descriptor, parties: options.parties.join(', ') },
    sharings: listed(options.sharings ?? []).map(({ epoch, shid }) => ({ epoch, shid })),
    nonce: options.random(NONCE_BYTES),
  };
}

/**
 * The newest of `held`, and always the oldest: that one all have confirmed. After many refreshes that were cut off it
 * may be the only one that all hold.
 */
const listed = (held: readonly HeldSharing[]): readonly HeldSharing[] =>
  held.length <= MAX_SHARINGS ? held : [...held.slice(0, MAX_SHARINGS - 1), ...held.slice(-1)];

const runOptions = ({ random, compute, progress }: SessionOptions) => ({
  random,
  compute,
  progress: progress ?? (() => {}),
});
