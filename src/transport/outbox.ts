/**
 * The messages to one peer that it has not acknowledged yet: numbered from 1, kept until acknowledged, bounded in
 * bytes. Knows no sockets.
 */
import type { MpcError } from '../core/errors.js';

export interface NumberedMessage {
  readonly number: number;
  readonly body: Uint8Array;
}

interface Waiter {
  readonly body: Uint8Array;
  readonly accepted: () => void;
  readonly refused: (error: MpcError) => void;
}

/** Counted for each message besides its own bytes, so that a flood of tiny ones is bounded as well. */
const OVERHEAD_BYTES = 128;

const cost = (body: Uint8Array): number => body.length + OVERHEAD_BYTES;

export class Outbox {
  readonly #limitBytes: number;
  /** Unacknowledged bodies; the first has number `#acknowledged + 1`. */
  #bodies: Uint8Array[] = [];
  #bytes = 0;
  #waiting: Waiter[] = [];
  #acknowledged = 0;
  /** Number of the last message handed to the present connection. */
  #taken = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Nothing is queued, waiting or unacknowledged. */
  get empty(): boolean {
    return this.#bodies.length === 0 && this.#waiting.length === 0;
  }

  /** Unacknowledged bytes, overhead included. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Queues a message. Resolves at once while there is room, else when its turn comes; rejects when the outbox is
   * cleared before. A message larger than the whole limit is let through alone.
   */
  add(body: Uint8Array): Promise<void> {
    if (this.#waiting.length === 0 && this.#hasRoom(body)) {
      this.#accept(body);
      return Promise.resolve();
    }
    return new Promise((accepted, refused) => {
      this.#waiting.push({ body, accepted, refused });
    });
  }

  /** The next message that the present connection has not been given, and marks it as given. */
  take(): NumberedMessage | undefined {
    const body = this.#bodies[this.#taken - this.#acknowledged];
    if (body === undefined) return undefined;
    this.#taken += 1;
    return { number: this.#taken, body };
  }

  /** Forgets every message up to `number`; false, and no effect, when the peer cannot have received that many. */
  acknowledge(number: number): boolean {
    if (number < this.#acknowledged || number > this.#taken) return false;
    const gone = this.#bodies.splice(0, number - this.#acknowledged);
    this.#acknowledged = number;
    for (const body of gone) this.#bytes -= cost(body);
    this.#admitWaiting();
    return true;
  }

  /** A new connection, whose peer has received up to `number`: the rest is given out again. False as above. */
  resume(number: number): boolean {
    if (!this.acknowledge(number)) return false;
    this.#taken = this.#acknowledged;
    return true;
  }

  /** Drops everything and numbers from 1 again; whoever waits for room gets `error`. */
  clear(error: MpcError): void {
    const waiting = this.#waiting;
    this.#bodies = [];
    this.#bytes = 0;
    this.#waiting = [];
    this.#acknowledged = 0;
    this.#taken = 0;
    for (const waiter of waiting) waiter.refused(error);
  }

  #hasRoom(body: Uint8Array): boolean {
    return this.#bodies.length === 0 || this.#bytes + cost(body) <= this.#limitBytes;
  }

  #accept(body: Uint8Array): void {
    this.#bodies.push(body);
    this.#bytes += cost(body);
  }

  #admitWaiting(): void {
    while (this.#waiting[0] !== undefined && this.#hasRoom(this.#waiting[0].body)) {
      const { body, accepted } = this.#waiting.shift() as Waiter;
      this.#accept(body);
      accepted();
    }
  }
}
