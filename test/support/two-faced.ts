/**
 * A cheat that broadcasts one thing to a victim and another to the rest, and covers it up: each hears from it the echo
 * that it expects. What gives it away are the honest parties' echoes to each other.
 */
import { decode, encode, type Plain } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { hash } from '#src/core/transcript.js';
import { decodeFrame, encodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import type { Intercept } from './memory-network.js';

const ECHO = ' echo';
const LIMIT = 1 << 24;

export interface TwoFaced {
  readonly cheat: PartyName;
  readonly victim: PartyName;
  /** What the victim gets instead; undefined: the same as the others. */
  readonly lie: (frame: RoundFrame) => Pick<RoundFrame, 'broadcast' | 'direct'> | undefined;
}

export function twoFaced(parties: readonly PartyName[], { cheat, victim, lie }: TwoFaced): Intercept {
  /** What each party has seen of each broadcast, its own included: by party, round and sender. */
  const views = new Map<string, Uint8Array>();
  const note = (seenBy: PartyName, place: string, from: PartyName, body: Uint8Array | null) => {
    if (body !== null) views.set([seenBy, place, from].join(), body);
  };
  const echoFor = (to: PartyName, { sid, step }: RoundFrame, round: string): Uint8Array => {
    const bodies = parties.map((from) => views.get([to, `${step}/${round}`, from].join())!);
    return hash('echo', [sid, step, round, bodies]);
  };
  const coveredUp = (frame: RoundFrame, to: PartyName): RoundFrame => {
    const { direct, round, step } = frame;
    if (direct === null) return frame;
    if (round.endsWith(ECHO))
      return { ...frame, direct: encode(echoFor(to, frame, round.slice(0, -ECHO.length))) };
    if (`${step}/${round}` !== 'presign/open') return frame;
    const body = decode(direct, LIMIT) as { readonly [key: string]: Plain };
    return { ...frame, direct: encode({ ...body, echo: echoFor(to, frame, 'commit') }) };
  };
  return (from, to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind !== 'round') return undefined;
    const told = from === cheat && to === victim ? { ...frame, ...lie(frame) } : frame;
    const place = `${frame.step}/${frame.round}`;
    note(from, place, from, frame.broadcast);
    note(to, place, from, told.broadcast);
    return [encodeFrame(from === cheat ? coveredUp(told, to) : told)];
  };
}
