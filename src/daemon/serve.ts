/**
 * `serve`: one party as a daemon, from the opening of its audit log to its end. Everything that it does is set off by
 * a letter of a peer or an order of its user.
 */
import { AuditLog } from '../audit/log.js';
import type { AuditEvent } from '../audit/record.js';
import type { Settings } from '../config/settings.js';
import { type HttpAnswer, type HttpHandler, MonitorServer } from '../control/http.js';
import { ControlServer } from '../control/server.js';
import { asMpcError, MpcError, type PartyName } from '../core/errors.js';
import type { Keystore } from '../keystore/keystore.js';
import type { EventSink } from '../party/events.js';
import { type Party, type PartyOptions, withParty } from '../party/party.js';
import { StoredKeys } from '../party/stored-keys.js';
import { whenAborted } from '../rounds/abort-signal.js';
import { approvalOf } from './approval.js';
import { backUpIn } from './backups.js';
import { type CommandOptions, obey } from './commands.js';
import { Daemon } from './daemon.js';
import { Desk } from './desk.js';
import { Gates } from './gates.js';
import { encodeLetter } from './letters.js';
import { Metrics } from './metrics.js';
import { Presignatures } from './presignatures.js';
import { Renewal } from './renewal.js';
import { RunningOperations } from './running.js';
import { type StatusEvent, statusOf } from './status.js';
import type { Tools } from './tools.js';

export interface ServeOptions extends Omit<PartyOptions, 'connectTimeoutMillis'> {
  /** Of this party, open; the caller's. */
  readonly keystore: Keystore;
  readonly settings: Settings;
  readonly version: string;
}

/**
 * Serves until `options.signal` is aborted, which ends the daemon well: what runs may take its time, as much as the
 * settings allow. Throws what makes it impossible to serve.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { keystore, self, version } = options;
  using audit = AuditLog.open(keystore.folder, self);
  audit.append({ event: 'opened', party: self, version });
  for (const id of [...audit.unfinished().keys()])
    audit.append({ event: 'failed', id, code: 'INTERRUPTED', reason: 'the daemon ended before it was done' });
  // Aborted when nothing may go on: after a stop that took too long, or when something cannot be recorded.
  const end = new AbortController();
  await withParty({ ...options, connectTimeoutMillis: 0, signal: end.signal }, async (party) => {
    const service = new Service(options, audit, party, end);
    try {
      await service.run();
    } finally {
      end.abort(new MpcError('INTERRUPTED', `the daemon of ${self} has stopped`));
      await service.close();
    }
  });
  audit.append({ event: 'closed' });
}

/** A daemon with all that it is reached by and seen through. */
class Service {
  readonly #options: ServeOptions;
  readonly #party: Party;
  readonly #tools: Tools;
  readonly #daemon: Daemon;
  readonly #metrics = new Metrics(() => this.#status());
  readonly #renewal: Renewal;
  readonly #desk: Desk;
  readonly #since = new Date();
  readonly #end: AbortController;
  #control: ControlServer | undefined;
  #monitor: MonitorServer | undefined;

  constructor(options: ServeOptions, audit: AuditLog, party: Party, end: AbortController) {
    const { self, cluster, keystore, settings, version, logger } = options;
    this.#options = options;
    this.#party = party;
    this.#end = end;
    this.#desk = new Desk({ timeoutMillis: settings.requestTimeoutMillis });
    const emit: EventSink = (event) => {
      this.#metrics.count(event);
      options.emit(event);
      // Whoever has a new set-up wants the primes of the next one ready.
      if (event.event === 'key' || event.event === 'refreshed') party.prepareSetups(1);
    };
    const fatal = (error: MpcError): void => end.abort(error);
    this.#tools = {
      ...{ self, cluster, settings, keystore, audit, emit, signal: end.signal },
      record: (event) => recordOr(fatal, audit, event),
      keys: new StoredKeys(keystore),
      compute: party.compute,
      ...(settings.backup && { backUp: backUpIn(settings.backup, self, emit) }),
      gates: new Gates(),
      presignatures: new Presignatures(),
      running: new RunningOperations((operation, millis) => this.#metrics.took(operation, millis)),
      isUp: (peer) => party.peerFacts(peer).up,
      // What is lost with its receiver is reported by the loss of that.
      post: (to, subject, body) =>
        void party.sendLetter(to, subject, encodeLetter(subject, body)).catch(() => {}),
      during: (kind, signal, act) => party.during(kind, act, { signal }),
    };
    const approval = approvalOf(settings.approval, { desk: this.#desk });
    this.#daemon = new Daemon({ tools: this.#tools, approval, version, logger, fatal });
    this.#renewal = new Renewal({
      party,
      renewed: (expires) => emit({ event: 'renewed', party: self, expires: expires.toISOString() }),
      unfit: ({ message }) => logger.warn({ reason: message }, 'the certificate on disk is not used'),
    });
    party.hear({
      letter: (from, subject, body) => this.#daemon.receive(from, subject, body),
      lost: (peer, error) => this.#daemon.lost(peer, error),
      refuse: (operation) => (operation.startsWith(SINGLE_COMMAND) ? isDaemon(self) : undefined),
      link: (peer, up) => {
        emit({ event: 'link', party: self, peer, up });
        if (up) this.#daemon.linkUp(peer);
      },
    });
  }

