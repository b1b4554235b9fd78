/**
 * The network of a party: one long-lived TLS 1.3 connection to each peer, as `Network` of rounds/network.ts.
 *
 * Of each pair the later in cluster order dials and re-dials; the earlier waits. Every party listens, the last in
 * order too, whom nobody dials: a second process of the same party finds the address taken and ends there.
 */
import { constants } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { invariant, MpcError, type PartyName, throwIfAborted } from '../core/errors.js';
import type { Network, NetworkHandler } from '../rounds/network.js';
import { Dialler } from './dialler.js';
import { type Cluster, greet, HandshakeError, welcome } from './handshake.js';
import { APPLICATION_PROTOCOL, type Identity } from './identity.js';
import { DEFAULT_LIMITS, MAX_MESSAGE_BYTES, type TransportLimits } from './limits.js';
import { Link } from './link.js';
import { type ListenAddress, Listener } from './listener.js';
import { StrangerLog, type TransportLogger } from './log.js';

export interface TransportParty extends Identity, ListenAddress {}

/** Certificate of the cluster's authority, own certificate (with its chain) and own key, PEM. */
export interface TlsFiles {
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export interface TransportOptions extends TlsFiles {
  readonly self: PartyName;
  /** All parties in cluster order, this one included. */
  readonly parties: readonly TransportParty[];
  readonly logger: TransportLogger;
  readonly limits?: Partial<TransportLimits>;
}

/** The link to one peer, as it is now. */
export interface PeerFacts {
  readonly up: boolean;
  /** What is known about why the link is not up. */
  readonly problem: string | undefined;
  /** To the peer and back, once measured on the present connection. */
  readonly roundTripMillis: number | undefined;
  /** Since when the present connection is there. */
  readonly connectedSince: Date | undefined;
  /** When the certificate that the peer showed on the present connection expires. */
  readonly certificateExpires: Date | undefined;
}

export class TlsTransport implements Network {
  readonly self: PartyName;
  readonly parties: readonly PartyName[];
  readonly #limits: TransportLimits;
  readonly #logger: TransportLogger;
  readonly #strangers: StrangerLog;
  readonly #listener: Listener;
  readonly #address: ListenAddress;
  readonly #links: ReadonlyMap<PartyName, Link>;
  readonly #diallers: readonly Dialler[];
  readonly #handlers = new Set<NetworkHandler>();
  /** 'link' (peer, up) and 'change': something that {@link ready} waits for may have happened. */
  readonly #events = new EventEmitter();
  readonly #up = new Set<PartyName>();
  #ticker: NodeJS.Timeout | undefined;
  #tickedAt = 0;
  #started = false;
  #closing: Promise<void> | undefined;

