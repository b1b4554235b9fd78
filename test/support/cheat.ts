/**
 * A cheat that puts other messages in the place of some rounds', and covers it up where it can: what it broadcasts
 * is changed for all alike, and the echoes that would give it away, in both directions, are made to fit. What catches
 * it then is the check that the changed part is there for.
 */
import { decode, encode, type Plain } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { hash } from '#src/core/transcript.js';
import { decodeFrame, encodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import type { Intercept } from './memory-network.js';

export type Part = 'broadcast' | 'direct';

/** A message of a session that goes to everybody, or to each its own. */
export interface MessagePlace {
  readonly step: string;
  readonly round: string;
}

/** What each of some receivers gets in the place of the cheat's message of a round. */
export interface Forged extends MessagePlace {
  readonly instead: ReadonlyMap<PartyName, (honest: RoundFrame) => RoundFrame>;
}

export interface Forgery {
  readonly cheat: PartyName;
  readonly forged: readonly Forged[];
  /** Whether echoes are made to fit. They cannot be where receivers get different broadcasts. */
  readonly covered: boolean;
  /** Rounds whose echo is a field `echo` of a later direct message. */
  readonly ridesOn?: Readonly<Record<string, string>>;
}

export interface Cheat {
  readonly intercept: Intercept;
  /** How many messages were changed: a cheat that never cheated proves nothing. */
  readonly hits: number;
}

export const MESSAGE_LIMIT = 1 << 24;
const ECHO = ' echo';
const RIDES_ON: Readonly<Record<string, string>> = { 'presign/open': 'commit' };

export const keyOf = ({ step, round }: MessagePlace): string => `${step}/${round}`;

type Views = Map<string, Map<PartyName, Uint8Array>>;

/** Forges what the cheat sends among `parties`. Its own aborts stay with it: what it makes of all this is not heard. */
export function forge(parties: readonly PartyName[], forgery: Forgery): Cheat {
  const { cheat, forged, covered, ridesOn = RIDES_ON } = forgery;
  let hits = 0;
  /** What each party broadcast in each round, as its peers and as itself see it. */
  const shown: Views = new Map();
  const truth: Views = new Map();
  const note = (views: Views, frame: RoundFrame, from: PartyName): void => {
    if (frame.broadcast === null) return;
    const key = keyOf(frame);
    views.set(key, (views.get(key) ?? new Map()).set(from, frame.broadcast));
  };
  const echoOf = (views: Views, frame: RoundFrame, round: string): Uint8Array | undefined => {
    const bodies = views.get(`${frame.step}/${round}`);
    const parts = parties.map((party) => bodies?.get(party));
    if (!parts.every((part) => part !== undefined)) return undefined;
    return hash('echo', [frame.sid, frame.step, round, parts]);
  };

  /** What `to` must be told that the sender's view of a round is; the frame as it is when it tells nothing of one. */
  const coveredUp = (frame: RoundFrame, from: PartyName, to: PartyName): RoundFrame => {
    const { direct, round } = frame;
    if (!covered || direct === null || (from !== cheat && to !== cheat)) return frame;
    const views = to === cheat ? truth : shown;
    if (round.endsWith(ECHO)) {
      const echo = echoOf(views, frame, round.slice(0, -ECHO.length));
      return echo ? { ...frame, direct: encode(echo) } : frame;
    }
    const ridden = ridesOn[keyOf(frame)];
    const echo = ridden === undefined ? undefined : echoOf(views, frame, ridden);
    if (!echo) return frame;
    const body = decode(direct, MESSAGE_LIMIT) as { readonly [key: string]: Plain };
    return { ...frame, direct: encode({ ...body, echo }) };
  };

  const intercept: Intercept = (from, to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind === 'abort' && from === cheat) return [];
    if (frame.kind !== 'round') return undefined;
    note(truth, frame, from);
    note(shown, frame, from);
    const target = forged.find((one) => from === cheat && keyOf(frame) === keyOf(one));
    const change = target?.instead.get(to);
    if (!change) return [encodeFrame(coveredUp(frame, from, to))];
    hits += 1;
    const changed = change(target?.round.endsWith(ECHO) ? frame : coveredUp(frame, from, to));
    note(shown, changed, from);
    return [encodeFrame(changed)];
  };
  return {
    intercept,
    get hits() {
      return hits;
    },
  };
}
