/**
 * The listening side: TLS connections from whoever dials this party's port.
 *
 * Until a connection has been admitted it is a stranger's: it has a fixed time, it is one of a bounded number, and
 * when there are too many, the oldest from the most frequent address goes. A flood thus pushes out itself, and a
 * party's own connection, admitted within milliseconds, gets through.
 */
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { MpcError, type PartyName } from '../core/errors.js';
import type { TransportLimits } from './limits.js';
import type { StrangerLog } from './log.js';

interface Stranger {
  readonly socket: Socket;
  readonly address: string;
  readonly timer: NodeJS.Timeout;
  reason: string;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, with brackets around an IPv6 host. */
export const formatAddress = ({ host, port }: ListenAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

export class Listener {
  readonly #server: Server;
  readonly #limits: TransportLimits;
  readonly #log: StrangerLog;
  /** By {@link connectionKey}, oldest first. */
  readonly #strangers = new Map<string, Stranger>();

  /** `admit` resolves when a connection has proved to be a party's, and ends it and rejects when it has not. */
  constructor(
    tls: TlsOptions,
    limits: TransportLimits,
    log: StrangerLog,
    admit: (socket: TLSSocket) => Promise<void>,
  ) {
    this.#limits = limits;
    this.#log = log;
    this.#server = createServer(tls);
    this.#server.on('connection', (socket: Socket) => this.#connected(socket));
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      const stranger = this.#strangers.get(connectionKey(socket));
      if (stranger !== undefined) stranger.reason = error.code ?? 'the TLS handshake failed';
    });
    this.#server.on('secureConnection', (socket) => {
      const key = connectionKey(socket);
      socket.on('error', () => {}); // Whoever uses the socket learns of its end by 'close'.
      admit(socket).then(
        () => this.#forget(key),
        (error: Error) => this.#blame(key, error.message),
      );
    });
  }

  /** Starts to listen. Throws `PORT` when the address of `party` cannot be listened on. */
  async open(address: ListenAddress, party: PartyName): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host: address.host, port: address.port, exclusive: true }, resolve);
      });
    } catch (error) {
      throw portError(error as NodeJS.ErrnoException, address, party);
    }
    this.#server.removeAllListeners('error');
    this.#server.on('error', (error: NodeJS.ErrnoException) => {
      this.#log.report(formatAddress(address), error.code ?? 'accepting failed');
    });
  }

  /** Answers with `tls` from now on; who has not been admitted yet has to come again. */
  renew(tls: TlsOptions): void {
    this.#server.setSecureContext(tls);
    for (const key of [...this.#strangers.keys()]) this.#drop(key, 'this party has renewed its certificate');
  }

  /** The port listened on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Stops listening and drops every stranger; admitted connections live on. */
  close(): void {
    this.#server.close();
    for (const { socket, timer } of this.#strangers.values()) {
      clearTimeout(timer);
      socket.destroy();
    }
    this.#strangers.clear();
  }

  #connected(socket: Socket): void {
    const key = connectionKey(socket);
    if (socket.remoteAddress === undefined) {
      socket.destroy(); // Gone already.
      return;
    }
    socket.setNoDelay(true);
    const late = () => this.#drop(key, 'not identified in time');
    const timer = setTimeout(late, this.#limits.handshakeMillis).unref();
    const reason = 'closed before it was identified';
    this.#strangers.set(key, { socket, address: socket.remoteAddress, timer, reason });
    socket.once('close', () => this.#drop(key));
    if (this.#strangers.size > this.#limits.strangers) this.#makeRoom();
  }

  #makeRoom(): void {
    const keys = new Map<string, string[]>();
    for (const [key, { address }] of this.#strangers) {
      const list = keys.get(address);
      if (list === undefined) keys.set(address, [key]);
      else list.push(key);
    }
    const [most] = [...keys.values()].sort((a, b) => b.length - a.length);
    if (most?.[0] !== undefined) this.#drop(most[0], 'pushed out by newer connections');
  }

  /** Drops a stranger, for `reason` or the one noted before. It counts no longer, even before its socket is closed. */
  #drop(key: string, reason?: string): void {
    const stranger = this.#forget(key);
    if (stranger === undefined) return;
    stranger.socket.destroy();
    this.#log.report(stranger.address, reason ?? stranger.reason);
  }

  #blame(key: string, reason: string): void {
    const stranger = this.#strangers.get(key);
    if (stranger !== undefined) stranger.reason = reason;
  }

  #forget(key: string): Stranger | undefined {
    const stranger = this.#strangers.get(key);
    clearTimeout(stranger?.timer);
    this.#strangers.delete(key);
    return stranger;
  }
}

/** The same for a TCP socket and for the TLS socket made over it. */
const connectionKey = (socket: Socket): string =>
  [socket.localAddress, socket.localPort, socket.remoteAddress, socket.remotePort].join(' ');

const PORT_PROBLEMS: Readonly<Record<string, readonly [problem: string, hint: string]>> = {
  EADDRINUSE: [
    'is in use already',
    'end the other process that listens there (is this party running already?), or change the address in cluster.json',
  ],
  EACCES: [
    'may not be listened on by this user',
    'choose a port from 1024 up, for all parties, in cluster.json',
  ],
  EADDRNOTAVAIL: [
    'is not an address of this machine',
    "in this machine's cluster.json, give this party an address that this machine has",
  ],
  ENOTFOUND: ['has a host name that cannot be resolved', 'correct the address in cluster.json'],
  EAI_AGAIN: [
    'has a host name that cannot be resolved at present',
    'check the name service, or give an IP address in cluster.json',
  ],
};

function portError(error: NodeJS.ErrnoException, address: ListenAddress, party: PartyName): MpcError {
  const [problem, hint] = PORT_PROBLEMS[error.code ?? ''] ?? [
    `cannot be listened on (${error.code ?? error.message})`,
    'correct the address in cluster.json',
  ];
  return new MpcError('PORT', `the address of ${party}, ${formatAddress(address)}, ${problem}`, {
    hint,
    cause: error,
  });
}
