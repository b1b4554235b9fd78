/**
 * A cheat that changes one field of what it sends in one round, and covers it up: what it broadcasts is changed for
 * all alike, and the echoes that would give it away, in both directions, are made to fit. What catches it then is
 * the check that the field is there for.
 */
import { decode, encode, type Plain } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { hash } from '#src/core/transcript.js';
import { decodeFrame, encodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import type { Intercept } from './memory-network.js';

/** A leaf of a message: where it is sent, and the keys and indices that lead to it. */
export interface FieldPath {
  readonly step: string;
  readonly round: string;
  readonly part: 'broadcast' | 'direct';
  readonly path: readonly (string | number)[];
}

export const printField = ({ step, round, part, path }: FieldPath): string =>
  [`${step}/${round}`, part, ...path].join('.');

const LIMIT = 1 << 24;
const ECHO = ' echo';

const isList = (value: Plain): value is readonly Plain[] => Array.isArray(value);

/** Leaves of plain data; of a list only the first and the last item. */
function leavesOf(value: Plain, path: (string | number)[] = []): (string | number)[][] {
  if (value instanceof Uint8Array || value === null || typeof value !== 'object') return [path];
  if (!isList(value)) return Object.entries(value).flatMap(([key, item]) => leavesOf(item, [...path, key]));
  const ends = [...new Set([0, value.length - 1])].filter((index) => index in value);
  return ends.flatMap((index) => leavesOf(value[index]!, [...path, index]));
}

/** Notes every field that `sender` sends. */
export function recordFields(sender: PartyName): {
  readonly intercept: Intercept;
  readonly fields: FieldPath[];
} {
  const fields: FieldPath[] = [];
  const seen = new Set<string>();
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (from !== sender || frame.kind !== 'round') return undefined;
    for (const part of ['broadcast', 'direct'] as const) {
      const body = frame[part];
      if (body === null) continue;
      for (const path of leavesOf(decode(body, LIMIT))) {
        const field = { step: frame.step, round: frame.round, part, path };
        if (seen.has(printField(field))) continue;
        seen.add(printField(field));
        fields.push(field);
      }
    }
    return undefined;
  };
  return { intercept, fields };
}

/** The smallest change of a leaf: its last bit turned over, another number, the other truth value. */
export function flip(leaf: Plain): Plain {
  if (leaf instanceof Uint8Array) {
    if (leaf.length === 0) return Uint8Array.of(1);
    const changed = Uint8Array.from(leaf);
    changed[changed.length - 1]! ^= 1;
    return changed;
  }
  if (typeof leaf === 'number') return leaf === 0 ? 1 : 0;
  if (typeof leaf === 'boolean') return !leaf;
  throw new Error('a leaf of a kind that no message has');
}

function changedAt(
  value: Plain,
  [key, ...rest]: readonly (string | number)[],
  change: (leaf: Plain) => Plain,
): Plain {
  if (key === undefined) return change(value);
  if (isList(value)) return value.with(key as number, changedAt(value[key as number]!, rest, change));
  const record = value as { readonly [key: string]: Plain };
  return { ...record, [key]: changedAt(record[key]!, rest, change) };
}

export interface Cheat {
  readonly intercept: Intercept;
  /** How many frames were changed: a cheat that never cheated proves nothing. */
  readonly hits: number;
}

/**
 * `cheater` changes `field` in what it sends to everybody. `ridesOn` names the rounds whose echo is a field `echo` of
 * a later direct message.
 */
export function cheat(
  parties: readonly PartyName[],
  cheater: PartyName,
  field: FieldPath,
  change: (leaf: Plain) => Plain = flip,
  ridesOn: Readonly<Record<string, string>> = { 'presign/open': 'commit' },
): Cheat {
  let hits = 0;
  /** What each party broadcast in each round, as its peers and as itself see it. */
  const shown = new Map<string, Map<PartyName, Uint8Array>>();
  const truth = new Map<string, Map<PartyName, Uint8Array>>();
  const note = (views: typeof shown, frame: RoundFrame, from: PartyName, body: Uint8Array): void => {
    const key = `${frame.step}/${frame.round}`;
    views.set(key, (views.get(key) ?? new Map()).set(from, body));
  };
  const echoOf = (views: typeof shown, frame: RoundFrame, round: string): Uint8Array => {
    const bodies = views.get(`${frame.step}/${round}`);
    return hash('echo', [frame.sid, frame.step, round, parties.map((party) => bodies!.get(party)!)]);
  };

  /** What `to` must be told that the sender's view of a round is, or undefined when the frame tells nothing of it. */
  const coveredUp = (frame: RoundFrame, from: PartyName, to: PartyName): RoundFrame => {
    if (from !== cheater && to !== cheater) return frame;
    const views = to === cheater ? truth : shown;
    const { direct, round, step } = frame;
    if (direct !== null && round.endsWith(ECHO)) {
      return { ...frame, direct: encode(echoOf(views, frame, round.slice(0, -ECHO.length))) };
    }
    const ridden = ridesOn[`${step}/${round}`];
    if (direct === null || ridden === undefined || field.path[0] === 'echo') return frame;
    const body = decode(direct, LIMIT) as { readonly [key: string]: Plain };
    return { ...frame, direct: encode({ ...body, echo: echoOf(views, frame, ridden) }) };
  };

  const intercept: Intercept = (from, to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind !== 'round') return undefined;
    if (frame.broadcast !== null) {
      note(truth, frame, from, frame.broadcast);
      note(shown, frame, from, frame.broadcast);
    }
    const isTarget = from === cheater && frame.step === field.step && frame.round === field.round;
    if (!isTarget) return [encodeFrame(coveredUp(frame, from, to))];
    const body = frame[field.part];
    if (body === null) return undefined;
    const changed = encode(changedAt(decode(body, LIMIT), field.path, change));
    hits += 1;
    const cheated = { ...frame, [field.part]: changed };
    if (field.part === 'broadcast') note(shown, frame, from, changed);
    return [encodeFrame(field.round.endsWith(ECHO) ? cheated : coveredUp(cheated, from, to))];
  };
  return {
    intercept,
    get hits() {
      return hits;
    },
  };
}
