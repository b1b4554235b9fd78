/**
 * `settings.json`: what one party's daemon does on its machine, and which requests of others it agrees to. Unlike
 * `cluster.json` it is nobody else's business, and need not exist: every field has a default.
 *
 * Whoever can change this file, or the program that it names, decides what gets signed. So both are used only while
 * nobody but this user and the administrator can: see {@link checkUnalterable}.
 */
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { MpcError } from '../core/errors.js';
import { checkProgram, displayPath, exists, isPlainFile, readText } from '../files/files.js';
import { checkUnalterable } from '../files/private.js';
import { MAX_DURATION_MILLIS, parseDuration } from './duration.js';
import { type FileWords, parseFields, parseJson, rule } from './json-file.js';

/** A program that decides on each request; see daemon/approval.ts. */
export interface ApprovalCommand {
  readonly by: 'command';
  /** Absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  /** The folder in which it runs: that of the settings. */
  readonly folder: string;
  readonly timeoutMillis: number;
}

/** Who decides whether this party takes part in what another asks for: its user, everything is agreed to, a program. */
export type ApprovalRule = { readonly by: 'user' } | { readonly by: 'rule' } | ApprovalCommand;

/** Where `/healthz` and `/metrics` are: a loopback address. */
export interface MonitorAddress {
  /** Without brackets. */
  readonly host: '127.0.0.1' | '::1';
  readonly port: number;
  /** As in the file. */
  readonly address: string;
}

/** Where backups go. */
export interface BackupPlace {
  /** The public recovery key, PEM. */
  readonly to: string;
  /** A folder, which exists. */
  readonly folder: string;
}

/** A settings file, read and checked; paths are absolute. */
export interface Settings {
  /** The file, when there is one. */
  readonly path?: string;
  readonly approval: ApprovalRule;
  /** How long a request waits for approvals. */
  readonly requestTimeoutMillis: number;
  /** How many presignatures are kept ready for each key and quorum. */
  readonly presignatures: number;
  /** Where each refreshed share is backed up before it is stored; nowhere unless it is said. */
  readonly backup?: BackupPlace;
  readonly monitor?: MonitorAddress;
  /** The control socket. */
  readonly control: string;
  /** How long running operations may take once the daemon has been told to stop. */
  readonly stopTimeoutMillis: number;
}

export interface SettingsSource {
  /** The party's state folder. */
  readonly stateFolder: string;
  /** What `--settings` names; otherwise `settings.json` in the state folder, if there is one. */
  readonly file?: string;
}

export const SETTINGS_FILE = 'settings.json';
export const CONTROL_SOCKET = 'control.sock';
const MAX_PRESIGNATURES = 64;
const MAX_ARGUMENTS = 64;

const durationField = z.string().transform((text, context) => {
  const millis = parseDuration(text);
  if (millis !== undefined) return millis;
  context.addIssue({
    code: 'custom',
    message: 'is not a duration',
    params: {
      hint: `write for example "24h", "90m" or "30s", at most "${Math.floor(MAX_DURATION_MILLIS / 3_600_000)}h"`,
    },
  });
  return z.NEVER;
});

const monitorField = z.string().transform((text, context): MonitorAddress => {
  const [, host = '', portText] = /^(127\.0\.0\.1|\[::1\]):([1-9]\d{0,4})$/.exec(text) ?? [];
  const port = Number(portText);
  if (port <= 65_535) return { host: host === '127.0.0.1' ? host : '::1', port, address: text };
  context.addIssue({
    code: 'custom',
    message: 'is not a loopback address with a port',
    params: { hint: 'write for example "127.0.0.1:9464" or "[::1]:9464": nobody else may reach it' },
  });
  return z.NEVER;
});

/** Text that the system takes as a path or argument. */
const systemText = z
  .string()
  .refine((text) => !text.includes('\0'), rule('holds a zero character', 'remove it'));

const ruleField = z
  .string()
  .refine(
    (text) => text === 'manual' || text === 'auto',
    rule('is not a rule of approval', 'use "manual", "auto" or {"command": ["/path/of/a/program"]}'),
  )
  .transform((text) => ({ by: text === 'auto' ? 'rule' : 'user' }) as const);

const commandSchema = z.strictObject({
  command: z
    .tuple([systemText.min(1)], systemText)
    .refine(
      ({ length }) => length <= MAX_ARGUMENTS,
      rule('is too long', `give at most ${MAX_ARGUMENTS} texts, or write a program that needs fewer`),
    ),
  timeout: durationField.default(30_000),
});

