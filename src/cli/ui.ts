/** What the user sees: the lines of a party's events, JSON lines, and errors. */
import { inspect } from 'node:util';
import { formatDuration } from '../config/duration.js';
import type { MpcError, PartyName } from '../core/errors.js';
import type {
  DaemonEvent,
  DoneEvent,
  EventSink,
  PartyEvent,
  ResultEvent,
  StepName,
} from '../party/events.js';

type StartEvent = Extract<PartyEvent, { event: 'start' }>;
type CommandEvent = Extract<PartyEvent, { event: 'command' }>;

/** Text from elsewhere without what would move the cursor, hide text or reverse it. */
export const printable = (text: string): string =>
  text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** One line on standard output. */
export const printLine = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** The two lines that every error ends the program with; what only developers need, when `debug`. */
export function printError(error: MpcError, debug: boolean): void {
  const hint =
    error.hint ??
    (error.code === 'BUG' ? 'run it again with --log-level debug and report what it says' : undefined);
  process.stderr.write(`ecdsa-mpc: ${printable(error.message)}\n`);
  if (hint !== undefined) process.stderr.write(`hint: ${printable(hint)}\n`);
  if (debug) process.stderr.write(`${inspect(error, { depth: 4 })}\n`);
}

const RULE = '='.repeat(54);

/** What each step is called when it begins. */
export const STEP_TITLES: Readonly<Record<StepName, string>> = {
  policy: 'Agreeing on the access structure',
  keygen: 'Performing threshold ECDSA DKG',
  setup: 'Setting up every pair of parties',
  sign: 'Threshold signing',
  backup: 'Creating PVE backup of key share',
  verify: 'Verifying PVE backup',
  recover: 'Demonstrating key recovery from backup',
  refresh: 'Refreshing threshold key shares',
  'sign-again': 'Threshold signing with the refreshed shares',
  'backup-again': 'Creating and verifying PVE backup of the refreshed share',
};

/** Turns the events of one party into lines for people, each marked with its name. */
export class Narrator {
  readonly #party: PartyName;
  #start: StartEvent | undefined;
  #command: CommandEvent | undefined;
  #linked = new Set<PartyName>();
  #connected = false;

  constructor(party: PartyName) {
    this.#party = party;
  }

  /** The lines that tell `event`; none for one that is not worth a line. */
  lines(event: PartyEvent): string[] {
    return this.#tell(event).map((line) => `[${this.#party}] ${printable(line)}`);
  }

