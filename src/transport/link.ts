/**
 * The link to one peer: every message exactly once and in order, over as many connections as it takes.
 *
 * Each side has an incarnation per peer, a random value: new with the process, and again whenever it gives the peer
 * up. As long as both know each other's incarnation, messages are numbered on across connections, and each hello
 * says what has been received. A hello with another incarnation means that the peer has lost its state (or has
 * dropped ours): everything unfinished is void, the loss is reported, and numbering starts at 1 again.
 */
import { equalBytes, randomBytes, toHex } from '../core/bytes.js';
import { MpcError, type PartyName } from '../core/errors.js';
import type { Connection } from './connection.js';
import type { Frame } from './frame.js';
import { type Hello, INCARNATION_BYTES } from './hello.js';
import { decodeRefusal, encodeRefusal, type Refusal, refusalByPeer, refusalOfPeer } from './identity.js';
import type { TransportLimits } from './limits.js';
import type { TransportLogger } from './log.js';
import { Outbox } from './outbox.js';

/** Earlier incarnations of the peer that are remembered, so that a process that was replaced cannot come back. */
const RETIRED = 16;

export interface LinkEvents {
  message(body: Uint8Array): void;
  lost(error: MpcError): void;
  /** The link went up or down, or a disagreement came to light. */
  changed(): void;
}

/** What is known of the connection that a link has at present. */
interface Present {
  readonly since: Date;
  /** When the peer's certificate does. */
  readonly expires: Date;
}

export class Link {
  readonly peer: PartyName;
  readonly #limits: TransportLimits;
  readonly #logger: TransportLogger;
  readonly #events: LinkEvents;
  readonly #outbox: Outbox;
  #incarnation = randomBytes(INCARNATION_BYTES);
  /** The peer's incarnation, from its first hello until it is lost. */
  #known: Uint8Array | undefined;
  #retired: string[] = [];
  /** Number of the last message received from the known incarnation. */
  #received = 0;
  #connection: Connection | undefined;
  #present: Present | undefined;
  /** Set from the loss of the peer until its next connection: what `send` answers. */
  #lost: MpcError | undefined;
  #problem: string | undefined;
  #disagreement: MpcError | undefined;
  #heardAt = 0;
  #goneTimer: NodeJS.Timeout | undefined;
  #ping = { number: 0, sentAt: 0 };
  #roundTripMillis: number | undefined;
  /** What the next flush has to say besides messages. */
  #due = { ack: false, ping: false, pong: undefined as number | undefined };
  #flushing = false;
  #settling: (() => void)[] = [];

  constructor(peer: PartyName, limits: TransportLimits, logger: TransportLogger, events: LinkEvents) {
    this.peer = peer;
    this.#limits = limits;
    this.#logger = logger;
    this.#events = events;
    this.#outbox = new Outbox(limits.queuedBytes);
  }

  get up(): boolean {
    return this.#connection !== undefined;
  }

  /** What stood in the way the last time; nothing while the link is up. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Of the last ping that was answered. */
  get roundTripMillis(): number | undefined {
    return this.#roundTripMillis;
  }

  /** Since when the present connection is there, and when the certificate that the peer showed on it expires. */
  get present(): Present | undefined {
    return this.#present;
  }

  /** Set while the peer shows that no link can be, because it runs another version or another cluster. */
  get disagreement(): MpcError | undefined {
    return this.#disagreement;
  }

  /** Notes why the link is not up, for those who wait for it. */
  note(problem: string): void {
    if (this.up || this.#problem === problem) return;
    this.#problem = problem;
    this.#logger.info({ peer: this.peer, reason: problem }, 'no link');
  }

  /** Notes what somebody who may or may not be the peer has shown; not logged, since anybody can show anything. */
  noteHearsay(problem: string): void {
    if (!this.up) this.#problem = problem;
  }

  /** Notes a disagreement that only a user can end; the next connection that fits clears it. */
  disagree(error: MpcError): void {
    this.#disagreement = error;
    this.#events.changed();
  }

  send(body: Uint8Array): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const accepted = this.#outbox.add(body);
    this.#flushSoon();
    return accepted;
  }

