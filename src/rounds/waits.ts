/** What this party waits for: each wait is a set of peers and a test that tells whether a peer's part is there. */
import type { MpcError, PartyName } from '../core/errors.js';
import { type PeerMap, peerMap } from './run.js';

interface Wait {
  readonly place: string;
  readonly pending: Set<PartyName>;
  readonly poll: () => void;
  readonly reject: (error: MpcError) => void;
}

export class Waits {
  readonly #waits = new Set<Wait>();

  /**
   * Resolves when `ready` has given a value for every one of `peers`; it is asked on each {@link poll} until it
   * does, and never again. `place` says in messages what is waited for.
   */
  until<T>(
    place: string,
    peers: readonly PartyName[],
    ready: (peer: PartyName) => T | undefined,
  ): Promise<PeerMap<T>> {
    return new Promise((resolve, reject) => {
      const found = new Map<PartyName, T>();
      const pending = new Set(peers);
      const poll = () => {
        for (const peer of pending) {
          const value = ready(peer);
          if (value === undefined) continue;
          found.set(peer, value);
          pending.delete(peer);
        }
        if (pending.size > 0) return;
        this.#waits.delete(wait);
        resolve(peerMap(peers, (peer) => found.get(peer) as T));
      };
      const wait: Wait = { place, pending, poll, reject };
      this.#waits.add(wait);
    });
  }

  /** Looks again at everything waited for. Throws what a test throws. */
  poll(): void {
    for (const wait of this.#waits) wait.poll();
  }

  reject(error: MpcError): void {
    for (const wait of this.#waits) wait.reject(error);
    this.#waits.clear();
  }

  /** Where each peer is waited for; empty when nobody is. */
  get pending(): ReadonlyMap<PartyName, string> {
    const pending = new Map<PartyName, string>();
    for (const { place, pending: peers } of this.#waits) for (const peer of peers) pending.set(peer, place);
    return pending;
  }
}
