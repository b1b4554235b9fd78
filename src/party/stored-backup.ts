/** Backups of stored keys: made into a file and noted in the store; and recovered into a store. */
import { leaves } from '../access/policy.js';
import { isConsistent } from '../access/sharing.js';
import type { ClusterConfig } from '../config/cluster.js';
import { equalBytes, type Secret } from '../core/bytes.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { checkNewFile, displayPath, PUBLIC, readText, writeNewFile } from '../files/files.js';
import type { BackupRecord, Keystore, SharingInfo, StoredKey } from '../keystore/keystore.js';
import { type KeyShare, makeKeyShare, printId, type Sharing } from '../protocol/key-share.js';
import type { BackupSubject } from '../pve/backup-file.js';
import { fingerprint, type Recipient, recipientFromPem } from '../pve/recipient.js';
import type { Compute } from '../rounds/run.js';
import { BackupMaker, backupText } from './backup.js';
import { checkComplete, checkParties } from './choose-key.js';
import type { EventSink, ResultEvent } from './events.js';

/** Where a backup goes. */
export interface BackupTarget {
  readonly recipient: Recipient;
  /** A file that does not exist yet. */
  readonly file: string;
}

/** Where a backup goes by these names; throws `FILE` unless `recipientFile` is a public key and `file` can be made. */
export function readTarget(recipientFile: string, file: string): BackupTarget {
  const recipient = recipientFromPem(readText(recipientFile));
  checkNewFile(file);
  return { recipient, file };
}

export interface BackupTools {
  readonly keystore: Keystore;
  readonly compute: Compute;
  readonly signal: AbortSignal;
  readonly emit: EventSink;
}

/** Makes and verifies a backup of the share, writes it, and notes it in the store. */
export async function backUpStored(
  share: KeyShare,
  { recipient, file }: BackupTarget,
  { keystore, compute, signal, emit }: BackupTools,
): Promise<NonNullable<ResultEvent['backup']>> {
  const { sharing, self } = share;
  const { keyId, epoch, shid } = sharing;
  const now = new Date();
  const label = `backup-${self}-${Math.floor(now.getTime() / 1000)}`;
  const maker = new BackupMaker({ key: Promise.resolve({ recipient }), compute, label: () => label, signal });
  const made = await maker.create(share);
  const bytes = made.bytes.length;
  emit({ event: 'backup', party: self, epoch, label, scheme: made.scheme, bytes, ownKey: made.ownKey });
  await maker.verify(made, self, sharing);
  emit({ event: 'backup-verified', party: self, epoch, label });
  writeNewFile(file, backupText(made), PUBLIC);
  const madeAt = now.toISOString();
  keystore.recordBackup(keyId, { label, epoch, shid, file, recipient: fingerprint(recipient), madeAt });
  return { label, file, bytes };
}

/** Whether what was backed up is a share that this party holds: otherwise the backup is void. */
export const isBackupOf =
  (sharings: readonly SharingInfo[]) =>
  ({ shid }: BackupRecord): boolean =>
    sharings.some(({ sharing }) => equalBytes(sharing.shid, shid));

/** The newest sharing of the key that all parties are known to hold: the one to back up. Throws `USAGE` for none. */
export function confirmedOf(key: StoredKey): Sharing {
  const confirmed = key.sharings.find((info) => info.confirmed);
  if (confirmed !== undefined) return confirmed.sharing;
  checkComplete(key);
  throw new MpcError('USAGE', `the share of the key ${printId(key.keyId)} was recovered from a backup`, {
    hint: 'run `ecdsa-mpc refresh` at all of its parties first: until then that backup is the one to keep',
  });
}

/**
 * Stores the share `x` that the backup of `subject` was opened to, for use with the parties of the cluster.
 * Throws `BACKUP` when the backup is another party's or of no use any more, `CONFIG` when it is of other parties.
 */
export function storeRecovered(
  keystore: Keystore,
  cluster: ClusterConfig,
  subject: BackupSubject,
  x: Secret,
): void {
  checkOwner(subject, keystore.party);
  const sharing = sharingOf(subject, cluster);
  checkUseful(keystore, sharing);
  using share = makeKeyShare(sharing, keystore.party, x.clone());
  keystore.addSharing(share, 'backup');
}

/** Throws `BACKUP` when the backup is of the share of somebody else. */
export function checkOwner({ party }: BackupSubject, self: PartyName): void {
  if (party === self) return;
  throw new MpcError('BACKUP', `the backup is of the share of ${party}, not ${self}`, {
    hint: `take ${self}'s own backup, or say --self ${party} on the machine of ${party}`,
  });
}

/** The sharing that a backup tells of, with its parties in canonical order, which only the cluster file knows. */
function sharingOf(subject: BackupSubject, cluster: ClusterConfig): Sharing {
  const { curve, policy, keyId, epoch, shid, publicKey, publicShares } = subject;
  const named = leaves(policy);
  const order = cluster.parties.map(({ name }) => name).filter((name) => named.includes(name));
  const parties = order.length === named.length ? order : named;
  const sharing = { curve, policy, parties, keyId, epoch, shid, publicKey, publicShares };
  checkParties(cluster, sharing);
  if (isConsistent(curve, policy, publicKey, publicShares)) return sharing;
  throw new MpcError('BACKUP', 'the public shares in the backup do not add up to its public key', {
    hint: 'take another backup: this one is forged',
  });
}

/** Throws `BACKUP` when the share is stored already, or all parties have gone on to a newer one. */
function checkUseful(keystore: Keystore, { keyId, epoch, shid }: Sharing): void {
  const sharings = keystore.key(keyId)?.sharings ?? [];
  const folder = displayPath(keystore.folder);
  if (sharings.some(({ sharing }) => equalBytes(sharing.shid, shid)))
    throw new MpcError('BACKUP', `the share of epoch ${epoch} in this backup is in ${folder} already`, {
      hint: 'nothing has to be recovered, and nothing was changed',
    });
  const inForce = sharings.find((info) => info.confirmed && info.sharing.epoch >= epoch);
  if (inForce === undefined) return;
  throw new MpcError(
    'BACKUP',
    `the backup is of epoch ${epoch}, which a refresh has made void: ${folder} holds a share of epoch ${inForce.sharing.epoch}`,
    { hint: 'nothing has to be recovered, and nothing was changed; destroy the old backup' },
  );
}
