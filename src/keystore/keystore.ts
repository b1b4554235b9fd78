/**
 * The keys of one party on disk, in a folder of its own: shares, set-ups and what was made of them, encrypted under a
 * passphrase. Never a presignature (docs/protocol.md §8).
 *
 *     keystore.json             how the passphrase makes the key: header.ts
 *     KEY.key                   what there is of a key: manifest.ts
 *     KEY.SHARING.share         this party's share x_i
 *     KEY.SHARING.SETUP.setup   a set-up: zero seeds of its peers, in its order of parties, then the multiplication's state
 *     lock.N                    who uses the folder: lock.ts
 *
 * Every change takes effect by the writing of one manifest, which a rename puts in place as a whole; a secret is
 * written before a manifest counts it in, and erased after one has ceased to. So a crash at any moment leaves the
 * state before a change or after it, and at most files to erase, which the manifest condemns. Changes are durable
 * when they return. What cannot be read is never overwritten, nor deleted.
 *
 * An attacker who can write to the folder can put back an earlier state of it, or of a key in it: nothing in it shows
 * that. Protocols do not rely on it, but for this: what was erased comes back that way, an old share as an old share,
 * and a set-up that a failed check had made void as one that can be used.
 */
import { join } from 'node:path';
import { concatBytes, equalBytes, fromHex, Secret, toHex } from '../core/bytes.js';
import { UndecodableError } from '../core/codec.js';
import { invariant, MpcError, type PartyName } from '../core/errors.js';
import {
  displayPath,
  exists,
  fileError,
  isTemporary,
  listFolder,
  makeFolder,
  removeFile,
  replaceFile,
  SECRET,
  syncFolder,
  writeNewFile,
} from '../files/files.js';
import { checkPrivateFile, checkPrivateFolder, eraseFile, readPrivate } from '../files/private.js';
import { type KeyShare, makeKeyShare, printId } from '../protocol/key-share.js';
import type { PeerMap } from '../rounds/run.js';
import { RESTORE_HINT, SETUP_HINT } from './damage.js';
import {
  DEFAULT_COST,
  HEADER_FILE,
  HEADER_MAX_BYTES,
  newHeader,
  parseHeader,
  type ScryptCost,
  unlock,
} from './header.js';
import { type Lock, takeLock } from './lock.js';
import {
  type BackupRecord,
  decodeManifest,
  emptyManifest,
  encodeManifest,
  filesOf,
  isKeyFile,
  isSetupFile,
  keyOfManifestFile,
  MAX_BACKUPS,
  type Manifest,
  manifestFile,
  type SetupInfo,
  type SharingInfo,
  setupFile,
  shareFile,
} from './manifest.js';
import { checkNewPassphrase } from './passphrase.js';
import { isOfOtherVersion, open, SEALED_MAX_BYTES, seal } from './sealed.js';

export type { ScryptCost } from './header.js';
export type { BackupRecord, SetupInfo, SharingInfo } from './manifest.js';

export interface KeystoreOptions {
  readonly folder: string;
  readonly party: PartyName;
  /** Stays the caller's. */
  readonly passphrase: Secret;
  /** Make the folder when there is none; otherwise a missing one is an error that says how keys get there. */
  readonly create: boolean;
  /** For a folder that is made now. */
  readonly scrypt?: ScryptCost;
}

/** What is stored of one key: public facts only. */
export interface StoredKey {
  readonly keyId: Uint8Array;
  /** Highest epoch first, of siblings the newest stored first. */
  readonly sharings: readonly SharingInfo[];
  /** Oldest first. */
  readonly backups: readonly BackupRecord[];
}

/** A set-up to store; its secrets stay the caller's. */
export interface NewSetup {
  readonly info: SetupInfo;
  /** 32 bytes per peer in `info.parties`. */
  readonly seeds: PeerMap<Secret>;
  /** The multiplication's, as it saved it. */
  readonly state: Secret;
}

/** A set-up read back; wiped when disposed. */
export type StoredSetup = NewSetup & Disposable;

const SEED_BYTES = 32;

/** Whether a state folder has been made at `folder`. */
export const isStateFolder = (folder: string): boolean => exists(join(folder, HEADER_FILE));

export class Keystore implements Disposable {
  /** By key id in hex; read again after a change has failed, for what is on disk then is what counts. */
  readonly #manifests = new Map<string, Manifest>();
  #disposed = false;

  private constructor(
    readonly folder: string,
    readonly party: PartyName,
    private readonly fileKey: Secret,
    private readonly lock: Lock,
  ) {}

