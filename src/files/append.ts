/**
 * Files that only grow: read line by line, however long they are, and appended to; what was appended is durable before
 * it counts, and after a failure nothing more is, until what the failure left has been looked at.
 */
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { invariant, MpcError } from '../core/errors.js';
import { displayPath, fileError, SECRET, syncFolder } from './files.js';
import { checkClosed } from './private.js';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its newline, and only until the next line is asked for; `undefined`: longer than is read. */
  readonly bytes: Uint8Array | undefined;
  /** Bytes of the file up to its end. */
  readonly end: number;
  /** Whether a newline ends it, as it does all but perhaps the last. */
  readonly isWhole: boolean;
}

const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 10;

/** The lines of the open file `handle` from where it stands on; of ones longer than `maxBytes`, that they are there. */
function* linesOf(handle: number, maxBytes: number): Generator<Line> {
  const buffer = new Uint8Array(maxBytes + CHUNK_BYTES);
  let number = 1;
  let end = 0;
  let filled = 0;
  let isTooLong = false;
  const lineOf = (bytes: Uint8Array, isWhole: boolean): Line => {
    const isRead = !isTooLong && bytes.length <= maxBytes;
    isTooLong = false;
    return { number: number++, bytes: isRead ? bytes : undefined, end, isWhole };
  };
  for (;;) {
    const read = fs.readSync(handle, buffer, filled, buffer.length - filled, null);
    const known = buffer.subarray(0, filled + read);
    let start = 0;
    for (let at = known.indexOf(NEWLINE); at >= 0; at = known.indexOf(NEWLINE, start)) {
      end += at + 1 - start;
      yield lineOf(known.subarray(start, at), true);
      start = at + 1;
    }
    filled = known.length - start;
    if (read === 0) {
      end += filled;
      if (filled > 0 || isTooLong) yield lineOf(known.subarray(start), false);
      return;
    }
    buffer.copyWithin(0, start, known.length);
    if (filled <= maxBytes) continue;
    isTooLong = true;
    end += filled;
    filled = 0;
  }
}

/** The lines of the file at `path`; throws `FILE` when it cannot be read. */
export function* readLines(path: string, maxBytes: number): Generator<Line> {
  let handle: number | undefined;
  try {
    handle = fs.openSync(path, 'r');
    yield* linesOf(handle, maxBytes);
  } catch (error) {
    throw fileError(path, error, 'FILE', 'check the name and who may read it');
  } finally {
    if (handle !== undefined) fs.closeSync(handle);
  }
}

const HINT = 'make room, see that this user may write there, and start again';

/** A plain file of this user, closed to all others, that is appended to until it is disposed. */
export class AppendedFile implements Disposable {
  #handle: number | undefined;
  #length: number;
  #failed = false;

  private constructor(
    readonly path: string,
    handle: number,
    length: number,
  ) {
    this.#handle = handle;
    this.#length = length;
  }

  /** Opens the file at `path`, an empty one if there is none; throws `FILE`. */
  static open(path: string): AppendedFile {
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    let handle: number | undefined;
    try {
      // Neither through a symbolic link, nor waiting for the other end of a pipe.
      handle = fs.openSync(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, SECRET);
      const stats = fs.fstatSync(handle);
      if (!stats.isFile())
        throw new MpcError('FILE', `${displayPath(path)} is not a plain file`, { hint: 'move it away' });
      checkClosed(path, stats);
      // Also of a file that was there: whoever made it may have been killed before.
      syncFolder(dirname(path));
      return new AppendedFile(path, handle, stats.size);
    } catch (error) {
      if (handle !== undefined) fs.closeSync(handle);
      throw error instanceof MpcError ? error : fileError(path, error, 'FILE', HINT);
    }
  }

  get length(): number {
    return this.#length;
  }

  /** All lines, once: before anything is appended. */
  *lines(maxBytes: number): Generator<Line> {
    try {
      yield* linesOf(this.#open(), maxBytes);
    } catch (error) {
      throw fileError(this.path, error, 'FILE', HINT);
    }
  }

  /** Appends `bytes`, durably. Throws `FILE` when it cannot, and from then on always: half of them may be there. */
  append(bytes: Uint8Array): void {
    this.#change((handle) => {
      fs.writeFileSync(handle, bytes);
      this.#length += bytes.length;
    });
  }

  /** Leaves the first `length` bytes. Throws as {@link append} does. */
  cut(length: number): void {
    this.#change((handle) => {
      fs.ftruncateSync(handle, length);
      this.#length = length;
    });
  }

  #change(change: (handle: number) => void): void {
    const handle = this.#open();
    if (this.#failed) throw this.#refusal('could not be written before');
    this.#failed = true;
    try {
      // Somebody who is not kept out by the lock of the folder, and whose lines these would be mixed with.
      if (fs.fstatSync(handle).size !== this.#length)
        throw this.#refusal('has been changed by another process');
      change(handle);
      fs.fdatasyncSync(handle);
    } catch (error) {
      throw error instanceof MpcError ? error : fileError(this.path, error, 'FILE', HINT);
    }
    this.#failed = false;
  }

  #refusal(reason: string): MpcError {
    return new MpcError('FILE', `${displayPath(this.path)} ${reason}`, {
      hint: 'see that one process at a time uses it and that there is room, and start again',
    });
  }

  #open(): number {
    invariant(this.#handle !== undefined, 'a closed file was used');
    return this.#handle;
  }

  [Symbol.dispose](): void {
    if (this.#handle !== undefined) fs.closeSync(this.#handle);
    this.#handle = undefined;
  }
}