  /** This side's part of a hello. */
  introduction(): Pick<Hello, 'incarnation' | 'resume'> {
    const resume = this.#known && { incarnation: this.#known, received: this.#received };
    return { incarnation: this.#incarnation, resume: resume ?? null };
  }

  /**
   * Takes note of the peer's hello: goes on where both left off, or starts anew with a new incarnation.
   * Answers why the connection cannot be used, if it cannot.
   */
  meet(hello: Hello): Refusal | undefined {
    if (this.#retired.includes(toHex(hello.incarnation))) return 'superseded';
    if (this.#known !== undefined && !equalBytes(this.#known, hello.incarnation)) {
      this.#retire(this.#known);
      this.#lose(
        `${this.peer} was restarted, or lost sight of this party for too long`,
        'start the operation again on all parties',
      );
    }
    this.#known = hello.incarnation;
    const resume = hello.resume;
    const received = resume && equalBytes(resume.incarnation, this.#incarnation) ? resume.received : 0;
    return this.#outbox.resume(received) ? undefined : 'inconsistent';
  }

  /**
   * Uses `connection`, whose hellos have been exchanged, from now on and instead of any earlier one, but no longer than
   * until the peer's certificate `expires`.
   */
  attach(connection: Connection, expires: Date): void {
    const previous = this.#connection;
    this.#connection = connection;
    this.#present = { since: new Date(), expires };
    this.#roundTripMillis = undefined;
    this.#lost = undefined;
    this.#problem = undefined;
    this.#disagreement = undefined;
    this.#heardAt = performance.now();
    this.#due = { ack: false, ping: true, pong: undefined };
    clearTimeout(this.#goneTimer);
    previous?.destroy('replaced by a newer connection');
    void connection.closed.then((reason) => this.#detached(connection, reason));
    connection.use({
      frame: (frame) => this.#receive(connection, frame),
      heard: () => {
        this.#heardAt = performance.now();
      },
      drained: () => this.#flush(),
    });
    this.#flushSoon();
    if (previous !== undefined) return;
    this.#logger.info({ peer: this.peer }, 'link up');
    this.#events.changed();
  }

  /**
   * Gives the present connection up, so that another one is made, with what is unacknowledged on this one. Resolves
   * when it is closed.
   */
  async remake(reason: string): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.end(reason);
    this.#detached(connection, reason);
    await connection.closed;
  }

  /**
   * Pings the peer, or closes a connection that has been silent for too long, or whose peer could not make it any
   * more; called from time to time. When this process itself was `heldUp`, the silence was its own and counts from now.
   */
  tick(heldUp: boolean): void {
    if (this.#connection === undefined || this.#present === undefined) return;
    if (Date.now() >= this.#present.expires.getTime()) {
      this.#refuse(this.#connection, 'expired');
      return;
    }
    if (heldUp) this.#heardAt = performance.now();
    if (performance.now() - this.#heardAt > this.#limits.silentMillis) {
      this.#connection.destroy(`silent for ${this.#limits.silentMillis / 1000} s`);
      return;
    }
    this.#due.ping = true;
    this.#flush();
  }

  /** Resolves when nothing is unacknowledged any more, or there is nobody to acknowledge it. */
  settled(): Promise<void> {
    if (this.#outbox.empty || this.#known === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#settling.push(resolve));
  }

  /** Says goodbye and drops the link for good. Resolves when its connection is closed. */
  async leave(error: MpcError): Promise<void> {
    clearTimeout(this.#goneTimer);
    const connection = this.#release();
    this.#lost = error;
    this.#outbox.clear(error);
    connection?.end('this party has left', { kind: 'bye' });
    await connection?.closed;
  }

  #receive(connection: Connection, frame: Frame): void {
    switch (frame.kind) {
      case 'message':
        this.#receiveMessage(connection, frame.number, frame.body);
        break;
      case 'ack':
        if (!this.#outbox.acknowledge(frame.number)) this.#refuse(connection, 'inconsistent');
        this.#checkSettled();
        break;
      case 'ping':
        this.#due.pong = frame.number;
        break;
      case 'pong':
        if (frame.number === this.#ping.number) this.#roundTripMillis = performance.now() - this.#ping.sentAt;
        break;
      case 'refusal':
        this.#refused(connection, decodeRefusal(frame.body));
        break;
      case 'bye':
        this.#left(connection);
        break;
      case 'hello': // The decoder lets none through after the first frame.
        break;
    }
    this.#flushSoon();
  }

  #receiveMessage(connection: Connection, number: number, body: Uint8Array): void {
    // Not the network's doing: TLS keeps the order, and each connection starts right after the last one received.
    if (number !== this.#received + 1) {
      this.#refuse(connection, 'inconsistent');
      return;
    }
    this.#due.ack = true;
    this.#received = number;
    this.#events.message(body);
  }

  #refuse(connection: Connection, refusal: Refusal): void {
    const reason = refusalOfPeer(refusal);
    this.#logger.warn({ peer: this.peer, reason }, 'connection refused');
    connection.end(reason, { kind: 'refusal', body: encodeRefusal(refusal) });
    this.#detached(connection, reason);
  }

  #refused(connection: Connection, refusal: Refusal | undefined): void {
    const reason = refusalByPeer(refusal);
    this.#logger.warn({ peer: this.peer, reason }, 'connection refused by the peer');
    connection.destroy(reason);
  }

  /** The peer said bye. A later process of its name is welcome; this one is over. */
  #left(connection: Connection): void {
    if (this.#known !== undefined) this.#retire(this.#known);
    connection.destroy('the peer has left');
    this.#logger.info({ peer: this.peer }, 'peer left');
    this.#lose(`${this.peer} has ended`, `read what ${this.peer} printed last`);
    this.note('it has ended');
  }

  /** Has no connection from now on; returns the one that it had. */
  #release(): Connection | undefined {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#present = undefined;
    this.#roundTripMillis = undefined;
    return connection;
  }

  #detached(connection: Connection, reason: string): void {
    if (connection !== this.#connection) return;
    this.#release();
    this.#problem = `connection lost: ${reason}`;
    this.#logger.warn({ peer: this.peer, reason }, 'link down');
    const left = this.#limits.goneMillis - (performance.now() - this.#heardAt);
    this.#goneTimer = setTimeout(() => this.#giveUp(), Math.max(0, left)).unref();
    this.#events.changed();
  }

  /** The peer has been away for too long. It may still be alive and come back, so this side's incarnation changes. */
  #giveUp(): void {
    this.#incarnation = randomBytes(INCARNATION_BYTES);
    this.#lose(
      `${this.peer} has not been heard from for ${this.#limits.goneMillis / 1000} s (${this.#problem})`,
      `check that ${this.peer} is running and reachable, then start the operation again on all parties`,
    );
  }

  #retire(incarnation: Uint8Array): void {
    this.#retired = [...this.#retired, toHex(incarnation)].slice(-RETIRED);
  }