  /**
   * Opens the folder, and finishes what a crash has interrupted.
   * Throws `FILE` when it is in use, open to others, damaged or another party's, or the passphrase is wrong.
   */
  static async open(options: KeystoreOptions): Promise<Keystore> {
    const { folder, party } = options;
    prepareFolder(options);
    checkPrivateFolder(folder);
    const lock = takeLock(folder);
    let fileKey: Secret | undefined;
    try {
      checkFiles(folder);
      fileKey = await unlockFolder(options);
      const keystore = new Keystore(folder, party, fileKey, lock);
      keystore.#recover();
      return keystore;
    } catch (error) {
      fileKey?.dispose();
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** All keys, sorted by key id. */
  keys(): readonly StoredKey[] {
    return this.#keyIds()
      .map((keyId) => this.key(keyId))
      .filter((key) => key !== undefined);
  }

  key(keyId: Uint8Array): StoredKey | undefined {
    const manifest = this.#manifest(keyId);
    if (manifest === undefined || manifest.sharings.length === 0) return undefined;
    const sharings = manifest.sharings.toSorted((a, b) => b.sharing.epoch - a.sharing.epoch);
    return { keyId: manifest.keyId, sharings, backups: manifest.backups };
  }

  /** Stores a share, unconfirmed, with the set-up that was made with it. Throws `FILE` when it is stored already. */
  addSharing(share: KeyShare, origin: SharingInfo['origin'], setup?: NewSetup): void {
    const { sharing, self, x } = share;
    invariant(self === this.party, 'the share of another party');
    const { keyId, shid } = sharing;
    const before = this.#manifest(keyId) ?? emptyManifest(sharing);
    if (before.sharings.some((each) => equalBytes(each.sharing.shid, shid)))
      throw new MpcError(
        'FILE',
        `the sharing ${printId(shid)} is stored in ${displayPath(this.folder)} already`,
        {
          hint: 'nothing was changed; list the stored keys to see it',
        },
      );
    const info = { sharing, confirmed: false, origin, setups: setup === undefined ? [] : [setup.info] };
    using content = setup === undefined ? undefined : this.#setupContent(info, setup);
    const secrets = new Map([[shareFile(keyId, shid), x]]);
    if (setup !== undefined) secrets.set(setupFile(keyId, shid, setup.info.id), content!);
    this.#add(before, { ...before, sharings: [info, ...before.sharings] }, secrets);
  }

  /** The share of a stored sharing, which the caller disposes. */
  loadShare(keyId: Uint8Array, shid: Uint8Array): KeyShare {
    const { sharing } = this.#sharing(keyId, shid).info;
    const file = shareFile(keyId, shid);
    const x = this.#readSecret(keyId, file);
    const expected = sharing.publicShares.get(this.party);
    if (x.bytes.length === 32 && expected?.equals(sharing.curve.multiplyBase(x.toBigint())))
      return makeKeyShare(sharing, this.party, x);
    x.dispose();
    throw this.#damaged(file);
  }

  /**
   * Marks a sharing as confirmed by all parties, and erases every other sharing of the key whose epoch is not
   * higher, with share and set-ups. May be repeated.
   */
  confirmSharing(keyId: Uint8Array, shid: Uint8Array): void {
    const { manifest, info } = this.#sharing(keyId, shid);
    const obsolete = manifest.sharings.filter(
      (each) => each !== info && each.sharing.epoch <= info.sharing.epoch,
    );
    if (info.confirmed && obsolete.length === 0) {
      this.#sweep(manifest);
      return;
    }
    const sharings = manifest.sharings
      .filter((each) => !obsolete.includes(each))
      .map((each) => (each === info ? { ...info, confirmed: true } : each));
    this.#drop({ ...manifest, sharings }, obsolete.flatMap(filesOf));
  }

  /** Stores a further set-up of a sharing. Throws `FILE` when it is stored already. */
  addSetup(keyId: Uint8Array, shid: Uint8Array, setup: NewSetup): void {
    const { manifest, info } = this.#sharing(keyId, shid);
    const { id } = setup.info;
    if (info.setups.some((each) => equalBytes(each.id, id)))
      throw new MpcError(
        'FILE',
        `the set-up ${printId(id)} is stored in ${displayPath(this.folder)} already`,
        {
          hint: 'nothing was changed',
        },
      );
    using content = this.#setupContent(info, setup);
    const after = withSetups(manifest, info, [setup.info, ...info.setups]);
    this.#add(manifest, after, new Map([[setupFile(keyId, shid, id), content]]));
  }

  /** A stored set-up, which the caller disposes. */
  loadSetup(keyId: Uint8Array, shid: Uint8Array, id: Uint8Array): StoredSetup {
    const { info } = this.#sharing(keyId, shid);
    const setup = info.setups.find((each) => equalBytes(each.id, id));
    if (setup === undefined) throw this.#unknown('set-up', id);
    const file = setupFile(keyId, shid, id);
    using content = this.#readSecret(keyId, file);
    const peers = setup.parties.filter((name) => name !== this.party);
    if (content.bytes.length <= SEED_BYTES * peers.length) throw this.#damaged(file);
    const part = (start: number, end?: number) => Secret.own(content.bytes.slice(start, end));
    const seeds = new Map(
      peers.map((peer, index) => [peer, part(SEED_BYTES * index, SEED_BYTES * (index + 1))]),
    );
    const state = part(SEED_BYTES * peers.length);
    const dispose = () => {
      for (const secret of [...seeds.values(), state]) secret.dispose();
    };
    return { info: setup, seeds, state, [Symbol.dispose]: dispose };
  }

  /** Erases the older set-ups of the sharing that cover a pair of this party and a peer that this one covers too. */
  keepSetup(keyId: Uint8Array, shid: Uint8Array, id: Uint8Array): void {
    const { manifest, info } = this.#sharing(keyId, shid);
    const index = info.setups.findIndex((each) => equalBytes(each.id, id));
    if (index < 0) throw this.#unknown('set-up', id);
    const covered = info.setups[index]!.parties.filter((name) => name !== this.party);
    const isObsolete = (each: SetupInfo, age: number): boolean =>
      age > index && each.parties.some((name) => covered.includes(name));
    const kept = info.setups.filter((each, age) => !isObsolete(each, age));
    const obsolete = info.setups.filter(isObsolete);
    const files = obsolete.map((each) => setupFile(keyId, shid, each.id));
    this.#drop(withSetups(manifest, info, kept), files);
  }

  /**
   * Erases a set-up, one that a failed check has made void; no error when there is none. On a disk that has no room
   * for the manifest the set-up is erased all the same, and an error thrown.
   */
  eraseSetup(keyId: Uint8Array, shid: Uint8Array, id: Uint8Array): void {
    const manifest = this.#manifest(keyId);
    const info = manifest?.sharings.find((each) => equalBytes(each.sharing.shid, shid));
    if (manifest === undefined || info === undefined) return;
    const kept = info.setups.filter((each) => !equalBytes(each.id, id));
    if (kept.length === info.setups.length) {
      this.#sweep(manifest);
      return;
    }
    const file = setupFile(keyId, shid, id);
    try {
      this.#drop(withSetups(manifest, info, kept), [file]);
    } catch (error) {
      eraseFile(join(this.folder, file));
      throw error;
    }
  }

  /** Notes that a backup was made. */
  recordBackup(keyId: Uint8Array, record: BackupRecord): void {
    const manifest = this.#manifest(keyId);
    if (manifest === undefined) throw this.#unknown('key', keyId);
    this.#write({ ...manifest, backups: [...manifest.backups, record].slice(-MAX_BACKUPS) });
  }

  /** Wipes the key of the files, and lets others use the folder. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.fileKey.dispose();
    this.lock[Symbol.dispose]();
  }

  // Looking things up

  #keyIds(): Uint8Array[] {
    invariant(!this.#disposed, 'a closed keystore was used');
    return listFolder(this.folder)
      .map(keyOfManifestFile)
      .filter((hex) => hex !== undefined)
      .sort()
      .map((hex) => fromHex(hex)!);
  }

  #manifest(keyId: Uint8Array): Manifest | undefined {
    invariant(!this.#disposed, 'a closed keystore was used');
    const known = this.#manifests.get(toHex(keyId));
    if (known !== undefined) return known;
    // What a process has put in place and not made durable before it ended, peers will be told of as stored.
    this.#syncFolder();
    const manifest = this.#readManifest(keyId);
    if (manifest !== undefined) this.#manifests.set(toHex(keyId), manifest);
    return manifest;
  }

  #sharing(keyId: Uint8Array, shid: Uint8Array): { readonly manifest: Manifest; readonly info: SharingInfo } {
    const manifest = this.#manifest(keyId);
    const info = manifest?.sharings.find((each) => equalBytes(each.sharing.shid, shid));
    if (manifest === undefined) throw this.#unknown('key', keyId);
    if (info === undefined) throw this.#unknown('sharing', shid);
    return { manifest, info };
  }

  #unknown(what: string, id: Uint8Array): MpcError {
    return new MpcError('FILE', `${displayPath(this.folder)} holds no ${what} ${printId(id)}`, {
      hint: 'list the stored keys to see what there is',
    });
  }

  /** Seeds and state of a set-up as its file holds them; disposed by the caller. */
  #setupContent({ sharing }: SharingInfo, { info, seeds, state }: NewSetup): Secret {
    const peers = info.parties.filter((name) => name !== this.party);
    invariant(
      peers.length > 0 &&
        peers.length === info.parties.length - 1 &&
        info.parties.every((name) => sharing.parties.includes(name)),
      'a set-up of other parties',
    );
    invariant(
      seeds.size === peers.length && peers.every((peer) => seeds.get(peer)?.bytes.length === SEED_BYTES),
      'a set-up without a seed for each peer',
    );
    invariant(state.bytes.length > 0, 'a set-up without state');
    return Secret.own(concatBytes(...peers.map((peer) => seeds.get(peer)!.bytes), state.bytes));
  }

  // Reading and writing files

  /** The content of a file, which the caller disposes, or `undefined` when there is no such file. */
  #read(keyId: Uint8Array, file: string): Secret | undefined {
    const bytes = readPrivate(join(this.folder, file), SEALED_MAX_BYTES, hintFor(file));
    if (bytes === undefined) return undefined;
    const content = open(this.fileKey, { party: this.party, keyId, file }, bytes);
    if (content !== undefined) return content;
    if (!isOfOtherVersion(bytes)) throw this.#damaged(file);
    throw new MpcError('FILE', `${this.#shown(file)} has another format version`, {
      hint: 'use the version of ecdsa-mpc that wrote it',
    });
  }

