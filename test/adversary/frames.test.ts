// The table of cheats for what is around the messages: every field of the header of every kind of frame, falsified in
// every way, and hello, hello echo, abort, waiting and letter as a whole dropped, repeated, held back, overtaken or
// replaced. The rows are made from the schema of the header. What a peer says when it aborts or waits is hearsay:
// whatever it says, nobody honest is blamed for it. A letter changes nothing in a session.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Plain } from '#src/core/codec.js';
import { ERROR_CODES, type ErrorCode, MpcError } from '#src/core/errors.js';
import { decodeFrame, type Frame, header } from '#src/rounds/frames.js';
import type { HeldSharing, Run } from '#src/rounds/run.js';
import { converse, ROUNDS } from '../rounds/protocol.js';
import {
  assertHarmless,
  assertRefused,
  assertUnheard,
  counts,
  type Deed,
  Delivery,
  each,
  type Failed,
  perform,
  play,
  report,
  sample,
  VICTIM,
} from '../support/attacks.js';
import { type Intercept, type TestParty, valuesOf } from '../support/memory-network.js';
import { mutationsOf } from '../support/mutations.js';
import { ABSENT, type Absent, at, leafPaths, samePlain, withAt } from '../support/plain.js';
import { putTogether, takeApart } from '../support/raw-frames.js';
import { CHEAT, type Scenario } from '../support/scenarios.js';
import { type FieldPath, fieldsOf } from '../support/schemas.js';

const PARTIES = ['alice', CHEAT, 'bob'];

const sharings: readonly HeldSharing[] = [2, 1].map((epoch) => ({
  epoch,
  shid: new Uint8Array(32).fill(epoch),
}));

interface Talk {
  readonly sum: bigint;
  readonly sid: Uint8Array;
}

/** A session of the test protocol, with the cheat's own part in it. */
const scenarioOf = (
  name: string,
  ofCheat: (party: TestParty, run: Run) => Promise<Talk>,
): Scenario<Talk> => ({
  name,
  parties: PARTIES,
  rounds: ROUNDS,
  act: (party) =>
    party.session({ descriptor: { curve: 'P-256', epoch: 2 }, sharings, rounds: ROUNDS }, (run) =>
      party.self === CHEAT ? ofCheat(party, run) : converse(run),
    ),
  settle: (ended) => {
    for (const { sum, sid } of ended.values()) {
      assert.equal(sum, 3n);
      assert.deepEqual(sid, [...ended.values()][0]!.sid);
    }
  },
});

const honest = scenarioOf('a session', (party, run) => {
  const talk = converse(run);
  party.mailbox.announceWaiting();
  const body = new TextEncoder().encode(`nonce ${Buffer.from(run.sid).toString('hex')}`);
  for (const peer of run.peers) party.mailbox.sendLetter(peer, 'a proposal', body).catch(assert.ifError);
  return talk;
});
const aborted = scenarioOf('a session that the cheat aborts', async () => {
  throw new MpcError('PROTOCOL', 'bob broke the protocol', { culprits: ['bob'] });
});

/** A frame that the cheat sends: a kind, and of messages a round. */
interface Place {
  readonly kind: string;
  readonly round: string | undefined;
}

const printPlace = ({ kind, round }: Place): string => (round === undefined ? kind : `${kind} ${round}`);

const isAt =
  ({ kind, round }: Place) =>
  (frame: Frame): boolean =>
    frame.kind === kind && (frame.kind !== 'round' || frame.round === round);

interface Said extends Place {
  readonly to: string;
  readonly from: string;
  readonly bytes: Uint8Array;
}

async function record(scenario: Scenario<Talk>, seed: string): Promise<readonly Said[]> {
  const said: Said[] = [];
  const intercept: Intercept = (from, to, bytes) => {
    const frame = decodeFrame(bytes);
    const round = frame.kind === 'round' ? frame.round : undefined;
    said.push({ from, to, kind: frame.kind, round, bytes });
    return undefined;
  };
  const { outcomes } = await perform(scenario, { intercept }, seed);
  if (scenario === honest) valuesOf(outcomes);
  return said;
}

