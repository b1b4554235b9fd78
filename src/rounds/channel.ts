/**
 * One party's traffic with the other participants of one operation: the hellos and what follows from them, the
 * messages of the rounds, whom it waits for, and the first failure, which ends all of it. docs/protocol.md §1.
 */
import { equalBytes } from '../core/bytes.js';
import { asMpcError, invariant, type MpcError, type PartyName } from '../core/errors.js';
import {
  abortFrame,
  abortReceived,
  brokeProtocol,
  isLeaving,
  notHeardFrom,
  peerLeft,
  viewsDiffer,
} from './blame.js';
import {
  type AbortFrame,
  encodeFrame,
  type HelloFrame,
  MAX_PARTIES,
  type OperationFrame,
  type RoundFrame,
  type SentFrame,
  type WaitingFrame,
} from './frames.js';
import { checkAgreement, chooseSharing, helloDigest, sessionId, versionsDiffer } from './hello.js';
import type { Network } from './network.js';
import { type AnyRound, type HeldSharing, ofPeer, type PeerMap, peerMap } from './run.js';
import { placeOf, Slots } from './slots.js';
import { Waits } from './waits.js';

/** Told of what is dropped although no honest peer sends it. */
export type Notice = (from: PartyName, what: string) => void;

export interface ChannelOptions {
  /** Participants in canonical order, this party included. */
  readonly parties: readonly PartyName[];
  /** What this party opens the operation with. */
  readonly hello: HelloFrame;
  readonly rounds: readonly AnyRound[];
}

interface Received<F> {
  readonly frame: F;
  readonly bytes: Uint8Array;
}

/** What all hellos together fix. */
interface Agreement {
  readonly sid: Uint8Array;
  readonly sharing: HeldSharing | undefined;
  /** This party's hello echo; every peer's must equal it. */
  readonly echo: Uint8Array;
}

/** What a peer has sent so far, its hello apart. */
interface Peer {
  helloEcho?: Uint8Array;
  /** Its hello echo has been compared and equals this party's. */
  agrees?: boolean;
  /** Its message of the first round, when that came before this party had all hellos. */
  early?: Received<RoundFrame>;
  /** Whom it said last that it waits for. */
  waiting?: WaitingFrame;
  /** Why nothing more will come from it. */
  loss?: MpcError;
  /** A note of whom this party waits for is still on its way to it. */
  beingTold?: boolean;
}

export class Channel {
  readonly operation: string;
  readonly self: PartyName;
  readonly parties: readonly PartyName[];
  readonly peers: readonly PartyName[];
  /** This party's hello, as sent. */
  readonly hello: Uint8Array;
  /** Parties that take no part, or no longer, but said hello and have got an answer. */
  readonly answered = new Set<PartyName>();
  readonly #network: Network;
  readonly #notice: Notice;
  readonly #ownHello: HelloFrame;
  readonly #slots: Slots;
  readonly #waits = new Waits();
  readonly #states: PeerMap<Peer>;
  /** Every participant's hello so far, from the start this party's own. */
  readonly #hellos = new Map<PartyName, Received<HelloFrame>>();
  /** The first abort of every peer that has sent one. */
  readonly #aborts = new Map<PartyName, AbortFrame>();
  readonly #controller = new AbortController();
  #agreement: Agreement | undefined;
  #failure: MpcError | undefined;

  constructor(network: Network, notice: Notice, options: ChannelOptions) {
    checkParties(network, options.parties);
    this.operation = options.hello.operation;
    this.self = network.self;
    this.parties = options.parties;
    this.peers = options.parties.filter((party) => party !== network.self);
    this.#network = network;
    this.#notice = notice;
    this.#ownHello = options.hello;
    this.#slots = new Slots(options.rounds);
    this.#states = peerMap(this.peers, () => ({}));
    this.hello = encodeFrame(options.hello);
    this.#hellos.set(this.self, { frame: options.hello, bytes: this.hello });
  }

  /** Aborted, with the failure as its reason, when the channel fails. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  // --- Sending

  /** Resolves when the network has accepted `frame`, or `to` is lost: that matters once it is waited for. */
  send(to: PartyName, frame: SentFrame): Promise<void> {
    return this.#sendBytes([to], encodeFrame(frame));
  }

  sendAll(frame: SentFrame): Promise<void> {
    return this.#sendBytes(this.peers, encodeFrame(frame));
  }

