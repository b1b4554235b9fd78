/**
 * The audit log of one party, `audit.log` in its state folder, as its daemon writes it: every request, decision and
 * signature, in records that are chained by their hashes (record.ts). What was appended is durable when `append`
 * returns, so that nothing happens of which the log knows nothing: of a signature, first the log says that this party
 * signs, then its share goes out.
 *
 * Nothing of it is ever overwritten. A crash leaves at most a beginning of a last line, which was never acted on.
 */
import { join } from 'node:path';
import { invariant, MpcError, type PartyName } from '../core/errors.js';
import { AppendedFile } from '../files/append.js';
import { displayPath } from '../files/files.js';
import { Chain } from './chain.js';
import { type AuditEvent, type Head, MAX_RECORD_BYTES, recordLine, startOf } from './record.js';
import { Requests, type UnfinishedRequest } from './requests.js';

export type { UnfinishedRequest } from './requests.js';

export const AUDIT_FILE = 'audit.log';

const NEWLINE = Uint8Array.of(10);

export class AuditLog implements Disposable {
  readonly #file: AppendedFile;
  readonly #requests = new Requests();
  #head: Head;

  private constructor(
    file: AppendedFile,
    readonly party: PartyName,
  ) {
    this.#file = file;
    this.#head = startOf(party);
  }

  /**
   * Opens the log of `party` in its state folder, whose lock the caller holds, and checks the whole chain. What a crash
   * has left of a last line is cut off, which is recorded. Throws `FILE` when the chain is broken or another party's.
   */
  static open(folder: string, party: PartyName): AuditLog {
    const file = AppendedFile.open(join(folder, AUDIT_FILE));
    try {
      const log = new AuditLog(file, party);
      const left = log.#read();
      if (left > 0) log.#repair(left);
      return log;
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  /** Reads all records; returns the length of what follows the last. */
  #read(): number {
    const chain = new Chain(this.party);
    for (const line of this.#file.lines(MAX_RECORD_BYTES)) {
      // One that is longer than any record was not left by a crash.
      if (!line.isWhole && line.bytes !== undefined) return line.bytes.length;
      const { record, fault } = line.isWhole ? chain.read(line) : { fault: 'has no end' };
      if (record === undefined || fault !== undefined)
        throw new MpcError('FILE', `${displayPath(this.#file.path)}: line ${line.number} ${fault}`, {
          hint: 'nothing was changed: find out what has changed the log, keep it, and move it out of the folder',
        });
      this.#requests.take(record);
      this.#head = { n: record.n, hash: record.hash };
    }
    return 0;
  }

  #repair(bytes: number): void {
    this.#file.cut(this.#file.length - bytes);
    // A log begins with the start of a daemon, or has not begun.
    if (this.#head.n > 0) this.append({ event: 'repaired', bytes });
  }

  /** The last record. */
  get head(): Head {
    return this.#head;
  }

  /** Ids of the requests of which this party's share may have been given out: they may never be begun again. */
  begunIds(): ReadonlySet<string> {
    return this.#requests.begun;
  }

  /** The requests that have neither a result, nor failed, nor been rejected, by id: after a start, what a crash cut off. */
  unfinished(): ReadonlyMap<string, UnfinishedRequest> {
    return this.#requests.unfinished;
  }

  /**
   * Appends the record of `event`, durably; unprintable characters of a reason become question marks. A log begins with
   * `opened`, and so does what follows `closed`. Throws `FILE` when it cannot be written, and from then on always until
   * the log is opened again; and `BUG`, writing nothing, for an event that `audit verify` would find fault with.
   */
  append(event: AuditEvent): void {
    const fault = this.#requests.faultOf(event);
    invariant(fault === undefined, `audit log: the record ${fault}`);
    invariant(event.event !== 'opened' || event.party === this.party, 'audit log: of another party');
    const { line, head } = recordLine(event, this.#head, new Date());
    this.#file.append(Buffer.concat([line, NEWLINE]));
    this.#requests.take(event);
    this.#head = head;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
