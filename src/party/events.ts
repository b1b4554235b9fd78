/**
 * What a party tells its user while it works. `--json` prints these objects one a line; the human lines and the
 * demo are drawn from them, so nothing is shown that is not an event. No event ever holds a secret.
 */
import type { ErrorCode, ErrorDescription, PartyName } from '../core/errors.js';

/** The steps of the ceremony, in order. */
export const STEPS = [
  'policy',
  'keygen',
  'setup',
  'sign',
  'backup',
  'verify',
  'recover',
  'refresh',
  'sign-again',
  'backup-again',
] as const;

export type StepName = (typeof STEPS)[number];

/** The everyday commands that a party runs with others, on the keys that it has stored. */
export type CommandName = 'keygen' | 'sign' | 'refresh';

/** Wall time of each step that this party took part in, milliseconds, and of the whole run from the last link up. */
export type StepMillis = Partial<Record<StepName | 'connect' | 'total', number>>;

export type PartyEvent =
  /** First event: what this party was started with. `policy` is the one in force, printed; `quorum` the reduced one. */
  | {
      readonly event: 'start';
      readonly party: PartyName;
      readonly parties: readonly PartyName[];
      readonly address: string;
      readonly curve: string;
      readonly security: number;
      readonly multiplication: string;
      readonly policy: string;
      readonly quorum: readonly PartyName[];
      readonly receivers: readonly PartyName[];
      readonly message: string;
      /** SHA-256 of the message, hex. */
      readonly messageHash: string;
    }
  /** First event of an everyday command: what this party was started with. */
  | {
      readonly event: 'command';
      readonly party: PartyName;
      readonly command: CommandName;
      /** Who takes part, this party perhaps not among them. */
      readonly parties: readonly PartyName[];
      readonly address: string;
      readonly curve: string;
      readonly security: number;
      readonly multiplication: string;
      readonly policy: string;
      /** Of a stored key; its epoch as far as this party knows. */
      readonly keyId?: string;
      readonly epoch?: number;
      /** Of a signature. */
      readonly quorum?: readonly PartyName[];
      readonly receivers?: readonly PartyName[];
      /** SHA-256 of the message, hex. */
      readonly messageHash?: string;
    }
  | { readonly event: 'listening'; readonly party: PartyName; readonly address: string }
  | { readonly event: 'link'; readonly party: PartyName; readonly peer: PartyName; readonly up: boolean }
  /** Every ten seconds until all links are up; `problems` says what is known about each missing peer. */
  | {
      readonly event: 'waiting';
      readonly party: PartyName;
      readonly missing: readonly PartyName[];
      readonly problems: Readonly<Record<PartyName, string>>;
    }
  | {
      readonly event: 'connected';
      readonly party: PartyName;
      readonly peers: number;
      readonly millis: number;
    }
  /** A step begins. `number` counts from 1 to `total`. */
  | {
      readonly event: 'step';
      readonly party: PartyName;
      readonly step: StepName;
      readonly number: number;
      readonly total: number;
    }
  | {
      readonly event: 'progress';
      readonly party: PartyName;
      readonly step: StepName | 'connect';
      readonly stage: string;
      readonly done: number;
      readonly total: number;
    }
  /** A step has ended well; the event that tells its result came just before. */
  | {
      readonly event: 'step-done';
      readonly party: PartyName;
      readonly step: StepName;
      readonly millis: number;
    }
  | {
      readonly event: 'policy';
      readonly party: PartyName;
      readonly policy: string;
      /** One sentence: who can sign. */
      readonly meaning: string;
    }
  | {
      readonly event: 'key';
      readonly party: PartyName;
      readonly keyId: string;
      readonly epoch: number;
      readonly curve: string;
      /** SEC1 uncompressed, hex. */
      readonly publicKey: string;
      /** `keygen` only: a key generation that had been cut off was completed, and no other key made. */
      readonly completed?: true;
    }
  /** The participants have found the newest sharing of the stored key that all of them hold. */
  | {
      readonly event: 'settled';
      readonly party: PartyName;
      readonly keyId: string;
      readonly epoch: number;
    }
  | { readonly event: 'setup'; readonly party: PartyName; readonly peers: number }
  /** This party is not in the quorum of this signature and takes no part in it. */
  | {
      readonly event: 'not-in-quorum';
      readonly party: PartyName;
      readonly epoch: number;
      readonly quorum: readonly PartyName[];
    }
  | {
      readonly event: 'signature';
      readonly party: PartyName;
      readonly epoch: number;
      readonly quorum: readonly PartyName[];
      readonly receivers: readonly PartyName[];
      /** Hex DER, on receivers only. It has been verified under the public key. */
      readonly der?: string;
    }
  | {
      readonly event: 'backup';
      readonly party: PartyName;
      readonly epoch: number;
      readonly label: string;
      readonly scheme: string;
      readonly bytes: number;
      /** Whether the recovery key was made in this run; false when `--backup-key` named one. */
      readonly ownKey: boolean;
    }
  | {
      readonly event: 'backup-verified';
      readonly party: PartyName;
      readonly epoch: number;
      readonly label: string;
    }
  /** The recovered share equals the original; `skipped` when the recovery key is not in this party's hands. */
  | {
      readonly event: 'recovered';
      readonly party: PartyName;
      readonly epoch: number;
      readonly skipped: boolean;
    }
  | {
      readonly event: 'refreshed';
      readonly party: PartyName;
      readonly epoch: number;
      readonly publicKey: string;
    }
  /** SAVE_BACKUP=1: what was written. `recoveryKey` only when the key was made in this run. */
  | {
      readonly event: 'saved';
      readonly party: PartyName;
      readonly backup: string;
      readonly recoveryKey?: string;
      /** Earlier files of these names, under the names that they have now. */
      readonly kept?: readonly string[];
    }
  | DaemonEvent
  | DoneEvent
  | ResultEvent
  | ErrorEvent;

