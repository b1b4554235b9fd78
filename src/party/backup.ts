/** Backups of one party's shares to one recovery key: made, verified against the sharing, and opened. */
import { equalBytes, type Secret } from '../core/bytes.js';
import { MpcError } from '../core/errors.js';
import type { KeyShare, Sharing } from '../protocol/key-share.js';
import { backupToText, parseBackup, recoverShare } from '../pve/backup-file.js';
import { createBackupBy, verifyBackupBy } from '../pve/backup-jobs.js';
import { privateKeyFromPem, type Recipient, recipientFromPem } from '../pve/recipient.js';
import type { Compute } from '../rounds/run.js';
import { makeKeyPair } from './recovery-key.js';

/** A backup that this party made. */
export interface MadeBackup {
  readonly label: string;
  readonly scheme: string;
  /** Binary form of the file. */
  readonly bytes: Uint8Array;
  /** Whether the key that opens it was made in this run. */
  readonly ownKey: boolean;
}

/** Whose key backups are encrypted to. With `privatePem` it was made for this run. */
export interface RecoveryKey {
  readonly recipient: Recipient;
  readonly privatePem?: Secret;
}

/** A fresh RSA recovery key; not any more once `signal` is aborted. The caller disposes its private half. */
export async function makeRecoveryKey(signal: AbortSignal): Promise<RecoveryKey> {
  const { publicPem, privatePem } = await makeKeyPair('rsa-3072', signal);
  return { recipient: recipientFromPem(publicPem), privatePem };
}

export interface BackupMakerOptions {
  /** It may still be in the making; what keeps it from being made is thrown where it is first needed. */
  readonly key: Promise<RecoveryKey>;
  readonly compute: Compute;
  /** The label of the next backup. */
  readonly label: () => string;
  /** Ends what is being made or verified. */
  readonly signal: AbortSignal;
}

export class BackupMaker {
  readonly #key: Promise<RecoveryKey>;
  readonly #compute: Compute;
  readonly #label: () => string;
  readonly #signal: AbortSignal;

  constructor({ key, compute, label, signal }: BackupMakerOptions) {
    this.#key = key;
    this.#compute = compute;
    this.#label = label;
    this.#signal = signal;
  }

  /** A backup of the real share x_i. */
  async create({ sharing, self, x }: KeyShare): Promise<MadeBackup> {
    const label = this.#label();
    const { recipient, privatePem } = await this.#key;
    const subject = { ...sharing, label, party: self };
    const bytes = await createBackupBy(this.#compute, subject, x, recipient, { signal: this.#signal });
    return { label, scheme: recipient.scheme, bytes, ownKey: privatePem !== undefined };
  }

  /** Throws `BACKUP` unless the backup is one of `self`'s share of `sharing`, which anybody can verify. */
  async verify({ bytes }: MadeBackup, self: string, sharing: Sharing): Promise<void> {
    const expected = {
      publicKey: sharing.publicKey,
      shareOf: self,
      publicShare: sharing.publicShares.get(self)!,
      recipient: (await this.#key).recipient,
    };
    await verifyBackupBy(this.#compute, bytes, expected, { signal: this.#signal });
  }

  /**
   * Opens the backup with the recovery key, and throws `BACKUP` unless it gives the share it was made of.
   * `false`: the recovery key is in other hands.
   */
  async recoverAndCompare({ bytes }: MadeBackup, { x }: KeyShare): Promise<boolean> {
    const { privatePem } = await this.#key;
    if (privatePem === undefined) return false;
    using recovered = recoverShare(parseBackup(bytes), privateKeyFromPem(privatePem.bytes));
    if (!equalBytes(recovered.bytes, x.bytes)) {
      throw new MpcError('BACKUP', 'the share recovered from the backup is not the one it was made of');
    }
    return true;
  }
}

/** The form of a backup on disk. */
export const backupText = ({ bytes }: MadeBackup): string => backupToText(bytes);
