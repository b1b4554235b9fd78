/** What one party asks another to take part in, and what that says to it. */
import type { PartyName } from '../core/errors.js';

export interface ApprovalRequest {
  /** 64 hex digits, made from who asks and all that is asked: no other request has it. */
  readonly id: string;
  readonly from: PartyName;
  readonly operation: 'sign' | 'refresh' | 'keygen';
  /** Of a stored key, hex. */
  readonly key?: string;
  readonly quorum?: readonly PartyName[];
  readonly receivers?: readonly PartyName[];
  /** Of a signature: the whole message, and its hash, hex, which whoever makes this has computed from it. */
  readonly message?: Uint8Array;
  readonly messageHash?: string;
}

/** What a party says to a request, and on whose word. */
export interface Decision {
  readonly decision: 'approved' | 'rejected';
  readonly by: 'user' | 'rule' | 'command';
  /** Printable ASCII of bounded length. */
  readonly reason?: string;
}

/** Decides on a request. Rejects with the reason of `signal` when nobody waits for the decision any more. */
export type Approval = (request: ApprovalRequest, signal: AbortSignal) => Promise<Decision>;

/** The text that `message` is, when it is valid UTF-8. */
export function textOf(message: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message);
  } catch {
    return undefined;
  }
}
