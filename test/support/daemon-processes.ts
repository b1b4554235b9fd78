/** Daemons as their users run them: a process of each party over TLS, reached through their control sockets. */
import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIT_FILE } from '#src/audit/log.js';
import type { AuditRecord } from '#src/audit/record.js';
import { type Verdict, verifyLogs } from '#src/audit/verify.js';
import { CONTROL_SOCKET, SETTINGS_FILE } from '#src/config/settings.js';
import { ask, type DaemonEvent } from '#src/control/client.js';
import { fromHex } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { DaemonCommand } from '#src/daemon/commands.js';
import type { RequestDescription, StatusEvent } from '#src/daemon/status.js';
import type { ErrorEvent, PartyEvent, ResultEvent } from '#src/party/events.js';
import { eventsIn } from './cluster-folder.js';
import { type Ended, type Running, startCommand } from './command.js';
import { openKeystore, PASSPHRASE } from './stored-keys.js';

const LOOK_AGAIN_MILLIS = 50;

/** Daemons that a failed test has left running would go on for ever. */
const started = new Set<Running>();
after(() => {
  for (const { child } of started) child.kill('SIGKILL');
});

/** Parties of one cluster folder, each with a state folder, whose daemons come and go. */
export class DaemonProcesses {
  readonly cwd: string;
  readonly parties: readonly PartyName[];
  readonly #daemons = new Map<PartyName, Running>();

  private constructor(cwd: string, parties: readonly PartyName[]) {
    this.cwd = cwd;
    this.parties = parties;
  }

