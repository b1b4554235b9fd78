/**
 * The backup file: all that it takes to say what a backup is of, to verify it and, with the recovery key, to open
 * it, with no other file (docs/protocol.md §10). Canonical CBOR; on disk its lower-case hex and one final newline.
 *
 * Q is not stored: it is the public share X_party.
 */
import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import {
  formatPolicy,
  leaves,
  MAX_PARTIES,
  type Policy,
  policyFromPlain,
  policyToPlain,
} from '../access/policy.js';
import { isConsistent } from '../access/sharing.js';
import { equalBytes, fromHex, type Random, type Secret, toHex } from '../core/bytes.js';
import { bytesField, decode, decodeAs, encodeAs, type Plain, UndecodableError } from '../core/codec.js';
import { invariant, MpcError, type PartyName } from '../core/errors.js';
import { type Curve, type CurveName, curveByName, type Point } from '../curve/curve.js';
import { pointField } from '../curve/fields.js';
import { KEY_ID_BYTES, keyIdOf } from '../curve/key-id.js';
import { ciphertextShape, isComplete } from './ciphertext-fields.js';
import {
  type Ciphertext,
  decrypt,
  encrypt,
  FORMAT_VERSION,
  INSTANCES,
  type Statement,
  verify,
} from './pve.js';
import {
  fingerprint,
  type Recipient,
  type RecipientPrivateKey,
  recipientFromSpki,
  SCHEMES,
  type Scheme,
} from './recipient.js';
import { type ShareOf, shareFields } from './subject.js';

/** What a backup is of, and the name that its maker gives it. */
export interface BackupSubject extends ShareOf {
  readonly curve: Curve;
  /** 1 to 128 printable ASCII characters ({@link isLabel}). */
  readonly label: string;
}

/** A well-formed backup file. Nothing in it is proved before {@link verifyBackup}. */
export interface Backup {
  readonly subject: BackupSubject;
  readonly recipient: Recipient;
  readonly ciphertext: Ciphertext;
  /** Length of the binary form. */
  readonly bytes: number;
}

export const isLabel = (label: string): boolean => /^[ -~]{1,128}$/.test(label);

// Schema

const FORMAT = 'ecdsa-mpc backup';
/** Above what 64 parties with the longest names need. */
const MAX_BYTES = 32 * 1024;
const SHID_BYTES = 32;

const policyField = z.codec(z.custom<Plain>(), z.custom<Policy>(), {
  decode: (plain, context) => {
    try {
      return policyFromPlain(plain);
    } catch (error) {
      if (!(error instanceof UndecodableError)) throw error;
      context.issues.push({ code: 'custom', input: plain, message: error.message });
      return z.NEVER;
    }
  },
  encode: policyToPlain,
});

const recipientField = (scheme: Scheme) =>
  z.codec(
    z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not a byte string'),
    z.custom<Recipient>(),
    {
      decode: (spki, context) => {
        const recipient = recipientFromSpki(spki);
        if (recipient?.scheme === scheme) return recipient;
        context.issues.push({ code: 'custom', input: spki, message: `not a key for ${scheme}` });
        return z.NEVER;
      },
      encode: (recipient) => recipient.spki,
    },
  );

/** The fields that say what a backup is of and for whom. */
const subjectShape = (curve: Curve, scheme: Scheme) => ({
  format: z.literal(FORMAT),
  version: z.literal(FORMAT_VERSION),
  curve: z.literal(curve.name),
  scheme: z.literal(scheme),
  label: z.string().refine(isLabel, 'not 1 to 128 printable characters'),
  keyId: bytesField(KEY_ID_BYTES),
  epoch: z.int().min(0).max(0xffffffff),
  shid: bytesField(SHID_BYTES),
  party: z.string(),
  publicKey: pointField(curve),
  /** In the order of the policy's leaves. */
  publicShares: z.array(pointField(curve)).max(MAX_PARTIES),
  policy: policyField,
  recipient: recipientField(scheme),
});

const makeFileSchema = (curve: Curve, scheme: Scheme) =>
  z.strictObject({ ...subjectShape(curve, scheme), ...ciphertextShape(curve, scheme) });

