/**
 * Routes what the network delivers to the operations that this party has open. What comes for an operation that
 * is not open here yet waits, within bounds per peer; what comes for one that has ended is dropped. Letters belong to
 * no operation and go to whoever takes them.
 */
import { equalBytes } from '../core/bytes.js';
import { asMpcError, invariant, MpcError, type PartyName } from '../core/errors.js';
import { abortFrame, brokeProtocol } from './blame.js';
import { Channel, type ChannelOptions } from './channel.js';
import { decodeFrame, encodeFrame, type Frame, type LetterFrame, type OperationFrame } from './frames.js';
import type { Network } from './network.js';
import { ofPeer, type PeerMap, peerMap } from './run.js';
import { printable, quoted } from './untrusted.js';

/** Bounds per peer on what waits for operations not open here yet. */
const EARLY_OPERATIONS = 64;
const EARLY_BYTES = 8 * 1024 * 1024;

/** Hello, hello echo, first round and abort. A fifth frame is one too many, and is kept so that it gets blamed. */
const EARLY_FRAMES = 5;

/** How many ended operations are remembered. */
const ENDED_OPERATIONS = 1024;

/** How many refused operations are remembered per peer. */
const REFUSED_OPERATIONS = 64;

/** What is needed to answer a hello that cannot be taken up. */
type Answering = Pick<Channel, 'operation' | 'hello' | 'answered'>;

/** How many notices about one peer are given; the rest could only fill the log. */
const NOTICES = 100;

export interface MailboxOptions {
  /** Told of what is dropped although no honest peer sends it; for the log. */
  readonly notice?: (text: string) => void;
  /** Told when a peer has aborted an operation that is not open here: opening it will show why. */
  readonly abortedEarly?: (operation: string) => void;
  /** Takes the letters of peers. What it throws is logged, and goes no further. */
  readonly letter?: (from: PartyName, subject: string, body: Uint8Array) => void;
  /** Told, after the operations open here, that a peer is lost, as `NetworkHandler` is. */
  readonly lost?: (peer: PartyName, error: MpcError) => void;
  /**
   * Asked when a peer says hello in an operation that has neither been opened nor ended here. When it gives an error,
   * the peer is told at once that this party aborts with it; otherwise the hello waits for the operation.
   */
  readonly refuse?: (operation: string, from: PartyName) => MpcError | undefined;
}

export class Mailbox {
  readonly network: Network;
  readonly #log: (text: string) => void;
  readonly #options: MailboxOptions;
  readonly #noticed = new Map<PartyName, number>();
  readonly #unsubscribe: () => void;
  readonly #open = new Map<string, Channel>();
  /** Ended operations, oldest first. */
  readonly #ended = new Map<string, Answering>();
  readonly #early: PeerMap<Map<string, Uint8Array[]>>;
  /** Operations in which each peer's hello was refused, oldest first. */
  readonly #refused: PeerMap<Set<string>>;

