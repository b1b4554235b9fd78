/**
 * What a party has stored of one key, but for the secrets: the manifest, `KEY.key`. It says which files of secrets
 * there are, and which must go: `condemned` lists those that are being written, and not yet in use, or being erased.
 * They are erased when the folder is opened after a crash; files that no manifest names are left alone.
 */
import { z } from 'zod';
import { leaves, MAX_PARTIES, type Policy, policyBytes, policyFromPlain } from '../access/policy.js';
import { isConsistent } from '../access/sharing.js';
import { equalBytes, toHex } from '../core/bytes.js';
import { bytesField, decode, decodeAs, encodeAs, UndecodableError } from '../core/codec.js';
import type { PartyName } from '../core/errors.js';
import { type Curve, type CurveName, curveByName, type Point } from '../curve/curve.js';
import { pointField } from '../curve/fields.js';
import { keyIdOf } from '../curve/key-id.js';
import type { Sharing } from '../protocol/key-share.js';
import { CONTENT_MAX_BYTES } from './sealed.js';

export const ORIGINS = ['keygen', 'refresh', 'backup'] as const;

/** A set-up made by one session among two or more of the key's parties, and named by its sid. */
export interface SetupInfo {
  /** 32 bytes. */
  readonly id: Uint8Array;
  readonly parties: readonly PartyName[];
  readonly multiplication: string;
  readonly security: number;
}

/** A sharing of which this party holds its share. */
export interface SharingInfo {
  readonly sharing: Sharing;
  /** Whether the confirmations of all parties were held once. */
  readonly confirmed: boolean;
  readonly origin: (typeof ORIGINS)[number];
  /** Newest first. */
  readonly setups: readonly SetupInfo[];
}

/** That a backup of the share was made. */
export interface BackupRecord {
  readonly label: string;
  readonly epoch: number;
  readonly shid: Uint8Array;
  readonly file: string;
  /** SHA-256 of the recipient's SPKI, hex. */
  readonly recipient: string;
  /** ISO 8601. */
  readonly madeAt: string;
}

/** Of more records than this, the oldest are forgotten. */
export const MAX_BACKUPS = 1000;

export interface Manifest {
  readonly curve: Curve;
  readonly publicKey: Point;
  readonly keyId: Uint8Array;
  /** Newest stored first. */
  readonly sharings: readonly SharingInfo[];
  /** Oldest first. */
  readonly backups: readonly BackupRecord[];
  /** Names of files. */
  readonly condemned: readonly string[];
}

/** The manifest of a key of which nothing is stored. */
export const emptyManifest = ({ curve, publicKey, keyId }: Sharing): Manifest => ({
  ...{ curve, publicKey, keyId },
  ...{ sharings: [], backups: [], condemned: [] },
});

// Names of files: the key's id, and 16 bytes of the ids below it.

const ID_DIGITS = 32;
const shortId = (id: Uint8Array): string => toHex(id).slice(0, ID_DIGITS);
const SECRET_FILE = /^([0-9a-f]{32})\.[0-9a-f]{32}(\.share|\.[0-9a-f]{32}\.setup)$/;
const MANIFEST_FILE = /^([0-9a-f]{32})\.key$/;

export const manifestFile = (keyId: Uint8Array): string => `${toHex(keyId)}.key`;
export const shareFile = (keyId: Uint8Array, shid: Uint8Array): string =>
  `${toHex(keyId)}.${shortId(shid)}.share`;
export const setupFile = (keyId: Uint8Array, shid: Uint8Array, id: Uint8Array): string =>
  `${toHex(keyId)}.${shortId(shid)}.${shortId(id)}.setup`;

/** All files of secrets that belong to a sharing. */
export const filesOf = ({ sharing: { keyId, shid }, setups }: SharingInfo): string[] => [
  shareFile(keyId, shid),
  ...setups.map(({ id }) => setupFile(keyId, shid, id)),
];

/** The key id in the name of a manifest, in hex, or `undefined` for any other name. */
export const keyOfManifestFile = (name: string): string | undefined => MANIFEST_FILE.exec(name)?.[1];

export const isSetupFile = (name: string): boolean => name.endsWith('.setup');

/** Whether `name` is one that this folder gives to its files of keys. */
export const isKeyFile = (name: string): boolean => MANIFEST_FILE.test(name) || SECRET_FILE.test(name);

// Schema

const SHID_BYTES = 32;
const POLICY_MAX_BYTES = 8192;
const epochField = z.int().min(0).max(0xffffffff);
const partiesField = z.array(z.string().max(64)).min(2).max(MAX_PARTIES);

/** The policy's encoding as a byte string: nested in place it would be deeper than the codec goes. */
const policyField = z.codec(
  z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  z.custom<Policy>(),
  {
    decode: (bytes, context) => {
      try {
        return policyFromPlain(decode(bytes, POLICY_MAX_BYTES));
      } catch (error) {
        if (!(error instanceof UndecodableError)) throw error;
        context.issues.push({ code: 'custom', input: bytes, message: error.message });
        return z.NEVER;
      }
    },
    encode: policyBytes,
  },
);

