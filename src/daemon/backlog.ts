/** How much each party may have waiting for decisions here: what waits is held in memory, its message included. */
import type { PartyName } from '../core/errors.js';
import type { ApprovalRequest } from './approval-request.js';

export const MAX_REQUESTS = 64;
export const MAX_BYTES = 64 * 1024 * 1024;

interface Held {
  requests: number;
  bytes: number;
}

export class Backlog {
  readonly #held = new Map<PartyName, Held>();

  /** Makes room for a request until what is returned is called; `undefined` when its party has too much waiting. */
  enter({ from, message }: ApprovalRequest): (() => void) | undefined {
    const bytes = message?.length ?? 0;
    const held = this.#held.get(from) ?? { requests: 0, bytes: 0 };
    if (held.requests >= MAX_REQUESTS || held.bytes + bytes > MAX_BYTES) return undefined;
    held.requests += 1;
    held.bytes += bytes;
    this.#held.set(from, held);
    return () => {
      held.requests -= 1;
      held.bytes -= bytes;
      if (held.requests === 0) this.#held.delete(from);
    };
  }
}