  constructor(network: Network, options: MailboxOptions = {}) {
    this.network = network;
    this.#log = options.notice ?? (() => {});
    this.#options = options;
    this.#early = peerMap(network.parties, () => new Map());
    this.#refused = peerMap(network.parties, () => new Set());
    this.#unsubscribe = network.subscribe({
      message: (from, bytes) => this.#receive(from, bytes),
      lost: (peer, error) => this.#lost(peer, error),
    });
  }

  /** Opens an operation, whose identifier must be new in this process. */
  open(options: ChannelOptions): Channel {
    const { operation } = options.hello;
    invariant(!this.#open.has(operation) && !this.#ended.has(operation), `${operation} is opened twice`);
    const channel = new Channel(this.network, (from, what) => this.#notice(from, what), options);
    this.#open.set(operation, channel);
    return channel;
  }

  /** Hands an operation just opened what has come for it already. */
  deliverEarly(channel: Channel): void {
    for (const [from, operations] of this.#early) {
      const waiting = operations.get(channel.operation) ?? [];
      operations.delete(channel.operation);
      for (const bytes of waiting) this.#deliver(channel, from, decodeKept(bytes), bytes);
    }
  }

  /** Forgets an operation but for its name and hello. Whatever is still awaited in it fails. */
  end(channel: Channel): void {
    const { operation, hello } = channel;
    channel.fail(new MpcError('BUG', `${operation} was used after its end`));
    this.#open.delete(operation);
    this.#ended.set(operation, { operation, hello, answered: new Set() });
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > ENDED_OPERATIONS && oldest !== undefined) this.#ended.delete(oldest);
  }

  /**
   * Sends `to` a letter, with a body of at most `MAX_LETTER` bytes. Resolves when the network has accepted it: it waits
   * there for a peer that has not come yet, however long, and nothing says whether anybody takes it. Rejects with
   * `PEER_LEFT` when the peer is lost.
   */
  async sendLetter(to: PartyName, subject: string, body: Uint8Array): Promise<void> {
    await this.network.send(to, encodeFrame({ kind: 'letter', subject, body }));
  }

  /** Tells the peers of every open operation whom this party waits for in it. */
  announceWaiting(): void {
    for (const channel of this.#open.values()) channel.announceWaiting();
  }

  /** Stops receiving; operations still open fail with `reason`. */
  close(reason: MpcError = new MpcError('INTERRUPTED', 'this party is closing')): void {
    this.#unsubscribe();
    for (const channel of this.#open.values()) channel.fail(reason);
  }

  #receive(from: PartyName, bytes: Uint8Array): void {
    const frame = this.#decode(from, bytes);
    if (!frame) return;
    if (frame.kind === 'letter') {
      this.#takeLetter(from, frame);
      return;
    }
    const channel = this.#open.get(frame.operation);
    const ended = this.#ended.get(frame.operation);
    if (channel) this.#deliver(channel, from, frame, bytes);
    else if (ended) {
      if (isHello(frame)) this.#answer(from, ended);
    } else if (!this.#refuses(from, frame)) this.#keep(from, frame, bytes);
  }

  #takeLetter(from: PartyName, { subject, body }: LetterFrame): void {
    const { letter } = this.#options;
    if (letter) this.#call(from, () => letter(from, subject, body));
    else this.#notice(from, `a letter (${printable(subject)}), which nobody here takes`);
  }

  /** What a handler makes of an event. One that throws has a bug, which must not take the rest with it. */
  #call<T>(from: PartyName, handler: () => T): T | undefined {
    try {
      return handler();
    } catch (error) {
      this.#notice(from, `what a handler failed at (${printable(asMpcError(error).message, 100)})`);
      return undefined;
    }
  }

  /** The frame in `bytes`. A peer that sends something else is blamed in every operation that it takes part in. */
  #decode(from: PartyName, bytes: Uint8Array): Frame | undefined {
    try {
      return decodeFrame(bytes);
    } catch (error) {
      const what = `an undecodable frame (${printable(asMpcError(error).message, 100)})`;
      this.#notice(from, what);
      for (const channel of this.#open.values())
        if (channel.hears(from)) channel.fail(brokeProtocol([from], what));
      return undefined;
    }
  }

  #deliver(channel: Channel, from: PartyName, frame: OperationFrame, bytes: Uint8Array): void {
    if (channel.hears(from)) channel.receive(from, frame, bytes);
    else if (isHello(frame)) this.#answer(from, channel);
    else this.#notice(from, `a message for ${quoted(frame.operation)}, in which it takes no part`);
  }

  /** Keeps a frame for when its operation is opened; the oldest operations give way when that gets too much. */
  #keep(from: PartyName, frame: OperationFrame, bytes: Uint8Array): void {
    if (frame.kind === 'waiting') return;
    const operations = ofPeer(this.#early, from);
    // After its abort a peer says hello in the same operation only when it has restarted.
    if (isHello(frame) && hasAbort(operations.get(frame.operation))) operations.delete(frame.operation);
    const kept = operations.get(frame.operation) ?? [];
    if (kept.length >= EARLY_FRAMES || kept.some((other) => equalBytes(other, bytes))) return;
    // A copy, because the network's array may be a small part of a large one.
    operations.set(frame.operation, [...kept, Uint8Array.from(bytes)]);
    while (operations.size > EARLY_OPERATIONS || sizeOf(operations) > EARLY_BYTES) {
      const [oldest = ''] = operations.keys();
      operations.delete(oldest);
      this.#notice(from, `what came for ${quoted(oldest)}: too much waits for operations not open here`);
    }
    if (frame.kind === 'abort') this.#options.abortedEarly?.(frame.operation);
  }

  /**
   * Whether this party will have nothing to do with the operation of `frame`: then the peer has been told so, once, and
   * whatever it says there is dropped.
   */
  #refuses(from: PartyName, frame: OperationFrame): boolean {
    const { operation } = frame;
    const refused = ofPeer(this.#refused, from);
    if (refused.has(operation)) return true;
    const { refuse } = this.#options;
    const error = refuse && isHello(frame) ? this.#call(from, () => refuse(operation, from)) : undefined;
    if (!error) return false;
    refused.add(operation);
    const [oldest = ''] = refused;
    if (refused.size > REFUSED_OPERATIONS) refused.delete(oldest);
    ofPeer(this.#early, from).delete(operation);
    this.#post(from, encodeFrame(abortFrame(operation, error)));
    return true;
  }

  /**
   * Answers a hello that cannot be taken up, of a party that takes no part here or comes too late, so that it need not
   * wait for the time-out: with this party's hello, which shows any disagreement, and an abort. Once for each.
   */
  #answer(from: PartyName, { operation, hello, answered }: Answering): void {
    if (answered.has(from)) return;
    answered.add(from);
    const closed = new MpcError('PEER_LEFT', `this operation has begun or ended here without ${from}`);
    for (const bytes of [hello, encodeFrame(abortFrame(operation, closed))]) this.#post(from, bytes);
  }

  /** Whether it arrives makes no difference here, and a peer that is lost is reported by `lost`. */
  #post(to: PartyName, bytes: Uint8Array): void {
    this.network.send(to, bytes).catch(() => {});
  }

  #notice(from: PartyName, what: string): void {
    const count = (this.#noticed.get(from) ?? 0) + 1;
    this.#noticed.set(from, count);
    if (count <= NOTICES) this.#log(`dropped from ${from}: ${what}`);
    if (count === NOTICES) this.#log(`what else is dropped from ${from} is not logged`);
  }

  #lost(peer: PartyName, error: MpcError): void {
    // Of what it sent for operations not open here, only an abort still counts: it tells why the peer has left.
    const operations = ofPeer(this.#early, peer);
    for (const [operation, frames] of operations) if (!hasAbort(frames)) operations.delete(operation);
    // Where it speaks again it is another process, which has been told nothing yet.
    ofPeer(this.#refused, peer).clear();
    for (const channel of this.#open.values()) if (channel.hears(peer)) channel.lost(peer, error);
    const { lost } = this.#options;
    if (lost) this.#call(peer, () => lost(peer, error));
  }
}

/** A frame that waited for its operation. */
function decodeKept(bytes: Uint8Array): OperationFrame {
  const frame = decodeFrame(bytes);
  invariant(frame.kind !== 'letter', 'a letter was kept for an operation');
  return frame;
}

const isHello = (frame: OperationFrame): boolean => frame.kind === 'hello' || frame.kind === 'foreign hello';

const hasAbort = (frames: readonly Uint8Array[] = []): boolean =>
  frames.some((bytes) => decodeFrame(bytes).kind === 'abort');

const sizeOf = (operations: ReadonlyMap<string, readonly Uint8Array[]>): number =>
  [...operations.values()].flat().reduce((sum, bytes) => sum + bytes.length, 0);
