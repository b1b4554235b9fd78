/** Making and verifying backups with the work done in a worker thread. */
import type { Secret } from '../core/bytes.js';
import type { Compute } from '../rounds/run.js';
import {
  type BackupSubject,
  checkClaims,
  checkSubject,
  type Expected,
  encodeBackup,
  parseBackup,
  statementOf,
  type VerifiedAgainst,
  verdict,
} from './backup-file.js';
import { encryptJob, statementToPlain, verifyJob } from './pve-jobs.js';
import type { Recipient } from './recipient.js';

interface JobOptions {
  readonly signal?: AbortSignal;
}

/** `createBackup` through `compute`; the caller keeps `x`. */
export async function createBackupBy(
  compute: Compute,
  subject: BackupSubject,
  x: Secret,
  recipient: Recipient,
  options: JobOptions = {},
): Promise<Uint8Array> {
  checkSubject(subject);
  const statement = statementToPlain(statementOf(subject, recipient));
  const ciphertext = await compute(encryptJob, { statement, secret: x.bytes }, options);
  return encodeBackup(subject, recipient, ciphertext);
}

/** `parseBackup` of the binary form and `verifyBackup`, through `compute`. */
export async function verifyBackupBy(
  compute: Compute,
  file: Uint8Array,
  expected: Expected = {},
  options: JobOptions = {},
): Promise<VerifiedAgainst> {
  const backup = parseBackup(file);
  checkClaims(backup, expected);
  const { subject, recipient, ciphertext } = backup;
  const statement = statementToPlain(statementOf(subject, recipient));
  return verdict(await compute(verifyJob, { statement, ciphertext }, options), expected);
}