type FileSchema = ReturnType<typeof makeFileSchema>;
type FileFields = z.output<FileSchema>;
type SubjectFields = Omit<FileFields, keyof Ciphertext>;

const fileSchemas = new Map<string, FileSchema>();

/** The schema of a file of this curve and scheme, kept: compiling it takes longer than reading a file. */
function fileSchemaFor(curve: Curve, scheme: Scheme): FileSchema {
  const key = `${curve.name} ${scheme}`;
  const made = fileSchemas.get(key) ?? makeFileSchema(curve, scheme);
  fileSchemas.set(key, made);
  return made;
}

function subjectToFields(subject: BackupSubject, recipient: Recipient): SubjectFields {
  const { curve, label, keyId, epoch, shid, party, publicKey, publicShares, policy } = subject;
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    curve: curve.name,
    scheme: recipient.scheme,
    ...{ label, keyId, epoch, shid, party, publicKey, policy, recipient },
    publicShares: leaves(policy).map((name) => publicShares.get(name)!),
  };
}

function subjectOfFields(fields: SubjectFields): BackupSubject {
  const { label, keyId, epoch, shid, party, publicKey, policy } = fields;
  const curve = curveByName(fields.curve);
  const parties = leaves(policy);
  if (fields.publicShares.length !== parties.length) {
    throw new UndecodableError('publicShares: not one for each party of the policy');
  }
  if (!parties.includes(party)) throw new UndecodableError('party: not in the policy');
  if (!equalBytes(keyId, keyIdOf(curve, publicKey))) {
    throw new UndecodableError('keyId: not that of the public key');
  }
  const publicShares = new Map(parties.map((name, index) => [name, fields.publicShares[index]!]));
  return { curve, label, keyId, epoch, shid, party, publicKey, publicShares, policy };
}

/** What the proof in a backup of `subject` states. */
export const statementOf = (subject: BackupSubject, recipient: Recipient): Statement => ({
  curve: subject.curve,
  label: subject.label,
  Q: subject.publicShares.get(subject.party)!,
  recipient,
  subject: shareFields(subject),
});

// Making

/**
 * The binary form of a backup of `x`, the share of `subject.party`, 32 bytes.
 * Throws `BUG` unless x·G is that party's public share and the subject is sound in itself.
 */
export function createBackup(
  subject: BackupSubject,
  x: Secret,
  recipient: Recipient,
  random: Random,
): Uint8Array {
  checkSubject(subject);
  return encodeBackup(subject, recipient, encrypt(statementOf(subject, recipient), x, random));
}

/** Throws `BUG` unless the subject is sound in itself. */
export function checkSubject(subject: BackupSubject): void {
  invariant(subject.publicShares.size === leaves(subject.policy).length, 'public shares of other parties');
  invariant(equalBytes(subject.keyId, keyIdOf(subject.curve, subject.publicKey)), 'key id of another key');
  invariant(isLabel(subject.label), 'not a label');
}

/** The binary form of a backup. */
export function encodeBackup(
  subject: BackupSubject,
  recipient: Recipient,
  ciphertext: Ciphertext,
): Uint8Array {
  const fields = { ...subjectToFields(subject, recipient), ...ciphertext };
  return encodeAs(fileSchemaFor(subject.curve, recipient.scheme), {
    ...fields,
    closed: [...ciphertext.closed],
    seeds: [...ciphertext.seeds],
    rows: [...ciphertext.rows],
  });
}

/** The form of a backup on disk. */
export const backupToText = (bytes: Uint8Array): string => `${toHex(bytes)}\n`;

// Reading

const MALFORMED_HINT = 'use the file just as it was written: a copy in which any byte was changed is refused';

/**
 * A backup in its binary form, or in the text form that stands on disk (read as Latin-1 or ASCII).
 * Throws `BACKUP` for anything that is not the one encoding of a well-formed backup.
 */
export function parseBackup(file: Uint8Array | string): Backup {
  try {
    return decodeBackup(typeof file === 'string' ? bytesOfText(file) : file);
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    throw new MpcError('BACKUP', `this is no intact backup file: ${error.message}`, {
      hint: MALFORMED_HINT,
    });
  }
}

