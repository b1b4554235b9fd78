/** Making and verifying backups in a worker thread, so that a party's sockets keep answering. */
import { Secret } from '../core/bytes.js';
import { invariant, type PartyName } from '../core/errors.js';
import { type CurveName, curveByName, type Point } from '../curve/curve.js';
import type { Compute } from '../rounds/run.js';
import { defineJob } from '../work/job.js';
import {
  type BackupSubject,
  createBackup,
  decodeSubject,
  type Expected,
  encodeSubject,
  parseBackup,
  type VerifiedAgainst,
  verifyBackup,
} from './backup-file.js';
import { type Recipient, recipientFromSpki } from './recipient.js';

interface JobOptions {
  readonly signal?: AbortSignal;
}

interface CreateInput {
  readonly subject: Uint8Array;
  /** x, 32 bytes. */
  readonly secret: Uint8Array;
}

const createJob = defineJob(import.meta.url, 'pve.create', (input: CreateInput, { random }) => {
  const { subject, recipient } = decodeSubject(input.subject);
  using x = Secret.own(input.secret);
  return createBackup(subject, x, recipient, random);
});

/** {@link createBackup} through `compute`; the caller keeps `x`. */
export const createBackupBy = (
  compute: Compute,
  subject: BackupSubject,
  x: Secret,
  recipient: Recipient,
  options: JobOptions = {},
): Promise<Uint8Array> =>
  compute(createJob, { subject: encodeSubject(subject, recipient), secret: x.bytes }, options);

interface PlainPoint {
  readonly curve: CurveName;
  readonly bytes: Uint8Array;
}

const pointToPlain = (point: Point): PlainPoint => ({ curve: point.curve.name, bytes: point.toBytes() });

function pointOfPlain({ curve, bytes }: PlainPoint): Point {
  const point = curveByName(curve).point(bytes);
  invariant(point !== undefined, 'a point was garbled between threads');
  return point;
}

/** {@link Expected} as plain data. */
interface PlainExpected {
  readonly publicKey?: PlainPoint;
  readonly shareOf?: PartyName;
  readonly publicShare?: PlainPoint;
  readonly recipient?: Uint8Array;
}

const expectedToPlain = ({ publicKey, shareOf, publicShare, recipient }: Expected): PlainExpected => ({
  ...(publicKey && { publicKey: pointToPlain(publicKey) }),
  ...(shareOf !== undefined && { shareOf }),
  ...(publicShare && { publicShare: pointToPlain(publicShare) }),
  ...(recipient && { recipient: recipient.spki }),
});

const expectedOfPlain = ({ publicKey, shareOf, publicShare, recipient }: PlainExpected): Expected => ({
  ...(publicKey && { publicKey: pointOfPlain(publicKey) }),
  ...(shareOf !== undefined && { shareOf }),
  ...(publicShare && { publicShare: pointOfPlain(publicShare) }),
  ...(recipient && { recipient: recipientFromSpki(recipient)! }),
});

interface VerifyInput {
  readonly file: Uint8Array;
  readonly expected: PlainExpected;
}

const verifyJob = defineJob(import.meta.url, 'pve.verify', ({ file, expected }: VerifyInput) =>
  verifyBackup(parseBackup(file), expectedOfPlain(expected)),
);

/** {@link parseBackup} of the binary form and {@link verifyBackup}, through `compute`. */
export const verifyBackupBy = (
  compute: Compute,
  file: Uint8Array,
  expected: Expected = {},
  options: JobOptions = {},
): Promise<VerifiedAgainst> => compute(verifyJob, { file, expected: expectedToPlain(expected) }, options);