/** What may come of a frame that can be decoded, by the field that was changed. */
type Expect = (failed: Failed, name: string) => void;

const refusedAs =
  (...codes: ErrorCode[]): Expect =>
  (failed) =>
    assertRefused(failed, [VICTIM], codes);

/** The victim reports that the cheat ended, and nothing worse of anybody. */
const told: Expect = (failed) => {
  const error = failed.get(VICTIM);
  assert.ok(error && ['PEER_ABORTED', 'PEER_LEFT'].includes(error.code), String(error));
  // Whom both parties miss was not heard from.
  if (error.culprits.includes('bob')) assert.match(error.message, /this party waits for bob as well$/);
};

const unheard: Expect = (failed) => {
  if (failed.get(VICTIM)?.code === 'TIMEOUT') assertUnheard(failed);
  else assertRefused(failed, [VICTIM], ['PROTOCOL']);
};

const EXPECTED: Readonly<Record<string, Expect>> = {
  'hello.operation': unheard,
  'hello.version': refusedAs('DISAGREEMENT'),
  'hello.descriptor': refusedAs('DISAGREEMENT'),
  'hello.sharings': refusedAs('DISAGREEMENT', 'EQUIVOCATION'),
  'hello.nonce': refusedAs('EQUIVOCATION'),
  // Its first message comes before its hello echo.
  'hello echo.operation': refusedAs('PROTOCOL'),
  'hello echo.digest': refusedAs('EQUIVOCATION'),
  'round.operation': unheard,
  'round.sid': assertUnheard,
  'round.step': refusedAs('PROTOCOL'),
  'round.round': refusedAs('PROTOCOL'),
  'round.broadcast': refusedAs('PROTOCOL'),
  'round.direct': refusedAs('PROTOCOL'),
  // The other tells it.
  'abort.operation': refusedAs('PEER_ABORTED', 'TIMEOUT'),
  'abort.code': told,
  'abort.culprits': told,
  'abort.reason': told,
  'waiting.operation': assertHarmless,
  'waiting.place': assertHarmless,
  'waiting.peers': assertHarmless,
  'letter.subject': assertHarmless,
};

/** Other values of labels, which no other frame holds in their place. */
const LABELS: Readonly<Record<string, readonly Plain[]>> = {
  round: ROUNDS.flatMap(({ name }) => [name, `${name} echo`]),
  code: Object.keys(ERROR_CODES),
  culprits: [['alice'], ['bob'], [CHEAT, 'bob'], ['nobody here']],
  peers: [['alice'], ['bob'], [CHEAT], ['nobody here']],
};

interface Row {
  readonly name: string;
  readonly forged: ReadonlyMap<string, Uint8Array>;
  readonly decodable: boolean;
  readonly expect: Expect;
}

function isDecodable(bytes: Uint8Array): boolean {
  try {
    decodeFrame(bytes);
    return true;
  } catch {
    return false;
  }
}

class Frames {
  readonly #scenario: Scenario<Talk>;
  readonly #said: readonly Said[];
  readonly #other: readonly Said[];

  constructor(scenario: Scenario<Talk>, said: readonly Said[], other: readonly Said[]) {
    this.#scenario = scenario;
    this.#said = said;
    this.#other = other;
  }

  /** The frames of a kind that the cheat sent, each once. */
  places(kind: string): readonly Place[] {
    const sent = this.#said.filter((said) => said.from === CHEAT && said.to === VICTIM && said.kind === kind);
    return [...new Map(sent.map((said) => [said.round, said])).values()];
  }

  bytes(place: Place, from: string, to: string, said = this.#said): Uint8Array | undefined {
    return said.find((one) => one.from === from && one.to === to && isSame(one, place))?.bytes;
  }

  fieldsIn(place: Place, path: FieldPath): readonly { readonly path: FieldPath }[] {
    const { header } = takeApart(this.bytes(place, CHEAT, VICTIM)!);
    return leafPaths(at(header, path) as Plain, path).map((inner) => ({ path: inner }));
  }

