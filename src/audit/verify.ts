/**
 * Whether audit logs are sound: each by itself, which its chain and the rules of requests show, and those of several
 * parties together, which have to tell the same of every request. None of it needs a passphrase, or a daemon to stop.
 */
import { Agreement, type Fault } from './agreement.js';
import { Chain } from './chain.js';
import { type LogLine, readLog } from './read.js';
import type { AuditRecord, Head } from './record.js';
import { Requests } from './requests.js';

export type { Fault } from './agreement.js';

/** What one file holds. */
export interface LogReport {
  readonly file: string;
  /** Whose log it is; unknown of a log whose first line is none. */
  readonly party?: string;
  readonly records: number;
  readonly requests: number;
  readonly signatures: number;
  /** The last record; `undefined` when it cannot be read, or there is none. */
  readonly head?: Head;
  /** Bytes of a last line that is being written, or was when its writer ended. */
  readonly unfinishedBytes: number;
}

export interface Verdict {
  readonly logs: readonly LogReport[];
  /** Empty: all is well. Not more than {@link MAX_FAULTS} of one file. */
  readonly faults: readonly Fault[];
}

export interface VerifyOptions {
  /** Hashes of heads that were noted earlier, hex. */
  readonly heads?: readonly string[];
  readonly signal?: AbortSignal;
}

/** With so many faults a file is no log: it is not read further. */
export const MAX_FAULTS = 1000;

/** Verifies the files at `paths`, each the log of another party. Throws `FILE` for one that cannot be read. */
export async function verifyLogs(
  paths: readonly string[],
  { heads = [], signal }: VerifyOptions = {},
): Promise<Verdict> {
  const agreement = paths.length > 1 ? new Agreement() : undefined;
  const missing = new Set(heads);
  const faults: Fault[] = [];
  const logs: LogReport[] = [];
  for (const path of paths) {
    const log = new LogReader(path, missing, agreement);
    for await (const line of readLog(path, log.chain, signal)) if (!log.read(line)) break;
    logs.push(log.report());
    faults.push(...log.faults);
  }
  const [path] = paths;
  for (const head of missing)
    faults.push({
      ...(paths.length === 1 && path !== undefined && { file: path }),
      fault: `there is no record with the hash ${head}: the log was rewritten or cut, or this is of another`,
    });
  return { logs, faults: [...faults, ...(agreement?.faults() ?? [])] };
}

/** Reads one of the logs to verify. */
class LogReader {
  readonly faults: Fault[] = [];
  readonly chain = new Chain();
  readonly #requests = new Requests();
  readonly #counts = { records: 0, requests: 0, signatures: 0 };
  #unfinishedBytes = 0;

  constructor(
    private readonly file: string,
    /** Heads that no log has contained so far. */
    private readonly missing: Set<string>,
    private readonly agreement: Agreement | undefined,
  ) {}

  /** Returns whether to go on. */
  read({ number, record, fault, unfinishedBytes = 0 }: LogLine): boolean {
    this.#unfinishedBytes = unfinishedBytes;
    this.#add(number, fault);
    if (record !== undefined) this.#take(number, record, fault === undefined);
    if (this.faults.length < MAX_FAULTS) return true;
    this.#add(number, 'is the last that was read: there are too many faults');
    return false;
  }

  #take(line: number, record: AuditRecord, isInPlace: boolean): void {
    this.missing.delete(record.hash);
    this.#counts.records += 1;
    if (record.event === 'requested') this.#counts.requests += 1;
    if (record.event === 'signed') this.#counts.signatures += 1;
    const fault = this.#requests.faultOf(record);
    this.#requests.take(record);
    // One change is one fault: what follows from a record in the wrong place is not told as well.
    if (isInPlace) this.#add(line, fault);
    const { party } = this.chain;
    if (line === 1 && party !== undefined) this.#add(line, this.agreement?.begin(party, this.file));
    if (party === undefined || fault !== undefined) return;
    this.#add(line, this.agreement?.take(record, { file: this.file, line, party }));
  }

  #add(line: number, fault: string | undefined): void {
    if (fault !== undefined) this.faults.push({ file: this.file, line, fault });
  }

  report(): LogReport {
    const { party, head } = this.chain;
    return {
      file: this.file,
      ...(party !== undefined && { party }),
      ...this.#counts,
      ...(head !== undefined && { head }),
      unfinishedBytes: this.#unfinishedBytes,
    };
  }
}
