/**
 * One party as a whole: its TLS links, mailbox, worker threads and safe primes, brought up for one command, or for the
 * life of a daemon, and taken down after it, however it ends.
 */
import type { Policy } from '../access/policy.js';
import type { ClusterConfig } from '../config/cluster.js';
import { clusterParty } from '../config/cluster.js';
import { formatDuration } from '../config/duration.js';
import { type Identity, loadIdentity } from '../config/identity.js';
import { randomBytes } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { MpcError } from '../core/errors.js';
import type { Curve } from '../curve/curve.js';
import { displayPath } from '../files/files.js';
import { engineName } from '../math/modpow.js';
import { type Aborting, anyOf } from '../rounds/abort-signal.js';
import { Mailbox, type MailboxOptions } from '../rounds/mailbox.js';
import type { Compute } from '../rounds/run.js';
import type { TransportLogger } from '../transport/log.js';
import { type PeerFacts, TlsTransport } from '../transport/tls-transport.js';
import { WorkerPool } from '../work/pool.js';
import type { EventSink } from './events.js';
import type { Resources } from './operations.js';
import { PrimeStock, primesPerSetup } from './primes.js';

export interface PartyOptions {
  readonly cluster: ClusterConfig;
  readonly self: PartyName;
  /** How long sessions run, from the last link up to the end, unless they have a time of their own. */
  readonly timeoutMillis: number;
  /** From the start to the last link up. */
  readonly connectTimeoutMillis: number;
  /** Aborted with `INTERRUPTED` when the user gives up. */
  readonly signal: AbortSignal;
  readonly emit: EventSink;
  readonly logger: TransportLogger;
}

/** What a party that is up hears of its peers outside of sessions. */
export type PeerHandler = Required<Pick<MailboxOptions, 'letter' | 'lost' | 'refuse'>> & {
  /** The link to `peer` has gone up or down. */
  readonly link: (peer: PartyName, up: boolean) => void;
};

/** What ends one of several operations. */
export interface OperationLimits {
  readonly signal?: AbortSignal;
  /** From its begin. */
  readonly timeoutMillis?: number;
}

/** What a command, or a daemon, does with a party that is up. */
export interface Party {
  readonly compute: Compute;
  /** Aborted when the command is over, whatever the reason: for what runs in the background. */
  readonly background: AbortSignal;
  /** Starts looking for the safe primes of so many set-ups, where the multiplication needs any. */
  prepareSetups(count: number): void;
  /**
   * Waits until the links to all `peers` are up; milliseconds it took. Throws `UNREACHABLE` naming who never came.
   * When a peer that had all its links has aborted the command meanwhile, nobody else need come: opening the first
   * session will show why.
   */
  connect(peers: readonly PartyName[]): Promise<number>;
  /**
   * Runs sessions for a key of this curve and policy, until the time-out, or what `limits` say. Many may run at once.
   * Links may be down: messages wait for them.
   */
  during<T>(
    key: KeyKind,
    body: (resources: Omit<Resources, 'progress'>) => Promise<T>,
    limits?: OperationLimits,
  ): Promise<T>;
  /**
   * Tells `handler` from now on. What comes before is lost, which is nothing for a caller who has awaited nothing. One
   * who connects needs none.
   */
  hear(handler: PeerHandler): void;
  /** The link to `peer`, as it is now. */
  peerFacts(peer: PartyName): PeerFacts;
  /** Of the certificate in use. */
  readonly certificateExpires: Date;
  /**
   * Reads the files of this party's identity again, and, if the certificate is another, makes all links anew with it,
   * which no operation notices. Returns whether it is. Throws `CERTIFICATE`, with nothing changed, when they cannot be
   * used, or the CA is another.
   */
  renew(): Promise<boolean>;
  /** As {@link Mailbox.sendLetter}. */
  sendLetter(to: PartyName, subject: string, body: Uint8Array): Promise<void>;
}

export interface KeyKind {
  readonly curve: Curve;
  readonly policy: Policy;
}

