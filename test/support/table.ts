/**
 * The rows of the table of cheats: for every field that the schemas of a scenario's rounds know, every way to falsify
 * it, in what goes to all or to one, and what must come of it; for every message, what can be done to it as a whole.
 */
import { z } from 'zod';
import { decode, encode, type Plain } from '#src/core/codec.js';
import type { ErrorCode, PartyName } from '#src/core/errors.js';
import { curveByName, POINT_BYTES } from '#src/curve/curve.js';
import { encodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import type { AnyRound } from '#src/rounds/run.js';
import { echoRound } from '#src/rounds/slots.js';
import {
  assertHarmless,
  assertRefused,
  assertUnheard,
  counts,
  type Deed,
  type Failed,
  perform,
  VICTIM,
} from './attacks.js';
import { type Cheat, forge, keyOf, MESSAGE_LIMIT, type MessagePlace, type Part } from './cheat.js';
import { commitmentTo } from './commitments.js';
import { valuesOf } from './memory-network.js';
import { mutationsOf } from './mutations.js';
import { ABSENT, type Absent, at, leafPaths, samePlain, withAt } from './plain.js';
import { Recording } from './recording.js';
import { CHEAT, type Scenario } from './scenarios.js';
import { type FieldPath, fieldsOf, type SchemaField } from './schemas.js';

export interface Field extends MessagePlace, SchemaField {
  readonly part: Part;
  readonly schema: z.ZodType;
}

export const printField = ({
  part,
  path,
  ...place
}: Pick<Field, 'step' | 'round' | 'part' | 'path'>): string => [keyOf(place), part, ...path].join('.');

/** The rounds as they come over the wire, echoes among them. */
export const wireRounds = (rounds: readonly AnyRound[]): readonly AnyRound[] =>
  rounds.flatMap((round) => (round.echo === 'own' ? [round, echoRound(round)] : [round]));

const PARTS = ['broadcast', 'direct'] as const;
const curve = curveByName('P-256');

export const fieldsOfRound = (round: AnyRound): readonly Field[] =>
  PARTS.flatMap((part) => {
    const schema = round[part];
    if (!schema) return [];
    const place = { step: round.step, round: round.name, part, schema };
    return fieldsOf(schema).map((field) => ({ ...place, ...field }));
  });

/** Fields whose change is seen, but by a check that cannot tell who is at fault. */
const NOBODY_NAMED = [
  /^\w+\/confirm\./,
  / echo\./,
  /^presign\/open\.direct\.echo$/,
  // ψ_ij is tied to nothing but the signature that comes out.
  /^presign\/open\.direct\.psi$/,
  /^sign\/partial signature\./,
];

/** A party's own word on what it has stored. It may say what it likes, as long as it says the same to all. */
const CLAIMS = /^(settle\/state|pending\/pending|pending\/held)\.broadcast\b/;

/** Points of base transfers. Others that are points, too, make other keys, which the first use of them shows. */
const BASE_TRANSFERS = /^ot\/(choose|transfer)\.direct\b/;

/** Whether a part of a message is nothing but points, one after the other. */
function isPoints(part: Plain | Absent): boolean {
  const [points] = Object.values(part as object);
  if (!(points instanceof Uint8Array) || points.length === 0) return false;
  const point = (k: number) => curve.point(points.subarray(POINT_BYTES * k, POINT_BYTES * (k + 1)));
  return Array.from({ length: points.length / POINT_BYTES }, (_, k) => point(k)).every(Boolean);
}

/** Of these the check comes before any other. */
const FIRST_CHECKED = /^presign\/open\.direct\.echo$/;

export interface Row {
  readonly name: string;
  readonly cheat: () => Cheat;
  readonly receivers: readonly PartyName[];
  /** How many messages are changed. */
  readonly messages: number;
  readonly kind: 'undecodable' | 'decodable' | 'committed';
  /** How it ends; empty: well, or with the cheat not heard from. */
  readonly codes: readonly ErrorCode[];
}

interface Falsified {
  readonly value: Plain | Absent;
  readonly fits: boolean;
  readonly changed: boolean;
  readonly nobody: boolean;
}

/** Whether only checks that name nobody see the difference. */
function namesNobody(field: Field, honest: Plain, forged: Plain | Absent): boolean {
  if (forged === ABSENT) return false;
  const differing = leafPaths(honest).filter((path) => !samePlain(at(honest, path), at(forged, path)));
  const names = differing.map((path) => printField({ ...field, path }));
  if (names.some((name) => FIRST_CHECKED.test(name))) return true;
  return names.length > 0 && names.every((name) => NOBODY_NAMED.some((pattern) => pattern.test(name)));
}

/** What is behind a commitment and checked by nobody: any value is as good, or shows only when a key is used. */
const FREE = [/\.blind$/, /^refresh\/open\.broadcast\.rid$/, /^setup\/seed open\.direct\.seed$/];
/** What is behind a commitment and shows where views are compared. */
const COMPARED = [/^keygen\/open\.broadcast\.rid$/];

function codesBehindCommitment(field: Field, honest: Plain, forged: Plain): readonly ErrorCode[] {
  const differing = leafPaths(honest)
    .filter((path) => !samePlain(at(honest, path), at(forged, path)))
    .map((path) => printField({ ...field, path }));
  const all = (...patterns: readonly RegExp[]) =>
    differing.every((name) => patterns.some((pattern) => pattern.test(name)));
  if (all(...FREE)) return [];
  return all(...FREE, ...COMPARED) ? ['EQUIVOCATION'] : ['PROTOCOL'];
}

const withPart =
  (part: Part, value: Plain | Absent) =>
  (frame: RoundFrame): RoundFrame => ({ ...frame, [part]: value === ABSENT ? null : encode(value) });

const withField =
  (part: Part, path: FieldPath, value: Plain | Absent) =>
  (frame: RoundFrame): RoundFrame =>
    withPart(part, withAt(decode(frame[part]!, MESSAGE_LIMIT), path, value))(frame);

/** A row about a whole message. */
export interface WholeRow {
  readonly name: string;
  readonly deed: Deed;
  readonly expect: (failed: Failed) => unknown;
}

async function record(scenario: Scenario, seed: string): Promise<Recording> {
  const recording = new Recording();
  const { outcomes } = await perform(scenario, recording, seed);
  valuesOf(outcomes);
  return recording;
}

export class Table {
  readonly #scenario: Scenario;
  readonly #recording: Recording;
  readonly #other: Recording;

  constructor(scenario: Scenario, recording: Recording, other: Recording) {
    this.#scenario = scenario;
    this.#recording = recording;
    this.#other = other;
  }

  /** Made from two honest runs: one that is repeated with every cheat, and another session to take things from. */
  static async of(scenario: Scenario): Promise<Table> {
    return new Table(scenario, await record(scenario, 'one'), await record(scenario, 'other'));
  }

  /** Who gets the cheat's message of this round. */
  receivers(place: MessagePlace): readonly PartyName[] {
    return this.#scenario.parties
      .filter((party) => party !== CHEAT)
      .filter((to) => this.#recording.find(place, CHEAT, to));
  }

  /** The fields that the cheat sent in an honest run; of lists the first and the last item. */
  sentFields(place: MessagePlace): readonly string[] {
    const [to = ''] = this.receivers(place);
    return PARTS.flatMap((part) => {
      const value = this.#recording.part(place, part, CHEAT, to);
      return value === undefined ? [] : leafPaths(value).map((path) => printField({ ...place, part, path }));
    });
  }

  rows(field: Field): readonly Row[] {
    const receivers = this.receivers(field);
    // A broadcast part is one for all, a forged one as well.
    const alike = field.part === 'broadcast' ? this.#forged(field, receivers[0]!) : undefined;
    const forged = new Map(receivers.map((to) => [to, alike ?? this.#forged(field, to)]));
    const names = [...new Set([...forged.values()].flatMap((mutations) => [...mutations.keys()]))];
    // Broadcast alike to all, or to one only; sent to each, or to one only.
    const audiences =
      receivers.length > 1 || field.part === 'broadcast' ? [receivers, [VICTIM]] : [receivers];
    return names.flatMap((name) =>
      audiences.flatMap((audience, k) => {
        const cases = new Map(audience.flatMap((to) => [[to, forged.get(to)?.get(name)] as const]));
        return this.#row(field, name, cases, { covered: field.part === 'broadcast' && k === 0 });
      }),
    );
  }

  /** What is put in the place of the field for `to`, by what is done to it. */
  #forged(field: Field, to: PartyName): ReadonlyMap<string, Falsified> {
    const honest = this.#recording.part(field, field.part, CHEAT, to)!;
    const leaf = at(honest, field.path);
    if (leaf === ABSENT) return new Map();
    const put = (value: Plain | Absent) => withAt(honest, field.path, value);
    const fits = (value: Plain | Absent): boolean => {
      const part = put(value);
      return part !== ABSENT && z.safeDecode(field.schema, part as never).success;
    };
    return new Map(
      mutationsOf(leaf, this.#elsewhere(field, to), fits).map(({ name, value }) => {
        const part = put(value);
        const nobody = namesNobody(field, honest, part);
        return [name, { value: part, fits: fits(value), changed: !samePlain(part, honest), nobody }];
      }),
    );
  }

  /** What stands in this place of other messages. */
  #elsewhere(field: Field, to: PartyName): Record<string, Plain | Absent> {
    const { parties } = this.#scenario;
    const valueIn = (recording: Recording, from: PartyName, receiver: PartyName): Plain | Absent => {
      const message = recording.part(field, field.part, from, receiver);
      return message === undefined ? ABSENT : at(message, field.path);
    };
    const third = parties.find((party) => party !== CHEAT && party !== to);
    const found: Record<string, Plain | Absent> = {
      "another session's": valueIn(this.#other, CHEAT, to),
      "its receiver's": valueIn(this.#recording, to, CHEAT),
      ...(third !== undefined && {
        "another party's": valueIn(this.#recording, third, to),
        "another receiver's": valueIn(this.#recording, CHEAT, third),
      }),
    };
    return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ABSENT));
  }

  #row(
    field: Field,
    name: string,
    cases: ReadonlyMap<PartyName, Falsified | undefined>,
    { covered }: { readonly covered: boolean },
  ): readonly Row[] {
    const differing = [...cases].filter(
      (entry): entry is [PartyName, Falsified] => entry[1]?.changed === true,
    );
    const isUnseen = ({ value, fits }: Falsified) =>
      fits && BASE_TRANSFERS.test(printField(field)) && isPoints(value);
    // What one receiver sees and another cannot goes to the former only.
    const seen = differing.filter(([, falsified]) => !isUnseen(falsified));
    const changed = seen.length > 0 ? seen : differing;
    if (changed.length === 0) {
      counts.unchanged += 1;
      return [];
    }
    const codesOf = (falsified: Falsified): readonly ErrorCode[] => {
      const { fits, nobody } = falsified;
      if (!fits) return ['PROTOCOL'];
      if (isUnseen(falsified)) return [];
      if (covered && CLAIMS.test(printField(field))) return [];
      return nobody || (field.part === 'broadcast' && !covered) ? ['EQUIVOCATION'] : ['PROTOCOL'];
    };
    const receivers = changed.map(([to]) => to);
    const { step, round } = field;
    const instead = new Map(changed.map(([to, { value }]) => [to, withPart(field.part, value)]));
    const forgery = { cheat: CHEAT, forged: [{ step, round, instead }], covered };
    return [
      {
        name: `${name}, to ${receivers.join(' and ')}`,
        cheat: () => forge(this.#scenario.parties, forgery),
        receivers,
        messages: receivers.length,
        kind: changed.every(([, { fits }]) => !fits) ? 'undecodable' : 'decodable',
        codes: [...new Set(changed.flatMap(([, forged]) => codesOf(forged)))],
      },
    ];
  }

  /** The same for a cheat that has committed to the falsified field: to what it can know by then. */
  committedRows(field: Field): readonly Row[] {
    const commitment = commitmentTo(field);
    if (!commitment) return [];
    const { step, round, part, path, schema } = field;
    const receivers = this.receivers(field);
    const [first = ''] = receivers;
    const candidates = [...this.#forged(field, first)].filter(
      ([name, { fits, changed }]) =>
        fits && changed && !name.endsWith("party's") && !name.endsWith("receiver's"),
    );
    return candidates.map(([name, { value }]) => {
      const put = at(value as Plain, path);
      const parts = new Map(
        receivers.map((to) => [
          to,
          withAt(this.#recording.part(field, part, CHEAT, to)!, path, put) as Plain,
        ]),
      );
      const { sid } = this.#recording.find(field, CHEAT, first)!.frame;
      const V = (to: PartyName) => commitment.of(sid, to, z.decode(schema, parts.get(to) as never));
      const committed = new Map(
        receivers.map((to) => [to, (frame: RoundFrame) => withField(commitment.part, ['V'], V(to))(frame)]),
      );
      const opened = new Map(receivers.map((to) => [to, withField(part, path, put)]));
      const forged = [
        { step, round: commitment.round, instead: committed },
        { step, round, instead: opened },
      ];
      return {
        name: `${name}, committed to`,
        cheat: () => forge(this.#scenario.parties, { cheat: CHEAT, forged, covered: true }),
        receivers,
        messages: 2 * receivers.length,
        kind: 'committed',
        codes: codesBehindCommitment(field, this.#recording.part(field, part, CHEAT, first)!, value as Plain),
      };
    });
  }

  /** What can be done to the message of a round as a whole, on its way to the victim. */
  wholeRows(place: MessagePlace): readonly WholeRow[] {
    const sent = this.#recording.between(CHEAT, VICTIM);
    const index = sent.findIndex(({ frame }) => keyOf(frame) === keyOf(place));
    const message = sent[index];
    if (!message) return [];
    const { operation } = message.frame;
    const earlier = sent.slice(0, index).findLast(({ frame }) => frame.operation === operation);
    const isLast = sent.slice(index + 1).every(({ frame }) => frame.operation !== operation);
    const other = this.#other.find(place, CHEAT, VICTIM)!;
    const altered = encodeFrame({ ...message.frame, ...alteredPart(message.frame) });
    const rows: WholeRow[] = [
      { name: 'dropped', deed: () => [], expect: assertUnheard },
      { name: 'repeated', deed: (bytes) => [bytes, bytes], expect: assertHarmless },
      { name: 'held back until nothing else moves', deed: 'late', expect: assertHarmless },
      { name: 'overtaken by the next', deed: 'overtaken', expect: assertHarmless },
      {
        name: 'followed by another that differs',
        deed: (bytes) => [bytes, altered],
        // With the last message the receiver may have ended.
        expect: (failed) => (isLast && failed.size === 0) || assertRefused(failed, [VICTIM], ['PROTOCOL']),
      },
      { name: "another session's frame", deed: () => [other.bytes], expect: assertUnheard },
    ];
    if (earlier) {
      const { broadcast, direct } = earlier.frame;
      const renamed = encodeFrame({ ...message.frame, broadcast, direct });
      rows.push(
        { name: 'an earlier one again', deed: () => [earlier.bytes], expect: assertUnheard },
        {
          name: 'an earlier one under its name',
          deed: () => [renamed],
          expect: (failed) => assertRefused(failed, [VICTIM], ['PROTOCOL', 'EQUIVOCATION']),
        },
      );
    }
    return rows;
  }
}

/** The frame's parts with one bit turned over. */
function alteredPart({ broadcast, direct }: RoundFrame): Partial<RoundFrame> {
  const altered = (part: Uint8Array) => {
    const value = decode(part, MESSAGE_LIMIT);
    const [path = []] = leafPaths(value);
    const leaf = at(value, path);
    return encode(
      withAt(
        value,
        path,
        typeof leaf === 'boolean' ? !leaf : (leaf as Uint8Array).map((byte) => byte ^ 1),
      ) as Plain,
    );
  };
  return direct ? { direct: altered(direct) } : { broadcast: altered(broadcast!) };
}
