/** Backups of one party's shares to one recovery key: made, verified against the sharing, and opened. */
import { equalBytes } from '../core/bytes.js';
import { invariant, MpcError } from '../core/errors.js';
import type { KeyShare, Sharing } from '../protocol/key-share.js';
import { backupToText, parseBackup, recoverShare } from '../pve/backup-file.js';
import { createBackupBy, verifyBackupBy } from '../pve/backup-jobs.js';
import {
  generateRecipientKey,
  privateKeyFromPem,
  type Recipient,
  type RecipientKeyPair,
  recipientFromPem,
} from '../pve/recipient.js';
import type { Compute } from '../rounds/run.js';

/** A backup that this party made. */
export interface MadeBackup {
  readonly label: string;
  readonly scheme: string;
  /** Binary form of the file. */
  readonly bytes: Uint8Array;
}

/** Whose key backups are encrypted to: somebody's public key, or a recovery key made for this run. */
export type RecoveryKey =
  | { readonly kind: 'public'; readonly recipient: Recipient }
  | ({ readonly kind: 'own'; readonly recipient: Recipient } & Pick<RecipientKeyPair, 'privatePem'>);

/** The recovery key of a public key in PEM, or a fresh RSA one. The caller disposes its private half. */
export async function recoveryKey(publicPem?: string): Promise<RecoveryKey> {
  if (publicPem !== undefined) return { kind: 'public', recipient: recipientFromPem(publicPem) };
  const { publicPem: pem, privatePem } = await generateRecipientKey('rsa-3072');
  return { kind: 'own', recipient: recipientFromPem(pem), privatePem };
}

export interface BackupMakerOptions {
  readonly key: RecoveryKey;
  readonly compute: Compute;
  /** The label of the next backup. */
  readonly label: () => string;
}

export class BackupMaker {
  readonly #key: RecoveryKey;
  readonly #compute: Compute;
  readonly #label: () => string;

  constructor({ key, compute, label }: BackupMakerOptions) {
    this.#key = key;
    this.#compute = compute;
    this.#label = label;
  }

  /** Whether this party holds the key that opens its backups. */
  get opensOwn(): boolean {
    return this.#key.kind === 'own';
  }

  /** A backup of the real share x_i. */
  async create({ sharing, self, x }: KeyShare): Promise<MadeBackup> {
    const label = this.#label();
    const { recipient } = this.#key;
    const subject = { ...sharing, label, party: self };
    const bytes = await createBackupBy(this.#compute, subject, x, recipient);
    return { label, scheme: recipient.scheme, bytes };
  }

  /** Throws `BACKUP` unless the backup is one of `self`'s share of `sharing`, which anybody can verify. */
  async verify({ bytes }: MadeBackup, self: string, sharing: Sharing): Promise<void> {
    await verifyBackupBy(this.#compute, bytes, {
      publicKey: sharing.publicKey,
      shareOf: self,
      publicShare: sharing.publicShares.get(self)!,
      recipient: this.#key.recipient,
    });
  }

  /** Opens the backup with the recovery key, and throws `BACKUP` unless it gives the share it was made of. */
  recoverAndCompare({ bytes }: MadeBackup, { x }: KeyShare): void {
    invariant(this.#key.kind === 'own', 'the recovery key is not here');
    const key = privateKeyFromPem(this.#key.privatePem.bytes);
    using recovered = recoverShare(parseBackup(bytes), key);
    if (!equalBytes(recovered.bytes, x.bytes)) {
      throw new MpcError('BACKUP', 'the share recovered from the backup is not the one it was made of');
    }
  }
}

/** The form of a backup on disk. */
export const backupText = ({ bytes }: MadeBackup): string => backupToText(bytes);
