/**
 * A party that runs the protocols and cheats in parts of them: its jobs, its rounds or its multiplication do something
 * else than they should, the rest is the program's own code. And what the others must make of it.
 */
import assert from 'node:assert/strict';
import type { z } from 'zod';
import type { PartyName } from '#src/core/errors.js';
import type { Compute, Job, Run } from '#src/rounds/run.js';
import type { Outcome, TestParty } from './memory-network.js';

export const CHEAT = 'mallory';

/** What runs in place of a job. */
export interface Substitute {
  readonly job: string;
  readonly run: (input: unknown, honest: (input?: unknown) => Promise<unknown>) => unknown;
}

/** `run` in place of `job`: it gets the job's input, and may run the job itself, with another input if it likes. */
export const instead = <I, O>(
  job: Job<I, O>,
  run: (input: I, honest: (input?: I) => Promise<O>) => unknown,
): Substitute => ({ job: job.name, run: run as Substitute['run'] });

/** The party with other jobs in all its sessions. */
export function withJobs(party: TestParty, substitutes: readonly Substitute[]): TestParty {
  const compute: Compute = async (job, input, options) => {
    const honest = (other: unknown = input) => party.compute(job, other as typeof input, options);
    const substitute = substitutes.find((other) => other.job === job.name);
    // The cast is the point: what a cheat's job gives need not be what the job promises.
    return (substitute ? await substitute.run(input, honest) : await honest()) as never;
  };
  return {
    ...party,
    compute,
    session: (given, body) => party.session({ ...given, compute }, body),
  };
}

/** The party whose rounds go through what `change` makes of its runs. */
export const withRun = (party: TestParty, change: (run: Run) => Partial<Run>): TestParty => ({
  ...party,
  session: (given, body) => party.session(given, (run) => body(changed(run, change(run)))),
});

/** `object` with `changes` in place of its own members. */
export const changed = <T extends object>(object: T, changes: Partial<T>): T =>
  new Proxy(object, {
    get: (target, name) => {
      if (Object.hasOwn(changes, name)) return Reflect.get(changes, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

/** For {@link withRun}: sends messages of the round called `name` by other schemas than it should, and reads by them. */
export const widened = (
  run: Run,
  name: string,
  schemas: { readonly broadcast?: z.ZodType; readonly direct?: z.ZodType },
): Partial<Run> => ({
  broadcastAndExchange: (round, message, direct) => {
    const wide = round.name === name ? { ...round, ...schemas } : round;
    return run.broadcastAndExchange(wide as typeof round, message, direct);
  },
});

/** `act` for every party, with `cheat` for the one called mallory. */
export const cheatingAs =
  <T>(act: (party: TestParty) => Promise<T>, cheat: (party: TestParty) => TestParty) =>
  (party: TestParty): Promise<T> =>
    act(party.self === CHEAT ? cheat(party) : party);

type Outcomes = ReadonlyMap<PartyName, Outcome<unknown>>;

/** The errors of the honest parties, all of which must have failed but those that cannot have noticed. */
function errorsOf(outcomes: Outcomes, cheats: readonly PartyName[], unaware: readonly PartyName[]) {
  return [...outcomes].flatMap(([name, outcome]) => {
    if (cheats.includes(name)) return [];
    assert.equal('error' in outcome, !unaware.includes(name), `${name} has noticed`);
    return 'error' in outcome ? [outcome.error] : [];
  });
}

interface Expected {
  readonly cheats?: readonly PartyName[];
  /** Parties that the cheat was honest with, and that needed nothing more of the others. */
  readonly unaware?: readonly PartyName[];
}

/**
 * Asserts that no honest party ended well, that somebody names exactly the cheats for `reason`, and that whoever
 * names nobody has only heard of it.
 */
export function assertNamed(
  outcomes: Outcomes,
  reason: RegExp,
  { cheats = [CHEAT], unaware = [] }: Expected = {},
): void {
  const errors = errorsOf(outcomes, cheats, unaware);
  for (const { code, culprits, message } of errors) {
    if (code === 'PEER_ABORTED') assert.deepEqual(culprits, []);
    else assert.deepEqual([code, culprits], ['PROTOCOL', cheats], message);
    if (code === 'PROTOCOL') assert.match(message, reason);
  }
  assert.ok(errors.some(({ code }) => code === 'PROTOCOL'));
}

/** As {@link assertNamed}, for what shows that somebody cheated, and not who. */
export function assertNobodyNamed(
  outcomes: Outcomes,
  reason: RegExp,
  { cheats = [CHEAT], unaware = [] }: Expected = {},
): void {
  const errors = errorsOf(outcomes, cheats, unaware);
  for (const { code, culprits, message } of errors) {
    assert.deepEqual(culprits, []);
    if (code !== 'PEER_ABORTED') assert.equal(code, 'EQUIVOCATION', message);
    if (code === 'EQUIVOCATION') assert.match(message, reason);
  }
  assert.ok(errors.some(({ code }) => code === 'EQUIVOCATION'));
}