  private constructor(options: TransportOptions) {
    const { self, parties, logger } = options;
    const position = parties.findIndex((party) => party.name === self);
    const own = parties[position];
    invariant(own !== undefined, 'this party is not in the list of parties');
    this.self = self;
    this.parties = parties.map((party) => party.name);
    this.#address = own;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#logger = logger;
    this.#strangers = new StrangerLog(logger);
    const peers = this.parties.filter((name) => name !== self);
    this.#links = new Map(peers.map((peer) => [peer, this.#makeLink(peer)]));
    const cluster: Cluster = { self, parties, link: (peer) => this.#link(peer) };
    const { listener, diallers } = withTls(options, (listening, dialling) => ({
      listener: new Listener(listening, this.#limits, this.#strangers, (socket) =>
        this.#arrived(cluster, socket),
      ),
      diallers: parties.slice(0, position).map((party) => {
        const link = this.#link(party.name);
        return new Dialler(link, party, dialling, this.#limits, (socket) => greet(cluster, link, socket));
      }),
    }));
    this.#listener = listener;
    this.#diallers = diallers;
  }

  /**
   * Listens on this party's address. Links are made from the first {@link subscribe} on, so that no message comes
   * before there is somebody to take it.
   * Throws `PORT` when the address cannot be listened on, `CERTIFICATE` when TLS refuses the given files.
   */
  static async start(options: TransportOptions): Promise<TlsTransport> {
    const transport = new TlsTransport(options);
    await transport.#listener.open(transport.#address, options.self);
    return transport;
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#listener.port;
  }

  /** Peers whose link is not up, in cluster order. */
  get missing(): readonly PartyName[] {
    return [...this.#links.values()].filter((link) => !link.up).map((link) => link.peer);
  }

  /** What is known about why each missing peer is missing. */
  get problems(): Readonly<Record<PartyName, string>> {
    return Object.fromEntries(this.missing.map((peer) => [peer, this.#link(peer).problem ?? NO_CONNECTION]));
  }

  peerFacts(peer: PartyName): PeerFacts {
    const { up, problem, roundTripMillis, present } = this.#link(peer);
    return {
      up,
      problem: up ? undefined : (problem ?? NO_CONNECTION),
      roundTripMillis,
      connectedSince: present?.since,
      certificateExpires: present?.expires,
    };
  }

  /**
   * Uses other `files` for every handshake from now on, in both roles, and makes the connections that are up anew with
   * them; no message is lost, and no operation notices. Resolves when none is left that was made with the earlier files.
   * Throws `CERTIFICATE`, with nothing changed, when TLS refuses the files; `INTERRUPTED` once this side closes.
   */
  async renew(files: TlsFiles): Promise<void> {
    if (this.#closing !== undefined) throw closedError();
    withTls(files, (listening, dialling) => {
      this.#listener.renew(listening);
      for (const dialler of this.#diallers) dialler.renew(dialling);
    });
    const links = [...this.#links.values()];
    await Promise.all(links.map((link) => link.remake('made anew with a renewed certificate')));
  }

  /**
   * Queues `bytes`, 1 … {@link MAX_MESSAGE_BYTES} of them, for `to`; they are kept until the peer has acknowledged
   * them. Rejects with `PEER_LEFT` while the peer is lost, with `INTERRUPTED` once this side closes.
   */
  send(to: PartyName, bytes: Uint8Array): Promise<void> {
    invariant(bytes.length >= 1 && bytes.length <= MAX_MESSAGE_BYTES, `a message of ${bytes.length} bytes`);
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return this.#link(to).send(bytes);
  }

  subscribe(handler: NetworkHandler): () => void {
    this.#handlers.add(handler);
    if (!this.#started) this.#begin();
    return () => this.#handlers.delete(handler);
  }

  /** Calls `listener` whenever a link has gone up or down, until the returned function is called. */
  watch(listener: (peer: PartyName, up: boolean) => void): () => void {
    this.#events.on('link', listener);
    return () => this.#events.off('link', listener);
  }

  /**
   * Resolves when the links to all `peers` are up. Rejects with the signal's reason, or with `DISAGREEMENT` as soon as
   * a peer shows that it runs another version or another list of parties.
   */
  async ready(signal: AbortSignal, peers = this.parties): Promise<void> {
    invariant(this.#started, 'subscribe before waiting for the peers');
    while (this.missing.some((peer) => peers.includes(peer))) {
      throwIfAborted(signal);
      if (this.#closing !== undefined) throw closedError();
      for (const { disagreement } of this.#links.values()) if (disagreement !== undefined) throw disagreement;
      // An abort ends the wait as a change does; its reason is thrown above.
      await once(this.#events, 'change', { signal }).catch(() => {});
    }
  }

  /**
   * Waits up to `withinMillis` for what is queued to be acknowledged, tells the peers that this party leaves, and
   * closes everything. Nothing keeps the process alive afterwards. A party that has finished can afford to wait for
   * a link that is down just now; one that was interrupted cannot.
   */
  close(withinMillis = this.#limits.closeMillis): Promise<void> {
    this.#closing ??= this.#close(withinMillis);
    return this.#closing;
  }

  async #close(withinMillis: number): Promise<void> {
    const links = [...this.#links.values()];
    this.#events.emit('change');
    const enough = new AbortController();
    await Promise.race([
      Promise.all(links.map((link) => link.settled())),
      pause(withinMillis, undefined, { signal: enough.signal }).catch(() => {}),
    ]);
    enough.abort();
    clearInterval(this.#ticker);
    this.#listener.close();
    for (const dialler of this.#diallers) dialler.stop();
    await Promise.all(links.map((link) => link.leave(closedError())));
  }

  #begin(): void {
    this.#started = true;
    this.#tickedAt = performance.now();
    this.#ticker = setInterval(() => this.#tick(), this.#limits.pingMillis).unref();
    for (const dialler of this.#diallers) {
      dialler
        .run()
        .catch((cause) => this.#logger.error({ reason: String(cause) }, 'dialling ended by a bug'));
    }
  }

  #tick(): void {
    this.#strangers.flush();
    const now = performance.now();
    // A suspended machine, or a long computation.
    const heldUp = now - this.#tickedAt > 2 * this.#limits.pingMillis;
    this.#tickedAt = now;
    for (const link of this.#links.values()) link.tick(heldUp);
  }

  #makeLink(peer: PartyName): Link {
    return new Link(peer, this.#limits, this.#logger, {
      message: (body) => this.#tell((handler) => handler.message(peer, body)),
      lost: (error) => this.#tell((handler) => handler.lost(peer, error)),
      changed: () => this.#changed(peer),
    });
  }

  /** Tells every handler. One that throws has a bug, which must not take the links of others with it. */
  #tell(what: (handler: NetworkHandler) => void): void {
    if (this.#closing !== undefined) return;
    for (const handler of [...this.#handlers]) {
      try {
        what(handler);
      } catch (error) {
        this.#logger.error(
          { reason: error instanceof Error ? error.message : String(error) },
          'a handler failed',
        );
      }
    }
  }

  #changed(peer: PartyName): void {
    const up = this.#link(peer).up;
    if (up !== this.#up.has(peer)) {
      if (up) this.#up.add(peer);
      else this.#up.delete(peer);
      this.#events.emit('link', peer, up);
    }
    this.#events.emit('change');
  }

  #link(peer: PartyName): Link {
    const link = this.#links.get(peer);
    invariant(link !== undefined, `${peer} is no peer of this party`);
    return link;
  }

  /** A TLS connection from somebody: a party's, or it is dropped. */
  async #arrived(cluster: Cluster, socket: TLSSocket): Promise<void> {
    if (!this.#started) {
      socket.destroy();
      throw new HandshakeError('this party is not ready yet');
    }
    await welcome(cluster, socket);
  }
}

/**
 * What `use` makes of the options for listening and for dialling with `files`. The peer's certificate is asked for and
 * checked by OpenSSL against the cluster's CA alone, and {@link judge} then acts on the result: the same for both roles.
 *
 * The key goes into OpenSSL's contexts and stays nowhere else: a server keeps the options that it was given, so it is
 * given a copy, wiped when its context is made. Throws `CERTIFICATE` when TLS refuses the files, before `use` is called.
 */
function withTls<T>(files: TlsFiles, use: (listening: TlsOptions, dialling: ConnectionOptions) => T): T {
  const key = Buffer.from(files.key);
  const listening = {
    ca: files.ca,
    cert: files.cert,
    key,
    minVersion: 'TLSv1.3' as const,
    maxVersion: 'TLSv1.3' as const,
    ALPNProtocols: [APPLICATION_PROTOCOL],
    secureOptions: constants.SSL_OP_NO_TICKET,
    requestCert: true,
    rejectUnauthorized: false,
  };
  try {
    const dialling = {
      secureContext: contextOf(listening),
      ALPNProtocols: listening.ALPNProtocols,
      rejectUnauthorized: false,
      // Names are judged like everything else, and the same on both sides.
      checkServerIdentity: () => undefined,
    };
    return use(listening, dialling);
  } finally {
    key.fill(0);
  }
}

function contextOf(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    throw new MpcError('CERTIFICATE', 'the TLS certificate and key of this party cannot be used', {
      hint: 'run `ecdsa-mpc certs`, or check the files that cluster.json names',
      cause,
    });
  }
}

const NO_CONNECTION = 'no connection yet';

const closedError = (): MpcError => new MpcError('INTERRUPTED', 'this party has closed its connections');
