/**
 * `ecdsa-mpc demo`: every party of the cluster file as a process of its own on this machine, in one terminal.
 * Each is the ordinary `run` command with `--json`; what is shown is drawn from its events.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { ClusterConfig } from '../../config/cluster.js';
import { type ErrorCode, exitStatus, MpcError, type PartyName } from '../../core/errors.js';
import type { DoneEvent, PartyEvent } from '../../party/events.js';
import { createDisplay, type Display, summary } from '../demo-display.js';
import { addExamples } from '../help.js';
import {
  addCeremonyOptions,
  type CeremonyOptions,
  type CommandContext,
  isForDevelopers,
} from '../options.js';
import { printLine } from '../ui.js';

/** Time for the others to end by themselves once one party has failed, milliseconds. */
const GRACE_MILLIS = 2_000;
/** Time for a party to end after it was told to, before it is killed; less than the program's own. */
const STOP_MILLIS = 400;

const EXAMPLES = `  $ ecdsa-mpc demo
  …
  All 4 parties have finished
    Policy:      And(Leaf(alice), Leaf(bob), Leaf(charlie), Leaf(dave))
    Public key:  04abc123…
  …
  $ ecdsa-mpc demo --message "Sign this message" --receiver all
  $ SAVE_BACKUP=1 ecdsa-mpc demo --config test-cluster.json`;

