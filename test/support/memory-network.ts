/** A network in memory, and all parties of a test run over it. */
import { type Random, randomBytes } from '#src/core/bytes.js';
import { asMpcError, MpcError, type PartyName } from '#src/core/errors.js';
import { encodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import { Mailbox, type MailboxOptions } from '#src/rounds/mailbox.js';
import type { Network, NetworkHandler } from '#src/rounds/network.js';
import type { Compute, Run } from '#src/rounds/run.js';
import { type SessionOptions, withSession } from '#src/rounds/session.js';
import { inlineCompute } from '#src/work/inline.js';

/** What really arrives at `to` when `from` sends `bytes`; undefined: just that. */
export type Intercept = (
  from: PartyName,
  to: PartyName,
  bytes: Uint8Array,
) => readonly Uint8Array[] | undefined;

/** The message of a round with another last byte in what is for its receiver alone. */
export const garbled = (frame: RoundFrame): Uint8Array =>
  encodeFrame({ ...frame, direct: frame.direct!.with(-1, frame.direct!.at(-1)! ^ 1) });

/** Delivers in order and asynchronously, without limits. */
export class MemoryCluster {
  readonly parties: readonly PartyName[];
  readonly #intercept: Intercept;
  readonly #handlers = new Map<PartyName, Set<NetworkHandler>>();
  readonly #lost = new Set<PartyName>();

  constructor(parties: readonly PartyName[], intercept: Intercept = () => undefined) {
    this.parties = parties;
    this.#intercept = intercept;
  }

  /** The network of `self`. Asked for again, `self` has restarted: the earlier one is cut off, the others are told. */
  network(self: PartyName): Network {
    const handlers = new Set<NetworkHandler>();
    if (this.#handlers.has(self)) this.lose(self);
    this.#handlers.set(self, handlers);
    return {
      self,
      parties: this.parties,
      send: async (to, bytes) => {
        if (this.#handlers.get(self) !== handlers) return;
        if (this.#lost.has(to)) throw lossOf(to);
        this.deliver(self, to, ...(this.#intercept(self, to, bytes) ?? [bytes]));
      },
      subscribe: (handler) => {
        handlers.add(handler);
        return () => handlers.delete(handler);
      },
    };
  }

  /** The frames arrive at `to` as sent by `from`, all at once, after all that came before. */
  deliver(from: PartyName, to: PartyName, ...frames: readonly Uint8Array[]): void {
    setImmediate(() => {
      for (const bytes of frames)
        for (const handler of this.#handlers.get(to) ?? []) handler.message(from, bytes);
    });
  }

  /** Both learn that the other is lost, after all that was sent before. */
  separate(one: PartyName, other: PartyName): void {
    setImmediate(() => {
      for (const [party, peer] of [
        [one, other],
        [other, one],
      ] as const)
        for (const handler of this.#handlers.get(party) ?? []) handler.lost(peer, lossOf(peer));
    });
  }

  /** All others learn that `peer` is lost, after all that it sent before; with `forGood` it stays so. */
  lose(peer: PartyName, { forGood = false } = {}): void {
    if (forGood) this.#lost.add(peer);
    setImmediate(() => {
      for (const [party, handlers] of this.#handlers)
        if (party !== peer) for (const handler of handlers) handler.lost(peer, lossOf(peer));
    });
  }
}

const lossOf = (peer: PartyName): MpcError =>
  new MpcError('PEER_LEFT', `${peer} has restarted`, { culprits: [peer], hint: 'start again' });

/** One party of a test. */
export interface TestParty {
  readonly self: PartyName;
  readonly parties: readonly PartyName[];
  readonly cluster: MemoryCluster;
  readonly mailbox: Mailbox;
  readonly random: Random;
  readonly compute: Compute;
  /** What its mailbox would have logged. */
  readonly notices: string[];
  /** A session with all parties, named `test`, of an empty descriptor, without a time-out, unless `options` say otherwise. */
  session<T>(options: Partial<SessionOptions>, body: (run: Run) => Promise<T>): Promise<T>;
}

export type Outcome<T> = { readonly value: T } | { readonly error: MpcError };

export interface TestOptions {
  readonly intercept?: Intercept;
  readonly random?: Random;
  /** Default: each party's jobs run in this thread. */
  readonly compute?: Compute;
  /** What its mailbox is to do besides noting what it drops. */
  readonly mailbox?: MailboxOptions;
}

export function testParty(cluster: MemoryCluster, self: PartyName, options: TestOptions = {}): TestParty {
  const random = options.random ?? randomBytes;
  const compute = options.compute ?? inlineCompute(random);
  const notices: string[] = [];
  const mailbox = new Mailbox(cluster.network(self), {
    notice: (text) => notices.push(text),
    ...options.mailbox,
  });
  const { parties } = cluster;
  const defaults = { operation: 'test', parties, descriptor: {}, rounds: [], random, compute };
  return {
    self,
    parties,
    cluster,
    mailbox,
    random,
    compute,
    notices,
    session: (given, body) => {
      const signal = given.signal ?? new AbortController().signal;
      return withSession(mailbox, { ...defaults, ...given, signal }, body);
    },
  };
}

/** Runs `act` for every party over one cluster, and returns how each of them ended. */
export async function runParties<T>(
  parties: readonly PartyName[],
  act: (party: TestParty) => Promise<T>,
  options: TestOptions = {},
): Promise<ReadonlyMap<PartyName, Outcome<T>>> {
  const cluster = new MemoryCluster(parties, options.intercept);
  const all = parties.map((name) => testParty(cluster, name, options));
  const outcomes = await Promise.all(all.map((party) => outcomeOf(act(party))));
  return new Map(parties.map((name, at) => [name, outcomes[at] as Outcome<T>]));
}

export const outcomeOf = <T>(result: Promise<T>): Promise<Outcome<T>> =>
  result.then(
    (value) => ({ value }),
    (error: unknown) => ({ error: asMpcError(error) }),
  );

/** What `party` returned; throws its error when it failed. */
export function valueAt<T>(outcomes: ReadonlyMap<PartyName, Outcome<T>>, party: PartyName): T {
  const outcome = outcomes.get(party);
  if (!outcome) throw new Error(`no party ${party}`);
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

/** How `party` failed; throws when it did not. */
export function errorAt(outcomes: ReadonlyMap<PartyName, Outcome<unknown>>, party: PartyName): MpcError {
  const outcome = outcomes.get(party);
  if (!outcome || !('error' in outcome)) throw new Error(`${party} did not fail`);
  return outcome.error;
}

/** What every party returned, in their order; throws the first error. */
export const valuesOf = <T>(outcomes: ReadonlyMap<PartyName, Outcome<T>>): T[] =>
  [...outcomes.keys()].map((party) => valueAt(outcomes, party));