  /** Serves until the user wants it to end, and all that ran has ended, or had its time. */
  async run(): Promise<void> {
    const { self, settings, version, logger, signal } = this.#options;
    const { emit, running } = this.#tools;
    const notice = (reason: string): void => logger.warn({ reason }, 'control');
    this.#control = await ControlServer.listen({
      ...{ path: settings.control, party: self, notice },
      handle: (order, caller) => obey(this.#commandOptions(), order, caller),
    });
    if (settings.monitor !== undefined)
      this.#monitor = await MonitorServer.listen({ ...settings.monitor, pages: this.#pages(), notice });
    this.#party.prepareSetups(1);
    const { control, monitor } = settings;
    emit({
      event: 'serving',
      party: self,
      version,
      control,
      approval: APPROVAL_NAMES[settings.approval.by],
      ...(monitor && { monitor: monitor.address }),
    });
    await either(signal, this.#end.signal);
    emit({ event: 'stopping', party: self, operations: running.list().length });
    this.#daemon.stop();
    await this.#daemon.settled(AbortSignal.timeout(settings.stopTimeoutMillis)).catch(() => {});
    // What cannot be recorded meanwhile makes no good end of it.
    this.#end.signal.throwIfAborted();
  }

  #status(): StatusEvent {
    const { version } = this.#options;
    return statusOf({
      ...{ tools: this.#tools, daemon: this.#daemon, party: this.#party, version, since: this.#since },
      ...{ approval: APPROVAL_NAMES[this.#options.settings.approval.by] },
    });
  }

  #commandOptions(): CommandOptions {
    const desk = this.#desk;
    // Whoever has just installed a certificate looks whether it is in use.
    const status = async (): Promise<StatusEvent> => {
      await this.#renewal.look();
      return this.#status();
    };
    return { tools: this.#tools, daemon: this.#daemon, desk, status };
  }

  /** What the monitor serves: whether this daemon is well, and its numbers. */
  #pages(): Readonly<Record<string, HttpHandler>> {
    return {
      '/healthz': () => health(this.#status(), this.#options.signal.aborted),
      '/metrics': async () => ({
        ...{ status: 200, contentType: this.#metrics.contentType, body: await this.#metrics.text() },
      }),
    };
  }

  /** Ends what is left, and has it recorded before the log is closed. */
  async close(): Promise<void> {
    await this.#daemon.settled(AbortSignal.timeout(ABORTED_MILLIS)).catch(() => {});
    this.#renewal[Symbol.dispose]();
    await Promise.all([this.#control?.close(), this.#monitor?.close()]);
    this.#daemon[Symbol.dispose]();
  }
}

/** How long operations may take to end once they have been aborted, milliseconds. */
const ABORTED_MILLIS = 2_000;

/** What the approval rules are called in the settings. */
const APPROVAL_NAMES = { user: 'manual', rule: 'auto', command: 'command' } as const;

/** How the operations of commands that run without a daemon are named: everyday.ts. */
const SINGLE_COMMAND = 'command';

const isDaemon = (self: PartyName): MpcError =>
  // Peers are told the message, and no hint.
  new MpcError(
    'DISAGREEMENT',
    `${self} runs as a daemon, which takes part in requests of other daemons only: run serve here, too, or end that one`,
  );

/** Resolves when `wanted` is aborted; rejects with the reason of `forced`. */
const either = (wanted: AbortSignal, forced: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    whenAborted(forced, reject);
    whenAborted(wanted, () => resolve());
  });

/**
 * Well is a daemon that can serve: whether enough of its peers are there depends on the policy and the request, so
 * missing ones are named, and no fault of its own.
 */
function health({ party, version, links, certificateExpires }: StatusEvent, isStopping: boolean): HttpAnswer {
  const isExpired = Date.parse(certificateExpires) <= Date.now();
  const state = isStopping ? 'stopping' : isExpired ? 'certificate expired' : 'ok';
  const missing = links.filter(({ up }) => !up).map(({ peer }) => peer);
  return {
    status: state === 'ok' ? 200 : 503,
    contentType: 'application/json',
    body: `${JSON.stringify({ status: state, party, version, missing })}\n`,
  };
}

/** Records `event`; where it cannot be recorded, nothing goes on. */
function recordOr(fatal: (error: MpcError) => void, audit: AuditLog, event: AuditEvent): void {
  try {
    audit.append(event);
  } catch (cause) {
    fatal(asMpcError(cause));
    throw cause;
  }
}
