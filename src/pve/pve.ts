/**
 * Publicly verifiable encryption of a discrete logarithm x of Q = x·G (docs/protocol.md §10): anybody who has the
 * ciphertext can check that the recipient's private key opens it to x, and learns nothing about x.
 *
 * Cut and choose in the asymmetric form (Camenisch–Damgård, ASIACRYPT 2000) with the seed tree and parameters of
 * Takahashi–Zaverucha, ePrint 2021/1704: of M = 256 masks r_j, each encrypted, a random 30 stay closed and carry
 * x + r_j; the others are opened by their seeds. A cheat passes only if the bad instances are exactly the closed
 * ones, with probability 1/C(256, 30) < 2^-129 per hash that it tries.
 */
import { isDeepStrictEqual } from 'node:util';
import { bytesToBigint, type Random, Secret } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { type Field, hash } from '../core/transcript.js';
import { type Curve, POINT_BYTES, type Point, SCALAR_BYTES } from '../curve/curve.js';
import {
  CIPHERTEXT_BYTES,
  COINS_BYTES,
  type Encryptor,
  type Recipient,
  type RecipientPrivateKey,
} from './recipient.js';

/** Version of this scheme and of the backup file; part of every hash. */
export const FORMAT_VERSION = 1;
/** M: instances, leaves of the seed tree, values of a byte. */
export const INSTANCES = 256;
/** How many of them stay closed. */
export const CLOSED = 30;
export const SALT_BYTES = 32;

/** What is proved: the recipient can decrypt the discrete logarithm of Q. */
export interface Statement {
  readonly curve: Curve;
  readonly label: string;
  readonly Q: Point;
  readonly recipient: Recipient;
  /** What x is a share of, as fields of a hash. */
  readonly subject: readonly Field[];
}

/** The answer of a closed instance j: c_j = Encrypt(r_j) and z_j = x + r_j mod q. */
export interface Row {
  readonly c: Uint8Array;
  readonly z: bigint;
}

/** A ciphertext that fits the file's schema (ciphertext-fields.ts): everything but the statement. */
export interface Ciphertext {
  readonly salt: Uint8Array;
  /** T, ascending. */
  readonly closed: readonly number[];
  /** The seeds of the nodes {@link cover}(T), in its order. */
  readonly seeds: readonly Uint8Array[];
  /** One row for each of T, in its order. */
  readonly rows: readonly Row[];
}

// Hashes

/** info, 32 bytes: binds every hash and every encryption below to the statement and the salt. */
export function infoHash({ curve, label, Q, recipient, subject }: Statement, salt: Uint8Array): Uint8Array {
  const parameters = [BigInt(FORMAT_VERSION), recipient.scheme, BigInt(INSTANCES), BigInt(CLOSED)];
  return hash('pve info', [...parameters, curve.name, label, ...subject, Q.toBytes(), recipient.spki, salt]);
}

/** R_j and c_j of every instance, each kind as one run of equal-sized items. */
export interface FirstMessage {
  readonly R: Uint8Array;
  readonly c: Uint8Array;
}

/** T: the first 30 distinct bytes of the challenge stream, ascending. */
export function challenge(info: Uint8Array, { R, c }: FirstMessage): number[] {
  const stream = hash('pve challenge', [info, R, c], 256);
  const closed = [...new Set(stream)].slice(0, CLOSED);
  invariant(closed.length === CLOSED, '256 bytes with fewer than 30 values'); // probability 2^-670
  return closed.sort((a, b) => a - b);
}

// The seed tree, in heap numbering: root 1, children of v are 2v and 2v + 1, instance j is node 256 + j.

export const SEED_BYTES = 16;
const ROOT = 1;
const leafOf = (j: number): number => INSTANCES + j;
const seedOf = (tree: Secret, v: number): Uint8Array =>
  tree.bytes.subarray(v * SEED_BYTES, (v + 1) * SEED_BYTES);

/** All seeds that follow from `given` (no node of it below another), at their nodes; the rest is zero. */
function growTree(info: Uint8Array, given: ReadonlyMap<number, Uint8Array>): Secret {
  const tree = Secret.own(new Uint8Array(2 * INSTANCES * SEED_BYTES));
  const known = new Set(given.keys());
  for (const [v, seed] of given) seedOf(tree, v).set(seed);
  for (let v = ROOT; v < INSTANCES; v++) {
    if (!known.has(v)) continue;
    using children = Secret.own(hash('pve tree', [info, BigInt(v), seedOf(tree, v)], 2 * SEED_BYTES));
    tree.bytes.set(children.bytes, 2 * v * SEED_BYTES);
    known.add(2 * v).add(2 * v + 1);
  }
  return tree;
}

/** The nodes, ascending, whose seeds give every instance outside `closed` and none inside: as few as can be. */
export function cover(closed: readonly number[]): number[] {
  const hidden = new Set<number>();
  for (const j of closed) for (let v = leafOf(j); v >= ROOT; v >>= 1) hidden.add(v);
  return [...hidden]
    .filter((v) => v < INSTANCES)
    .flatMap((v) => [2 * v, 2 * v + 1])
    .filter((v) => !hidden.has(v))
    .sort((a, b) => a - b);
}

