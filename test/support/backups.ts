/** Backups to test with: a subject with its shares, recovery keys made once per test file, seeded randomness. */
import { type Policy, parsePolicy } from '#src/access/policy.js';
import { publicShares, share } from '#src/access/sharing.js';
import { type Random, randomBytes, Secret } from '#src/core/bytes.js';
import { hash } from '#src/core/transcript.js';
import { type CurveName, curveByName } from '#src/curve/curve.js';
import { keyIdOf } from '#src/curve/key-id.js';
import { type BackupSubject, createBackup } from '#src/pve/backup-file.js';
import {
  generateRecipientKey,
  privateKeyFromPem,
  type Recipient,
  type RecipientKeyType,
  type RecipientPrivateKey,
  recipientFromPem,
  type Scheme,
} from '#src/pve/recipient.js';

export const PARTIES = ['alice', 'bob', 'charlie', 'dave'];
export const ALL: Policy = parsePolicy({ and: PARTIES }, PARTIES);

/** The same bytes in every run for the same name. */
export function seededRandom(name: string): Random {
  let count = 0n;
  return (length) => hash('test random', [name, count++], length);
}

export interface Shared {
  readonly subject: BackupSubject;
  /** x_alice, 32 bytes. */
  readonly x: Uint8Array;
}

/** A fresh key shared along `policy`, and alice's share of it as the subject of a backup. */
export function sharedKey(curveName: CurveName, policy = ALL, random = randomBytes): Shared {
  const curve = curveByName(curveName);
  const secret = curve.randomScalar(random);
  const { shares, commitments } = share(curve, policy, secret, random);
  const publicKey = curve.multiplyBase(secret);
  const subject: BackupSubject = {
    ...{ curve, policy, publicKey, party: 'alice', label: 'backup-alice-1', epoch: 1 },
    keyId: keyIdOf(curve, publicKey),
    shid: random(32),
    publicShares: publicShares(curve, policy, commitments, { zero: false }),
  };
  return { subject, x: curve.scalarBytes(shares.get('alice')!) };
}

/** The binary form of a backup of `shared`. */
export function backupOf({ subject, x }: Shared, recipient: Recipient, random = randomBytes): Uint8Array {
  using secret = Secret.own(Uint8Array.from(x));
  return createBackup(subject, secret, recipient, random);
}

const KEY_TYPE: Readonly<Record<Scheme, RecipientKeyType>> = { 'rsa-oaep': 'rsa-3072', 'hpke-p256': 'p256' };

export interface RecoveryKey {
  readonly recipient: Recipient;
  readonly privateKey: RecipientPrivateKey;
  readonly privatePem: string;
}

export async function newRecoveryKey(scheme: Scheme): Promise<RecoveryKey> {
  const { publicPem, privatePem } = await generateRecipientKey(KEY_TYPE[scheme]);
  using pem = privatePem;
  return {
    recipient: recipientFromPem(publicPem),
    privateKey: privateKeyFromPem(pem.bytes),
    privatePem: new TextDecoder().decode(pem.bytes),
  };
}