const setupSchema = z.strictObject({
  id: bytesField(SHID_BYTES),
  parties: partiesField,
  multiplication: z.string().min(1).max(32),
  security: z.int().min(1).max(1024),
});

const backupSchema = z.strictObject({
  label: z.string().max(128),
  epoch: epochField,
  shid: bytesField(SHID_BYTES),
  file: z.string().max(4096),
  recipient: z.string().regex(/^[0-9a-f]{64}$/),
  madeAt: z.iso.datetime(),
});

const makeSchema = (curve: Curve) =>
  z.strictObject({
    curve: z.literal(curve.name),
    publicKey: pointField(curve),
    sharings: z.array(
      z.strictObject({
        shid: bytesField(SHID_BYTES),
        epoch: epochField,
        parties: partiesField,
        policy: policyField,
        /** In the order of `parties`. */
        publicShares: z.array(pointField(curve)),
        confirmed: z.boolean(),
        origin: z.enum(ORIGINS),
        setups: z.array(setupSchema),
      }),
    ),
    backups: z.array(backupSchema).max(MAX_BACKUPS),
    condemned: z.array(z.string().regex(SECRET_FILE)),
  });

const SCHEMAS = {
  'P-256': makeSchema(curveByName('P-256')),
  secp256k1: makeSchema(curveByName('secp256k1')),
} satisfies Record<CurveName, unknown>;

type Fields = z.output<(typeof SCHEMAS)[CurveName]>;

const curveField = z.enum(['P-256', 'secp256k1']);

/** The encoding of a manifest; throws when it breaks a rule of its schema. */
export const encodeManifest = ({ curve, publicKey, sharings, backups, condemned }: Manifest): Uint8Array =>
  encodeAs(SCHEMAS[curve.name], {
    curve: curve.name,
    publicKey,
    sharings: sharings.map(({ sharing, confirmed, origin, setups }) => ({
      shid: sharing.shid,
      epoch: sharing.epoch,
      parties: [...sharing.parties],
      policy: sharing.policy,
      publicShares: sharing.parties.map((party) => sharing.publicShares.get(party)!),
      ...{ confirmed, origin },
      setups: setups.map((setup) => ({ ...setup, parties: [...setup.parties] })),
    })),
    backups: [...backups],
    condemned: [...condemned],
  });

/** The manifest of the key `keyId` that `party` wrote. Throws {@link UndecodableError} for anything unsound. */
export function decodeManifest(bytes: Uint8Array, keyId: Uint8Array, party: PartyName): Manifest {
  const plain = decode(bytes, CONTENT_MAX_BYTES) as { curve?: unknown } | null;
  const name = curveField.safeParse(plain?.curve);
  if (!name.success) throw new UndecodableError('unknown curve');
  const fields: Fields = decodeAs(SCHEMAS[name.data], bytes, CONTENT_MAX_BYTES);
  const curve = curveByName(name.data);
  const { publicKey, backups, condemned } = fields;
  if (!equalBytes(keyId, keyIdOf(curve, publicKey))) throw new UndecodableError('public key of another key');
  const sharings = fields.sharings.map((each) => sharingOfFields(each, { curve, publicKey, keyId }, party));
  const names = [...sharings.flatMap(filesOf), ...condemned];
  if (new Set(names).size !== names.length) throw new UndecodableError('a file is named twice');
  if (!names.every((each) => each.startsWith(toHex(keyId))))
    throw new UndecodableError('files of another key');
  return { ...{ curve, publicKey, keyId, sharings, backups, condemned } };
}

function sharingOfFields(
  fields: Fields['sharings'][number],
  key: Pick<Sharing, 'curve' | 'publicKey' | 'keyId'>,
  self: PartyName,
): SharingInfo {
  const { shid, epoch, parties, policy, publicShares, confirmed, origin, setups } = fields;
  if (!isSameSet(parties, leaves(policy)) || publicShares.length !== parties.length)
    throw new UndecodableError('parties other than the policy names');
  const shares = new Map(parties.map((party, index) => [party, publicShares[index]!]));
  if (!isConsistent(key.curve, policy, key.publicKey, shares))
    throw new UndecodableError('public shares that do not add up to the public key');
  for (const setup of setups)
    if (!setup.parties.includes(self) || !setup.parties.every((party) => parties.includes(party)))
      throw new UndecodableError('a set-up of other parties');
  if (!parties.includes(self)) throw new UndecodableError('a key of other parties');
  const sharing: Sharing = { ...key, policy, parties, epoch, shid, publicShares: shares };
  return { sharing, confirmed, origin, setups };
}

const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && new Set(a).size === a.length && a.every((item) => b.includes(item));