  /** Tells every peer whom this party waits for, unless the note before is still on its way. */
  announceWaiting(): void {
    const pending = this.#waits.pending;
    const [place = this.#slots.currentPlace] = pending.values();
    const peers = [...pending.keys()];
    const bytes = encodeFrame({ kind: 'waiting', operation: this.operation, place, peers });
    for (const [peer, state] of this.#states) {
      if (state.beingTold) continue;
      state.beingTold = true;
      this.#post(peer, bytes, () => {
        state.beingTold = false;
      });
    }
  }

  /** Tells every peer that this party has ended the operation for `error`. */
  sendAbort(error: MpcError): void {
    const bytes = encodeFrame(abortFrame(this.operation, error));
    for (const peer of this.peers) this.#post(peer, bytes);
  }

  async #sendBytes(peers: readonly PartyName[], bytes: Uint8Array): Promise<void> {
    this.throwIfFailed();
    const accepted = new Set<PartyName>();
    for (const peer of peers)
      this.#post(peer, bytes, () => {
        accepted.add(peer);
        this.#attend(() => {});
      });
    const done = (peer: PartyName) => accepted.has(peer) || this.#state(peer).loss !== undefined;
    await this.#until('taking a message', peers, (peer) => done(peer) || undefined);
  }

  /** Hands `bytes` to the network, and calls `accepted` when it has taken them. */
  #post(to: PartyName, bytes: Uint8Array, accepted: () => void = () => {}): void {
    this.#network.send(to, bytes).then(accepted, (cause: unknown) => {
      const error = asMpcError(cause);
      if (error.code === 'PEER_LEFT') this.lost(to, error);
      else this.fail(error);
    });
  }

  // --- Waiting

  /** Sends this party's hello and, once all have come and agree, its hello echo. */
  async open(): Promise<Agreement> {
    const everyHello = this.#until('the hello', this.peers, (peer) => this.#hellos.get(peer));
    await Promise.all([this.#sendBytes(this.peers, this.hello), everyHello]);
    const agreement = this.#agreement;
    invariant(agreement, 'all hellos are here, but nothing follows from them');
    await this.sendAll({ kind: 'hello echo', operation: this.operation, digest: agreement.echo });
    return agreement;
  }

  /** Resolves when every peer's view of the hellos equals this party's: no round completes before. */
  async agreed(): Promise<void> {
    if (this.peers.every((peer) => this.#state(peer).agrees)) return;
    await this.#until('the hello echo', this.peers, (peer) => this.#state(peer).agrees);
  }

  /** Makes `round` the current one; its messages may go out. */
  enter(round: AnyRound): void {
    this.throwIfFailed();
    this.#slots.enter(round);
  }

  /** What `read` makes of the messages of `from` in `round`, each read as it comes. */
  async messages<T>(
    round: AnyRound,
    from: readonly PartyName[],
    read: (peer: PartyName, frame: RoundFrame) => T,
  ): Promise<PeerMap<T>> {
    await this.agreed();
    return this.#until(placeOf(round), from, (peer) => {
      const frame = this.#slots.message(round, peer);
      return frame && read(peer, frame);
    });
  }

  #until<T>(
    place: string,
    peers: readonly PartyName[],
    ready: (peer: PartyName) => T | undefined,
  ): Promise<PeerMap<T>> {
    if (this.#failure) return Promise.reject(this.#failure);
    const values = this.#waits.until(place, peers, ready);
    this.#attend(() => {});
    return values;
  }

  // --- Receiving

  /** Whether `from` takes part; after a restart it does not. */
  hears(from: PartyName): boolean {
    const state = this.#states.get(from);
    return state !== undefined && state.loss === undefined;
  }

  /** Takes in what `from`, which this channel {@link hears}, has sent. */
  receive(from: PartyName, frame: OperationFrame, bytes: Uint8Array): void {
    this.#attend(() => this.#accept(from, frame, bytes));
  }

  /** Nothing more will come from `peer`. */
  lost(peer: PartyName, loss: MpcError): void {
    this.#attend(() => {
      this.#state(peer).loss ??= loss;
    });
  }

  /** Lets an event happen and draws all conclusions; what any of that throws is this channel's failure. */
  #attend(event: () => void): void {
    if (this.#failure) return;
    try {
      event();
      this.#judgeAborts();
      this.#waits.poll();
      this.#judgeLosses();
    } catch (error) {
      this.fail(asMpcError(error));
    }
  }

  #accept(from: PartyName, frame: OperationFrame, bytes: Uint8Array): void {
    const peer = this.#state(from);
    if (frame.kind === 'waiting') {
      peer.waiting = frame;
      return;
    }
    delete peer.waiting;
    if (frame.kind === 'foreign hello') throw versionsDiffer(from, frame.version);
    if (frame.kind === 'hello') this.#acceptHello(from, frame, bytes);
    else if (frame.kind === 'hello echo') this.#acceptHelloEcho(from, frame.digest);
    else if (frame.kind === 'round') this.#acceptMessage(from, frame, bytes);
    else if (!this.#aborts.has(from)) this.#aborts.set(from, frame);
  }

  #acceptHello(from: PartyName, frame: HelloFrame, bytes: Uint8Array): void {
    const earlier = this.#hellos.get(from);
    if (earlier && equalBytes(earlier.bytes, bytes)) return;
    if (earlier) throw brokeProtocol([from], 'two different hellos');
    this.#hellos.set(from, { frame, bytes });
    checkAgreement(this.#ownHello, from, frame);
    if (this.#hellos.size === this.parties.length) this.#agree();
  }

  /** All hellos are here: draws what follows from them, and looks at what came early. */
  #agree(): void {
    const hellos = peerMap(this.parties, (party) => ofPeer(this.#hellos, party));
    const frames = peerMap(this.parties, (party) => ofPeer(hellos, party).frame);
    const sharing = chooseSharing(frames);
    const sid = sessionId(frames, this.#ownHello, sharing);
    const bytes = Array.from(hellos.values(), (hello) => hello.bytes);
    this.#agreement = { sid, sharing, echo: helloDigest(sid, bytes) };
    for (const peer of this.peers) this.#compareHelloEcho(peer);
  }

  #acceptHelloEcho(from: PartyName, digest: Uint8Array): void {
    const peer = this.#state(from);
    if (!this.#hellos.has(from)) throw brokeProtocol([from], 'a hello echo before its hello');
    if (peer.helloEcho && equalBytes(peer.helloEcho, digest)) return;
    if (peer.helloEcho) throw brokeProtocol([from], 'two different hello echoes');
    peer.helloEcho = digest;
    this.#compareHelloEcho(from);
  }

  #compareHelloEcho(from: PartyName): void {
    const peer = this.#state(from);
    if (!this.#agreement || !peer.helloEcho) return;
    if (!equalBytes(peer.helloEcho, this.#agreement.echo)) throw viewsDiffer(this.self, [from], 'the hellos');
    peer.agrees = true;
    if (peer.early) this.#put(from, peer.early.frame, peer.early.bytes);
    delete peer.early;
  }

  #acceptMessage(from: PartyName, frame: RoundFrame, bytes: Uint8Array): void {
    const peer = this.#state(from);
    if (!peer.helloEcho) throw brokeProtocol([from], 'a message before its hello echo');
    if (peer.agrees) this.#put(from, frame, bytes);
    else if (!peer.early) peer.early = { frame, bytes };
    else if (!equalBytes(peer.early.bytes, bytes))
      throw brokeProtocol([from], "more than one message before it had this party's hello echo");
  }

  #put(from: PartyName, frame: RoundFrame, bytes: Uint8Array): void {
    invariant(this.#agreement, 'a message is looked at before there is a session');
    if (equalBytes(frame.sid, this.#agreement.sid)) this.#slots.put(from, frame, bytes);
    else this.#notice(from, `a message for ${this.operation}, which has no session of that identifier`);
  }

  // --- Failing

  /** Ends everything here with `error`, unless something did before; returns the first failure. */
  fail(error: MpcError): MpcError {
    if (this.#failure) return this.#failure;
    this.#failure = error;
    this.#controller.abort(error);
    this.#waits.reject(error);
    return error;
  }

  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Fails because the caller gave up for `reason`; a time-out says who was not heard from. */
  giveUp(reason: MpcError): void {
    const [aborted] = this.#aborts;
    if (reason.code !== 'TIMEOUT') this.fail(reason);
    else this.fail(aborted ? this.#abortError(...aborted) : this.#timeOut(reason));
  }

  #timeOut(reason: MpcError): MpcError {
    const notes = new Map<PartyName, WaitingFrame>();
    for (const [peer, { waiting }] of this.#states) if (waiting) notes.set(peer, waiting);
    return notHeardFrom(reason, this.#waits.pending, this.#slots.currentPlace, notes, this.parties);
  }

  /**
   * An abort is final, unless the hello that shows this party the same disagreement may still come. Who aborts without
   * a hello of its own has not compared any: it does not take part in operations of this name.
   */
  #judgeAborts(): void {
    for (const [sender, abort] of this.#aborts) {
      const maySee = this.#hellos.has(sender) && this.#hellosMayCome();
      if (abort.code !== 'DISAGREEMENT' || !maySee) throw this.#abortError(sender, abort);
    }
  }

  #hellosMayCome(): boolean {
    const done = (peer: PartyName) => this.#hellos.has(peer) || this.#aborts.has(peer);
    return this.peers.some((peer) => !done(peer) && !this.#state(peer).loss);
  }

  #abortError(sender: PartyName, abort: AbortFrame): MpcError {
    const pending = this.#waits.pending;
    for (const name of isLeaving(abort) ? abort.culprits : []) {
      const loss = this.#states.get(name)?.loss;
      if (loss) return peerLeft(name, pending.get(name) ?? this.#slots.currentPlace, loss);
    }
    return abortReceived(sender, abort, this.parties, [...pending.keys()]);
  }

  /**
   * That a peer is lost matters when something of it is still needed: it may have sent all that it had to, and ended
   * well. Nobody ends well before this party has all hellos.
   */
  #judgeLosses(): void {
    const pending = this.#waits.pending;
    for (const [peer, { loss }] of this.#states) {
      const place = pending.get(peer) ?? (this.#agreement ? undefined : 'the hello echo');
      if (loss && place !== undefined) throw peerLeft(peer, place, loss);
    }
  }

  #state(peer: PartyName): Peer {
    return ofPeer(this.#states, peer);
  }
}

function checkParties(network: Network, parties: readonly PartyName[]): void {
  invariant(parties.length >= 2 && parties.length <= MAX_PARTIES, 'too few or too many participants');
  invariant(parties.includes(network.self), `${network.self} is not among the participants`);
  const ordered = network.parties.filter((party) => parties.includes(party));
  invariant(
    ordered.join() === parties.join(),
    'the participants are not parties of the cluster in its order',
  );
}