  /** Forgets the peer's incarnation and everything between the two, and reports the loss. */
  #lose(message: string, hint?: string): void {
    const error = new MpcError('PEER_LEFT', message, {
      culprits: [this.peer],
      ...(hint === undefined ? {} : { hint }),
    });
    const wasUp = this.up;
    this.#release()?.destroy(message);
    clearTimeout(this.#goneTimer);
    this.#known = undefined;
    this.#received = 0;
    this.#lost = error;
    this.#outbox.clear(error);
    this.#checkSettled();
    if (wasUp) this.#events.changed();
    this.#events.lost(error);
  }

  #checkSettled(): void {
    if (!this.#outbox.empty) return;
    const settling = this.#settling;
    this.#settling = [];
    for (const resolve of settling) resolve();
  }

  /** Flushes once after whatever is going on: what is said meanwhile leaves in one write. */
  #flushSoon(): void {
    if (this.#flushing || this.#connection === undefined) return;
    this.#flushing = true;
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Writes what is due, as far as the socket takes it; the rest stays in the outbox until it drains. */
  #flush(): void {
    const connection = this.#connection;
    if (connection === undefined || !connection.writable) return;
    connection.together(() => {
      this.#writeDue(connection);
      while (connection.writable) {
        const message = this.#outbox.take();
        if (message === undefined) return;
        connection.write({ kind: 'message', ...message });
      }
    });
  }

  #writeDue(connection: Connection): void {
    const { ack, ping, pong } = this.#due;
    this.#due = { ack: false, ping: false, pong: undefined };
    if (ack) connection.write({ kind: 'ack', number: this.#received });
    if (pong !== undefined) connection.write({ kind: 'pong', number: pong });
    if (!ping) return;
    this.#ping = { number: this.#ping.number + 1, sentAt: performance.now() };
    connection.write({ kind: 'ping', number: this.#ping.number });
  }
}