/** Writes c_j of the instance that `seed` opens, and returns r_j. */
function openInstance(
  { curve, recipient }: Statement,
  { info, encrypt }: { readonly info: Uint8Array; readonly encrypt: Encryptor },
  j: number,
  seed: Uint8Array,
  { c }: FirstMessage,
): bigint {
  using expanded = Secret.own(hash('pve instance', [info, BigInt(j), seed], 48 + COINS_BYTES));
  const r = curve.mod(bytesToBigint(expanded.bytes.subarray(0, 48)));
  using plaintext = Secret.fromBigint(r, SCALAR_BYTES);
  const coins = expanded.bytes.subarray(48);
  c.set(encrypt(plaintext.bytes, coins), j * CIPHERTEXT_BYTES[recipient.scheme]);
  return r;
}

/** Writes R_j = r_j·G of the instances `js`. */
function writeR({ R }: FirstMessage, js: readonly number[], points: readonly Point[]): void {
  // r_j = 0 has no encoding, and probability 2^-256.
  for (const [index, j] of js.entries()) R.set(points[index]!.toBytes(), j * POINT_BYTES);
}

const ALL_INSTANCES: readonly number[] = Array.from({ length: INSTANCES }, (_, j) => j);

const emptyFirstMessage = (recipient: Recipient): FirstMessage => ({
  R: new Uint8Array(INSTANCES * POINT_BYTES),
  c: new Uint8Array(INSTANCES * CIPHERTEXT_BYTES[recipient.scheme]),
});

// Encrypt, verify, decrypt

/** Encrypts `x`, 32 bytes. Throws `BUG` unless Q = x·G. */
export function encrypt(statement: Statement, x: Secret, random: Random): Ciphertext {
  const { curve, Q, recipient } = statement;
  invariant(curve.multiplyBase(x.toBigint()).equals(Q), 'what is encrypted is not the logarithm of Q');
  const salt = random(SALT_BYTES);
  const info = infoHash(statement, salt);
  const encryption = { info, encrypt: recipient.encryptor(info) };
  const message = emptyFirstMessage(recipient);

  using root = Secret.own(random(SEED_BYTES));
  using tree = growTree(info, new Map([[ROOT, root.bytes]]));
  const r = ALL_INSTANCES.map((j) =>
    openInstance(statement, encryption, j, seedOf(tree, leafOf(j)), message),
  );
  const R = r.map((r_j) => curve.multiplyBase(r_j));
  writeR(message, ALL_INSTANCES, R);
  const closed = challenge(info, message);
  const seeds = cover(closed).map((v) => seedOf(tree, v).slice());
  const rows = closed.map((j) => ({ c: cOf(message, recipient, j), z: curve.mod(x.toBigint() + r[j]!) }));
  return { salt, closed, seeds, rows };
}

const cOf = ({ c }: FirstMessage, { scheme }: Recipient, j: number): Uint8Array =>
  c.slice(j * CIPHERTEXT_BYTES[scheme], (j + 1) * CIPHERTEXT_BYTES[scheme]);

/** Whether `ciphertext` holds, for the recipient, the logarithm of Q. */
export function verify(statement: Statement, ciphertext: Ciphertext): boolean {
  const info = infoHash(statement, ciphertext.salt);
  const message = complete(statement, ciphertext, reopen(statement, info, ciphertext));
  return message !== undefined && isDeepStrictEqual(challenge(info, message), ciphertext.closed);
}

/** The first message as far as the seeds give it, the closed instances left zero. Nearly all of the work. */
export function reopen(
  statement: Statement,
  info: Uint8Array,
  { closed, seeds }: Pick<Ciphertext, 'closed' | 'seeds'>,
): FirstMessage {
  const encryption = { info, encrypt: statement.recipient.encryptor(info) };
  const message = emptyFirstMessage(statement.recipient);
  using tree = growTree(info, new Map(cover(closed).map((v, index) => [v, seeds[index]!])));
  const open = ALL_INSTANCES.filter((j) => !closed.includes(j));
  const r = open.map((j) => openInstance(statement, encryption, j, seedOf(tree, leafOf(j)), message));
  writeR(message, open, statement.curve.multiplyBasePublic(r));
  return message;
}

/** `opened` with R_j = z_j·G − Q and c_j of the closed instances; `undefined` when an R_j is the identity. */
export function complete(
  { curve, Q, recipient }: Statement,
  { closed, rows }: Pick<Ciphertext, 'closed' | 'rows'>,
  opened: FirstMessage,
): FirstMessage | undefined {
  const message = { R: opened.R.slice(), c: opened.c.slice() };
  const multiples = curve.multiplyBasePublic(rows.map(({ z }) => z));
  const R = curve.normalized(multiples.map((multiple) => multiple.subtract(Q)));
  if (R.some((R_j) => R_j.isIdentity)) return undefined;
  writeR(message, closed, R);
  for (const [index, j] of closed.entries())
    message.c.set(rows[index]!.c, j * CIPHERTEXT_BYTES[recipient.scheme]);
  return message;
}

/**
 * x, 32 bytes, or `undefined` when no row opens to it. Needs no verification first: x·G = Q decides, so that a
 * damaged ciphertext gives x as long as one row and the salt are whole.
 */
export function decrypt(
  statement: Statement,
  { salt, rows }: Ciphertext,
  privateKey: RecipientPrivateKey,
): Secret | undefined {
  const { curve, Q } = statement;
  const info = infoHash(statement, salt);
  for (const { c, z } of rows) {
    using r = privateKey.decrypt(info, c);
    if (r === undefined) continue;
    const x = curve.mod(z - r.toBigint());
    if (curve.multiplyBase(x).equals(Q)) return Secret.fromBigint(x, SCALAR_BYTES);
  }
  return undefined;
}
