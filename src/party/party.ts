/**
 * One party as a whole: its TLS links, mailbox, worker threads, safe primes and recovery key, brought up for a
 * ceremony and taken down after it, however it ends.
 */

import { formatPolicy } from '../access/policy.js';
import type { ClusterConfig } from '../config/cluster.js';
import { clusterParty } from '../config/cluster.js';
import { formatDuration } from '../config/duration.js';
import type { Identity } from '../config/identity.js';
import { loadIdentity } from '../config/identity.js';
import { randomBytes, type Secret, toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { MpcError } from '../core/errors.js';
import { curveByName } from '../curve/curve.js';
import { messageDigest } from '../curve/ecdsa.js';
import { engineName } from '../math/modpow.js';
import { securityLevel } from '../math/params.js';
import { paillierMultiplication } from '../multiplication/paillier.js';
import { recipientFromPem } from '../pve/recipient.js';
import { Mailbox } from '../rounds/mailbox.js';
import type { TransportLogger } from '../transport/log.js';
import { TlsTransport } from '../transport/tls-transport.js';
import { WorkerPool } from '../work/pool.js';
import { BackupMaker, makeRecoveryKey, type RecoveryKey } from './backup.js';
import { ceremony } from './ceremony.js';
import type { DoneEvent, EventSink } from './events.js';
import { PrimeStock } from './primes.js';
import { resolveQuorum } from './quorum.js';

export interface PartyOptions {
  readonly cluster: ClusterConfig;
  readonly self: PartyName;
  /** The text to sign, as UTF-8. */
  readonly message: string;
  /** From the last link up to the end. */
  readonly timeoutMillis: number;
  /** From the start to the last link up. */
  readonly connectTimeoutMillis: number;
  /** Who signs; default all parties, as far as the policy needs them. */
  readonly quorum?: readonly PartyName[];
  /** Who gets the signature: a member of the quorum (default its first), or `all` of it. */
  readonly receiver?: string;
  /** PEM of the public key that backups are encrypted to; without one a recovery key is made. */
  readonly backupKeyPem?: string;
  /** Aborted with `INTERRUPTED` when the user gives up. */
  readonly signal: AbortSignal;
  readonly emit: EventSink;
  readonly logger: TransportLogger;
}

export interface PartyResult {
  readonly done: DoneEvent;
  /** Text of the backup file of the refreshed share. */
  readonly backupHex: string;
  /** PEM of the recovery key, when it was made here. The caller disposes it. */
  readonly recoveryKeyPem?: Secret;
}

const WAITING_EVERY_MILLIS = 10_000;
const ANNOUNCE_EVERY_MILLIS = 2_000;
/**
 * How long the links may take to deliver what is still on its way. After a success a peer may need it, and its link
 * may be down just then; after a failure or an interruption the user wants to be gone.
 */
const CLOSE_AFTER_SUCCESS_MILLIS = 3_000;
const CLOSE_AFTER_FAILURE_MILLIS = 500;
/** Two safe primes for the first set-up, two for that of the refresh. */
const PRIMES = 4;

/**
 * Runs the ceremony as one party: waits for all peers, then runs every step. Peers are told when it fails.
 * Throws {@link MpcError}; every secret is wiped when it ends, but for the result's.
 */
export async function runParty(options: PartyOptions): Promise<PartyResult> {
  const { cluster, self, message, emit } = options;
  const identity = loadIdentity(cluster, self);
  const parties = cluster.parties.map(({ name }) => name);
  const quorum = resolveQuorum(parties, cluster.policy, options.quorum, options.receiver);
  const recipient = options.backupKeyPem === undefined ? undefined : recipientFromPem(options.backupKeyPem);
  emit({
    event: 'start',
    party: self,
    parties,
    address: clusterParty(cluster, self).address,
    curve: cluster.curve,
    security: cluster.security,
    multiplication: cluster.multiplication,
    policy: formatPolicy(cluster.policy),
    quorum: quorum.quorum,
    receivers: quorum.receivers,
    message,
    messageHash: toHex(messageDigest(new TextEncoder().encode(message))),
  });

  if (engineName() === 'bigint') {
    const reason = 'OpenSSL cannot do it here: slow, and not in constant time';
    options.logger.warn({ reason }, 'exponentiation falls back to BigInt');
  }

  // Ends what runs in the background when the run is over, whatever the reason.
  const over = new AbortController();
  const background = AbortSignal.any([options.signal, over.signal]);
  const pool = new WorkerPool();
  using primes = new PrimeStock(pool.compute, cluster.security, background);
  const transport = await TlsTransport.start(transportOptions(options, identity));
  const abortedByPeer = new AbortController();
  const mailbox = new Mailbox(transport, {
    notice: (reason) => options.logger.warn({ reason }, 'dropped a message'),
    abortedEarly: () => abortedByPeer.abort(),
  });
  let closingMillis = CLOSE_AFTER_FAILURE_MILLIS;
  try {
    emit({ event: 'listening', party: self, address: clusterParty(cluster, self).address });
    primes.prepare(PRIMES);
    const key = recipient ? Promise.resolve<RecoveryKey>({ recipient }) : makeRecoveryKey(background);
    // A failure is reported where the key is first needed, and not before.
    key.catch(() => {});
    try {
      const connectMillis = await connect(transport, options, abortedByPeer.signal);
      const { done, backupHex } = await runCeremony(key);
      const { privatePem } = await key;
      closingMillis = CLOSE_AFTER_SUCCESS_MILLIS;
      return {
        done: { ...done, millis: { connect: connectMillis, ...done.millis } },
        backupHex,
        ...(privatePem && { recoveryKeyPem: privatePem }),
      };
    } catch (error) {
      key.then(({ privatePem }) => privatePem?.dispose()).catch(() => {});
      throw error;
    }
  } finally {
    over.abort(new MpcError('INTERRUPTED', 'the run is over'));
    mailbox.close();
    await Promise.all([transport.close(closingMillis), pool.close()]);
  }

  async function runCeremony(key: Promise<RecoveryKey>) {
    const { signal, stop } = deadline(options);
    const announcing = setInterval(() => mailbox.announceWaiting(), ANNOUNCE_EVERY_MILLIS);
    const curve = curveByName(cluster.curve);
    const level = securityLevel(cluster.security);
    const label = () => `backup-${self}-${Math.floor(Date.now() / 1000)}`;
    try {
      return await ceremony(
        {
          cluster,
          authority: identity.caFingerprint,
          curve,
          multiplication: paillierMultiplication(curve, level, primes.take),
          mailbox,
          compute: pool.compute,
          random: randomBytes,
          signal,
        },
        {
          self,
          ...quorum,
          message,
          backups: new BackupMaker({ key, compute: pool.compute, label, signal }),
          emit,
          clock: () => performance.now(),
        },
      );
    } finally {
      stop();
      clearInterval(announcing);
    }
  }
}

function transportOptions({ cluster, self, logger }: PartyOptions, { ca, cert, key }: Identity) {
  return { self, parties: cluster.parties, ca, cert, key, logger };
}

/**
 * Waits until all links are up; milliseconds it took. Throws `UNREACHABLE` naming who never came.
 * When a peer that had all its links has aborted the ceremony meanwhile, nobody else need come: opening the ceremony
 * will show why.
 */
async function connect(
  transport: TlsTransport,
  options: PartyOptions,
  abortedByPeer: AbortSignal,
): Promise<number> {
  const { self, emit, connectTimeoutMillis } = options;
  const start = performance.now();
  const timer = new AbortController();
  const giveUp = setTimeout(() => timer.abort(unreachable(transport, options)), connectTimeoutMillis);
  const report = setInterval(() => {
    emit({ event: 'waiting', party: self, missing: transport.missing, problems: transport.problems });
  }, WAITING_EVERY_MILLIS);
  const unwatch = transport.watch((peer, up) => emit({ event: 'link', party: self, peer, up }));
  try {
    await transport.ready(AbortSignal.any([options.signal, timer.signal, abortedByPeer]));
  } catch (error) {
    if (options.signal.aborted || !abortedByPeer.aborted) throw error;
  } finally {
    clearTimeout(giveUp);
    clearInterval(report);
    unwatch();
  }
  const millis = Math.round(performance.now() - start);
  if (transport.missing.length === 0) {
    emit({ event: 'connected', party: self, peers: transport.parties.length - 1, millis });
  }
  return millis;
}

function unreachable(transport: TlsTransport, { connectTimeoutMillis }: PartyOptions): MpcError {
  const { missing, problems } = transport;
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

/** The user's signal, or the end of the time that the ceremony may take. */
function deadline({ signal, timeoutMillis }: PartyOptions): { signal: AbortSignal; stop: () => void } {
  const timer = new AbortController();
  const timeout = setTimeout(() => {
    const error = new MpcError('TIMEOUT', `the ceremony took longer than ${formatDuration(timeoutMillis)}`, {
      hint: 'look at the named parties, or allow more time with --timeout',
    });
    timer.abort(error);
  }, timeoutMillis);
  return { signal: AbortSignal.any([signal, timer.signal]), stop: () => clearTimeout(timeout) };
}