  #readSecret(keyId: Uint8Array, file: string): Secret {
    const secret = this.#read(keyId, file);
    if (secret !== undefined) return secret;
    throw new MpcError('FILE', `${this.#shown(file)} does not exist`, { hint: hintFor(file) });
  }

  #readManifest(keyId: Uint8Array): Manifest | undefined {
    const file = manifestFile(keyId);
    using content = this.#read(keyId, file);
    if (content === undefined) return undefined;
    try {
      return this.#withoutLostSetups(decodeManifest(content.bytes, keyId, this.party));
    } catch (error) {
      if (!(error instanceof UndecodableError)) throw error;
      throw this.#damaged(file, error);
    }
  }

  #syncFolder(): void {
    try {
      syncFolder(this.folder);
    } catch (error) {
      throw fileError(this.folder, error, 'FILE', 'see that its disk is sound');
    }
  }

  #shown(file: string): string {
    return displayPath(join(this.folder, file));
  }

  #damaged(file: string, cause?: unknown): MpcError {
    return new MpcError(
      'FILE',
      `${this.#shown(file)} is damaged, or belongs to another key, party or folder`,
      {
        ...{ hint: hintFor(file), cause },
      },
    );
  }

  #writeFile(keyId: Uint8Array, file: string, content: Uint8Array): void {
    const sealed = seal(this.fileKey, { party: this.party, keyId, file }, content);
    replaceFile(join(this.folder, file), sealed);
  }

  /** Makes `manifest` the state of its key. */
  #write(manifest: Manifest): void {
    this.lock.check();
    const { keyId } = manifest;
    this.#manifests.delete(toHex(keyId));
    this.#writeFile(keyId, manifestFile(keyId), encodeManifest(manifest));
    this.#manifests.set(toHex(keyId), manifest);
  }

  // Changes: docs at the top of this file.

  /** From `before` to `after`, which counts in the files of `secrets`. */
  #add(before: Manifest, after: Manifest, secrets: ReadonlyMap<string, Secret>): void {
    const { keyId } = before;
    const others = before.condemned.filter((file) => !secrets.has(file));
    try {
      this.#write({ ...before, condemned: [...others, ...secrets.keys()] });
      for (const [file, secret] of secrets) this.#writeFile(keyId, file, secret.bytes);
      this.#write({ ...after, condemned: others });
    } catch (error) {
      this.#undo(keyId);
      throw error;
    }
  }

  /** To `after`, which counts in `files` no more. */
  #drop(after: Manifest, files: readonly string[]): void {
    this.#write({ ...after, condemned: [...after.condemned, ...files] });
    this.#sweep(this.#manifest(after.keyId)!);
  }

  /** Erases what is condemned, and the manifest of a key of which nothing is left. */
  #sweep(manifest: Manifest): void {
    const { keyId, sharings, condemned } = manifest;
    for (const file of condemned) eraseFile(join(this.folder, file));
    if (sharings.length === 0) {
      this.#manifests.delete(toHex(keyId));
      // Not overwritten, for a crash in between would leave it damaged; it holds no secret.
      removeFile(join(this.folder, manifestFile(keyId)));
    } else if (condemned.length > 0) this.#write({ ...manifest, condemned: [] });
  }

  /** Erases what a failed change has left, as far as the disk lets it; the next opening does the rest. */
  #undo(keyId: Uint8Array): void {
    try {
      this.#manifests.delete(toHex(keyId));
      const manifest = this.#manifest(keyId);
      if (manifest !== undefined) this.#sweep(manifest);
    } catch {
      // The error that led here says it all.
    }
  }

  /** Finishes what was interrupted. Nothing is erased before every manifest and share has been read. */
  #recover(): void {
    const manifests = this.#keyIds().map((keyId) => this.#manifest(keyId)!);
    for (const { keyId, sharings } of manifests)
      for (const { sharing } of sharings) this.loadShare(keyId, sharing.shid)[Symbol.dispose]();
    for (const file of listFolder(this.folder).filter(isTemporary)) eraseFile(join(this.folder, file));
    for (const manifest of manifests) this.#sweep(manifest);
  }

  /** The manifest without set-ups whose file is gone: they count as erased, for new ones can be made. */
  #withoutLostSetups(manifest: Manifest): Manifest {
    const isThere = (shid: Uint8Array, id: Uint8Array): boolean =>
      exists(join(this.folder, setupFile(manifest.keyId, shid, id)));
    const sharings = manifest.sharings.map((info) => ({
      ...info,
      setups: info.setups.filter(({ id }) => isThere(info.sharing.shid, id)),
    }));
    return { ...manifest, sharings };
  }
}

