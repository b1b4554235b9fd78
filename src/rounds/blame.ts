/** The errors that peers cause, and who is named in each: docs/protocol.md §11. */
import { ERROR_CODES, type ErrorCode, MpcError, type PartyName } from '../core/errors.js';
import { type AbortFrame, MAX_PARTIES, MAX_REASON, type WaitingFrame } from './frames.js';
import type { PeerMap } from './run.js';
import { printable, quoted } from './untrusted.js';

/** Somebody provably broke the protocol: all of `culprits` are named. */
export const brokeProtocol = (culprits: readonly PartyName[], what: string): MpcError =>
  new MpcError('PROTOCOL', `${culprits.join(', ')} broke the protocol: ${what}`, { culprits });

/** Views that should be equal differ. Whoever caused it cannot be named: the pairs of views are reported. */
export const viewsDiffer = (self: PartyName, peers: readonly PartyName[], what: string): MpcError =>
  new MpcError(
    'EQUIVOCATION',
    `${self}'s view of ${what} differs from ${peers.map((peer) => `${peer}'s`).join(', ')}: someone equivocated`,
  );

/** `peer` was still needed and will not answer: `loss` is what the network says of it. */
export const peerLeft = (peer: PartyName, place: string, loss: MpcError): MpcError =>
  new MpcError('PEER_LEFT', `${loss.message}, while ${peer} was waited for in ${place}`, {
    culprits: [peer],
    cause: loss,
    ...(loss.hint === undefined ? {} : { hint: loss.hint }),
  });

/**
 * The time-out `reason`, with who was not heard from where. `pending` are the peers waited for, `place` is the
 * round entered last, `notes` are what peers said last about whom they wait for themselves.
 */
export function notHeardFrom(
  reason: MpcError,
  pending: PeerMap<string>,
  place: string,
  notes: PeerMap<WaitingFrame>,
  parties: readonly PartyName[],
): MpcError {
  const culprits = [...pending.keys()];
  const silent =
    culprits.length === 0
      ? `this party was still at work after ${place}`
      : `not heard from ${[...pending].map(([peer, where]) => `${peer} (${where})`).join(', ')}`;
  const said = [...notes].map(([peer, note]) => describeNote(peer, note, parties));
  return new MpcError('TIMEOUT', `${reason.message}: ${[silent, ...said].join('; ')}`, {
    culprits,
    cause: reason,
    ...(reason.hint === undefined ? {} : { hint: reason.hint }),
  });
}

function describeNote(peer: PartyName, note: WaitingFrame, parties: readonly PartyName[]): string {
  const names = note.peers.filter((name) => parties.includes(name));
  if (names.length === 0) return `${peer} says that it is at work (${printable(note.place)})`;
  return `${peer} says that it waits for ${names.join(', ')} (${printable(note.place)})`;
}

/** Codes with which a party leaves without having found any fault in what it received. */
const LEAVING = new Set<string>(['INTERRUPTED', 'TIMEOUT', 'UNREACHABLE', 'PEER_LEFT'] satisfies ErrorCode[]);

/** Whether an abort only says that its sender gave up or went away. */
export const isLeaving = (frame: AbortFrame): boolean => LEAVING.has(frame.code);

/**
 * What the receiver of an abort reports: its sender has left or aborted. Whom that sender blames and why is
 * hearsay, quoted as such; only names of `parties` are repeated. `waitedFor` are the peers waited for here.
 */
export function abortReceived(
  sender: PartyName,
  frame: AbortFrame,
  parties: readonly PartyName[],
  waitedFor: readonly PartyName[],
): MpcError {
  const named = frame.culprits.filter((name) => parties.includes(name));
  const blaming = named.length === 0 ? '' : ` of ${named.join(', ')}`;
  const code = Object.hasOwn(ERROR_CODES, frame.code) ? frame.code : 'something unknown';
  const hearsay = `it reports ${code}${blaming}: ${quoted(frame.reason)}`;
  if (!isLeaving(frame)) return new MpcError('PEER_ABORTED', `${sender} aborted; ${hearsay}`);
  // Whom both miss is the one not heard from, rather than the one that gave up first.
  const missed = waitedFor.filter((peer) => peer !== sender && named.includes(peer));
  const also = missed.length === 0 ? '' : `; this party waits for ${missed.join(', ')} as well`;
  // A sender that left because of others was heard from; and that it is because of them is only hearsay.
  const fallback = named.some((name) => name !== sender) ? [] : [sender];
  const culprits = missed.length === 0 ? fallback : missed;
  return new MpcError('PEER_LEFT', `${sender} left; ${hearsay}${also}`, { culprits });
}

/** Failures whose message concerns the peers. Others may tell of this machine: peers learn only what kind they are. */
const SHARED = new Set<ErrorCode>([
  'DISAGREEMENT',
  'PROTOCOL',
  'EQUIVOCATION',
  'PEER_ABORTED',
  'PEER_LEFT',
  'TIMEOUT',
]);

/** What peers may be told of `error`: at most `max` printable characters. */
export const toldOf = (error: MpcError, max: number): string =>
  printable(SHARED.has(error.code) ? error.message : ERROR_CODES[error.code].meaning, max);

/** The abort that tells the peers about `error`. */
export const abortFrame = (operation: string, error: MpcError): AbortFrame => ({
  kind: 'abort',
  operation,
  code: error.code,
  culprits: error.culprits.slice(0, MAX_PARTIES),
  reason: toldOf(error, MAX_REASON),
});
