/** Daemons in memory: parties with key stores and audit logs on disk, over a network in memory. */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePolicy } from '#src/access/policy.js';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import { verifyLogs } from '#src/audit/verify.js';
import type { BackupPlace } from '#src/config/settings.js';
import { randomBytes } from '#src/core/bytes.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { Approval } from '#src/daemon/approval-request.js';
import type { Caller } from '#src/daemon/asker.js';
import { backUpIn } from '#src/daemon/backups.js';
import { Daemon } from '#src/daemon/daemon.js';
import { Gates } from '#src/daemon/gates.js';
import { encodeLetter, type RequestContent, type SignContent } from '#src/daemon/letters.js';
import type { Outcome } from '#src/daemon/perform.js';
import { Presignatures } from '#src/daemon/presignatures.js';
import { RunningOperations } from '#src/daemon/running.js';
import type { Tools } from '#src/daemon/tools.js';
import type { Keystore } from '#src/keystore/keystore.js';
import type { PartyEvent } from '#src/party/events.js';
import { StoredKeys } from '#src/party/stored-keys.js';
import type { Sharing } from '#src/protocol/key-share.js';
import type { TransportLogger } from '#src/transport/log.js';
import { type Intercept, MemoryCluster, testParty, valuesOf } from './memory-network.js';
import { Homes } from './stores.js';

export interface TestDaemon {
  readonly self: PartyName;
  readonly daemon: Daemon;
  readonly tools: Tools;
  readonly keystore: Keystore;
  readonly audit: AuditLog;
  /** What it has told its user, and why it could not go on. */
  readonly events: PartyEvent[];
  readonly faults: MpcError[];
  readonly end: AbortController;
}

export interface DaemonSettings {
  /** Default: whatever is asked. */
  readonly approval?: Approval;
  /** Default: none. */
  readonly presignatures?: number;
  readonly requestTimeoutMillis?: number;
  /** Is told the reasons of warnings. */
  readonly warned?: (reason: string) => void;
  /** Default: refreshed shares are backed up nowhere. */
  readonly backup?: BackupPlace;
}

const silent: TransportLogger = { debug() {}, info() {}, warn() {}, error() {} };

export const always: Approval = async () => ({ decision: 'approved', by: 'rule' });