function bytesOfText(text: string): Uint8Array {
  const bytes = /^[0-9a-f]+\n$/.test(text) ? fromHex(text.slice(0, -1)) : undefined;
  if (bytes === undefined) throw new UndecodableError('not lower-case hex and one final newline');
  return bytes;
}

function decodeBackup(bytes: Uint8Array): Backup {
  const { curve, scheme } = readKind(decode(bytes, MAX_BYTES));
  const fields = decodeAs(fileSchemaFor(curve, scheme), bytes, MAX_BYTES);
  const { recipient, salt, closed, seeds, rows } = fields;
  const ciphertext = { salt, closed, seeds, rows };
  if (!isComplete(ciphertext))
    throw new UndecodableError('seeds: not those that the closed instances ask for');
  return { subject: subjectOfFields(fields), recipient, ciphertext, bytes: bytes.length };
}

const kindSchema = z.tuple([z.enum(['P-256', 'secp256k1']), z.enum(SCHEMES)]);

/** Curve and scheme of a file of this format, by which the rest is read. */
function readKind(plain: Plain): { curve: Curve; scheme: Scheme } {
  const { format, version, curve, scheme } = (plain ?? {}) as { readonly [key: string]: Plain }; // or no object: all absent
  if (format !== FORMAT || typeof version !== 'number') throw new UndecodableError('another format');
  if (version !== FORMAT_VERSION) {
    throw new MpcError('BACKUP', `the backup has format version ${version}, not ${FORMAT_VERSION}`, {
      hint: 'use the version of ecdsa-mpc that wrote it',
    });
  }
  const kind = kindSchema.safeParse([curve, scheme]);
  if (!kind.success) throw new UndecodableError('unknown curve or scheme');
  return { curve: curveByName(kind.data[0]), scheme: kind.data[1] };
}

// Verifying

/** What the verifier knows from elsewhere, and the backup must agree with. */
export interface Expected {
  readonly publicKey?: Point;
  readonly shareOf?: PartyName;
  /** X_i of the party, from the cluster's own record. */
  readonly publicShare?: Point;
  readonly recipient?: Recipient;
}

/**
 * What a verified backup was verified against, the strongest that was named:
 * - `itself`: the file is sound, but who made it chose the key too;
 * - `public key`: x is a share in *a* sharing of that key; who made it could have chosen the sharing;
 * - `public share`: x is *this* party's share.
 */
export type VerifiedAgainst = 'itself' | 'public key' | 'public share';

const DISTRUST_HINT = 'do not rely on this backup: get an intact copy, or have the party make a new one';

/**
 * Verifies that the recipient can open `backup` to the share that it claims, with no secret.
 * Throws `BACKUP`, saying what does not hold; the claims are compared with `expected` before the proof is checked.
 */
export function verifyBackup(backup: Backup, expected: Expected = {}): VerifiedAgainst {
  checkClaims(backup, expected);
  const { subject, recipient, ciphertext } = backup;
  return verdict(verify(statementOf(subject, recipient), ciphertext), expected);
}

/** The part of {@link verifyBackup} before the proof. */
export function checkClaims({ subject, recipient }: Backup, expected: Expected): void {
  checkExpected(subject, recipient, expected);
  const { curve, policy, publicKey, publicShares } = subject;
  if (!isConsistent(curve, policy, publicKey, publicShares)) {
    throw new MpcError('BACKUP', 'the public shares in the backup do not add up to its public key', {
      hint: DISTRUST_HINT,
    });
  }
}

/** The end of {@link verifyBackup}, from whether the proof holds. */
export function verdict(proofHolds: boolean, expected: Expected): VerifiedAgainst {
  if (!proofHolds) {
    throw new MpcError('BACKUP', 'the backup does not verify: its proof does not hold', {
      hint: DISTRUST_HINT,
    });
  }
  if (expected.publicShare !== undefined) return 'public share';
  return expected.publicKey !== undefined ? 'public key' : 'itself';
}

