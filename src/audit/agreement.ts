/**
 * Whether the logs of several parties tell the same of every request, of which each has seen its own part; and whether
 * each signature was made with all those whose logs are there.
 */
import type { PartyName } from '../core/errors.js';
import type { AuditRecord } from './record.js';
import { difference, type Facts, factsOf } from './requests.js';

/** What is wrong, and where: `line` in `file`, or in none where something is missing from all. */
export interface Fault {
  readonly file?: string;
  readonly line?: number;
  readonly fault: string;
}

/** Where a record stands. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly party: PartyName;
}

interface Told {
  readonly facts: Facts;
  /** Where the first of it was told. */
  readonly first: Place;
  readonly signers: readonly PartyName[];
  readonly quorum: readonly PartyName[];
  /** Where the signature stands. */
  readonly signed?: Place;
}

export class Agreement {
  readonly #requests = new Map<string, Told>();
  /** Ids of requests by the presignatures that they used. */
  readonly #users = new Map<string, string>();
  readonly #files = new Map<PartyName, string>();

  /** Takes in that `file` is the log of `party`; returns in words why it cannot be. */
  begin(party: PartyName, file: string): string | undefined {
    const other = this.#files.get(party);
    this.#files.set(party, other ?? file);
    return other === undefined
      ? undefined
      : `begins a log of ${party}, as ${other} does: give one log per party`;
  }

  /** Takes a record in; returns in words what it does not agree with. */
  take(record: AuditRecord, place: Place): string | undefined {
    return 'id' in record ? this.#takeRequest(record, place) : undefined;
  }

  #takeRequest(record: AuditRecord & { id: string }, place: Place): string | undefined {
    const { id } = record;
    const said = factsOf(record);
    const told = this.#requests.get(id) ?? { facts: {}, first: place, signers: [], quorum: [] };
    const isSigning = record.event === 'signing';
    this.#requests.set(id, {
      facts: { ...said, ...told.facts },
      first: told.first,
      signers: isSigning ? [...told.signers, place.party] : told.signers,
      quorum: isSigning ? record.quorum : told.quorum,
      ...(told.signed !== undefined && { signed: told.signed }),
      ...(said.signature !== undefined && { signed: place }),
    });
    const differs = difference(said, told.facts);
    if (differs !== undefined)
      return `says of ${id}: ${differs}, as is told from line ${told.first.line} of ${told.first.file} on`;
    return isSigning ? this.#takeUse(record.presignature, id) : undefined;
  }

  #takeUse(presignature: string, id: string): string | undefined {
    const user = this.#users.get(presignature) ?? id;
    this.#users.set(presignature, user);
    return user === id
      ? undefined
      : `uses for ${id} the presignature ${presignature}, which ${user} has used`;
  }

  /** What all of the logs together lack. */
  faults(): Fault[] {
    return [...this.#requests].flatMap(([id, { signed, signers, quorum }]) => {
      if (signed === undefined) return [];
      const silent = quorum.filter((party) => this.#files.has(party) && !signers.includes(party));
      const { file, line } = signed;
      return silent.map((party) => ({
        ...{ file, line },
        fault: `has a signature of ${id}, of which the log of ${party}, ${this.#files.get(party)}, knows nothing`,
      }));
    });
  }
}