/** What `serve` tells of its work, and in part those who ask its daemon for something. */
export type DaemonEvent =
  /** The daemon takes requests. */
  | {
      readonly event: 'serving';
      readonly party: PartyName;
      readonly version: string;
      /** Path of the control socket. */
      readonly control: string;
      /** How requests of peers are decided on: `manual`, `auto` or `command`. */
      readonly approval: string;
      /** Address of `/healthz` and `/metrics`, if there is one. */
      readonly monitor?: string;
    }
  /** Somebody asks for something: `from`, a user of this party or a peer. */
  | {
      readonly event: 'request';
      readonly party: PartyName;
      readonly id: string;
      readonly from: PartyName;
      readonly operation: CommandName;
      /** Id of the key, which is still to be made for `keygen`. */
      readonly key?: string;
      /** Of a signature. */
      readonly quorum?: readonly PartyName[];
      readonly receivers?: readonly PartyName[];
      /** SHA-256 of the message, hex, and its length. */
      readonly messageHash?: string;
      readonly messageBytes?: number;
    }
  /** Whether `peer` takes part in a request of this party, or this party in one of a peer. */
  | {
      readonly event: 'decision';
      readonly party: PartyName;
      readonly id: string;
      readonly peer?: PartyName;
      readonly decision: 'approved' | 'rejected';
      /** Who has decided here. */
      readonly by?: 'user' | 'rule' | 'command';
      readonly reason?: string;
    }
  /** A request has ended: done, or why not. */
  | {
      readonly event: 'request-ended';
      readonly party: PartyName;
      readonly id: string;
      readonly from: PartyName;
      readonly operation: CommandName;
      readonly done: boolean;
      readonly code?: ErrorCode;
      readonly reason?: string;
    }
  /** The party's TLS certificate was renewed on disk and is used from now on. */
  | { readonly event: 'renewed'; readonly party: PartyName; readonly expires: string }
  /** The daemon takes no more requests and waits for so many operations to end. */
  | { readonly event: 'stopping'; readonly party: PartyName; readonly operations: number };

/** Last event of an everyday command, or of `backup create`, that ended well: all that a script needs. */
export interface ResultEvent {
  readonly event: 'result';
  readonly party: PartyName;
  readonly command: CommandName | 'backup create';
  readonly keyId: string;
  readonly epoch: number;
  readonly curve: string;
  readonly policy: string;
  /** SEC1 uncompressed, hex. */
  readonly publicKey: string;
  /** Of a signature, hex DER and the file that it was written to: on receivers. */
  readonly signature?: string;
  readonly out?: string;
  /** The backup that was made, verified and written. */
  readonly backup?: { readonly label: string; readonly file: string; readonly bytes: number };
  /** Of a refresh: the files of the recorded backups that it has made void. */
  readonly voided?: readonly string[];
}

/** Last event of a run that ended well. */
export interface DoneEvent {
  readonly event: 'done';
  readonly party: PartyName;
  readonly keyId: string;
  readonly epoch: number;
  readonly curve: string;
  readonly policy: string;
  /** SEC1 uncompressed, hex. */
  readonly publicKey: string;
  readonly message: string;
  readonly messageHash: string;
  /** Hex DER of the first signature, on receivers. */
  readonly signature?: string;
  readonly signatures: readonly { readonly epoch: number; readonly der: string }[];
  readonly backup: {
    readonly label: string;
    readonly bytes: number;
    readonly verified: boolean;
    readonly recovered: boolean;
  };
  readonly refreshed: boolean;
  readonly millis: StepMillis;
}

/** Last event of a run or command that failed. */
export interface ErrorEvent extends ErrorDescription {
  readonly event: 'error';
  readonly party: PartyName;
}

/** Receives events; must not throw. */
export type EventSink = (event: PartyEvent) => void;
