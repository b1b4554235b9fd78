/**
 * The header of a state folder, `keystore.json`: format, party, and how the folder's key is made of the passphrase.
 * Nothing in it is secret.
 *
 * The key is scrypt (RFC 7914) of passphrase and salt. Two values are drawn from it by HKDF (RFC 5869), which
 * keeps them independent, and returns them in memory of their own that can be wiped: the key that files are encrypted
 * with, and a check value for the header. A checksum over the rest tells a damaged header from a wrong passphrase.
 */
import { createHash, hkdfSync, scrypt } from 'node:crypto';
import { z } from 'zod';
import { isPartyName } from '../access/policy.js';
import { equalBytes, fromHex, randomBytes, Secret, toHex } from '../core/bytes.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { displayPath } from '../files/files.js';
import { RESTORE_HINT } from './damage.js';

export const HEADER_FILE = 'keystore.json';
export const FORMAT = 'ecdsa-mpc keystore';
export const FORMAT_VERSION = 1;

/** Far above what a header has. */
export const HEADER_MAX_BYTES = 4096;

/** Cost of making the key of a passphrase: it takes 128·N·r bytes of memory, p times over. */
export interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

export const DEFAULT_COST: ScryptCost = { N: 2 ** 17, r: 8, p: 1 };
const MAX_MEMORY = 2 ** 30;

const costShape = {
  N: z
    .int()
    .min(2 ** 14)
    .max(2 ** 20)
    .refine((N) => Number.isInteger(Math.log2(N)), 'not a power of two'),
  r: z.int().min(8).max(32),
  p: z.int().min(1).max(4),
};

const headerSchema = z
  .strictObject({
    format: z.literal(FORMAT),
    version: z.literal(FORMAT_VERSION),
    party: z.string().refine(isPartyName),
    kdf: z.strictObject({
      name: z.literal('scrypt'),
      ...costShape,
      salt: z.string().regex(/^[0-9a-f]{64}$/),
    }),
    /** 16 bytes in hex that only the right passphrase gives. */
    check: z.string().regex(/^[0-9a-f]{32}$/),
    /** SHA-256 of the text of a header that ends with the field before. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .refine(({ kdf }) => 128 * kdf.N * kdf.r <= MAX_MEMORY, 'takes too much memory');

export type Header = z.output<typeof headerSchema>;
type Unsigned = Omit<Header, 'sha256'>;

const print = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
const checksum = (header: Unsigned): string => createHash('sha256').update(print(header)).digest('hex');

/** The one text of a header, its fields in the order of the schema. */
export function headerText({ format, version, party, kdf, check }: Unsigned): string {
  const { name, N, r, p, salt } = kdf;
  const unsigned = { format, version, party, kdf: { name, N, r, p, salt }, check };
  return print({ ...unsigned, sha256: checksum(unsigned) });
}

/** The header in the bytes of the file at `path`; throws `FILE` for anything but the one text of a sound one. */
export function parseHeader(bytes: Uint8Array, path: string): Header {
  const text = new TextDecoder().decode(bytes);
  const json = parseJson(text);
  const { format, version } = (json ?? {}) as { format?: unknown; version?: unknown };
  if (format === FORMAT && typeof version === 'number' && version !== FORMAT_VERSION)
    throw new MpcError('FILE', `${displayPath(path)} has format version ${version}, not ${FORMAT_VERSION}`, {
      hint: 'use the version of ecdsa-mpc that wrote it',
    });
  const parsed = headerSchema.safeParse(json);
  if (parsed.success && headerText(parsed.data) === text) return parsed.data;
  throw new MpcError('FILE', `${displayPath(path)} is damaged`, { hint: RESTORE_HINT });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a passphrase gives. */
interface Derived extends Disposable {
  readonly fileKey: Secret;
  readonly check: Uint8Array;
}

async function derive(passphrase: Secret, { N, r, p }: ScryptCost, salt: Uint8Array): Promise<Derived> {
  const maxmem = 128 * r * (N + p + 8);
  using root = await new Promise<Secret>((resolve, reject) => {
    scrypt(passphrase.bytes, salt, 32, { N, r, p, maxmem }, (error, key) => {
      if (error === null) resolve(Secret.own(key));
      else reject(error);
    });
  });
  const draw = (purpose: string, length: number): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', root.bytes, new Uint8Array(0), `${FORMAT} ${purpose}`, length));
  const fileKey = Secret.own(draw('files', 32));
  return { fileKey, check: draw('check', 16), [Symbol.dispose]: () => fileKey.dispose() };
}

/** A header for a new folder, and the key of its files, which the caller disposes. */
export async function newHeader(
  party: PartyName,
  passphrase: Secret,
  cost: ScryptCost,
): Promise<{ readonly text: string; readonly fileKey: Secret }> {
  const salt = randomBytes(32);
  const { fileKey, check } = await derive(passphrase, cost, salt);
  const kdf = { name: 'scrypt', ...cost, salt: toHex(salt) } as const;
  const unsigned = { format: FORMAT, version: FORMAT_VERSION, party, kdf, check: toHex(check) } as const;
  return { text: headerText(unsigned), fileKey };
}

/** The key of the folder's files, which the caller disposes; throws `FILE` for a wrong passphrase. */
export async function unlock(header: Header, passphrase: Secret, folder: string): Promise<Secret> {
  const derived = await derive(passphrase, header.kdf, fromHex(header.kdf.salt)!);
  if (equalBytes(derived.check, fromHex(header.check)!)) return derived.fileKey;
  derived[Symbol.dispose]();
  throw new MpcError('FILE', `wrong passphrase for ${displayPath(folder)}`, {
    hint: 'give the passphrase that was chosen when the folder was made; nothing was changed',
  });
}
