/** The public facts of stored keys, as commands show them. */
import { formatPolicy } from '../access/policy.js';
import { toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { publicKeyPem } from '../curve/ecdsa.js';
import type { BackupRecord, SharingInfo, StoredKey } from '../keystore/keystore.js';
import { printId, type Sharing } from '../protocol/key-share.js';
import { checkComplete } from './choose-key.js';
import { isBackupOf } from './stored-backup.js';
import { isPending, newestOf } from './stored-keys.js';

/** What `result` says of a key. */
export const factsOf = ({ keyId, epoch, curve, policy, publicKey }: Sharing) => ({
  keyId: printId(keyId),
  epoch,
  curve: curve.name,
  policy: formatPolicy(policy),
  publicKey: toHex(publicKey.toUncompressed()),
});

/** A public key, for whoever checks signatures by it. */
export interface PublicKeyDescription {
  readonly keyId: string;
  readonly curve: string;
  /** SEC1 uncompressed, hex. */
  readonly publicKey: string;
  readonly pem: string;
}

/** Throws `USAGE` for a key that is pending: nothing must be done with it. */
export function describePublicKey(key: StoredKey): PublicKeyDescription {
  checkComplete(key);
  const { sharing } = newestOf(key);
  const { keyId, curve, publicKey } = factsOf(sharing);
  return { keyId, curve, publicKey, pem: publicKeyPem(sharing.curve, sharing.publicKey) };
}

export interface KeyDescription {
  readonly keyId: string;
  /** `pending`: made, and not known to be stored by all; `recovered`: from a backup, and not refreshed since. */
  readonly state: 'complete' | 'pending' | 'recovered';
  /** SEC1 uncompressed, hex; absent while the key is pending, for nothing must be done with it. */
  readonly publicKey?: string;
  readonly curve: string;
  readonly policy: string;
  readonly parties: readonly PartyName[];
  readonly epoch: number;
  /** Epoch of a refresh that was cut off before this party knew that all have stored its share. */
  readonly unfinished?: number;
  readonly backups: readonly BackupDescription[];
}

export interface BackupDescription extends Omit<BackupRecord, 'shid'> {
  /** A refresh has made it worthless. */
  readonly void: boolean;
}

export function describeKey({ sharings, backups }: StoredKey): KeyDescription {
  const [newest] = sharings;
  const inForce = sharings.find(({ confirmed }) => confirmed) ?? newest!;
  const { publicKey, ...facts } = factsOf(inForce.sharing);
  const state = stateOf(inForce);
  const isValid = isBackupOf(sharings);
  return {
    ...facts,
    state,
    ...(state !== 'pending' && { publicKey }),
    parties: inForce.sharing.parties,
    ...(newest !== inForce && { unfinished: newest!.sharing.epoch }),
    backups: backups.map(({ shid, ...record }) => ({ ...record, void: !isValid({ ...record, shid }) })),
  };
}

function stateOf(info: SharingInfo): KeyDescription['state'] {
  if (isPending(info)) return 'pending';
  return info.confirmed ? 'complete' : 'recovered';
}
