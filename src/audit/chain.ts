/** The records of one log in their order: each follows the one before, and the first is the start of a daemon. */
import type { PartyName } from '../core/errors.js';
import type { Line } from '../files/append.js';
import { type AuditRecord, type Head, MAX_RECORD_BYTES, readRecord, startOf } from './record.js';

/** What a line is: a record, one that stands in the wrong place, or none. */
export interface ReadLine {
  readonly record?: AuditRecord;
  readonly fault?: string;
}

/**
 * Reads one log, line by line. After a fault it goes on from what the faulty line says of itself, so that one change
 * shows as one fault.
 */
export class Chain {
  /** Whose log it is: given, or known from its first record. */
  #party: PartyName | undefined;
  /** What the next record must follow; `undefined`: unknown. */
  #head: Head | undefined;
  #isFirst = true;

  constructor(party?: PartyName) {
    this.#party = party;
    if (party !== undefined) this.#head = startOf(party);
  }

  get party(): PartyName | undefined {
    return this.#party;
  }

  /** The last record, as far as it could be read. */
  get head(): Head | undefined {
    return this.#head;
  }

  read({ bytes }: Pick<Line, 'bytes'>): ReadLine {
    const record = bytes === undefined ? `is longer than ${MAX_RECORD_BYTES} bytes` : readRecord(bytes);
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (typeof record === 'string') {
      this.#head = undefined;
      return { fault: record };
    }
    const fault = (isFirst ? this.#faultOfFirst(record) : undefined) ?? this.#fault(record);
    this.#head = { n: record.n, hash: record.hash };
    return { record, ...(fault !== undefined && { fault }) };
  }

  #faultOfFirst(record: AuditRecord): string | undefined {
    if (record.event !== 'opened') return 'is not the start of a daemon, with which a log begins';
    this.#party ??= record.party;
    this.#head = startOf(this.#party);
    return undefined;
  }

  #fault(record: AuditRecord): string | undefined {
    if (record.event === 'opened' && record.party !== this.#party)
      return this.#party === undefined
        ? undefined
        : `is of the log of ${record.party}, not of ${this.#party}`;
    if (this.#head === undefined) return undefined;
    if (record.n !== this.#head.n + 1) return `has number ${record.n}, and should have ${this.#head.n + 1}`;
    if (record.previous !== this.#head.hash)
      return 'does not follow the record before it: one was changed, removed, added or moved';
    return undefined;
  }
}
