/** What the transport logs: the fields that it may use, and its one line per second about strangers. */
import type { PartyName } from '../core/errors.js';

/** The only fields that are ever logged. Reasons are texts of this program or error codes, never a peer's words. */
export interface LogFields {
  readonly peer?: PartyName;
  readonly address?: string;
  readonly reason?: string;
  readonly count?: number;
}

/** A pino logger, or anything like it. */
export interface TransportLogger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

const LINE_MILLIS = 1000;

/** Logs at most one line per second about connections that were dropped, with how many it stands for. */
export class StrangerLog {
  readonly #logger: TransportLogger;
  #lastLine = Number.NEGATIVE_INFINITY;
  #unlogged = 0;
  #latest: LogFields = {};

  constructor(logger: TransportLogger) {
    this.#logger = logger;
  }

  report(address: string, reason: string): void {
    this.#unlogged += 1;
    this.#latest = { address, reason };
    this.flush();
  }

  /** Logs what has been held back, once its second is over; called from time to time. */
  flush(): void {
    const now = performance.now();
    if (this.#unlogged === 0 || now - this.#lastLine < LINE_MILLIS) return;
    this.#logger.warn({ ...this.#latest, count: this.#unlogged }, 'dropped a connection');
    this.#lastLine = now;
    this.#unlogged = 0;
  }
}
