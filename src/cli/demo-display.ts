/** How `demo` shows its parties: a line per party that changes on a terminal, plain lines elsewhere, or JSON. */
import { formatDuration } from '../config/duration.js';
import type { PartyName } from '../core/errors.js';
import type { DoneEvent, PartyEvent, StepMillis } from '../party/events.js';
import type { CeremonyOptions } from './options.js';
import { Narrator, printable, printLine, progressText, STEP_TITLES } from './ui.js';

export interface Display {
  /** An event of a party, and the line of JSON that it came as. */
  show(party: PartyName, event: PartyEvent, json: string): void;
  /** A failure that the party did not tell itself. */
  fail(party: PartyName, message: string): void;
  /** A line of a party's log. */
  log(line: string): void;
  /** All parties have ended. */
  end(): Promise<void>;
}

export async function createDisplay(
  parties: readonly PartyName[],
  { json }: CeremonyOptions,
): Promise<Display> {
  if (json) return jsonDisplay;
  return process.stdout.isTTY === true ? await terminalDisplay(parties) : plainDisplay(parties);
}

const printLog = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const failureLine = (party: PartyName, message: string): string => `[${party}] ✗ ${printable(message)}`;

const jsonDisplay: Display = {
  show: (_party, _event, json) => printLine(json),
  fail: () => {},
  log: printLog,
  end: async () => {},
};

/** Every party's own lines, as they come. */
function plainDisplay(parties: readonly PartyName[]): Display {
  const narrators = new Map(parties.map((party) => [party, new Narrator(party)]));
  const fail = (party: PartyName, message: string): void => printLine(failureLine(party, message));
  return {
    show(party, event) {
      if (event.event === 'error') fail(party, event.message);
      for (const line of narrators.get(party)?.lines(event) ?? []) printLine(line);
    },
    fail,
    log: printLog,
    end: async () => {},
  };
}

/** Log lines kept until the drawing ends, which they would break. */
const MAX_LOG_LINES = 1_000;

/** One task per party, whose title says what it does. */
async function terminalDisplay(parties: readonly PartyName[]): Promise<Display> {
  const { Listr } = await import('listr2');
  const width = Math.max(...parties.map((party) => party.length));
  const logs: string[] = [];
  const rows = new Map(parties.map((party) => [party, new Row(party.padEnd(width))]));
  const list = new Listr(
    [...rows.values()].map((row) => ({
      title: row.label,
      task: (_context: unknown, task: Titled) => row.drawnAs(task),
    })),
    {
      concurrent: true,
      exitOnError: false,
      // main.ts ends the program.
      registerSignalListeners: false,
      rendererOptions: { showErrorMessage: false, collapseErrors: false },
    },
  );
  const drawing = list.run().catch(() => {});
  const fail = (party: PartyName, message: string): void => {
    const row = rows.get(party);
    row?.draw(printable(message));
    row?.fail(message);
  };
  return {
    show(party, event) {
      const row = rows.get(party);
      if (row === undefined) return;
      if (event.event === 'error') fail(party, event.message);
      else if (event.event === 'done') {
        row.draw(`finished in ${formatDuration(event.millis.total ?? 0)}`);
        row.finish();
      } else showInRow(row, event);
    },
    fail,
    log(line) {
      if (logs.length < MAX_LOG_LINES) logs.push(line);
    },
    async end() {
      for (const row of rows.values()) row.finish();
      await drawing;
      for (const line of logs) printLog(line);
    },
  };
}

/** A task of listr2, as far as a row needs it. */
interface Titled {
  title: string;
}

/** A party's line. It exists before listr2 draws it: what a party tells at once is not lost. */
class Row {
  readonly label: string;
  /** The current step, as drawn. */
  step = '';
  #text = '';
  #task: Titled | undefined;
  readonly #ended: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(label: string) {
    this.label = label;
    this.#ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#ended.catch(() => {});
  }

  /** Shows itself as `task` from now on; settles when the party has ended. */
  drawnAs(task: Titled): Promise<void> {
    this.#task = task;
    this.draw(this.#text);
    return this.#ended;
  }

  draw(text: string): void {
    this.#text = text;
    if (this.#task) this.#task.title = `${this.label}  ${text}`;
  }

  /** Ends the row well, unless it has ended. */
  finish(): void {
    this.#resolve();
  }

  /** Ends the row badly, unless it has ended. */
  fail(message: string): void {
    this.#reject(new Error(message));
  }
}

function showInRow(row: Row, event: PartyEvent): void {
  if (event.event === 'listening') row.draw('waiting for the others');
  if (event.event === 'waiting') row.draw(`waiting for ${event.missing.join(', ')}`);
  if (event.event === 'connected') row.draw('connected');
  if (event.event === 'step') {
    row.step = `[${event.number}/${event.total}] ${STEP_TITLES[event.step]}`;
    row.draw(row.step);
  }
  if (event.event === 'progress') row.draw([row.step, progressText(event)].filter(Boolean).join(': '));
}

/** The last lines of a demo that ended well. */
export function summary(done: readonly DoneEvent[]): string[] {
  const [first] = done;
  if (first === undefined) return [];
  const signatures = done.flatMap(({ party, signatures }) =>
    signatures.map(({ epoch, der }) => `  Signature:   ${der} (${party}, epoch ${epoch})`),
  );
  return [
    '',
    `All ${done.length} parties have finished`,
    `  Policy:      ${first.policy}`,
    `  Public key:  ${first.publicKey} (${first.curve}, epoch ${first.epoch})`,
    `  Message:     ${JSON.stringify(first.message)}`,
    ...signatures,
    ...done.map(
      ({ party, backup }) => `  Backup:      ${party}, ${backup.bytes} bytes, ${backupState(backup)}`,
    ),
    `  Timings:     ${longest(done)}`,
  ];
}

const backupState = ({ verified, recovered }: DoneEvent['backup']): string =>
  [verified ? 'verified' : '', recovered ? 'recovered' : ''].filter(Boolean).join(', ');

/** Each step as long as it took the slowest party. */
function longest(done: readonly DoneEvent[]): string {
  const slowest = new Map<string, number>();
  for (const { millis } of done)
    for (const [step, value] of Object.entries(millis satisfies StepMillis))
      slowest.set(step, Math.max(value, slowest.get(step) ?? 0));
  return [...slowest].map(([step, value]) => `${step} ${formatDuration(value)}`).join(', ');
}
