/**
 * The life of requests, as one log tells it: asked for once, decided once, its share given out at most once and with a
 * presignature of its own, and one end. A log is written and verified by the same rules.
 */
import type { AuditEvent, AuditEventOf } from './record.js';

/** What is said of a request, by one party or another, and is the same wherever it is said; in words. */
const FACTS = {
  from: 'asked for by',
  operation: 'operation',
  key: 'key',
  epoch: 'epoch',
  quorum: 'quorum',
  receivers: 'receivers',
  messageHash: 'message hash',
  presignature: 'presignature',
  signature: 'signature',
} as const;
type Fact = keyof typeof FACTS;
const NAMES = Object.keys(FACTS) as Fact[];

export type Facts = Partial<Record<Fact, string>>;

/** What an event says of its request. */
export function factsOf(event: AuditEvent): Facts {
  const said = event as Partial<Record<Fact, unknown>>;
  return Object.fromEntries(
    NAMES.filter((name) => said[name] !== undefined).map((name) => [name, String(said[name])]),
  );
}

/** In words, the first fact that both say and not alike. */
export function difference(said: Facts, before: Facts): string | undefined {
  const name = NAMES.find(
    (each) => said[each] !== undefined && before[each] !== undefined && said[each] !== before[each],
  );
  return name === undefined ? undefined : `${FACTS[name]} ${said[name]}, and not ${before[name]}`;
}

/** A request that has not come to its end. */
export interface UnfinishedRequest {
  readonly request: AuditEventOf<'requested'>;
  readonly isApproved: boolean;
  /** Whether the share of the signature may have been given out. */
  readonly hasBegun: boolean;
}

interface Open extends UnfinishedRequest {
  readonly facts: Facts;
}

/** Events that only a request for that operation leads to. */
const OPERATIONS: Readonly<Partial<Record<AuditEvent['event'], string>>> = {
  ...{ signing: 'sign', signed: 'sign' },
  ...{ refreshed: 'refresh', generated: 'keygen' },
};

/** Follows the requests of one log. It keeps little of those that have ended: their ids, and their presignatures'. */
export class Requests {
  readonly #unfinished = new Map<string, Open>();
  readonly #ended = new Set<string>();
  readonly #begun = new Set<string>();
  readonly #presignatures = new Set<string>();
  #isRunning = false;

  /** Ids of those of which the share of the signature may have been given out. */
  get begun(): ReadonlySet<string> {
    return this.#begun;
  }

  /** By id, the oldest first. */
  get unfinished(): ReadonlyMap<string, UnfinishedRequest> {
    return this.#unfinished;
  }

  /** In words, why `event` cannot come now. */
  faultOf(event: AuditEvent): string | undefined {
    if (event.event === 'opened' || event.event === 'repaired') return undefined;
    if (!this.#isRunning) return `is ${event.event}, while no daemon runs`;
    if (!('id' in event)) return undefined;
    const { id } = event;
    const open = this.#unfinished.get(id);
    if (event.event === 'requested')
      return open !== undefined || this.#begun.has(id) ? `asks for ${id} a second time` : undefined;
    if (this.#ended.has(id)) return `is ${event.event}, after the end of ${id}`;
    if (open === undefined) return `is ${event.event}, and nobody has asked for ${id}`;
    const differs = difference(factsOf(event), open.facts);
    return differs === undefined ? this.#faultWithin(event, open) : `says of ${id}: ${differs}`;
  }

  #faultWithin(event: AuditEvent & { id: string }, open: Open): string | undefined {
    const { id } = event;
    if (event.event === 'failed') return undefined;
    if (event.event === 'decided') return open.isApproved ? `decides on ${id} a second time` : undefined;
    if (OPERATIONS[event.event] !== open.request.operation)
      return `is ${event.event}, and ${id} asks for ${open.request.operation}`;
    if (!open.isApproved) return `is ${event.event}, and ${id} is not approved`;
    if (event.event === 'signed')
      return open.hasBegun ? undefined : `is signed, and the signing of ${id} has not begun`;
    if (event.event !== 'signing') return undefined;
    if (open.hasBegun) return `begins the signing of ${id} a second time`;
    return this.#presignatures.has(event.presignature)
      ? `uses the presignature ${event.presignature} a second time`
      : undefined;
  }

  /** Takes `event` in, also one that should not have come: what may have been used counts as used. */
  take(event: AuditEvent): void {
    if (event.event === 'opened') this.#isRunning = true;
    if (event.event === 'closed') this.#isRunning = false;
    if (!('id' in event)) return;
    const { id } = event;
    if (event.event === 'requested') this.#begin(event);
    else if (event.event === 'signing') {
      this.#begun.add(id);
      this.#presignatures.add(event.presignature);
      this.#change(id, { hasBegun: true, facts: factsOf(event) });
    } else if (event.event === 'decided' && event.decision === 'approved')
      this.#change(id, { isApproved: true });
    else {
      this.#unfinished.delete(id);
      this.#ended.add(id);
    }
  }

  #begin(request: AuditEventOf<'requested'>): void {
    if (this.#unfinished.has(request.id) || this.#begun.has(request.id)) return;
    // What was lost with a daemon is asked for again under its name, as long as nothing was signed.
    this.#ended.delete(request.id);
    const facts = factsOf(request);
    this.#unfinished.set(request.id, { request, facts, isApproved: false, hasBegun: false });
  }

  #change(id: string, { facts, ...more }: Partial<Open>): void {
    const open = this.#unfinished.get(id);
    if (open !== undefined)
      this.#unfinished.set(id, { ...open, ...more, facts: { ...open.facts, ...facts } });
  }
}
