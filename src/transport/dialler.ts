/** The dialling side: makes a connection to one peer, and a new one whenever it ends. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { MpcError } from '../core/errors.js';
import type { Connection } from './connection.js';
import { HandshakeError } from './handshake.js';
import type { TransportLimits } from './limits.js';
import type { Link } from './link.js';
import { formatAddress, type ListenAddress } from './listener.js';

export class Dialler {
  readonly #link: Link;
  readonly #address: ListenAddress;
  #tls: ConnectionOptions;
  readonly #limits: TransportLimits;
  readonly #greet: (socket: TLSSocket) => Promise<Connection>;
  readonly #stopped = new AbortController();
  /** Sockets that are no link's: under way, or lingering after a refusal. */
  readonly #sockets = new Set<TLSSocket>();

  /** `greet` makes a connected socket the connection of `link`. */
  constructor(
    link: Link,
    address: ListenAddress,
    tls: ConnectionOptions,
    limits: TransportLimits,
    greet: (socket: TLSSocket) => Promise<Connection>,
  ) {
    this.#link = link;
    this.#address = address;
    this.#tls = tls;
    this.#limits = limits;
    this.#greet = greet;
  }

  /** Dials until {@link stop}. */
  async run(): Promise<void> {
    const { redialMillis, redialMaxMillis } = this.#limits;
    const { signal } = this.#stopped;
    for (let failures = 0; !signal.aborted; failures += 1) {
      // Who was there a moment ago is dialled again at once: its connections may be cut, but not it.
      if (await this.#dial()) failures = 0;
      // Half of the pause is random, so that parties that lost one another together do not return in step.
      const longest = Math.min(redialMaxMillis, redialMillis * 2 ** Math.min(failures, 20));
      await pause(longest * (randomInt(500, 1000) / 1000), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Dials with `tls` from now on; what is under way is begun anew with it. */
  renew(tls: ConnectionOptions): void {
    this.#tls = tls;
    for (const socket of this.#sockets) socket.destroy(new Error('begun anew with a renewed certificate'));
  }

  /** Ends the dialling; a connection that is the link's lives on. */
  stop(): void {
    this.#stopped.abort();
    for (const socket of this.#sockets) socket.destroy(new Error('stopped'));
  }

  /** One connection to the peer, from dialling to its end. Whether it became the link's. */
  async #dial(): Promise<boolean> {
    const { host, port } = this.#address;
    const socket = connect({ ...this.#tls, host, port });
    const late = () => socket.destroy(new Error(`no answer in ${this.#limits.handshakeMillis / 1000} s`));
    const timer = setTimeout(late, this.#limits.handshakeMillis).unref();
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {}); // Told by `once` below, and by the connection later.
    socket.setNoDelay(true);
    try {
      await once(socket, 'secureConnect');
      const connection = await this.#greet(socket);
      clearTimeout(timer);
      this.#sockets.delete(socket);
      await connection.closed;
      return true;
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#link.note(dialProblem(error, formatAddress(this.#address)));
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}

const DIAL_PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there yet',
  ENOTFOUND: 'the host name cannot be resolved',
  EAI_AGAIN: 'the host name cannot be resolved at present',
  ECONNRESET: 'the connection was closed during the handshake',
};

/** Why dialling `address` failed, for the user. */
function dialProblem(error: unknown, address: string): string {
  if (error instanceof HandshakeError || error instanceof MpcError) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return `${message} (${address})`;
  if (code.startsWith('ERR_SSL')) return `what listens there is no party: ${code} (${address})`;
  return `${DIAL_PROBLEMS[code] ?? code} (${address})`;
}
