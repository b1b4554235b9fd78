/**
 * The desk: requests lie there until the user of this party approves or rejects them, or their time is over.
 *
 * The user names a request by its id, having seen its content. So an id stands for one content as long as this
 * process remembers it: a request that comes under the id of another is rejected, even when that one has gone.
 */
import { createHash } from 'node:crypto';
import { formatDuration } from '../config/duration.js';
import { MpcError, throwIfAborted } from '../core/errors.js';
import { whenAborted } from '../rounds/abort-signal.js';
import { printable, quoted } from '../rounds/untrusted.js';
import type { ApprovalRequest, Decision } from './approval-request.js';

/** How many ids are remembered. */
const MAX_REMEMBERED = 10_000;
const MAX_REASON = 200;

export interface WaitingRequest {
  readonly request: ApprovalRequest;
  readonly since: Date;
  /** When it is rejected unless somebody has decided. */
  readonly until: Date;
}

interface Entry extends WaitingRequest {
  readonly decide: (decision: Decision) => void;
}

export class Desk {
  readonly #timeoutMillis: number;
  /** By id, oldest first. */
  readonly #entries = new Map<string, Entry>();
  /** What each id stands for, the oldest first. */
  readonly #contents = new Map<string, string>();

  constructor({ timeoutMillis }: { readonly timeoutMillis: number }) {
    this.#timeoutMillis = timeoutMillis;
  }

  /** The requests that wait, oldest first. */
  get waiting(): readonly WaitingRequest[] {
    return [...this.#entries.values()].map(({ request, since, until }) => ({ request, since, until }));
  }

  /** Lays `request` on the desk; see `Approval`. */
  async wait(request: ApprovalRequest, signal: AbortSignal): Promise<Decision> {
    throwIfAborted(signal);
    if (!this.#remember(request)) return byRule('another request has had this id');
    if (this.#entries.has(request.id)) return byRule('this request waits already');
    let ended = () => {};
    try {
      return await new Promise<Decision>((resolve, reject) => {
        const late = () =>
          resolve(byRule(`nobody has decided within ${formatDuration(this.#timeoutMillis)}`));
        const timer = setTimeout(late, this.#timeoutMillis).unref();
        const deaf = whenAborted(signal, reject);
        ended = () => {
          clearTimeout(timer);
          deaf();
        };
        const since = new Date();
        const until = new Date(since.getTime() + this.#timeoutMillis);
        this.#entries.set(request.id, { request, since, until, decide: resolve });
      });
    } finally {
      ended();
      this.#entries.delete(request.id);
    }
  }

  /** The user agrees. Returns the request; throws `USAGE` when none of that id waits. */
  approve(id: string): ApprovalRequest {
    return this.#decide(id, { decision: 'approved', by: 'user' });
  }

  /** The user does not agree. Returns the request; throws `USAGE` when none of that id waits. */
  reject(id: string, reason?: string): ApprovalRequest {
    return this.#decide(id, {
      ...{ decision: 'rejected', by: 'user' },
      ...(reason !== undefined && { reason: printable(reason, MAX_REASON) }),
    });
  }

  #decide(id: string, decision: Decision): ApprovalRequest {
    const entry = this.#entries.get(id);
    if (entry === undefined)
      throw new MpcError('USAGE', `no request ${quoted(id, 40)} waits for a decision here`, {
        hint: 'see which do: ecdsa-mpc requests',
      });
    // At once: whoever decides twice learns that the first decision holds.
    this.#entries.delete(id);
    entry.decide(decision);
    return entry.request;
  }

  /** Whether the id of `request` stands for its content, and for no other. */
  #remember(request: ApprovalRequest): boolean {
    const content = contentOf(request);
    const known = this.#contents.get(request.id);
    if (known !== undefined) return known === content;
    this.#contents.set(request.id, content);
    for (const id of this.#contents.keys()) {
      if (this.#contents.size <= MAX_REMEMBERED) break;
      if (!this.#entries.has(id)) this.#contents.delete(id);
    }
    return true;
  }
}

const byRule = (reason: string): Decision => ({ decision: 'rejected', by: 'rule', reason });

/** A digest of all that a request says, but for its id. */
function contentOf({
  from,
  operation,
  key,
  quorum,
  receivers,
  message,
  messageHash,
}: ApprovalRequest): string {
  const hash = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const signed = message && hash(message);
  return hash(JSON.stringify([from, operation, key, quorum, receivers, signed, messageHash].map(orNull)));
}

const orNull = (value: unknown): unknown => value ?? null;