const backupSchema = z.strictObject({ to: systemText.min(1), folder: systemText.min(1) });

const shape = {
  requestTimeout: durationField.default(24 * 3_600_000),
  presignatures: z
    .number()
    .refine(
      (count) => Number.isInteger(count) && count >= 0 && count <= MAX_PRESIGNATURES,
      rule('is not possible', `use a whole number from 0 to ${MAX_PRESIGNATURES}`),
    )
    .default(4),
  backup: backupSchema.optional(),
  monitor: monitorField.optional(),
  control: systemText.min(1).optional(),
  stopTimeout: durationField.default(20_000),
};
const ruledSchema = z.strictObject({ approval: ruleField.default({ by: 'user' }), ...shape });
const commandedSchema = z.strictObject({ approval: commandSchema, ...shape });

const words: FileWords = {
  fieldsAt: ([first]) =>
    Object.keys(
      (first === undefined ? ruledSchema : first === 'backup' ? backupSchema : commandSchema).shape,
    ),
  size: (field) => ({ what: `${field} is empty`, hint: 'name one' }),
  documentation: 'the part on settings.json in README.md',
};

/** What of `approval` is an object is a command, and is told of as one when it is at fault. */
function isCommanded(json: unknown): boolean {
  const approval: unknown = (json as { approval?: unknown } | null)?.approval;
  return typeof approval === 'object' && approval !== null && !Array.isArray(approval);
}

/**
 * The settings of a party, or all their defaults when there is no file and none was named. Paths in the file are
 * relative to its folder.
 *
 * Throws `CONFIG`, one line that names the field and the fix; `FILE` when the file cannot be read, or when others
 * could change it.
 */
export function loadSettings({ stateFolder, file }: SettingsSource): Settings {
  const path = resolve(file ?? join(stateFolder, SETTINGS_FILE));
  const control = resolve(stateFolder, CONTROL_SOCKET);
  if (file === undefined && !exists(path)) return settingsOf({}, { path, control });
  checkUnalterable(path);
  const text = readText(path, { hint: 'name the settings file with --settings' });
  return { path, ...settingsOf(parseJson(text, displayPath(path)), { path, control }) };
}

function settingsOf(json: unknown, { path, control }: { path: string; control: string }): Settings {
  const shown = displayPath(path);
  const folder = dirname(path);
  const file = isCommanded(json)
    ? parseFields(commandedSchema, json, shown, words)
    : parseFields(ruledSchema, json, shown, words);
  const approval = 'by' in file.approval ? file.approval : commandOf(file.approval, folder);
  if (approval.by === 'command') checkNamedCommand(approval, shown);
  return {
    approval,
    requestTimeoutMillis: file.requestTimeout,
    presignatures: file.presignatures,
    ...(file.backup !== undefined && { backup: backupPlaceOf(file.backup, folder) }),
    ...(file.monitor !== undefined && { monitor: file.monitor }),
    control: file.control === undefined ? control : resolve(folder, file.control),
    stopTimeoutMillis: file.stopTimeout,
  };
}

/** Whoever could change the recovery key would get the shares. */
function backupPlaceOf({ to, folder }: BackupPlace, base: string): BackupPlace {
  const place = { to: resolve(base, to), folder: resolve(base, folder) };
  checkUnalterable(place.to);
  return place;
}

const commandOf = (
  { command: [program, ...args], timeout }: z.output<typeof commandSchema>,
  folder: string,
): ApprovalCommand => ({
  ...{ by: 'command', program: resolve(folder, program), args, folder },
  timeoutMillis: timeout,
});

/** Throws `CONFIG` for a command that {@link checkApprovalCommand} refuses. */
function checkNamedCommand(command: ApprovalCommand, shown: string): void {
  try {
    checkApprovalCommand(command);
  } catch (error) {
    if (!(error instanceof MpcError)) throw error;
    throw new MpcError('CONFIG', `${shown}: approval.command: ${error.message}`, {
      ...(error.hint !== undefined && { hint: error.hint }),
      cause: error,
    });
  }
}

/**
 * Throws `FILE` unless the program can be run, and nobody else can change it; the same holds for each file that is
 * an argument by itself, as a script is of its interpreter. Whatever else the program reads is its own care.
 */
export function checkApprovalCommand({ program, args, folder }: ApprovalCommand): void {
  checkUnalterable(program);
  checkProgram(program);
  for (const path of args.map((arg) => resolve(folder, arg))) if (isPlainFile(path)) checkUnalterable(path);
}
