/** What the rounds need from a network; `transport/` is one over TLS, the tests have one in memory. */
import type { MpcError, PartyName } from '../core/errors.js';

/** Authenticated, reliable, ordered delivery of byte strings between the parties of the cluster. */
export interface Network {
  readonly self: PartyName;
  /** All parties of the cluster in canonical order (the order of `cluster.json`), this one included. */
  readonly parties: readonly PartyName[];
  /**
   * Sends `bytes`, which the network may keep: the caller does not change them afterwards. Resolves when they
   * are accepted, which a full queue delays. Rejects with `PEER_LEFT` when the peer is lost for good.
   */
  send(to: PartyName, bytes: Uint8Array): Promise<void>;
  /** Every later message and loss goes to `handler`, until the returned function is called. */
  subscribe(handler: NetworkHandler): () => void;
}

export interface NetworkHandler {
  /** One byte string that the authenticated `from` sent; never empty-handed, never reordered, never repeated. */
  message(from: PartyName, bytes: Uint8Array): void;
  /** `peer` has restarted or is gone for good: what it took part in cannot go on. The error is `PEER_LEFT`. */
  lost(peer: PartyName, error: MpcError): void;
}