  /** Makes state folders with these settings, whose keys take little time to make of the passphrase. */
  static async prepare(
    cwd: string,
    parties: readonly PartyName[],
    settings: (self: PartyName) => object,
  ): Promise<DaemonProcesses> {
    const daemons = new DaemonProcesses(cwd, parties);
    writeFileSync(join(cwd, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
    for (const self of parties) {
      (await openKeystore(daemons.stateOf(self), { party: self }))[Symbol.dispose]();
      daemons.configure(self, settings(self));
    }
    return daemons;
  }

  stateOf(self: PartyName): string {
    return join(this.cwd, 'state', self);
  }

  socketOf(self: PartyName): string {
    return join(this.stateOf(self), CONTROL_SOCKET);
  }

  /** Settings for the next start of the daemon of `self`. */
  configure(self: PartyName, settings: object): void {
    writeFileSync(join(this.stateOf(self), SETTINGS_FILE), JSON.stringify(settings), { mode: 0o600 });
  }

  /** Starts any command of `self`, which goes through its daemon if that is up. */
  command(self: PartyName, ...args: readonly string[]): Running {
    const env = { ...process.env, ECDSA_MPC_PASSPHRASE_FILE: join(this.cwd, 'passphrase') };
    const running = startCommand([`--self=${self}`, ...args], { cwd: this.cwd, env, storedPrimes: true });
    started.add(running);
    void running.ended.finally(() => started.delete(running));
    return running;
  }

  /** Runs a command of `self` to its end. */
  run(self: PartyName, ...args: readonly string[]): Promise<Ended> {
    return this.command(self, ...args).ended;
  }

  /** Starts the daemon of `self`; resolves when it serves. */
  async start(self: PartyName, ...args: readonly string[]): Promise<void> {
    assert.ok(!this.#daemons.has(self), `the daemon of ${self} runs already`);
    const running = this.command(self, 'serve', '--json', '--timeout=5m', ...args);
    this.#daemons.set(self, running);
    void running.ended.finally(() => {
      if (this.#daemons.get(self) === running) this.#daemons.delete(self);
    });
    await running.prints(/"event":"serving"/);
  }

  /** Starts those that do not run, with further arguments of each, and waits until all are linked. */
  async startAll(more: (self: PartyName) => readonly string[] = () => []): Promise<void> {
    const missing = this.parties.filter((self) => !this.#daemons.has(self));
    await Promise.all(missing.map((self) => this.start(self, ...more(self))));
    await this.linked();
  }

  /** The process of a daemon that runs. */
  at(self: PartyName): Running {
    const running = this.#daemons.get(self);
    assert.ok(running, `no daemon of ${self} runs`);
    return running;
  }

  /** Ends the daemon of `self` at once, as the loss of its machine would. */
  async kill(self: PartyName): Promise<void> {
    const { child, ended } = this.at(self);
    child.kill('SIGKILL');
    await ended;
  }

  /** Ends the daemon of `self` well; how it ended. */
  async stop(self: PartyName): Promise<Ended> {
    const { child, ended } = this.at(self);
    child.kill('SIGTERM');
    return await ended;
  }

  async stopAll(): Promise<Ended[]> {
    return await Promise.all([...this.#daemons.keys()].map((self) => this.stop(self)));
  }

  /** Gives the daemon of `self` an order; the events of its answer. Throws the error that it answers with. */
  async order(
    self: PartyName,
    order: DaemonCommand,
    watch: (event: DaemonEvent) => void = () => {},
  ): Promise<DaemonEvent[]> {
    const events: DaemonEvent[] = [];
    const take = (event: DaemonEvent): void => {
      events.push(event);
      watch(event);
    };
    await ask(this.socketOf(self), order, take);
    return events;
  }

  async status(self: PartyName): Promise<StatusEvent> {
    const [status] = await this.order(self, { do: 'status' });
    return status as unknown as StatusEvent;
  }

  /** What has not ended at `self`. */
  async requests(self: PartyName): Promise<readonly RequestDescription[]> {
    const [event] = await this.order(self, { do: 'requests' });
    return event?.requests as readonly RequestDescription[];
  }

  /** Waits until `self` has a link to each daemon that runs; by default, until all have. */
  async linked(...some: readonly PartyName[]): Promise<void> {
    for (const self of some.length > 0 ? some : this.#daemons.keys())
      await until(async () => {
        const { links } = await this.status(self);
        return links.every((link) => link.up || !this.#daemons.has(link.peer));
      });
  }

  /** Waits until there is one request that waits for the decision of `self`, and returns it. */
  async waiting(self: PartyName): Promise<RequestDescription> {
    let found: RequestDescription | undefined;
    await until(async () => {
      const all = await this.requests(self);
      found = all.find(({ state, from }) => state === 'waiting' && from !== self);
      return found !== undefined;
    });
    return found!;
  }

  /** Has all of `parties` approve what waits there. */
  async approve(parties: readonly PartyName[]): Promise<void> {
    for (const self of parties) {
      const { id } = await this.waiting(self);
      await this.order(self, { do: 'approve', id });
    }
  }

  /** Waits until nothing is under way at any daemon that runs. */
  async atRest(): Promise<void> {
    for (const self of this.#daemons.keys())
      await until(async () => (await this.requests(self)).length === 0);
  }

  /** The records of the audit log of `self`. */
  records(self: PartyName): AuditRecord[] {
    return readFileSync(this.#logOf(self), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** What the audit logs of all parties say together. */
  verifyLogs(): Promise<Verdict> {
    return verifyLogs(this.parties.map((self) => this.#logOf(self)).filter(existsSync));
  }

  #logOf(self: PartyName): string {
    return join(this.stateOf(self), AUDIT_FILE);
  }
}

/** Looks now and then until `isTrue`; a test that waits in vain ends by its time-out. */
export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(LOOK_AGAIN_MILLIS);
}

/** The last event, which must be the result of a command. */
export function resultOf(events: readonly (PartyEvent | DaemonEvent)[]): ResultEvent {
  const last = events.at(-1);
  assert.equal(last?.event, 'result', JSON.stringify(last));
  return last as ResultEvent;
}

/** The same of a process with `--json`, which must have ended well. */
export function resultIn({ status, stdout, stderr }: Ended): ResultEvent {
  assert.equal(status, 0, stderr);
  return resultOf(eventsIn(stdout));
}

/** The error that a process with `--json` must have ended with. */
export function errorIn({ stdout, stderr }: Ended): ErrorEvent {
  const last = eventsIn(stdout).at(-1);
  assert.equal(last?.event, 'error', stdout + stderr);
  return last as ErrorEvent;
}

/** Checks by OpenSSL that `result` holds a signature of `message` under the key that it names. */
export function assertSigned({ publicKey, signature }: ResultEvent, message: string): void {
  assert.ok(verify('sha256', Buffer.from(message), keyOf(publicKey), fromHex(signature!)!), message);
}

/** The public key of P-256 that is written so: SEC1 uncompressed, hex. */
function keyOf(publicKey: string): KeyObject {
  const bytes = fromHex(publicKey)!;
  const curve = curveByName('P-256');
  const X = curve.point(Uint8Array.of(2 + (bytes.at(-1)! & 1), ...bytes.subarray(1, 33)))!;
  return createPublicKey(publicKeyPem(curve, X));
}
