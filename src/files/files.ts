/**
 * Reading and writing the files that users name. A file is written under a temporary name, synced and then given
 * its own, so that a crash or a full disk never leaves half of one behind; secrets are never readable by others.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { concatBytes } from '../core/bytes.js';
import { type ErrorCode, MpcError } from '../core/errors.js';

/** Mode of a file that holds a secret, and of one that does not (the user's umask narrows it). */
export const SECRET = 0o600;
export const PUBLIC = 0o666;

/** `path` as shown to the user: relative where that is shorter and stays below the working directory. */
export function displayPath(path: string): string {
  const shown = relative(process.cwd(), path);
  return shown === '' || shown.startsWith('..') || isAbsolute(shown) ? path : shown;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be accessed by this user',
  EPERM: 'may not be accessed by this user',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'lies below something that is not a folder',
  EEXIST: 'exists already',
  ENOSPC: 'does not fit: the disk is full',
  ELOOP: 'is a symbolic link',
  EFBIG: 'is too large to be what it should be',
  EROFS: 'lies on a read-only disk',
};

/** An error of node:fs about `path`, in words; `code` and `hint` are the caller's. */
export function fileError(path: string, cause: unknown, code: ErrorCode, hint?: string): MpcError {
  const system = (cause as NodeJS.ErrnoException).code ?? '';
  const reason = Object.hasOwn(REASONS, system) ? REASONS[system] : `cannot be used (${system || cause})`;
  return new MpcError(code, `${displayPath(path)} ${reason}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What a failure to read is reported as. */
export interface ReadFailure {
  readonly code?: ErrorCode;
  readonly hint?: string;
}

/** Largest file of this program's that is read: all are far smaller. */
export const MAX_FILE_BYTES = 1024 * 1024;

/** Largest message that is read to be signed: a file of the user's, of any kind. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/**
 * The bytes of a file of at most {@link MAX_FILE_BYTES}; throws `FILE` (or the given code) when it cannot be read.
 * There is no other copy of them: the caller may wipe a secret.
 */
export const readBytes = (path: string, failure: ReadFailure = {}): Uint8Array =>
  readFrom(path, failure, (handle) => readBounded(handle, MAX_FILE_BYTES));

/** The bytes of a message to sign, at most {@link MAX_MESSAGE_BYTES}; throws `FILE` when it cannot be read. */
export const readMessage = (path: string): Uint8Array =>
  readFrom(path, { hint: 'check the name and who may read it; a message has at most 256 MiB' }, readInParts);

/** What `read` gives of the file at `path`; throws `FILE` (or the given code) when it gives nothing. */
function readFrom(
  path: string,
  failure: ReadFailure,
  read: (handle: number) => Uint8Array | undefined,
): Uint8Array {
  try {
    const handle = fs.openSync(path, 'r');
    try {
      // Whatever size the system gives: pipes and devices have none, and devices may have no end.
      const bytes = read(handle);
      if (bytes === undefined) throw Object.assign(new Error('too large'), { code: 'EFBIG' });
      return bytes;
    } finally {
      fs.closeSync(handle);
    }
  } catch (error) {
    throw fileError(
      path,
      error,
      failure.code ?? 'FILE',
      failure.hint ?? 'check the name and who may read it',
    );
  }
}

/** All that can be read from `handle`, or `undefined` when that is more than {@link MAX_MESSAGE_BYTES}. */
function readInParts(handle: number): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  for (let length = 0; length <= MAX_MESSAGE_BYTES; ) {
    const part = new Uint8Array(MAX_FILE_BYTES);
    const read = fs.readSync(handle, part);
    if (read === 0) return concatBytes(...parts);
    parts.push(part.slice(0, read));
    length += read;
  }
  return undefined;
}

/** All that can be read from `handle`, or `undefined` when that is more than `maxBytes`. Wipes what it drops. */
export function readBounded(handle: number, maxBytes: number): Uint8Array | undefined {
  const buffer = new Uint8Array(maxBytes + 1);
  try {
    let length = 0;
    for (let read = -1; read !== 0 && length <= maxBytes; length += read)
      read = fs.readSync(handle, buffer, length, buffer.length - length, null);
    return length > maxBytes ? undefined : buffer.slice(0, length);
  } finally {
    buffer.fill(0);
  }
}

/** The text (UTF-8) of a file; throws `FILE` (or the given code) when it cannot be read. */
export const readText = (path: string, failure: ReadFailure = {}): string =>
  new TextDecoder().decode(readBytes(path, failure));

/** The names in a folder; throws `FILE` when it cannot be read. */
export function listFolder(path: string): string[] {
  try {
    return fs.readdirSync(path);
  } catch (error) {
    throw fileError(path, error, 'FILE', 'check the name and who may read it');
  }
}

/** Whether something stands at `path`. */
export const exists = (path: string): boolean => fs.existsSync(path);

/** Makes what was created, renamed or removed in the folder at `path` outlast a loss of power. */
export function syncFolder(path: string): void {
  const handle = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

const temporaryName = (path: string): string => `.${basename(path)}.${randomUUID()}.tmp`;
const TEMPORARY = /^\..+\.[0-9a-f-]{36}\.tmp$/;

/** Whether `name` is one that {@link writeTemporary} gives, hence what a process that was killed may leave. */
export const isTemporary = (name: string): boolean => TEMPORARY.test(name);

/** The paths of what processes that were killed while they wrote the file at `path` may have left beside it. */
export function leftoversOf(path: string): string[] {
  const length = temporaryName(path).length;
  return listFolder(dirname(path))
    .filter((name) => name.startsWith(`.${basename(path)}.`) && name.length === length && isTemporary(name))
    .map((name) => join(dirname(path), name));
}

/** `contents` under a fresh temporary name beside `path`, synced. */
export function writeTemporary(path: string, contents: string | Uint8Array, mode: number): string {
  const temporary = join(dirname(path), temporaryName(path));
  const handle = fs.openSync(temporary, 'wx', mode);
  try {
    fs.writeFileSync(handle, contents);
    fs.fsyncSync(handle);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  } finally {
    fs.closeSync(handle);
  }
  return temporary;
}

const NEW_FILE_HINT = 'move it away or name another file';

/** Writes a file that must not exist yet; throws `FILE` when it does, or when it cannot be written. */
export function writeNewFile(path: string, contents: string | Uint8Array, mode: number): void {
  try {
    const temporary = writeTemporary(path, contents, mode);
    try {
      // A hard link, unlike a rename, fails when the name is taken.
      fs.linkSync(temporary, path);
    } finally {
      fs.rmSync(temporary);
    }
    syncFolder(dirname(path));
  } catch (error) {
    throw fileError(path, error, 'FILE', NEW_FILE_HINT);
  }
}

/** Writes a secret file, in place of the one that may stand there; throws `FILE` when it cannot, and keeps the old. */
export function replaceFile(path: string, contents: Uint8Array): void {
  putInPlace(path, contents, SECRET);
}

/**
 * Writes a file in place of the one that may stand there, which gets the name `kept`, if that is given. At no moment
 * is there neither. Throws `FILE` when it cannot, or when `kept` is taken; then the old one is still in its place.
 */
export function putInPlace(path: string, contents: string | Uint8Array, mode: number, kept?: string): void {
  if (kept !== undefined) checkFree(kept);
  try {
    const temporary = writeTemporary(path, contents, mode);
    try {
      moveOver(temporary, path, kept);
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
  } catch (error) {
    throw fileError(path, error, 'FILE', 'make room and see that this user may write there');
  }
}

/** Gives the file at `from` the name `path`; what has that name gets `kept`, if that is given. Throws `FILE`. */
export function moveInPlace(from: string, path: string, kept?: string): void {
  if (kept !== undefined) checkFree(kept);
  try {
    moveOver(from, path, kept);
  } catch (error) {
    throw fileError(path, error, 'FILE', 'see that this user may write there');
  }
}

/** Throws `FILE` when something stands at `path`. Only a better message: whoever takes the name checks again. */
function checkFree(path: string): void {
  if (exists(path))
    throw new MpcError('FILE', `${displayPath(path)} exists already`, { hint: 'move it away' });
}

function moveOver(from: string, path: string, kept: string | undefined): void {
  if (kept !== undefined && exists(path)) fs.linkSync(path, kept);
  fs.renameSync(from, path);
  syncFolder(dirname(path));
}

/** Removes the file at `path`, durably; throws `FILE` when it cannot. */
export function removeFile(path: string): void {
  try {
    fs.rmSync(path);
    syncFolder(dirname(path));
  } catch (error) {
    throw fileError(path, error, 'FILE', 'see that this user may delete there');
  }
}

/** Gives the file at `path`, if there is one, the name `kept`, which must be free; returns whether there was one. */
export function setAside(path: string, kept: string): boolean {
  if (!exists(path)) return false;
  try {
    fs.linkSync(path, kept);
    fs.rmSync(path);
    return true;
  } catch (error) {
    throw fileError(kept, error, 'FILE', `move ${displayPath(path)} away`);
  }
}

/** Whether a plain file stands at `path`, or where a link there leads to, as far as this user can see. */
export function isPlainFile(path: string): boolean {
  try {
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Throws `FILE` unless this user may run the program at `path`. */
export function checkProgram(path: string): void {
  if (!isPlainFile(path))
    throw new MpcError('FILE', `${displayPath(path)} is not a file`, { hint: 'name a program' });
  try {
    fs.accessSync(path, fs.constants.X_OK);
  } catch (error) {
    throw fileError(path, error, 'FILE', `run: chmod u+x ${displayPath(path)}`);
  }
}

/** Throws `FILE` unless files can be created in `folder`. */
export function checkWritable(folder: string): void {
  try {
    fs.accessSync(folder, fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    throw fileError(folder, error, 'FILE', 'run it in a folder that you may write to');
  }
}

/** Throws `FILE` unless a new file can be written at `path`: to know it before there is something to write. */
export function checkNewFile(path: string): void {
  if (exists(path))
    throw new MpcError('FILE', `${displayPath(path)} exists already`, { hint: NEW_FILE_HINT });
  checkWritable(dirname(path));
}

/** Creates a folder that only its owner may enter, and its parents, unless it exists. */
export function makeFolder(path: string): void {
  try {
    const first = fs.mkdirSync(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let made = resolve(path); made.length >= first.length; made = dirname(made))
      syncFolder(dirname(made));
  } catch (error) {
    throw fileError(path, error, 'FILE');
  }
}
