/**
 * The desk: requests lie there until the user of this party approves or rejects them, or their time is over. The user
 * names a request by its id, which is made from all of its content.
 */
import { formatDuration } from '../config/duration.js';
import { MpcError, throwIfAborted } from '../core/errors.js';
import { whenAborted } from '../rounds/abort-signal.js';
import { printable, quoted } from '../rounds/untrusted.js';
import type { ApprovalRequest, Decision } from './approval-request.js';

const MAX_REASON = 200;

export class Desk {
  readonly #timeoutMillis: number;
  /** What each request waits for, by its id. */
  readonly #waiting = new Map<string, (decision: Decision) => void>();

  constructor({ timeoutMillis }: { readonly timeoutMillis: number }) {
    this.#timeoutMillis = timeoutMillis;
  }

  /** Ids of the requests that wait, oldest first. */
  get waiting(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** Lays a request on the desk; see `Approval`. */
  async wait({ id }: ApprovalRequest, signal: AbortSignal): Promise<Decision> {
    throwIfAborted(signal);
    if (this.#waiting.has(id)) return byRule('this request waits already');
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
        this.#waiting.set(id, resolve);
      });
    } finally {
      ended();
      this.#waiting.delete(id);
    }
  }

  /** The user agrees. Throws `USAGE` when no request of that id waits. */
  approve(id: string): void {
    this.#decide(id, { decision: 'approved', by: 'user' });
  }

  /** The user does not agree. Throws `USAGE` when no request of that id waits. */
  reject(id: string, reason?: string): void {
    this.#decide(id, {
      ...{ decision: 'rejected', by: 'user' },
      ...(reason !== undefined && { reason: printable(reason, MAX_REASON) }),
    });
  }

  #decide(id: string, decision: Decision): void {
    const decide = this.#waiting.get(id);
    if (decide === undefined)
      throw new MpcError('USAGE', `no request ${quoted(id, 40)} waits for a decision here`, {
        hint: 'see which do: ecdsa-mpc requests',
      });
    // At once: whoever decides twice learns that the first decision holds.
    this.#waiting.delete(id);
    decide(decision);
  }
}

const byRule = (reason: string): Decision => ({ decision: 'rejected', by: 'rule', reason });
