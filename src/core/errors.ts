/**
 * The one error class of the program, its stable codes, and the exit status each code ends the program with.
 *
 * Four kinds of failure stay apart: what the user gave us (usage, configuration, certificate, file, backup),
 * a peer that is not there, a peer that lies or disagrees, and a bug here.
 */

/** A party's name, as in `cluster.json`. */
export type PartyName = string;

/**
 * Every error code with its exit status and meaning. README's exit-code table is checked against it by a test.
 */
export const ERROR_CODES = {
  BUG: { exit: 1, meaning: 'a bug in this program' },
  USAGE: { exit: 2, meaning: 'the command line is at fault' },
  CONFIG: { exit: 2, meaning: 'cluster.json or settings.json is at fault' },
  CERTIFICATE: { exit: 2, meaning: 'a certificate or TLS key is missing, expired or does not match' },
  FILE: { exit: 2, meaning: 'a file cannot be read or written' },
  PORT: { exit: 2, meaning: 'this party’s address cannot be listened on' },
  UNREACHABLE: { exit: 3, meaning: 'a peer never came' },
  TIMEOUT: { exit: 3, meaning: 'a peer fell silent before the time-out' },
  PEER_LEFT: { exit: 3, meaning: 'a peer ended, was interrupted or restarted' },
  NOT_ALONE: {
    exit: 3,
    meaning: 'the key needs something first that is done only while nothing else uses it',
  },
  DISAGREEMENT: { exit: 4, meaning: 'the parties were started with different intentions' },
  PROTOCOL: { exit: 4, meaning: 'a peer broke the protocol; it is named' },
  EQUIVOCATION: { exit: 4, meaning: 'views of a broadcast differ; nobody can be named' },
  PEER_ABORTED: { exit: 4, meaning: 'a peer ended the protocol with an error of its own' },
  BACKUP: { exit: 5, meaning: 'a backup does not verify or cannot be recovered' },
  INTERRUPTED: { exit: 130, meaning: 'interrupted by the user' },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Exit status of the process for an error code. */
export const exitStatus = (code: ErrorCode): number => ERROR_CODES[code].exit;

export interface MpcErrorDetails {
  /** What to do about it, one imperative clause. */
  readonly hint?: string;
  /** Parties provably at fault, or (TIMEOUT, UNREACHABLE, PEER_LEFT) not heard from. Empty: nobody can be named. */
  readonly culprits?: readonly PartyName[];
  readonly cause?: unknown;
}

/**
 * An error with a stable code. Messages are lower case, without a full stop, and never hold a secret nor
 * unescaped text from a peer.
 */
export class MpcError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly culprits: readonly PartyName[];

  constructor(code: ErrorCode, message: string, details: MpcErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'MpcError';
    this.code = code;
    this.hint = details.hint;
    this.culprits = details.culprits ?? [];
  }

  get exitStatus(): number {
    return exitStatus(this.code);
  }
}

/** A condition that only a bug here can break. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new MpcError('BUG', message);
}

/** `cause` as an {@link MpcError}: unchanged when it is one, code `BUG` otherwise. */
export const asMpcError = (cause: unknown): MpcError =>
  cause instanceof MpcError
    ? cause
    : new MpcError('BUG', cause instanceof Error ? cause.message : String(cause), { cause });

/** An error in plain data, as it is printed, and as a daemon sends it to its clients. */
export interface ErrorDescription {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly culprits: readonly PartyName[];
  readonly exit: number;
}

/** What users and scripts are told of `error`; its cause and stack are for developers. */
export const describeError = (error: MpcError): ErrorDescription => ({
  code: error.code,
  message: error.message,
  ...(error.hint !== undefined && { hint: error.hint }),
  culprits: error.culprits,
  exit: error.exitStatus,
});

/** Throws the signal's reason when it has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw asMpcError(signal.reason);
}
