/**
 * Files and folders that hold one user's secrets: read only while nobody else can, never through a symbolic link,
 * never more than expected; and erased as well as a program can.
 */
import * as fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import { MpcError } from '../core/errors.js';
import { displayPath, fileError, readBounded, syncFolder } from './files.js';

/** Permissions of the others and of the group: none may be given. Systems without such modes show none. */
const OTHERS = process.platform === 'win32' ? 0 : 0o077;

/** Permission of the others and of the group to write. */
const WRITERS = process.platform === 'win32' ? 0 : 0o022;
/** In a folder that all may write to, such as /tmp: each may rename and remove what is theirs, only. */
const STICKY = 0o1000;

const isOpen = (stats: fs.Stats): boolean => (stats.mode & OTHERS) !== 0;

/** Whether anybody but the owner may read or write the file at `path` or `handle`. */
export const isOpenToOthers = (file: string | number): boolean =>
  isOpen(typeof file === 'number' ? fs.fstatSync(file) : fs.statSync(file));

/** Throws `FILE` unless what `stats` describe belongs to this user and is closed to all others. */
export function checkClosed(path: string, stats: fs.Stats): void {
  const shown = displayPath(path);
  const user = process.getuid?.();
  if (user !== undefined && stats.uid !== user)
    throw new MpcError('FILE', `${shown} belongs to another user (id ${stats.uid})`, {
      hint: `run as that user, or run: chown ${user} ${shown}`,
    });
  if (isOpen(stats))
    throw new MpcError('FILE', `${shown} is open to other users`, {
      hint: `run: chmod ${stats.isDirectory() ? 700 : 600} ${shown}`,
    });
}

/** Throws `FILE` unless `path` is a folder of this user that is closed to all others. */
export function checkPrivateFolder(path: string): void {
  let stats: fs.Stats;
  try {
    stats = fs.statSync(path);
  } catch (error) {
    throw fileError(path, error, 'FILE', 'check the name and who may read it');
  }
  if (!stats.isDirectory())
    throw new MpcError('FILE', `${displayPath(path)} is not a folder`, { hint: 'name another folder' });
  checkClosed(path, stats);
}

/** Throws `FILE` unless `path` is a plain file, not a link, of this user that is closed to all others. */
export function checkPrivateFile(path: string, hint: string): void {
  let stats: fs.Stats;
  try {
    stats = fs.lstatSync(path);
  } catch (error) {
    throw fileError(path, error, 'FILE', hint);
  }
  if (!stats.isFile()) throw new MpcError('FILE', `${displayPath(path)} is not a plain file`, { hint });
  checkClosed(path, stats);
}

/**
 * Throws `FILE` unless only this user and the administrator (root) decide what stands at `path`: neither the file nor
 * a folder or symbolic link on the way to it may be another's, or written by others. For what is no secret, but is
 * obeyed.
 */
export function checkUnalterable(path: string): void {
  try {
    // Fails for links that lead nowhere, or in a circle.
    fs.realpathSync(path);
    checkWay(resolve(path));
  } catch (error) {
    if (error instanceof MpcError) throw error;
    throw fileError(path, error, 'FILE', 'check the name and who may read it');
  }
}

function checkWay(path: string): void {
  const stats = fs.lstatSync(path);
  checkWriters(path, stats);
  const folder = dirname(path);
  if (stats.isSymbolicLink()) checkWay(resolve(fs.realpathSync(folder), fs.readlinkSync(path)));
  if (folder !== path) checkWay(folder);
}

function checkWriters(path: string, stats: fs.Stats): void {
  const shown = displayPath(path);
  const user = process.getuid?.();
  if (user !== undefined && stats.uid !== user && stats.uid !== 0)
    throw new MpcError('FILE', `${shown} belongs to another user (id ${stats.uid}), who can change it`, {
      hint: `run: chown ${user} ${shown}`,
    });
  // Whoever can write to the folder of a link could as well make another: its own mode means nothing.
  if (stats.isSymbolicLink() || (stats.isDirectory() && (stats.mode & STICKY) !== 0)) return;
  if ((stats.mode & WRITERS) !== 0)
    throw new MpcError('FILE', `${shown} can be changed by other users`, {
      hint: `run: chmod go-w ${shown}`,
    });
}

/** Which socket a name stood for: another one of the same name is not the same. */
export interface SocketFile {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly ctimeNs: bigint;
}

/** The Unix socket at `path`, or `undefined` when nothing is there; throws `FILE` with `hint` for anything else. */
export function socketAt(path: string, hint: string): SocketFile | undefined {
  try {
    const stats = fs.lstatSync(path, { bigint: true });
    if (stats.isSocket()) return stats;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(path, error, 'FILE', hint);
  }
  throw new MpcError('FILE', `${displayPath(path)} is not a socket`, { hint });
}

/** Removes the socket at `path`; throws `FILE` with `hint` when something else has taken its name, or it cannot. */
export function removeSocket(path: string, socket: SocketFile, hint: string): void {
  const now = socketAt(path, hint);
  if (now === undefined) return;
  if (now.dev !== socket.dev || now.ino !== socket.ino || now.ctimeNs !== socket.ctimeNs)
    throw new MpcError('FILE', `${displayPath(path)} has just been taken by another process`, { hint });
  try {
    fs.unlinkSync(path);
  } catch (error) {
    throw fileError(path, error, 'FILE', 'see that this user may delete there');
  }
}

/**
 * The bytes of a plain file of at most `maxBytes` that belongs to this user and is closed to all others, or
 * `undefined` when there is none; throws `FILE` with `hint` when it cannot be read.
 */
export function readPrivate(path: string, maxBytes: number, hint: string): Uint8Array | undefined {
  let handle: number | undefined;
  try {
    // Neither through a symbolic link, nor waiting for the other end of a pipe.
    handle = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
    const stats = fs.fstatSync(handle);
    if (!stats.isFile()) throw new MpcError('FILE', `${displayPath(path)} is not a plain file`, { hint });
    checkClosed(path, stats);
    const bytes = stats.size > maxBytes ? undefined : readBounded(handle, stats.size);
    if (bytes !== undefined) return bytes;
    throw new MpcError('FILE', `${displayPath(path)} is longer than any such file`, { hint });
  } catch (error) {
    if (error instanceof MpcError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(path, error, 'FILE', hint);
  } finally {
    if (handle !== undefined) fs.closeSync(handle);
  }
}

/**
 * Overwrites the file at `path`, if there is one, and removes it; throws `FILE` when it cannot.
 *
 * Overwriting reaches the old bytes where a file system writes in place on a magnetic disk. On flash (SSDs, cards),
 * file systems that copy on write (btrfs, ZFS, APFS), journals of data, snapshots and backups of the disk, the old
 * bytes survive, for how long nobody can tell: there only the encryption of the file protects what it held.
 */
export function eraseFile(path: string): void {
  try {
    // Never through a link: what it leads to is not ours to overwrite.
    const stats = fs.lstatSync(path);
    if (stats.isFile() && stats.nlink === 1) overwrite(path, stats.size);
    fs.unlinkSync(path);
    syncFolder(dirname(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw fileError(path, error, 'FILE', 'see that this user may write and delete there');
  }
}

/** Zeros in place of a file's bytes; where that fails (a full disk that copies on write), the file goes all the same. */
function overwrite(path: string, size: number): void {
  let handle: number | undefined;
  try {
    handle = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW);
    fs.writeFileSync(handle, new Uint8Array(size));
    fs.fsyncSync(handle);
  } catch {
    return;
  } finally {
    if (handle !== undefined) fs.closeSync(handle);
  }
}