const WAITING_EVERY_MILLIS = 10_000;
const ANNOUNCE_EVERY_MILLIS = 2_000;
/**
 * How long the links may take to deliver what is still on its way. After a success a peer may need it, and its link
 * may be down just then; after a failure or an interruption the user wants to be gone.
 */
const CLOSE_AFTER_SUCCESS_MILLIS = 3_000;
const CLOSE_AFTER_FAILURE_MILLIS = 500;

/**
 * Brings the party up, runs `body` with it, and takes it down. Throws {@link MpcError}. Only what it takes to connect is
 * loaded before peers can: the protocols come while it waits for them.
 */
export async function withParty<T>(options: PartyOptions, body: (party: Party) => Promise<T>): Promise<T> {
  const { cluster, self, emit, logger } = options;
  const started = await startTransport(options);
  const { transport } = started;
  let { certificate }: { certificate: Certificate } = started;
  if (engineName() === 'bigint') {
    const reason = 'OpenSSL cannot do it here: slow, and not in constant time';
    logger.warn({ reason }, 'exponentiation falls back to BigInt');
  }

  // Ends what runs in the background when the command is over, whatever the reason.
  const over = new AbortController();
  const background = AbortSignal.any([options.signal, over.signal]);
  const pool = new WorkerPool();
  using primes = new PrimeStock(pool.compute, cluster.security, background);
  const abortedByPeer = new AbortController();
  let handler: PeerHandler | undefined;
  const mailbox = new Mailbox(transport, {
    notice: (reason) => logger.warn({ reason }, 'dropped a message'),
    abortedEarly: () => abortedByPeer.abort(),
    letter: (...letter) => handler?.letter(...letter),
    lost: (...loss) => handler?.lost(...loss),
    refuse: (...hello) => handler?.refuse(...hello),
  });
  transport.watch((peer, up) => handler?.link(peer, up));
  const announcing = setInterval(() => mailbox.announceWaiting(), ANNOUNCE_EVERY_MILLIS);
  let closingMillis = CLOSE_AFTER_FAILURE_MILLIS;
  try {
    emit({ event: 'listening', party: self, address: clusterParty(cluster, self).address });
    const result = await body({
      compute: pool.compute,
      background,
      prepareSetups: (count) => primes.prepare(count * primesPerSetup(cluster)),
      async connect(peers) {
        const connected = connect(transport, peers, options, abortedByPeer.signal);
        const [millis] = await Promise.all([connected, import('./multiplication.js')]);
        return millis;
      },
      during,
      hear(given) {
        handler = given;
      },
      peerFacts: (peer) => transport.peerFacts(peer),
      get certificateExpires() {
        return certificate.expires;
      },
      async renew() {
        const renewed = await renewTransport(transport, options, certificate);
        const isOther = renewed.cert !== certificate.cert;
        certificate = renewed;
        return isOther;
      },
      sendLetter: (...letter) => mailbox.sendLetter(...letter),
    });
    closingMillis = CLOSE_AFTER_SUCCESS_MILLIS;
    return result;
  } finally {
    over.abort(new MpcError('INTERRUPTED', 'the run is over'));
    clearInterval(announcing);
    mailbox.close();
    await Promise.all([transport.close(closingMillis), pool.close()]);
  }

  async function during<R>(
    { curve, policy }: KeyKind,
    act: (resources: Omit<Resources, 'progress'>) => Promise<R>,
    limits: OperationLimits = {},
  ): Promise<R> {
    const { multiplicationOf } = await import('./multiplication.js');
    using time = deadline(options, limits);
    return await act({
      cluster,
      authority: certificate.caFingerprint,
      curve,
      policy,
      multiplication: multiplicationOf(cluster, curve, primes.take),
      mailbox,
      compute: pool.compute,
      random: randomBytes,
      signal: time.signal,
    });
  }
}

/** What is kept of an {@link Identity}: nothing secret. */
type Certificate = Pick<Identity, 'cert' | 'expires' | 'caFingerprint'>;

