/** The options that every command understands, before or after its name, and what they mean. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../config/duration.js';
import type { Multiplication } from '../multiplication/multiplication.js';

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Whether errors are shown with what only developers need. */
export const isForDevelopers = (level: LogLevel): boolean => level === 'debug' || level === 'trace';

const MULTIPLICATIONS: readonly Multiplication['name'][] = ['paillier', 'ot'];

/** Values of the shared options; durations in milliseconds. */
export interface SharedOptions {
  readonly self?: string;
  readonly config: string;
  readonly multiplication?: Multiplication['name'];
  readonly json?: boolean;
  readonly logLevel: LogLevel;
  readonly timeout?: number;
  readonly connectTimeout: number;
  readonly state?: string;
  readonly passphraseFile?: string;
  readonly settings?: string;
}

/** Values of the options of `run` and `demo`. */
export interface CeremonyOptions extends SharedOptions {
  readonly message: string;
  readonly quorum?: readonly string[];
  readonly receiver?: string;
  readonly backupKey?: string;
}

/** What a command is given besides its options. */
export interface CommandContext {
  /** Aborts with an INTERRUPTED error when the user interrupts the program. */
  readonly signal: AbortSignal;
  /** Says how long the command may take to end well once interrupted; a second interruption ends it at once. */
  readonly patience: (millis: number) => void;
}

function durationOption(text: string): number {
  const millis = parseDuration(text);
  if (millis === undefined) throw new InvalidArgumentError('write a duration such as 90s, 2m or 1m30s');
  return millis;
}

function namesOption(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes(''))
    throw new InvalidArgumentError('write names separated by commas, such as alice,bob');
  return names;
}

/** Gives the program the options of {@link SharedOptions}. */
export const addSharedOptions = (program: Command): Command =>
  program
    .option('--self <name>', 'this party, as named in the cluster file')
    .option('--config <file>', 'cluster file', 'cluster.json')
    .addOption(
      new Option(
        '--multiplication <name>',
        'two-party multiplication, the same for every party (default: that of the cluster file)',
      ).choices(MULTIPLICATIONS),
    )
    .option('--json', 'print JSON on standard output, one object a line')
    .addOption(
      new Option('--log-level <level>', 'least severe log lines on standard error')
        .choices(LOG_LEVELS)
        .default('warn' satisfies LogLevel),
    )
    .addOption(
      new Option(
        '--timeout <duration>',
        'longest run from the last connection on (default: 90s, or 5m at security 128)',
      ).argParser(durationOption),
    )
    .addOption(
      new Option('--connect-timeout <duration>', 'longest wait for the last party')
        .argParser(durationOption)
        .default(300_000, '5m'),
    )
    .option(
      '--state <folder>',
      'where this party keeps its keys (default: state/NAME beside the cluster file)',
    )
    .option('--passphrase-file <file>', 'what the stored keys are encrypted under (default: asked for)')
    .option(
      '--settings <file>',
      'local settings of this party’s daemon (default: settings.json in the state folder)',
    );

export const quorumOption = (): Option =>
  new Option(
    '--quorum <names>',
    'parties that sign, separated by commas, the same for every party (default: all, as far as the policy needs them)',
  ).argParser(namesOption);

export const receiverOption = (): Option =>
  new Option(
    '--receiver <name>',
    'who gets the signature: a member of the quorum, or "all" of it (default: its first member)',
  );

export const keyOption = (): Option =>
  new Option('--key <id>', 'key id, or its first digits; may be left out where there is one key');

/** The options of `run` and `demo` that give the values of {@link CeremonyOptions}. */
export const ceremonyOptions = (): Option[] =>
  [
    new Option('--message <text>', 'message to sign, the same for every party').default('Hello, MPC World!'),
    quorumOption(),
    receiverOption(),
    new Option(
      '--backup-key <file>',
      'PEM public key to encrypt the backup to, instead of making a recovery key',
    ),
  ].map((option) => option.helpGroup('Options of run and demo:'));

/** Gives `run` or `demo` its options. */
export function addCeremonyOptions(command: Command): Command {
  for (const option of ceremonyOptions()) command.addOption(option);
  return command;
}
