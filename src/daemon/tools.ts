/** What the parts of a daemon work with. */
import type { AuditLog } from '../audit/log.js';
import type { AuditEvent } from '../audit/record.js';
import type { ClusterConfig } from '../config/cluster.js';
import type { Settings } from '../config/settings.js';
import type { PartyName } from '../core/errors.js';
import type { Keystore } from '../keystore/keystore.js';
import type { EventSink } from '../party/events.js';
import type { Resources } from '../party/operations.js';
import type { KeyKind } from '../party/party.js';
import type { StoredKeys } from '../party/stored-keys.js';
import type { Compute } from '../rounds/run.js';
import type { Gates } from './gates.js';
import type { LetterBody, Subject } from './letters.js';
import type { BackUp } from './perform.js';
import type { Presignatures } from './presignatures.js';
import type { RunningOperations } from './running.js';

export interface Tools {
  readonly self: PartyName;
  readonly cluster: ClusterConfig;
  readonly settings: Pick<Settings, 'requestTimeoutMillis' | 'presignatures'>;
  readonly keystore: Keystore;
  readonly keys: StoredKeys;
  /** The audit log, to read; what happens is written by {@link record}. */
  readonly audit: Pick<AuditLog, 'head' | 'begunIds'>;
  /** Records durably; throws, and ends the daemon, when it cannot: what is not recorded must not be done. */
  readonly record: (event: AuditEvent) => void;
  readonly gates: Gates;
  readonly presignatures: Presignatures;
  readonly running: RunningOperations;
  readonly compute: Compute;
  /** Whether the link to `peer` is up. */
  isUp(peer: PartyName): boolean;
  /** Sends a letter; one that is lost with its receiver is reported by the loss of that. */
  post<S extends Subject>(to: PartyName, subject: S, body: LetterBody<S>): void;
  /** Runs sessions for a key of this kind, until the time-out of an operation or `signal`. */
  during<T>(
    kind: KeyKind,
    signal: AbortSignal,
    act: (resources: Omit<Resources, 'progress'>) => Promise<T>,
  ): Promise<T>;
  /** Backs up each refreshed share for which the asker has named no place of its own. */
  readonly backUp?: BackUp;
  /** What the daemon tells its own user. */
  readonly emit: EventSink;
  /** Aborted when the daemon ends, and nothing may go on. */
  readonly signal: AbortSignal;
}