/** Leaves every request undecided, until nobody waits for it any more. */
export const undecided: Approval = (_request, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

export class Daemons {
  readonly homes: Homes;
  readonly #cluster: MemoryCluster;
  readonly #running = new Map<PartyName, TestDaemon>();

  constructor(homes: Homes, intercept?: Intercept) {
    this.homes = homes;
    this.#cluster = new MemoryCluster(homes.parties, intercept);
  }

  at(self: PartyName): TestDaemon {
    const running = this.#running.get(self);
    if (running === undefined) throw new Error(`no daemon of ${self}`);
    return running;
  }

  async startAll(settings: DaemonSettings = {}): Promise<void> {
    for (const self of this.homes.parties) await this.start(self, settings);
  }

  /** Starts the daemon of `self`; those that run already and it find each other. */
  async start(self: PartyName, settings: DaemonSettings = {}): Promise<TestDaemon> {
    const { approval = always, presignatures: wanted = 0, requestTimeoutMillis = 60_000 } = settings;
    const { homes } = this;
    const keystore = await homes.open(self);
    const audit = AuditLog.open(homes.folderOf(self), self);
    audit.append({ event: 'opened', party: self, version: '0.0.0' });
    for (const id of audit.unfinished().keys())
      audit.append({ event: 'failed', id, code: 'INTERRUPTED', reason: 'it was cut off' });
    const end = new AbortController();
    const events: PartyEvent[] = [];
    const faults: MpcError[] = [];
    let daemon: Daemon | undefined;
    const party = testParty(this.#cluster, self, {
      mailbox: {
        letter: (from, subject, body) => daemon?.receive(from, subject, body),
        lost: (peer, error) => daemon?.lost(peer, error),
      },
    });
    const resources = homes.resources(self, party);
    const tools: Tools = {
      ...{ self, cluster: resources.cluster, keystore, audit, signal: end.signal },
      settings: { presignatures: wanted, requestTimeoutMillis },
      record: (event) => {
        try {
          audit.append(event);
        } catch (cause) {
          faults.push(cause as MpcError);
          throw cause;
        }
      },
      keys: new StoredKeys(keystore),
      compute: party.compute,
      ...(settings.backup && { backUp: backUpIn(settings.backup, self, (event) => events.push(event)) }),
      gates: new Gates(),
      presignatures: new Presignatures(),
      running: new RunningOperations(),
      isUp: (peer) => this.#running.has(peer),
      post: (to, subject, body) =>
        void party.mailbox.sendLetter(to, subject, encodeLetter(subject, body)).catch(() => {}),
      during: (kind, signal, act) =>
        act({
          ...resources,
          curve: kind.curve,
          policy: kind.policy,
          signal: AbortSignal.any([signal, end.signal]),
        }),
      emit: (event) => events.push(event),
    };
    const fatal = (error: MpcError): void => void faults.push(error);
    daemon = new Daemon({
      tools,
      approval,
      version: '0.0.0',
      logger: { ...silent, warn: ({ reason }) => settings.warned?.(reason ?? '') },
      fatal,
    });
    const started: TestDaemon = { self, daemon, tools, keystore, audit, events, faults, end };
    for (const [other, { daemon: its }] of this.#running)
      setImmediate(() => {
        daemon?.linkUp(other);
        its.linkUp(self);
      });
    this.#running.set(self, started);
    return started;
  }

  /** Ends the daemon of `self` as a kill would: it writes and sends nothing more. The others learn of it. */
  kill(self: PartyName): void {
    const { end, keystore, audit, daemon } = this.at(self);
    this.#running.delete(self);
    this.#cluster.network(self);
    audit[Symbol.dispose]();
    keystore[Symbol.dispose]();
    end.abort(new MpcError('INTERRUPTED', `${self} was killed`));
    daemon[Symbol.dispose]();
  }

  /** Two parties lose each other, and find each other again. */
  async separate(one: PartyName, other: PartyName): Promise<void> {
    this.#cluster.separate(one, other);
    await new Promise(setImmediate);
    this.at(one).daemon.linkUp(other);
    this.at(other).daemon.linkUp(one);
  }

  /** These frames arrive all at once. */
  deliver(from: PartyName, to: PartyName, ...frames: readonly Uint8Array[]): void {
    this.#cluster.deliver(from, to, ...frames);
  }

  restart(self: PartyName, settings: DaemonSettings = {}): Promise<TestDaemon> {
    this.kill(self);
    return this.start(self, settings);
  }

  dispose(): void {
    for (const self of [...this.#running.keys()]) this.kill(self);
    this.homes.dispose();
  }
}

/** As many sets of daemons as a test file wants, each with copies of the shares of one key. */
export class DaemonsWithKey implements Disposable {
  readonly #homes: Homes;
  readonly #generated: Promise<Sharing>;
  readonly #made: Daemons[] = [];

  /** Any `threshold` of `parties` can sign. */
  constructor(parties: readonly PartyName[], threshold: number) {
    const policy = parsePolicy({ threshold, of: [...parties] }, parties);
    this.#homes = new Homes(parties, { curve, policy, by: 'ot' });
    this.#generated = this.#homes
      .command(({ keys, work }) => keys.generate(work, 'keygen'))
      .then((outcomes) => valuesOf(outcomes)[0]!);
  }

  async make(intercept?: Intercept): Promise<{ readonly daemons: Daemons; readonly sharing: Sharing }> {
    const sharing = await this.#generated;
    const daemons = new Daemons(this.#homes.copy(), intercept);
    this.#made.push(daemons);
    return { daemons, sharing };
  }

  [Symbol.dispose](): void {
    for (const daemons of this.#made) daemons.dispose();
    this.#homes.dispose();
  }
}

const curve = curveByName('P-256');

/** A caller who hears of nothing. */
export const nobody = (signal: AbortSignal = new AbortController().signal): Caller => ({
  emit: () => {},
  signal,
});

/** That alice and bob sign something, for alice, unless it says otherwise. */
export const signContent = ({ keyId }: Sharing, more: Partial<SignContent> = {}): SignContent => ({
  ...{ operation: 'sign', nonce: randomBytes(16), key: keyId, message: randomBytes(20) },
  ...{ quorum: ['alice', 'bob'], receivers: ['alice'], ...more },
});

export const refreshContent = ({ keyId }: Sharing): RequestContent => ({
  ...{ operation: 'refresh', nonce: randomBytes(16), key: keyId },
});

export interface AskOptions {
  readonly message?: Uint8Array;
  readonly quorum?: string[];
  readonly signal?: AbortSignal;
}

/** `asker` asks for a signature, by alice and bob unless it says otherwise, and receives it. */
export function ask(
  daemons: Daemons,
  asker: PartyName,
  sharing: Sharing,
  { message = randomBytes(20), quorum = ['alice', 'bob'], signal }: AskOptions = {},
): Promise<Outcome & { message: Uint8Array }> {
  return daemons
    .at(asker)
    .daemon.ask(signContent(sharing, { message, quorum, receivers: [asker] }), nobody(signal))
    .then((outcome) => ({ ...outcome, message }));
}

export function assertSigned(
  { publicKey }: Sharing,
  { message, signature }: { message: Uint8Array; signature?: Uint8Array },
): void {
  assert.ok(verify('sha256', message, createPublicKey(publicKeyPem(curve, publicKey)), signature!));
}

/** What the audit logs of the daemons say, once all are at rest, is sound, and they agree. */
export async function assertAgreement({ homes }: Daemons): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  const logs = homes.parties.map((self) => join(homes.folderOf(self), AUDIT_FILE));
  const verdict = await verifyLogs(logs.filter(existsSync));
  assert.deepEqual(verdict.faults, []);
}

/** The records in a party's log, or those of one kind. */
export function recordsOf({ homes }: Daemons, self: PartyName, event?: string): string[] {
  const log = readFileSync(join(homes.folderOf(self), AUDIT_FILE), 'utf8');
  const lines = log.split('\n').slice(0, -1);
  return event === undefined ? lines : lines.filter((line) => line.includes(`"event":"${event}"`));
}

export const failure = (result: Promise<unknown>): Promise<MpcError> =>
  result.then(
    () => assert.fail('it was done'),
    (error: MpcError) => error,
  );

/** Waits, for as long as it takes, until it is so. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Waits until all that letters have set off, other than operations, is over. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
