/** What follows from the hellos of all participants: agreement, the sharing to use, the session's identifier. */
import { equalBytes, toHex } from '../core/bytes.js';
import { encode } from '../core/codec.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import { type HelloFrame, PROTOCOL_VERSION } from './frames.js';
import type { HeldSharing, PeerMap } from './run.js';
import { printable, quotedPair } from './untrusted.js';

const SHOWN_DIFFERENCES = 5;
const HINT = 'start every party with the same version, configuration, key and message';

/** A peer that speaks another version of the protocol. */
export const versionsDiffer = (peer: PartyName, version: number): MpcError =>
  new MpcError(
    'DISAGREEMENT',
    `${peer} speaks version ${version} of the protocol, this party version ${PROTOCOL_VERSION}`,
    { hint: 'install the same version for every party' },
  );

/** Throws `DISAGREEMENT` when `peer` means something else by this operation: every field, with both values. */
export function checkAgreement(own: HelloFrame, peer: PartyName, theirs: HelloFrame): void {
  const ours = new Map(Object.entries(own.descriptor));
  const others = new Map(Object.entries(theirs.descriptor));
  const differences = [...new Set([...ours.keys(), ...others.keys()])]
    .filter((field) => ours.get(field) !== others.get(field))
    .map((field) => difference(field, peer, others.get(field), ours.get(field)));
  if (differences.length === 0) return;
  const shown = differences.slice(0, SHOWN_DIFFERENCES).join('; ');
  throw new MpcError('DISAGREEMENT', `${peer} and this party disagree: ${shown}`, { hint: HINT });
}

type Value = string | number | undefined;

function difference(field: string, peer: PartyName, theirs: Value, own: Value): string {
  const [a, b] = quotedPair(String(theirs ?? 'nothing'), String(own ?? 'nothing'));
  return `${printable(field)}: ${peer} has ${a}, this party ${b}`;
}

/**
 * The newest sharing that every participant lists; undefined when nobody lists any. Newest is the highest epoch;
 * of siblings (two interrupted refreshes give one epoch two sharings) it is the one that the first participant
 * lists first. Throws `DISAGREEMENT` with all lists when none is common.
 */
export function chooseSharing(hellos: PeerMap<HelloFrame>): HeldSharing | undefined {
  const lists = [...hellos.values()].map((hello) => hello.sharings);
  if (lists.every((list) => list.length === 0)) return undefined;
  const [first = [], ...others] = lists;
  const common = first.filter((held) => others.every((list) => list.some((other) => same(held, other))));
  const newest = Math.max(...common.map((held) => held.epoch));
  const chosen = common.find((held) => held.epoch === newest);
  if (chosen) return chosen;
  throw new MpcError('DISAGREEMENT', `no sharing is held by every party: ${describeLists(hellos)}`, {
    hint: explainLists(hellos),
  });
}

/**
 * Why there is no sharing in common: some have missed a refresh that the others say they have completed. A peer that
 * lies about it must not bring anybody to delete a share, so the hint tells whose word it is.
 */
function explainLists(hellos: PeerMap<HelloFrame>): string {
  const held = [...hellos]
    .map(([party, { sharings }]) => ({ party, all: sharings.map(({ epoch }) => epoch) }))
    .filter(({ all }) => all.length > 0);
  const oldestKept = Math.max(...held.map(({ all }) => Math.min(...all)));
  const behind = held.filter(({ all }) => Math.max(...all) < oldestKept).map(({ party }) => party);
  const ahead = held.filter(({ all }) => Math.min(...all) === oldestKept).map(({ party }) => party);
  if (behind.length === 0) return 'recover the missing share from its newest backup';
  return (
    `what ${behind.join(' and ')} holds is older than epoch ${oldestKept}, and by the word of ${ahead.join(' and ')} ` +
    'of no use any more: a state folder restored from an old copy, or a backup from before a refresh; recover a ' +
    `share of epoch ${oldestKept}, and delete nothing before that works`
  );
}

/** The epoch is part of what shid hashes: who lists one shid with two epochs does not hold it. */
const same = (a: HeldSharing, b: HeldSharing): boolean => a.epoch === b.epoch && equalBytes(a.shid, b.shid);

const describeLists = (hellos: PeerMap<HelloFrame>): string =>
  [...hellos].map(([party, hello]) => `${party} holds ${describeList(hello.sharings)}`).join('; ');

function describeList(sharings: readonly HeldSharing[]): string {
  if (sharings.length === 0) return 'none';
  const shown = sharings.slice(0, 4).map(({ epoch, shid }) => `${toHex(shid).slice(0, 12)} (epoch ${epoch})`);
  const more = sharings.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

/** sid = H("sid"; descriptor, chosen sharing, every party's name and nonce in canonical order). */
export const sessionId = (hellos: PeerMap<HelloFrame>, own: HelloFrame, sharing?: HeldSharing): Uint8Array =>
  hash('sid', [
    encode(own.descriptor),
    sharing?.shid ?? new Uint8Array(),
    [...hellos].map(([party, hello]) => [party, hello.nonce]),
  ]);

/** H("hello echo"; sid, all hellos in canonical order), over the hellos' very bytes. */
export const helloDigest = (sid: Uint8Array, hellos: readonly Uint8Array[]): Uint8Array =>
  hash('hello echo', [sid, hellos]);
