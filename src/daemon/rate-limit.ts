/** How often a peer may have this party do what costs it time and room in its log. */
import type { PartyName } from '../core/errors.js';

/** At a stretch, and then so many a second. */
const BURST = 200;
const PER_SECOND = 10;

export class RateLimit {
  /** What each peer may do at once, and when that was counted. */
  readonly #left = new Map<PartyName, { readonly count: number; readonly at: number }>();
  readonly #now: () => number;

  /** `now` in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether `peer` may do it once more now; counts it. */
  allows(peer: PartyName): boolean {
    const at = this.#now();
    const before = this.#left.get(peer) ?? { count: BURST, at };
    const count = Math.min(BURST, before.count + ((at - before.at) / 1000) * PER_SECOND);
    this.#left.set(peer, { count: count >= 1 ? count - 1 : count, at });
    return count >= 1;
  }
}