  #tell(event: PartyEvent): string[] {
    switch (event.event) {
      case 'start':
        this.#start = event;
        return [];
      case 'command':
        this.#command = event;
        return commandLines(event);
      case 'listening':
        return [
          `Listening on ${event.address}${this.#isAwaiting() ? `, waiting for ${this.#peers().join(', ')}` : ''}`,
        ];
      case 'link':
        return this.#tellLink(event.peer, event.up);
      case 'waiting':
        return [
          `Still waiting for ${event.missing.map((peer) => withProblem(peer, event.problems)).join(', ')}`,
        ];
      case 'connected':
        this.#connected = true;
        return [
          `mTLS transport established with ${parties(event.peers)}`,
          ...(this.#command === undefined ? ['Starting threshold ECDSA MPC with PVE backup', RULE] : []),
        ];
      case 'step':
        return [`Step ${event.number}: ${this.#title(event.step)}...`, ...this.#details(event.step)];
      case 'step-done':
        return [`  Time: ${formatDuration(event.millis)}`];
      case 'policy':
        return [`✓ Access structure created: ${event.policy}`, `  This means ${event.meaning}`];
      case 'key':
        return [
          this.#command === undefined
            ? '✓ DKG completed successfully'
            : event.completed
              ? '✓ Key completed, whose generation had been cut off; no other key was made'
              : '✓ Key generated and stored',
          `  Public Key: ${event.publicKey}`,
          `  Key ID: ${event.keyId}`,
        ];
      case 'settled':
        return [`✓ All hold a share of epoch ${event.epoch}`];
      case 'setup':
        return [`✓ Pairwise set-up completed with ${parties(event.peers)}`];
      case 'not-in-quorum':
        return [`✓ Not in the quorum (${event.quorum.join(' + ')}): nothing to do here`];
      case 'signature':
        return event.der === undefined
          ? [`✓ Signature created for ${event.receivers.join(' and ')}`]
          : ['✓ Signature created (I am the receiver) and verified', `  Signature: ${event.der}`];
      case 'backup':
        return [
          // Made once in a run, and used for the refreshed share, too.
          ...(event.ownKey && event.epoch === 0 ? ['  Backup Encryption Key generated'] : []),
          `✓ Key backed up with PVE (${event.scheme})`,
          `  Backup Label: ${event.label}`,
          `  Ciphertext size: ${event.bytes} bytes`,
        ];
      case 'backup-verified':
        return ['✓ PVE backup verified successfully'];
      case 'recovered':
        return [
          event.skipped
            ? '✓ Recovery left out: whoever holds the backup key can do it'
            : '✓ Key recovered successfully and verified to match original',
        ];
      case 'refreshed':
        return [
          '✓ Key refresh completed - shares are now updated',
          '  Verified: Refreshed key has same public key',
        ];
      case 'saved':
        return [
          ...(event.kept === undefined ? [] : [`Earlier backup kept as ${event.kept.join(' and ')}`]),
          `Backup saved to ${event.backup}`,
          ...(event.recoveryKey === undefined
            ? []
            : [`Recovery key saved to ${event.recoveryKey}: keep it apart from the backup, which it opens`]),
        ];
      case 'done':
        return [RULE, `Timings: ${timings(event)}`, 'Ceremony completed successfully!'];
      case 'result':
        return resultLines(event);
      case 'serving':
      case 'request':
      case 'decision':
      case 'request-ended':
      case 'renewed':
      case 'stopping':
        return daemonLines(event);
      case 'progress':
      case 'error':
        return [];
    }
  }

  #tellLink(peer: PartyName, up: boolean): string[] {
    if (up) this.#linked.add(peer);
    else this.#linked.delete(peer);
    if (!up) return [`Connection to ${peer} lost, waiting for it to come back`];
    if (this.#connected) return [`Connection to ${peer} is back`];
    const count = this.#isAwaiting() ? ` (${this.#linked.size} of ${this.#peers().length})` : '';
    return [`Connected to ${peer}${count}`];
  }

  /** Whether this party waits for certain others before it begins, as a daemon does not. */
  #isAwaiting(): boolean {
    return (this.#start ?? this.#command) !== undefined;
  }

  #peers(): PartyName[] {
    return ((this.#start ?? this.#command)?.parties ?? []).filter((name) => name !== this.#party);
  }

  #title(step: StepName): string {
    const title = STEP_TITLES[step];
    if (this.#start === undefined) return title;
    if (step === 'keygen') return `${title} (${this.#start.curve}, ${this.#start.parties.length} parties)`;
    return step === 'sign' || step === 'sign-again'
      ? `${title} with quorum (${this.#start.quorum.join(' + ')})`
      : title;
  }

  #details(step: StepName): string[] {
    if (this.#start === undefined || (step !== 'sign' && step !== 'sign-again')) return [];
    return [
      `  Message: ${JSON.stringify(this.#start.message)}`,
      `  Message Hash (SHA-256): ${this.#start.messageHash}`,
    ];
  }
}

/** What a daemon tells of its work. Ids are cut: what decides on a request shows its content, too. */
function daemonLines(event: DaemonEvent): string[] {
  switch (event.event) {
    case 'serving':
      return [
        `Serving (version ${event.version}); requests of peers are decided on by: ${event.approval}`,
        `  Control socket: ${event.control}`,
        ...(event.monitor === undefined ? [] : [`  Health and metrics: http://${event.monitor}`]),
      ];
    case 'request':
      return [`Request ${short(event.id)} of ${event.from}: ${requestText(event)}`];
    case 'decision':
      return [
        `Request ${short(event.id)} ${event.decision} by ${event.peer ?? deciders[event.by ?? 'rule']}${because(event.reason)}`,
      ];
    case 'request-ended':
      return [
        event.done
          ? `✓ Request ${short(event.id)} done`
          : `✗ Request ${short(event.id)} ended without result${because(event.reason)}`,
      ];
    case 'renewed':
      return [`✓ Renewed certificate in use, until ${event.expires}`];
    case 'stopping':
      return [`Stopping; operations still running: ${event.operations}`];
  }
}

const deciders = {
  user: 'the user of this party',
  rule: 'the rule of this party',
  command: 'the command of this party',
};

const short = (id: string): string => id.slice(0, 16);

const because = (reason: string | undefined): string => (reason === undefined ? '' : `: ${reason}`);

function requestText(event: Extract<DaemonEvent, { event: 'request' }>): string {
  if (event.operation === 'keygen') return 'make a key';
  if (event.operation === 'refresh') return `refresh the key ${event.key}`;
  return `sign ${event.messageBytes} bytes, SHA-256 ${event.messageHash}, with the key ${event.key}, quorum ${event.quorum?.join(' + ')}`;
}

const parties = (count: number): string => `${count} ${count === 1 ? 'party' : 'parties'}`;

function commandLines(event: CommandEvent): string[] {
  const among = event.parties.join(' + ');
  if (event.command === 'keygen')
    return [`Key generation (${event.curve}) with ${among}`, `  Policy: ${event.policy}`];
  const subject = `key ${event.keyId}, epoch ${event.epoch}`;
  if (event.command === 'refresh') return [`Refresh of the ${subject}, with ${among}`];
  return [`Signature with the ${subject}, quorum ${among}`, `  Message Hash (SHA-256): ${event.messageHash}`];
}

function resultLines({ command, keyId, epoch, out, backup, voided = [] }: ResultEvent): string[] {
  const lines = [
    ...(out === undefined ? [] : [`  Written to ${out}`]),
    ...(backup === undefined ? [] : [`  Backup of epoch ${epoch} written to ${backup.file}`]),
  ];
  if (command !== 'refresh') return lines;
  const recorded =
    voided.length === 0
      ? 'none is recorded here'
      : `${voided.length} ${voided.length === 1 ? 'is' : 'are'} recorded here: ${voided.join(', ')}`;
  return [
    ...lines,
    `! Every backup made before is void now; ${recorded}`,
    ...(backup === undefined
      ? [`  Make a new one: ecdsa-mpc backup create --key ${keyId.slice(0, 8)} --to PUBLIC.pem --out FILE`]
      : []),
  ];
}

/** `bob (connection refused)` */
function withProblem(peer: PartyName, problems: Readonly<Record<PartyName, string>>): string {
  return Object.hasOwn(problems, peer) ? `${peer} (${problems[peer]})` : peer;
}

const timings = ({ millis }: DoneEvent): string =>
  Object.entries(millis)
    .map(([step, value]) => `${step} ${formatDuration(value)}`)
    .join(', ');

/** Prints each event as one JSON object a line. */
export const jsonSink: EventSink = (event) => printLine(JSON.stringify(event));

/** A step that has lasted this long shows its progress, milliseconds. */
const PATIENCE_MILLIS = 1_000;

/** Prints the events of one party for people; on a terminal, the progress of a long step in a passing line. */
export function humanSink(party: PartyName, output: Output = process.stdout): EventSink {
  const narrator = new Narrator(party);
  let stepBegan = Date.now();
  let passing = false;
  return (event) => {
    if (event.event === 'step' || event.event === 'connected') stepBegan = Date.now();
    if (passing) output.write('\r\u001b[K');
    passing =
      output.isTTY === true && event.event === 'progress' && Date.now() - stepBegan >= PATIENCE_MILLIS;
    if (passing && event.event === 'progress') output.write(`[${party}]   ${progressText(event)}`);
    for (const line of narrator.lines(event)) output.write(`${line}\n`);
  };
}

/** As much of a stream as is written to. */
interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** `safe primes 1/2` */
export const progressText = (event: Extract<PartyEvent, { event: 'progress' }>): string =>
  printable(event.total > 1 ? `${event.stage} ${event.done}/${event.total}` : event.stage);
