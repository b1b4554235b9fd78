/**
 * The approval rule of a party's settings at work: who decides whether this party takes part in what another asks.
 *
 * A command gets one object of JSON on its standard input and decides by its exit status: 0 approves, and whatever
 * else happens rejects, be it that it cannot be started, is killed, or takes too long. The first line that it prints
 * is the reason. It is run as it is, without a shell, in a process group of its own that ends with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { formatDuration } from '../config/duration.js';
import { type ApprovalCommand, type ApprovalRule, checkApprovalCommand } from '../config/settings.js';
import { MpcError, throwIfAborted } from '../core/errors.js';
import { CREDENTIALS_FOLDER } from '../keystore/passphrase.js';
import { whenAborted } from '../rounds/abort-signal.js';
import { printable } from '../rounds/untrusted.js';
import { type Approval, type ApprovalRequest, type Decision, textOf } from './approval-request.js';
import type { Desk } from './desk.js';

/** How many commands run at once; the rest wait. */
const MAX_COMMANDS = 4;
/** Of what a command prints, this much is looked at, bytes. */
const MAX_OUTPUT = 4096;
const MAX_REASON = 200;
/** How long output is waited for after a command's end: who has left its process group may hold it open. */
const OUTPUT_MILLIS = 1_000;

export interface ApprovalOptions {
  /** Where requests wait for the user. */
  readonly desk: Desk;
  readonly environment?: Environment;
  readonly maxCommands?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Decides by `rule`. */
export function approvalOf(
  rule: ApprovalRule,
  { desk, environment, maxCommands }: ApprovalOptions,
): Approval {
  switch (rule.by) {
    case 'user':
      return (request, signal) => desk.wait(request, signal);
    case 'rule':
      return async (_request, signal) => {
        throwIfAborted(signal);
        return { decision: 'approved', by: 'rule' };
      };
    case 'command': {
      const slots = new Slots(maxCommands ?? MAX_COMMANDS);
      const cleared = withoutSecrets(environment ?? process.env);
      return async (request, signal) => {
        await slots.take(signal);
        try {
          return await decideByCommand(rule, request, { environment: cleared, signal });
        } finally {
          slots.give();
        }
      };
    }
  }
}

/** Places for running commands. */
class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  async take(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    let deaf = () => {};
    let wake = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        wake = resolve;
        this.#waiting.add(wake);
        deaf = whenAborted(signal, (reason) => {
          // Nobody has been woken for it: the place that it waited for is the next one's.
          if (this.#waiting.delete(wake)) reject(reason);
        });
      });
    } finally {
      deaf();
    }
  }

  give(): void {
    for (const wake of this.#waiting) {
      this.#waiting.delete(wake);
      wake();
      return;
    }
    this.#free += 1;
  }
}

/** What a command may see of the daemon's environment: nothing that leads to a passphrase or to the service manager. */
function withoutSecrets(environment: Environment): Record<string, string> {
  const hidden = (name: string) => name.startsWith('ECDSA_MPC_') || HIDDEN.includes(name);
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => !hidden(entry[0])),
  );
}

const HIDDEN: readonly string[] = [CREDENTIALS_FOLDER, 'NOTIFY_SOCKET'];

interface Surroundings {
  readonly environment: Record<string, string>;
  readonly signal: AbortSignal;
}

async function decideByCommand(
  command: ApprovalCommand,
  request: ApprovalRequest,
  surroundings: Surroundings,
): Promise<Decision> {
  const rejected = (reason: string): Decision => ({
    ...{ decision: 'rejected', by: 'command' },
    reason: printable(reason, MAX_REASON),
  });
  throwIfAborted(surroundings.signal);
  try {
    // Others may have got hold of it since the settings were read.
    checkApprovalCommand(command);
    const { status, killedBy, late, line } = await run(command, inputOf(request), surroundings);
    throwIfAborted(surroundings.signal);
    if (late)
      return rejected(`the command took longer than ${formatDuration(command.timeoutMillis)} and was ended`);
    const reason = line === '' ? {} : { reason: printable(line, MAX_REASON) };
    if (status === 0) return { decision: 'approved', by: 'command', ...reason };
    return line === ''
      ? rejected(`the command ended with ${killedBy ?? `status ${status}`}`)
      : { decision: 'rejected', by: 'command', ...reason };
  } catch (error) {
    throwIfAborted(surroundings.signal);
    return rejected(`the command cannot be run: ${whyNot(error)}`);
  }
}

/** Why a command cannot be run: it is refused, or the system cannot start it. */
function whyNot(error: unknown): string {
  if (error instanceof MpcError) return error.message;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  return code;
}

/** What a command reads. */
function inputOf({ message, ...request }: ApprovalRequest): string {
  const text = message && textOf(message);
  return `${JSON.stringify({
    ...request,
    ...(message !== undefined && { message: Buffer.from(message).toString('base64') }),
    ...(text !== undefined && { text }),
  })}\n`;
}

/** How a command has ended. */
interface Ended {
  readonly status: number | null;
  readonly killedBy: string | null;
  /** Its time was over. */
  readonly late: boolean;
  /** The first line that it has printed, or nothing. */
  readonly line: string;
}

/** Runs the command to its end, which the abortion of `signal` hastens. Throws when it cannot be started. */
async function run(
  { program, args, folder, timeoutMillis }: ApprovalCommand,
  input: string,
  { environment, signal }: Surroundings,
): Promise<Ended> {
  const child = spawn(program, args, { cwd: folder, env: environment, detached: true, shell: false });
  const [output, errors] = [new FirstLine(), new FirstLine()];
  child.stdout?.on('data', (chunk: Uint8Array) => output.push(chunk)).on('error', () => {});
  child.stderr?.on('data', (chunk: Uint8Array) => errors.push(chunk)).on('error', () => {});
  // It need not read its input to decide.
  child.stdin?.on('error', () => {}).end(input);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    killGroup(child);
  }, timeoutMillis);
  const deaf = whenAborted(signal, () => killGroup(child));
  try {
    const { status, killedBy } = await endOf(child);
    return { status, killedBy, late, line: output.text || errors.text };
  } finally {
    clearTimeout(timer);
    deaf();
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  }
}

/** Waits for the end of a command and of its output, and ends what it has left running. */
function endOf(child: ChildProcess): Promise<Pick<Ended, 'status' | 'killedBy'>> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.once('exit', (status, killedBy) => {
      killGroup(child);
      const timer = setTimeout(() => resolve({ status, killedBy }), OUTPUT_MILLIS);
      child.once('close', () => {
        clearTimeout(timer);
        resolve({ status, killedBy });
      });
    });
  });
}

/** Kills a command and all that it has started, but for what has made a group of its own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // There is nobody left in it, or no such thing as a group on this system.
    child.kill('SIGKILL');
  }
}

/** The first line of some output that is not blank, cut off after {@link MAX_OUTPUT} bytes of it. */
export class FirstLine {
  #bytes = Buffer.alloc(0);

  push(chunk: Uint8Array): void {
    const room = MAX_OUTPUT - this.#bytes.length;
    if (room > 0) this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(0, room)]);
  }

  get text(): string {
    const lines = this.#bytes.toString('utf8').split(/\r?\n/);
    return lines.find((line) => line.trim() !== '')?.trim() ?? '';
  }

  /** How many bytes are held. */
  get length(): number {
    return this.#bytes.length;
  }
}