/**
 * The transport of this party, and the certificate that it uses. A function that waits keeps whatever it has named: the
 * key is named here and not in {@link withParty}, so that from then on OpenSSL alone has it.
 */
async function startTransport({ cluster, self, logger }: PartyOptions) {
  const { caFingerprint, expires, ca, cert, key } = loadIdentity(cluster, self);
  const { parties } = cluster;
  const transport = await TlsTransport.start({ self, parties, ca, cert, key, logger });
  return { transport, certificate: { cert, expires, caFingerprint } };
}

/** Has the transport use the certificate in the party's files, if it is not `used`. All sessions are bound to the CA. */
async function renewTransport(
  transport: TlsTransport,
  { cluster, self }: PartyOptions,
  used: Certificate,
): Promise<Certificate> {
  const { caFingerprint, expires, ca, cert, key } = loadIdentity(cluster, self);
  if (caFingerprint !== used.caFingerprint)
    throw new MpcError(
      'CERTIFICATE',
      `${displayPath(cluster.caCertPath)} is not the CA that this party began with`,
      { hint: 'start every party anew to change the CA, or put the earlier certificate back' },
    );
  if (cert === used.cert) return used;
  await transport.renew({ ca, cert, key });
  return { cert, expires, caFingerprint };
}

async function connect(
  transport: TlsTransport,
  peers: readonly PartyName[],
  options: PartyOptions,
  abortedByPeer: AbortSignal,
): Promise<number> {
  const { self, emit, connectTimeoutMillis } = options;
  const start = performance.now();
  const missing = () => transport.missing.filter((peer) => peers.includes(peer));
  const timer = new AbortController();
  const giveUp = setTimeout(
    () => timer.abort(unreachable(transport, missing(), options)),
    connectTimeoutMillis,
  );
  const report = setInterval(() => {
    const problems = Object.fromEntries(missing().map((peer) => [peer, transport.problems[peer]!]));
    emit({ event: 'waiting', party: self, missing: missing(), problems });
  }, WAITING_EVERY_MILLIS);
  const unwatch = transport.watch((peer, up) => {
    if (peers.includes(peer)) emit({ event: 'link', party: self, peer, up });
  });
  try {
    await transport.ready(AbortSignal.any([options.signal, timer.signal, abortedByPeer]), peers);
  } catch (error) {
    if (options.signal.aborted || !abortedByPeer.aborted) throw error;
  } finally {
    clearTimeout(giveUp);
    clearInterval(report);
    unwatch();
  }
  const millis = Math.round(performance.now() - start);
  if (missing().length === 0) emit({ event: 'connected', party: self, peers: peers.length, millis });
  return millis;
}

function unreachable(
  { problems }: TlsTransport,
  missing: readonly PartyName[],
  { connectTimeoutMillis }: PartyOptions,
): MpcError {
  const details = missing.map((peer) => `${peer} (${problems[peer]})`).join(', ');
  return new MpcError(
    'UNREACHABLE',
    `no connection to ${details} within ${formatDuration(connectTimeoutMillis)}`,
    {
      hint: 'start the missing parties, check their addresses in cluster.json, or wait longer with --connect-timeout',
      culprits: missing,
    },
  );
}

/** The user's signal or the operation's own, or the end of the time that it may take. */
function deadline(options: PartyOptions, limits: OperationLimits): Aborting {
  const timer = new AbortController();
  const { timeoutMillis = options.timeoutMillis } = limits;
  const [what, how] = limits.timeoutMillis === undefined ? ['command', ' with --timeout'] : ['operation', ''];
  const timeout = setTimeout(() => {
    const error = new MpcError('TIMEOUT', `the ${what} took longer than ${formatDuration(timeoutMillis)}`, {
      hint: `look at the named parties, or allow more time${how}`,
    });
    timer.abort(error);
  }, timeoutMillis);
  const ending = anyOf(options.signal, limits.signal, timer.signal);
  return {
    signal: ending.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timeout);
      ending[Symbol.dispose]();
    },
  };
}
