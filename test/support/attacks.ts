/** Attacks on a run: how they are carried out, what must hold after every one of them, and what may come of each. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { ErrorCode, MpcError, PartyName } from '#src/core/errors.js';
import { decodeFrame, type Frame } from '#src/rounds/frames.js';
import type { Intercept, Outcome } from './memory-network.js';
import { type Held, rehearse, rememberingCompute } from './rehearsed.js';
import { CHEAT, type Kept, type Scenario } from './scenarios.js';
import { TORTURE } from './torture.js';

/** The party at which a message to one alone is changed. */
export const VICTIM = 'alice';

export interface Attack {
  readonly intercept: Intercept;
  readonly heldBack?: () => readonly Held[];
}

/** How the honest parties ended that failed; of those that did not, {@link play} has checked how. */
export type Failed = ReadonlyMap<PartyName, MpcError>;

export const counts = { runs: 0, altered: 0, unchanged: 0 };

const compute = rememberingCompute();

/** Runs the scenario from `seed`, and returns how all ended and what they have kept. */
export async function perform<T>(
  scenario: Scenario<T>,
  attack: Attack,
  seed = 'one',
  until = scenario.parties,
) {
  const { parties, act, prepare } = scenario;
  const kept: Kept = new Map();
  prepare?.();
  const outcomes = await rehearse({
    parties,
    act: (party) => act(party, kept),
    until,
    seed,
    compute,
    ...attack,
  });
  return { outcomes, kept };
}

/** Runs the scenario with the attack. What must hold after any attack is checked here. */
export async function play<T>(scenario: Scenario<T>, attack: Attack): Promise<Failed> {
  counts.runs += 1;
  const honest = scenario.parties.filter((party) => party !== CHEAT);
  const { outcomes, kept } = await perform(scenario, attack, 'one', honest);
  const ended = new Map<PartyName, T>();
  const failed = new Map<PartyName, MpcError>();
  for (const name of honest) {
    const outcome = outcomes.get(name) as Outcome<T>;
    if ('value' in outcome) ended.set(name, outcome.value);
    else failed.set(name, outcome.error);
  }
  for (const [name, error] of failed) assertFair(name, error);
  await scenario.settle(ended, kept);
  return failed;
}

/** Codes with which a party ends that was sent something wrong, or heard of it. */
const EXPECTED: readonly ErrorCode[] = ['PROTOCOL', 'EQUIVOCATION', 'DISAGREEMENT', 'PEER_ABORTED'];

/** Nobody honest is blamed; that somebody was not heard from is no blame. */
function assertFair(name: PartyName, { code, culprits, message }: MpcError): void {
  const shown = `${name}: ${code} [${culprits}] ${message}`;
  if (code === 'TIMEOUT' || code === 'PEER_LEFT') return;
  assert.ok(EXPECTED.includes(code), shown);
  assert.deepEqual(culprits, code === 'PROTOCOL' ? [CHEAT] : [], shown);
}

/** All of `names` fail, with one of `codes` or because another did; somebody fails with one of `codes`. */
export function assertRefused(failed: Failed, names: Iterable<PartyName>, codes: readonly ErrorCode[]): void {
  for (const name of names) {
    const error = failed.get(name);
    assert.ok(error, `${name} noticed nothing`);
    assert.ok([...codes, 'PEER_ABORTED'].includes(error.code), `${name}: ${error.code}: ${error.message}`);
  }
  const all = [...failed.values()].map(({ code }) => code);
  assert.ok(
    all.some((code) => codes.includes(code)),
    `${codes} expected, got ${all}`,
  );
}

/** The victim says from whom it did not hear. */
export function assertUnheard(failed: Failed): void {
  const error = failed.get(VICTIM);
  assert.ok(error, `${VICTIM} noticed nothing`);
  assert.deepEqual([error.code, error.culprits], ['TIMEOUT', [CHEAT]], error.message);
}

export const assertHarmless = (failed: Failed): void =>
  assert.deepEqual(
    [...failed].map(([name, error]) => `${name}: ${error.message}`),
    [],
  );

/** What becomes of a frame: other bytes, or it waits until nothing else moves or the next frame has overtaken it. */
export type Deed = ((bytes: Uint8Array) => readonly Uint8Array[]) | 'late' | 'overtaken';

/** Does something to the frames of the cheat's that fit, on their way to `receivers`. What it makes of all this is not heard. */
export class Delivery implements Attack {
  /** How many frames it acted upon: an attack that never came to act proves nothing. */
  hits = 0;
  readonly #fits: (frame: Frame) => boolean;
  readonly #deed: Deed;
  readonly #receivers: readonly PartyName[];
  readonly #held: Held[] = [];

  constructor(fits: (frame: Frame) => boolean, deed: Deed, receivers: readonly PartyName[] = [VICTIM]) {
    this.#fits = fits;
    this.#deed = deed;
    this.#receivers = receivers;
  }

  readonly intercept: Intercept = (from, to, bytes) => {
    if (from !== CHEAT) return undefined;
    const frame = decodeFrame(bytes);
    if (!this.#receivers.includes(to) || !this.#fits(frame)) return this.#other(frame, to, bytes);
    this.hits += 1;
    if (typeof this.#deed === 'function') return this.#deed(bytes);
    this.#held.push({ from, to, bytes });
    return [];
  };

  readonly heldBack = (): readonly Held[] => this.#held.splice(0);

  #other(frame: Frame, to: PartyName, bytes: Uint8Array): readonly Uint8Array[] {
    if (frame.kind === 'abort') return [];
    const overtaken = this.#deed === 'overtaken' ? this.#held.filter((held) => held.to === to) : [];
    for (const held of overtaken) this.#held.splice(this.#held.indexOf(held), 1);
    return [bytes, ...overtaken.map((held) => held.bytes)];
  }
}

/** Chooses the sample: a failing run is repeated with the seed that it printed. */
export const SEED = process.env.TEST_SEED ?? String(process.pid);

/** Some of the rows called `name`: in every run others, and `count` of each kind that there is. */
export function sample<R>(
  name: string,
  rows: readonly R[],
  kindOf: (row: R) => unknown,
  count: number,
): readonly R[] {
  if (TORTURE) return rows;
  const rank = (at: number) => createHash('sha256').update(`${SEED}\n${name}\n${at}`).digest('hex');
  const shuffled = rows
    .map((row, at) => ({ row, rank: rank(at) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ row }) => row);
  const kinds = [...new Set(rows.map(kindOf))];
  return kinds.flatMap((kind) => shuffled.filter((row) => kindOf(row) === kind).slice(0, count));
}

/** Runs rows one after the other, and says which failed how. */
export async function each<R extends { readonly name: string }>(
  rows: readonly R[],
  run: (row: R) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  for (const row of rows) {
    try {
      await run(row);
    } catch (error) {
      failures.push(`${row.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  assert.deepEqual(failures, []);
}

/** The lines that say what was done. */
export const report = (): readonly string[] => [
  `messages altered: ${counts.altered} in ${counts.runs} runs`,
  `count: messages altered ${counts.altered}`,
  `left out, because nothing would have changed: ${counts.unchanged}`,
  ...(TORTURE ? [] : [`the sample was chosen with TEST_SEED=${SEED}`]),
];
