/** Every bound of the transport: what may be queued, how large, and for how long. */

/** Largest frame on the wire: the length prefix may announce no more. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/** Largest message of a caller: a frame less its kind (one byte) and its number (six). */
export const MAX_MESSAGE_BYTES = MAX_FRAME_BYTES - 7;

/** Largest hello: one that lists 400 party names fits. */
export const MAX_HELLO_BYTES = 16 * 1024;

export interface TransportLimits {
  /** From the TCP connection to the peer's hello. */
  readonly handshakeMillis: number;
  /** Between two pings on a link that is up. */
  readonly pingMillis: number;
  /** A connection on which nothing at all was received for so long is closed and made anew. */
  readonly silentMillis: number;
  /** A peer not heard from for so long is lost: what it takes part in ends. Longer than `silentMillis`. */
  readonly goneMillis: number;
  /** First and longest pause before dialling again; each failure doubles it, and half of it is random. */
  readonly redialMillis: number;
  readonly redialMaxMillis: number;
  /** How long `close` waits for what is queued to be acknowledged, unless told otherwise. */
  readonly closeMillis: number;
  /** Unacknowledged message bytes per peer above which `send` waits. */
  readonly queuedBytes: number;
  /** Incoming connections that have not shown who they are; more than so many push out an older one. */
  readonly strangers: number;
}

export const DEFAULT_LIMITS: TransportLimits = {
  handshakeMillis: 10_000,
  pingMillis: 2_500,
  silentMillis: 7_500,
  goneMillis: 15_000,
  redialMillis: 100,
  redialMaxMillis: 2_000,
  closeMillis: 500,
  queuedBytes: 16 * 1024 * 1024,
  strangers: 128,
};
