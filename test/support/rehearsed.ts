/**
 * Runs that repeat: every party draws its randomness from a seed, so that a run is the same each time up to what a
 * cheat changes in it. Heavy work on the same input is then done once and remembered; what a changed message brings
 * about is computed afresh. A run ends when nothing moves any more: that, and no clock, is the time-out.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { serialize } from 'node:v8';
import { type Random, randomBytes } from '#src/core/bytes.js';
import { MpcError, type PartyName, throwIfAborted } from '#src/core/errors.js';
import type { Compute } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import {
  type Intercept,
  MemoryCluster,
  type Outcome,
  outcomeOf,
  type TestParty,
  testParty,
} from './memory-network.js';

/** The same bytes again for the same seed. */
export function seededRandom(seed: string): Random {
  const key = createHash('sha256').update(seed).digest();
  const stream = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
  return (length) => new Uint8Array(stream.update(new Uint8Array(length)));
}

/** A {@link Compute} that runs each job once for each input and remembers the output. */
export function rememberingCompute(): Compute {
  const compute = inlineCompute(randomBytes);
  const outputs = new Map<string, unknown>();
  return async (job, input, options) => {
    throwIfAborted(options?.signal);
    const name = createHash('sha256').update(job.name).update('\n').update(serialize(input)).digest('hex');
    if (!outputs.has(name)) outputs.set(name, structuredClone(await compute(job, input, options)));
    // A copy, because the caller wipes the secrets in it.
    return structuredClone(outputs.get(name)) as Awaited<ReturnType<typeof job.run>>;
  };
}

/** Turns of the event loop without a message or a job after which nothing more will come. */
const QUIET_TURNS = 8;

export interface Rehearsal<T> {
  readonly parties: readonly PartyName[];
  readonly act: (party: TestParty) => Promise<T>;
  /** Whose end is waited for; what the others still do then is cut short. Default: all. */
  readonly until?: readonly PartyName[];
  readonly seed: string;
  readonly compute: Compute;
  readonly intercept?: Intercept;
  /** Asked once nothing moves: what was held back until now, if anything. */
  readonly heldBack?: () => readonly Held[];
}

export interface Held {
  readonly from: PartyName;
  readonly to: PartyName;
  readonly bytes: Uint8Array;
}

export const TIME_OUT = 'the time allowed is over';

/** Runs `act` for every party, and returns how each of them ended. Once nothing moves, all are timed out. */
export async function rehearse<T>(rehearsal: Rehearsal<T>): Promise<ReadonlyMap<PartyName, Outcome<T>>> {
  const { parties, act, until = parties, seed, intercept, heldBack } = rehearsal;
  let moves = 0;
  let working = 0;
  const cluster = new MemoryCluster(parties, (from, to, bytes) => {
    moves += 1;
    return intercept?.(from, to, bytes);
  });
  const compute: Compute = async (job, input, options) => {
    working += 1;
    try {
      return await rehearsal.compute(job, input, options);
    } finally {
      working -= 1;
      moves += 1;
    }
  };
  const timeOut = new AbortController();
  const ended = new Set<PartyName>();
  const all = parties.map((name) =>
    testParty(cluster, name, { random: seededRandom(`${seed} ${name}`), compute }),
  );
  const outcomes = all.map(async (party) => {
    const session: TestParty['session'] = (given, body) =>
      party.session({ signal: timeOut.signal, ...given }, body);
    const outcome = await outcomeOf(act({ ...party, session }));
    moves += 1;
    ended.add(party.self);
    return outcome;
  });

  const over = () => until.every((name) => ended.has(name));
  const quiet = async () => {
    for (let idle = 0, seen = moves; idle < QUIET_TURNS && !over(); idle += 1) {
      await turn();
      if (working > 0 || seen !== moves) idle = 0;
      seen = moves;
    }
  };
  await quiet();
  for (const { from, to, bytes } of heldBack?.() ?? []) {
    cluster.deliver(from, to, bytes);
    await quiet();
  }
  // As between machines: who waits says for whom, before it gives up.
  if (!over()) for (const { mailbox } of all) mailbox.announceWaiting();
  await quiet();
  timeOut.abort(new MpcError('TIMEOUT', TIME_OUT));
  const results = await Promise.all(outcomes);
  return new Map(parties.map((name, k) => [name, results[k] as Outcome<T>]));
}
