/** Reading a log from beginning to end, also while its daemon writes it. */
import { throwIfAborted } from '../core/errors.js';
import { readLines } from '../files/append.js';
import type { Chain, ReadLine } from './chain.js';
import { MAX_RECORD_BYTES } from './record.js';

export interface LogLine extends ReadLine {
  /** From 1. */
  readonly number: number;
  /** Bytes of a last line that is being written, or was when its writer ended. Neither a record nor a fault. */
  readonly unfinishedBytes?: number;
}

/** Lines that are read at a stretch, before a signal can come through. */
const LINES_AT_ONCE = 1000;

/** The lines of the log at `path`, as `chain` reads them. Throws `FILE` when it cannot be read, or what `signal` says. */
export async function* readLog(path: string, chain: Chain, signal?: AbortSignal): AsyncGenerator<LogLine> {
  for (const line of readLines(path, MAX_RECORD_BYTES)) {
    const { number, bytes, isWhole } = line;
    if (number % LINES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    throwIfAborted(signal);
    if (isWhole || bytes === undefined) yield { number, ...chain.read(line) };
    else yield { number, unfinishedBytes: bytes.length };
  }
}
