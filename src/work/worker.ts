/** What runs in a worker thread: finds a job by its module and name, runs it, and answers in data, not exceptions. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { randomBytes } from '../core/bytes.js';
import { asMpcError, type ErrorCode, invariant, MpcError, type PartyName } from '../core/errors.js';
import { findJob, runJob } from './job.js';
import { transferOf, wipeSecrets } from './secrets.js';

/** What the pool sends: the job, its input, and a flag that turns 1 when the result is no longer wanted. */
export interface Task {
  readonly module: string;
  readonly name: string;
  readonly input: unknown;
  readonly flag: Int32Array;
}

/** An {@link MpcError} as data: cloning an error between threads would lose all but its message. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly culprits: readonly PartyName[];
  readonly stack: string | undefined;
}

export type Outcome = { readonly output: unknown } | { readonly error: ErrorData };

/** The entry point that piscina calls. A worker is its own place of composition: its randomness is the system's. */
export default async function work(task: Task): Promise<Outcome> {
  try {
    const output = await runTask(task);
    return move({
      [transferableSymbol]: transferOf(output),
      [valueSymbol]: { output },
    }) as unknown as Outcome;
  } catch (cause) {
    const { code, message, hint, culprits, stack } = asMpcError(cause);
    return { error: { code, message, hint, culprits, stack } };
  } finally {
    // Also when the job was never begun; what it moved or wiped is empty by now.
    wipeSecrets(task.input);
  }
}

async function runTask({ module, name, input, flag }: Task): Promise<unknown> {
  const aborted = () => Atomics.load(flag, 0) !== 0;
  if (aborted()) throw new MpcError('INTERRUPTED', 'the result is no longer wanted');
  await import(module);
  const job = findJob(name);
  invariant(job, `${module} defines no job ${name}`);
  return runJob(job, input, { random: randomBytes, aborted });
}