export function demoCommand(context: CommandContext): Command {
  const command = addCeremonyOptions(new Command('demo'))
    .summary('run all parties of the cluster file on this machine')
    .description(
      'Run every party of the cluster file as a process of its own on this machine and show their ' +
        'progress. If one fails, all end, and the exit status is that of the party at whose end the trouble ' +
        'began.',
    )
    .action((_options, self: Command) => demo(self.optsWithGlobals<CeremonyOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function demo(options: CeremonyOptions, { signal }: CommandContext): Promise<void> {
  if (options.self !== undefined)
    throw new MpcError('USAGE', 'demo runs all parties, not --self alone', {
      hint: `leave --self out, or run one party: ecdsa-mpc --self ${options.self}`,
    });
  const cluster = await loadChecked(options);
  const display = await createDisplay(
    cluster.parties.map(({ name }) => name),
    options,
  );
  const members = cluster.parties.map(({ name }) => new Member(name, options, cluster, display));
  const done = await finish(members, signal).finally(() => display.end());
  if (!options.json) for (const line of summary(done)) printLine(line);
}

/** The cluster, checked for what would make every party fail in the same way. */
async function loadChecked(options: CeremonyOptions): Promise<ClusterConfig> {
  const [{ loadCluster }, { loadIdentity }, { resolveQuorum }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/identity.js'),
    import('../../party/quorum.js'),
  ]);
  const cluster = loadCluster(options.config, options);
  const names = cluster.parties.map(({ name }) => name);
  resolveQuorum(names, cluster.policy, options.quorum, options.receiver);
  for (const name of names) loadIdentity(cluster, name);
  return cluster;
}

/** Waits until all members have ended. Throws the interruption, or the error of the member that failed first. */
async function finish(members: readonly Member[], signal: AbortSignal): Promise<DoneEvent[]> {
  const stopAll = () => {
    for (const member of members) member.stop();
  };
  signal.addEventListener('abort', stopAll);
  let grace: NodeJS.Timeout | undefined;
  await Promise.all(
    members.map(async (member) => {
      await member.ended;
      if (member.done === undefined) grace ??= setTimeout(stopAll, GRACE_MILLIS);
    }),
  );
  clearTimeout(grace);
  signal.removeEventListener('abort', stopAll);
  if (signal.aborted) throw signal.reason;
  const cause = causeOf(members.flatMap(({ failure }) => failure ?? []));
  if (cause !== undefined) throw new MpcError(cause.code, `${cause.party}: ${cause.message}`, cause);
  return members.map(({ done }) => done!);
}

/** How a member failed. */
export interface Failure {
  readonly party: PartyName;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly culprits: readonly PartyName[];
  /** When it was learnt; of a clock that only goes forward. */
  readonly at: number;
  /** It was told to end, because another had failed. */
  readonly stopped: boolean;
}

/** Codes of those who suffer from another party's failure, from the likeliest cause down to the likeliest victim. */
const VICTIMS: readonly ErrorCode[] = ['INTERRUPTED', 'UNREACHABLE', 'TIMEOUT', 'PEER_ABORTED', 'PEER_LEFT'];

/** The failure that brought about the others: the earliest of those that are least the effect of another one. */
export function causeOf(failures: readonly Failure[]): Failure | undefined {
  const rank = ({ party, code, culprits, stopped }: Failure) =>
    stopped ? VICTIMS.length : culprits.includes(party) ? -1 : VICTIMS.indexOf(code);
  return [...failures].sort((a, b) => rank(a) - rank(b) || a.at - b.at)[0];
}

/** One party: its process, and what it has told so far. */
class Member {
  /** Settles when the process has ended and everything it wrote has been read. */
  readonly ended: Promise<void>;
  done: DoneEvent | undefined;
  failure: Failure | undefined;
  #stopped = false;
  #lastWords = '';
  readonly #child: ChildProcess;

  constructor(
    readonly name: PartyName,
    options: CeremonyOptions,
    cluster: ClusterConfig,
    private readonly display: Display,
  ) {
    const main = fileURLToPath(new URL('../main.js', import.meta.url));
    // The channel tells the party when this process ends, even if it is killed.
    this.#child = spawn(process.execPath, [main, ...partyArguments(name, options, cluster)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#read(this.#child.stdout!, (line) => this.#hear(line));
    this.#read(this.#child.stderr!, (line) => this.#overhear(line, isForDevelopers(options.logLevel)));
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#fail('FILE', `cannot be started: ${error.message}`));
      this.#child.once('close', (status, signal) => {
        this.#close(status, signal);
        resolve();
      });
    });
  }

  /** Tells the party to end, and kills it if it does not. */
  stop(): void {
    if (this.#stopped || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#stopped = true;
    this.#child.kill('SIGINT');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MILLIS);
    this.#child.once('exit', () => clearTimeout(kill));
  }

  #read(stream: Readable, hear: (line: string) => void): void {
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', hear);
  }

  /** A line of standard output: an event. */
  #hear(line: string): void {
    const event = JSON.parse(line) as PartyEvent;
    if (event.event === 'done') this.done = event;
    if (event.event === 'error') this.failure = { ...event, at: performance.now(), stopped: this.#stopped };
    this.display.show(this.name, event, line);
  }

  /** A line of standard error: of the log, or part of an error that an event has told already. */
  #overhear(line: string, debug: boolean): void {
    if (line.startsWith('{') || debug) this.display.log(line);
    else this.#lastWords = line;
  }

  #close(status: number | null, signal: NodeJS.Signals | null): void {
    // A party that is interrupted at a bad moment ends without telling it.
    if (this.#stopped || status === exitStatus('INTERRUPTED')) this.#fail('INTERRUPTED', 'interrupted');
    else if (signal !== null) this.#fail('PEER_LEFT', `was killed by ${signal}`);
    else if (status !== 0) this.#fail('BUG', `ended with status ${status}: ${this.#lastWords}`);
    else if (this.done === undefined) this.#fail('BUG', 'ended without a result');
    if (this.failure !== undefined) this.done = undefined;
  }

  /** Notes a failure that the party has not told itself. */
  #fail(code: ErrorCode, message: string): void {
    if (this.failure !== undefined) return;
    const { name: party } = this;
    const hint = `run this party by itself to see more: ecdsa-mpc --self ${party} --log-level debug`;
    const at = performance.now();
    this.failure = { party, code, message, hint, culprits: [party], at, stopped: this.#stopped };
    this.display.fail(party, message);
  }
}

/** The command line of one party. */
function partyArguments(name: PartyName, options: CeremonyOptions, { path }: ClusterConfig): string[] {
  const { message, multiplication, quorum, receiver, backupKey, timeout } = options;
  return [
    ...[`--self=${name}`, '--json', `--config=${path}`, `--log-level=${options.logLevel}`],
    ...[`--message=${message}`, `--connect-timeout=${options.connectTimeout}ms`],
    ...(multiplication === undefined ? [] : [`--multiplication=${multiplication}`]),
    ...(timeout === undefined ? [] : [`--timeout=${timeout}ms`]),
    ...(quorum === undefined ? [] : [`--quorum=${quorum.join(',')}`]),
    ...(receiver === undefined ? [] : [`--receiver=${receiver}`]),
    ...(backupKey === undefined ? [] : [`--backup-key=${backupKey}`]),
  ];
}