function checkExpected(subject: BackupSubject, recipient: Recipient, expected: Expected): void {
  const refuse = (what: string, found: string, named: string): never => {
    throw new MpcError('BACKUP', `the backup is ${what} ${found}, not ${named}`, {
      hint: 'check that this is the right file, and that it is compared with the right key and party',
    });
  };
  const { curve, party } = subject;
  const points = [
    { what: 'of the public key', found: subject.publicKey, named: expected.publicKey },
    { what: 'of the share', found: subject.publicShares.get(party)!, named: expected.publicShare },
  ];
  for (const { what, found, named } of points) {
    if (named === undefined) continue;
    if (named.curve !== curve) refuse('on the curve', curve.name, named.curve.name);
    if (!named.equals(found)) refuse(what, toHex(found.toBytes()), toHex(named.toBytes()));
  }
  if (expected.shareOf !== undefined && expected.shareOf !== party) {
    refuse('of the share of', party, expected.shareOf);
  }
  if (expected.recipient !== undefined && !equalBytes(expected.recipient.spki, recipient.spki)) {
    refuse('encrypted to the key', fingerprint(recipient), fingerprint(expected.recipient));
  }
}

// Recovering

/**
 * The share in `backup`, 32 bytes: x·G is the public share of `subject.party`. A backup with damaged rows opens
 * too, if one is whole.
 * Throws `BACKUP` when the key is another one, or no row opens.
 */
export function recoverShare(
  { subject, recipient, ciphertext }: Backup,
  privateKey: RecipientPrivateKey,
): Secret {
  if (!equalBytes(privateKey.recipient.spki, recipient.spki)) {
    const [theirs, ours] = [fingerprint(recipient), fingerprint(privateKey.recipient)];
    throw new MpcError(
      'BACKUP',
      `wrong recovery key: the backup is encrypted to ${theirs}, the key is ${ours}`,
      {
        hint: 'use the private key whose public key has the first fingerprint',
      },
    );
  }
  const x = decrypt(statementOf(subject, recipient), ciphertext, privateKey);
  if (x !== undefined) return x;
  throw new MpcError(
    'BACKUP',
    'the backup does not open to the share that it claims: it is damaged or forged',
    {
      hint: 'use another copy or an older backup; backup verify tells a sound one without the key',
    },
  );
}

// Showing

/** Everything in a backup, as JSON: byte strings in hex, points compressed unless said otherwise. */
export interface BackupDescription {
  readonly format: string;
  readonly version: number;
  readonly bytes: number;
  readonly scheme: Scheme;
  readonly curve: CurveName;
  readonly label: string;
  readonly keyId: string;
  readonly epoch: number;
  readonly shid: string;
  readonly party: PartyName;
  /** Uncompressed. */
  readonly publicKey: string;
  readonly publicShares: Readonly<Record<PartyName, string>>;
  readonly policy: string;
  readonly recipient: { readonly fingerprint: string; readonly pem: string };
  readonly instances: number;
  readonly closed: readonly number[];
  readonly salt: string;
  readonly seeds: readonly string[];
  readonly rows: readonly { readonly c: string; readonly z: string }[];
}

export function describeBackup({ subject, recipient, ciphertext, bytes }: Backup): BackupDescription {
  const { curve, label, keyId, epoch, shid, party, publicKey, publicShares, policy } = subject;
  const spki = createPublicKey({ key: Buffer.from(recipient.spki), format: 'der', type: 'spki' });
  return {
    ...{ format: FORMAT, version: FORMAT_VERSION, bytes, scheme: recipient.scheme, curve: curve.name },
    ...{ label, keyId: toHex(keyId), epoch, shid: toHex(shid), party },
    publicKey: toHex(publicKey.toUncompressed()),
    publicShares: Object.fromEntries([...publicShares].map(([name, X]) => [name, toHex(X.toBytes())])),
    policy: formatPolicy(policy),
    recipient: {
      fingerprint: fingerprint(recipient),
      pem: spki.export({ format: 'pem', type: 'spki' }).toString(),
    },
    instances: INSTANCES,
    closed: ciphertext.closed,
    salt: toHex(ciphertext.salt),
    seeds: ciphertext.seeds.map(toHex),
    rows: ciphertext.rows.map(({ c, z }) => ({ c: toHex(c), z: toHex(curve.scalarBytes(z)) })),
  };
}