  rows(place: Place, path: FieldPath): readonly Row[] {
    const expect = EXPECTED[`${place.kind}.${path[0]}`];
    return [[VICTIM], [VICTIM, 'bob']].flatMap((receivers) => {
      const forged = receivers.map((to) => [to, this.#forged(place, path, to)] as const);
      const names = [...forged[0]![1].keys()];
      return names.flatMap((name) => {
        const bytes = new Map(forged.flatMap(([to, all]) => (all.get(name) ? [[to, all.get(name)!]] : [])));
        const decodable = [...bytes.values()].some(isDecodable);
        // Where the schema takes a value, the table must say what comes of it.
        if (decodable && !expect)
          throw new Error(`nothing is said of ${place.kind}.${path.join('.')}: ${name}`);
        const row = { name: `${name}, to ${receivers.join(' and ')}`, forged: bytes, decodable };
        return [{ ...row, expect: decodable ? expect! : refusedAs('PROTOCOL') }];
      });
    });
  }

  #forged(place: Place, path: FieldPath, to: string): ReadonlyMap<string, Uint8Array> {
    const { header: honestHeader, parts } = takeApart(this.bytes(place, CHEAT, to)!);
    const found = at(honestHeader, path);
    if (found === ABSENT) return new Map();
    const put = (value: Plain | Absent): Uint8Array => {
      const header = withAt(honestHeader, path, value);
      return putTogether({ header: header === ABSENT ? null : header, parts });
    };
    const fits = (value: Plain) => isDecodable(put(value));
    const elsewhere: Record<string, Plain | Absent> = {};
    const valueFrom = (from: string, said: readonly Said[]) => {
      const bytes = this.bytes(place, from, to, said);
      return bytes ? at(takeApart(bytes).header, path) : ABSENT;
    };
    elsewhere["another session's"] = valueFrom(CHEAT, this.#other);
    elsewhere["another party's"] = valueFrom(to === VICTIM ? 'bob' : VICTIM, this.#said);
    for (const label of LABELS[String(path[0])] ?? []) elsewhere[JSON.stringify(label)] = label;
    // Whole frames of others are replaced further down.
    const known = Object.entries(elsewhere).filter(([, value]) => value !== ABSENT && path.length > 0);
    const forged = new Map<string, Uint8Array>();
    for (const { name, value } of mutationsOf(found, Object.fromEntries(known), fits)) {
      const changed = withAt(honestHeader, path, value);
      if (samePlain(changed, honestHeader)) counts.unchanged += 1;
      else forged.set(name, put(value));
    }
    return forged;
  }

  async falsify(place: Place, { forged, expect, name }: Row): Promise<void> {
    let hits = 0;
    const intercept: Intercept = (from, to, bytes) => {
      if (from !== CHEAT) return undefined;
      const frame = decodeFrame(bytes);
      const other = frame.kind === 'abort' && place.kind !== 'abort' ? [] : undefined;
      const instead = isAt(place)(frame) ? forged.get(to) : undefined;
      if (!instead) return other;
      hits += 1;
      return [instead];
    };
    const failed = await play(this.#scenario, { intercept });
    assert.ok(hits >= forged.size, 'the cheat did not come to act');
    counts.altered += hits;
    expect(failed, name);
  }

  wholeRows(
    place: Place,
  ): readonly { readonly name: string; readonly deed: Deed; readonly expect: Expect }[] {
    const { unheard, again, late, different } = WHOLE[place.kind]!;
    const own = this.bytes(place, CHEAT, VICTIM)!;
    const another = this.bytes(place, CHEAT, VICTIM, this.#other)!;
    const theirs = this.bytes(place, 'bob', VICTIM);
    return [
      { name: 'dropped', deed: () => [], expect: unheard },
      { name: 'repeated', deed: (bytes) => [bytes, bytes], expect: again },
      { name: 'held back until nothing else moves', deed: 'late', expect: late },
      { name: 'overtaken by the next', deed: 'overtaken', expect: late },
      { name: 'cut short', deed: (bytes) => [bytes.subarray(0, -1)], expect: refusedAs('PROTOCOL') },
      {
        name: 'followed by another byte',
        deed: (bytes) => [Uint8Array.from([...bytes, 0])],
        expect: refusedAs('PROTOCOL'),
      },
      ...[another, theirs].flatMap((bytes, k) =>
        bytes && !Buffer.from(bytes).equals(own)
          ? [
              {
                name: `replaced by ${k === 0 ? "another session's" : "another party's"}`,
                deed: () => [bytes],
                expect: different.instead,
              },
              {
                name: `followed by ${k === 0 ? "another session's" : "another party's"}`,
                deed: () => [own, bytes],
                expect: different.after,
              },
            ]
          : [],
      ),
    ];
  }

  async deliver(place: Place, deed: Deed, expect: Expect, name: string): Promise<void> {
    const attack = new Delivery(isAt(place), deed);
    const failed = await play(this.#scenario, attack);
    assert.ok(attack.hits > 0, 'the cheat did not come to act');
    counts.altered += attack.hits;
    expect(failed, name);
  }
}

const isSame = (a: Place, b: Place): boolean => a.kind === b.kind && a.round === b.round;

interface Whole {
  readonly unheard: Expect;
  readonly again: Expect;
  readonly late: Expect;
  readonly different: { readonly instead: Expect; readonly after: Expect };
}

const PROTOCOL = refusedAs('PROTOCOL');

/** What may come of a whole frame that is not where it belongs; on one way frames keep their order. */
const WHOLE: Readonly<Record<string, Whole>> = {
  hello: {
    unheard: PROTOCOL,
    again: assertHarmless,
    late: PROTOCOL,
    different: { instead: refusedAs('EQUIVOCATION'), after: PROTOCOL },
  },
  'hello echo': {
    unheard: PROTOCOL,
    again: assertHarmless,
    late: PROTOCOL,
    different: { instead: refusedAs('EQUIVOCATION'), after: PROTOCOL },
  },
  abort: { unheard: assertUnheard, again: told, late: told, different: { instead: told, after: told } },
  waiting: {
    unheard: assertHarmless,
    again: assertHarmless,
    late: assertHarmless,
    different: { instead: assertHarmless, after: assertHarmless },
  },
  letter: {
    unheard: assertHarmless,
    again: assertHarmless,
    late: assertHarmless,
    different: { instead: assertHarmless, after: assertHarmless },
  },
};

const scenarioWith = (kind: string): Scenario<Talk> => (kind === 'abort' ? aborted : honest);

for (const option of header.options) {
  const [kind = ''] = option.shape.kind.values;
  describe(kind, async () => {
    const scenario = scenarioWith(kind);
    const frames = new Frames(scenario, await record(scenario, 'one'), await record(scenario, 'other'));
    const places = frames.places(kind);
    const fields = fieldsOf(option).flatMap((field) =>
      // The names of a record's fields are in no schema.
      field.kind === 'record' ? [field, ...frames.fieldsIn(places[0]!, field.path)] : [field],
    );
    const covered = new Set<string>();

    for (const place of places) {
      for (const { path } of fields) {
        test([printPlace(place), ...path].join('.'), async () => {
          const rows = frames.rows(place, path);
          assert.notEqual(rows.length, 0, 'a field of the schema without a row');
          await each(
            sample(`${printPlace(place)} ${path}`, rows, ({ decodable }) => decodable, 2),
            (row) => frames.falsify(place, row),
          );
          covered.add(path.join('.'));
        });
      }
      if (kind === 'round') continue;
      test(`${printPlace(place)}, the whole frame`, async () => {
        await each(frames.wholeRows(place), ({ deed, expect, name }) =>
          frames.deliver(place, deed, expect, name),
        );
      });
    }

    test('every field that an honest run sends is in the schema, and has been falsified', () => {
      assert.notEqual(places.length, 0);
      for (const place of places) {
        const { header } = takeApart(frames.bytes(place, CHEAT, VICTIM)!);
        // Lists of any length: what holds for the first item holds for all.
        const sent = leafPaths(header).map((path) => path.join('.').replace(/\.\d+/g, '.0'));
        assert.deepEqual(
          sent.filter((name) => !covered.has(name)),
          [],
        );
      }
    });
  });
}

test('what was done', (t) => {
  for (const line of report()) t.diagnostic(line);
});