/** The manifest with other set-ups of one sharing. */
const withSetups = (manifest: Manifest, info: SharingInfo, setups: readonly SetupInfo[]): Manifest => ({
  ...manifest,
  sharings: manifest.sharings.map((each) => (each === info ? { ...info, setups } : each)),
});

const hintFor = (file: string): string => (isSetupFile(file) ? SETUP_HINT : RESTORE_HINT);
const keyFiles = (folder: string): string[] => listFolder(folder).filter(isKeyFile);

// Opening

/** Whether there is a state folder, or what is left of one: without a header, more is lost than a new one could mend. */
const isThere = (folder: string): boolean =>
  isStateFolder(folder) || (exists(folder) && keyFiles(folder).length > 0);

/** Throws `FILE` when there is no state folder: to know it before anybody is asked for a passphrase. */
export function checkStateFolder(folder: string): void {
  if (isThere(folder)) return;
  throw new MpcError('FILE', `${displayPath(folder)} holds no keys`, {
    hint: 'make a key with `ecdsa-mpc keygen`, recover one from a backup, or name another folder with --state',
  });
}

/** Throws `FILE` unless there is a folder, or one may be made. */
function prepareFolder({ folder, create, passphrase }: KeystoreOptions): void {
  if (!create) checkStateFolder(folder);
  if (isThere(folder)) return;
  checkNewPassphrase(passphrase);
  makeFolder(folder);
}

/** Throws `FILE` when a file of keys is not one, or others can read it. */
function checkFiles(folder: string): void {
  for (const file of keyFiles(folder)) checkPrivateFile(join(folder, file), hintFor(file));
}

/** The key of the files: of the header, or of one that is made now. */
async function unlockFolder({ folder, party, passphrase, create, scrypt }: KeystoreOptions): Promise<Secret> {
  const path = join(folder, HEADER_FILE);
  const bytes = readPrivate(path, HEADER_MAX_BYTES, RESTORE_HINT);
  if (bytes !== undefined) {
    const header = parseHeader(bytes, path);
    if (header.party === party) return await unlock(header, passphrase, folder);
    throw new MpcError('FILE', `${displayPath(folder)} holds the keys of another party, ${header.party}`, {
      hint: `name ${party}'s own folder with --state`,
    });
  }
  if (!create || keyFiles(folder).length > 0)
    throw new MpcError('FILE', `${displayPath(path)} does not exist`, { hint: RESTORE_HINT });
  const { text, fileKey } = await newHeader(party, passphrase, scrypt ?? DEFAULT_COST);
  try {
    writeNewFile(path, text, SECRET);
    return fileKey;
  } catch (error) {
    fileKey.dispose();
    throw error;
  }
}
