/** The {@link Run} of an open session, over its channel. */

import type { z } from 'zod';
import { equalBytes } from '../core/bytes.js';
import { decodeAs, encodeAs, UndecodableError } from '../core/codec.js';
import { invariant, MpcError, type PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import { brokeProtocol, viewsDiffer } from './blame.js';
import type { Channel } from './channel.js';
import type { RoundFrame } from './frames.js';
import {
  type AnyRound,
  type Compute,
  type HeldSharing,
  type Job,
  type MessageOf,
  ofPeer,
  type PeerMap,
  type Progress,
  peerMap,
  peerMapAsync,
  type Round,
  type Run,
} from './run.js';
import { echoRound, placeOf } from './slots.js';
import { printable } from './untrusted.js';

/** The encoded parts of one message. */
interface Parts {
  readonly broadcast: Uint8Array | null;
  readonly direct: Uint8Array | null;
}

export interface RunOptions {
  readonly channel: Channel;
  readonly sid: Uint8Array;
  readonly sharing: HeldSharing | undefined;
  readonly random: Run['random'];
  readonly compute: Compute;
  readonly progress: Progress;
}

export class SessionRun implements Run {
  readonly self: PartyName;
  readonly parties: readonly PartyName[];
  readonly peers: readonly PartyName[];
  readonly sid: Uint8Array;
  readonly sharing: HeldSharing | undefined;
  readonly signal: AbortSignal;
  readonly random: Run['random'];
  readonly progress: Progress;
  readonly #channel: Channel;
  readonly #compute: Compute;
  /** This party's echo of every finished broadcast round. */
  readonly #echoes = new Map<string, Uint8Array>();
  /** Rounds whose echo rides on a message that has not been compared yet. */
  readonly #unchecked = new Set<string>();
  /** What begins when a message of a round arrives, in the order in which it was given. */
  readonly #onArrival = new Map<string, ((peer: PartyName, message: unknown) => void)[]>();
  /** All that has begun so. */
  readonly #begun: Promise<unknown>[] = [];
  #exchanging = false;

  constructor({ channel, sid, sharing, random, compute, progress }: RunOptions) {
    this.self = channel.self;
    this.parties = channel.parties;
    this.peers = channel.peers;
    this.sid = sid;
    this.sharing = sharing;
    this.signal = channel.signal;
    this.random = random;
    this.progress = progress;
    this.#channel = channel;
    this.#compute = compute;
  }

  broadcast<B>(round: Round<B, never>, message: B): Promise<PeerMap<B>> {
    return kept(async () => {
      const broadcast = encodePart(round, round.broadcast, message);
      const sent = peerMap(this.peers, () => ({ broadcast, direct: null }));
      const received = await this.#exchange(round, sent, this.peers, (peer, parts) => ({
        bytes: present(parts.broadcast),
        value: this.#arrived(round, peer, decodePart(peer, round, round.broadcast, parts.broadcast)),
      }));
      await this.#echo(round, broadcast, received);
      return peerMap(this.peers, (peer) => ofPeer(received, peer).value);
    });
  }

  exchange<D>(
    round: Round<never, D>,
    messages: PeerMap<D>,
    from: readonly PartyName[] = this.peers,
  ): Promise<PeerMap<D>> {
    return kept(() => {
      const sent = peerMap(messages.keys(), (peer) => ({
        broadcast: null,
        direct: encodePart(round, round.direct, ofPeer(messages, peer)),
      }));
      return this.#exchange(round, sent, from, (peer, parts) =>
        this.#arrived(round, peer, decodePart(peer, round, round.direct, parts.direct)),
      );
    });
  }

  broadcastAndExchange<B, D>(
    round: Round<B, D>,
    message: B,
    direct: PeerMap<D>,
  ): Promise<PeerMap<{ readonly broadcast: B; readonly direct: D }>> {
    return kept(async () => {
      const broadcast = encodePart(round, round.broadcast, message);
      const sent = peerMap(this.peers, (peer) => ({
        broadcast,
        direct: encodePart(round, round.direct, ofPeer(direct, peer)),
      }));
      const received = await this.#exchange(round, sent, this.peers, (peer, parts) => ({
        bytes: present(parts.broadcast),
        value: this.#arrived(round, peer, {
          broadcast: decodePart(peer, round, round.broadcast, parts.broadcast),
          direct: decodePart(peer, round, round.direct, parts.direct),
        }),
      }));
      await this.#echo(round, broadcast, received);
      return peerMap(this.peers, (peer) => ofPeer(received, peer).value);
    });
  }

  onArrival<R extends AnyRound, T>(
    round: R,
    work: (peer: PartyName, message: MessageOf<R>) => T | Promise<T>,
  ): (peer: PartyName) => Promise<T> {
    const results = new Map<PartyName, Promise<T>>();
    const begin = (peer: PartyName, message: unknown) => {
      const result = kept(async () => work(peer, message as MessageOf<R>));
      results.set(peer, result);
      this.#begun.push(result);
    };
    const place = placeOf(round);
    this.#onArrival.set(place, [...(this.#onArrival.get(place) ?? []), begin]);
    return (peer) => ofPeer(results, peer);
  }

  echo(round: AnyRound): Uint8Array {
    const echo = this.#echoes.get(placeOf(round));
    invariant(echo, `the broadcast of ${placeOf(round)} has not finished`);
    return echo;
  }

  checkEcho(round: AnyRound, echoes: PeerMap<Uint8Array>): void {
    this.#compareViews(placeOf(round), this.echo(round), echoes);
    this.#unchecked.delete(placeOf(round));
  }

  confirm(round: Round<never, Uint8Array>, digest: Uint8Array): Promise<void> {
    return kept(async () => {
      const digests = await this.exchange(
        round,
        peerMap(this.peers, () => digest),
      );
      this.#compareViews(placeOf(round), digest, digests);
    });
  }

  check(name: string, verify: (peer: PartyName) => boolean | Promise<boolean>): Promise<void> {
    return kept(async () => {
      this.#channel.throwIfFailed();
      const holds = await peerMapAsync(this.peers, async (peer) => verify(peer));
      const culprits = this.peers.filter((peer) => !ofPeer(holds, peer));
      if (culprits.length > 0) throw brokeProtocol(culprits, `the check of ${name} fails`);
    });
  }

  fail(reason: string): never {
    const quorum = this.parties.join(', ');
    throw new MpcError('EQUIVOCATION', `${reason}: someone among ${quorum} cheated, nobody can be named`);
  }

  compute<I, O>(
    job: Job<I, O>,
    input: I,
    { toTheEnd = false }: { readonly toTheEnd?: boolean } = {},
  ): Promise<O> {
    return kept(() => {
      this.#channel.throwIfFailed();
      return this.#compute(job, input, toTheEnd ? {} : { signal: this.signal });
    });
  }

  /** Resolves when nothing is owed any more. Throws `BUG` when the protocol never compared an echo that rides. */
  async finished(): Promise<void> {
    const [round] = this.#unchecked;
    invariant(round === undefined, `the echo of ${round} was never compared`);
    await this.#channel.agreed();
  }

  /**
   * Resolves when nothing is at work any more that began on the arrival of a message. For a session that has failed:
   * its jobs end with it, but for those that go on to the end, and what follows from these is done then.
   */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#begun);
  }

  /** Sends the parts in `sent` and reads those of `from`, once all participants are known to agree on the session. */
  async #exchange<T>(
    round: AnyRound,
    sent: PeerMap<Parts>,
    from: readonly PartyName[],
    read: (peer: PartyName, frame: RoundFrame) => T,
  ): Promise<PeerMap<T>> {
    const strangers = [...sent.keys(), ...from].filter((party) => !this.peers.includes(party));
    invariant(strangers.length === 0, `${strangers.join(', ')} take no part in this session`);
    // Otherwise this party could get two rounds ahead of another, and be blamed for it.
    invariant(!this.#exchanging, `${placeOf(round)} was begun within another round`);
    this.#exchanging = true;
    try {
      this.#channel.enter(round);
      const received = this.#channel.messages(round, from, read);
      const sending = peerMapAsync(sent.keys(), (peer) => this.#send(round, peer, ofPeer(sent, peer)));
      const [messages] = await Promise.all([received, sending]);
      return messages;
    } finally {
      this.#exchanging = false;
    }
  }

  /** Begins the work on a message that has come; returns the message. */
  #arrived<M>(round: AnyRound, peer: PartyName, message: M): M {
    for (const begin of this.#onArrival.get(placeOf(round)) ?? []) begin(peer, message);
    return message;
  }

  async #send(round: AnyRound, to: PartyName, parts: Parts): Promise<void> {
    const { step, name } = round;
    const { operation } = this.#channel;
    const size = (parts.broadcast?.length ?? 0) + (parts.direct?.length ?? 0);
    invariant(size <= round.maxBytes, `a message of ${placeOf(round)} is longer than its limit`);
    await this.#channel.send(to, { kind: 'round', operation, sid: this.sid, step, round: name, ...parts });
  }

  /** Hashes the broadcast parts and, when the round's echo is its own, compares the hash with every peer's. */
  async #echo(
    round: AnyRound,
    own: Uint8Array,
    received: PeerMap<{ readonly bytes: Uint8Array }>,
  ): Promise<void> {
    const parts = this.parties.map((party) => (party === this.self ? own : ofPeer(received, party).bytes));
    const echo = hash('echo', [this.sid, round.step, round.name, parts]);
    this.#echoes.set(placeOf(round), echo);
    if (round.echo === 'rides') this.#unchecked.add(placeOf(round));
    if (round.echo !== 'own') return;
    const echoes = await this.exchange(
      echoRound(round),
      peerMap(this.peers, () => echo),
    );
    this.#compareViews(placeOf(round), echo, echoes);
  }

  #compareViews(what: string, own: Uint8Array, theirs: PeerMap<Uint8Array>): void {
    const others = this.peers.filter((peer) => !equalBytes(ofPeer(theirs, peer), own));
    if (others.length > 0) throw viewsDiffer(this.self, others, what);
  }
}

/**
 * A promise whose failure may go unnoticed: the caller learns of it when it awaits this promise, or by the failure of
 * the session at its next step, never by an unhandled rejection.
 */
function kept<T>(work: () => Promise<T>): Promise<T> {
  const promise = (async () => work())();
  promise.catch(() => {});
  return promise;
}

const present = (part: Uint8Array | null): Uint8Array => {
  invariant(part, 'a message was accepted without its part');
  return part;
};

function encodePart<T>(round: AnyRound, schema: z.ZodType<T> | undefined, value: T): Uint8Array {
  invariant(schema, `${placeOf(round)} has no such part`);
  return encodeAs(schema, value);
}

function decodePart<T>(
  peer: PartyName,
  round: AnyRound,
  schema: z.ZodType<T> | undefined,
  part: Uint8Array | null,
): T {
  invariant(schema, `${placeOf(round)} has no such part`);
  try {
    return decodeAs(schema, present(part), round.maxBytes);
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    throw brokeProtocol(
      [peer],
      `an undecodable message of ${placeOf(round)} (${printable(error.message, 100)})`,
    );
  }
}
