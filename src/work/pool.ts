/**
 * Jobs in worker threads, so that sockets keep answering and several cores are used. Each lane is one thread with a
 * queue of its own.
 */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { asMpcError, MpcError, throwIfAborted } from '../core/errors.js';
import { whenAborted } from '../rounds/abort-signal.js';
import type { Compute } from '../rounds/run.js';
import { transferOf, wipeSecrets, withCopiedSecrets } from './secrets.js';
import type { ErrorData, Outcome, Task } from './worker.js';

/** A thread, started with its first job and kept until the pool closes. */
interface Lane {
  pool?: Piscina;
  /** Jobs given to it that have not ended. */
  load: number;
}

export class WorkerPool {
  readonly #lanes: readonly Lane[];
  /** Aborts everything that has not ended when the pool closes. */
  readonly #closing = new AbortController();

  /** A pool of `threads` lanes, at least one; none is started before it has work. */
  constructor(threads: number = availableParallelism()) {
    this.#lanes = Array.from({ length: Math.max(1, threads) }, () => ({ load: 0 }));
  }

  readonly compute: Compute = async <I, O>(
    { module, name }: { readonly module: string; readonly name: string },
    input: I,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<O> => {
    throwIfAborted(this.#closing.signal);
    throwIfAborted(signal);
    const flag = new Int32Array(new SharedArrayBuffer(4));
    const task: Task = { module, name, input: withCopiedSecrets(input), flag };
    return (await this.#run(
      least(this.#lanes, ({ load }) => load),
      task,
      signal,
    )) as O;
  };

  /**
   * Ends all threads at once, whatever they are at: jobs that have not ended reject with `INTERRUPTED`. The memory
   * of an ended thread is freed but not wiped.
   */
  async close(): Promise<void> {
    this.#closing.abort(new MpcError('INTERRUPTED', 'the worker threads are closing'));
    await Promise.all(this.#lanes.map((lane) => lane.pool?.destroy()));
  }

  /** Rejects as soon as the result is no longer wanted; the thread then goes on until the job notices. */
  #run(lane: Lane, task: Task, signal: AbortSignal | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const abandon = (reason: MpcError) => {
        Atomics.store(task.flag, 0, 1);
        reject(reason);
      };
      const stopListening = [signal, this.#closing.signal].map((source) => whenAborted(source, abandon));
      const settle = (outcome: Outcome) => {
        if ('error' in outcome) reject(rebuilt(outcome.error));
        else if (Atomics.load(task.flag, 0) === 0) resolve(outcome.output);
        else wipeSecrets(outcome.output);
      };
      this.#post(lane, task)
        .then(settle, (error: unknown) => reject(asMpcError(error)))
        .finally(() => {
          for (const stop of stopListening) stop();
        });
    });
  }

  async #post(lane: Lane, task: Task): Promise<Outcome> {
    lane.pool ??= startThread();
    lane.load += 1;
    try {
      return (await lane.pool.run(task, { transferList: transferOf(task.input) })) as Outcome;
    } finally {
      lane.load -= 1;
      // What has moved to the thread is empty here; what never got there is wiped here.
      wipeSecrets(task.input);
    }
  }
}

function startThread(): Piscina {
  const filename = new URL('./worker.js', import.meta.url).href;
  const pool = new Piscina({ filename, minThreads: 1, maxThreads: 1, recordTiming: false });
  // A thread that dies while idle is replaced; one that dies at work rejects its job.
  pool.on('error', () => {});
  return pool;
}

/** The first of the items with the smallest `weight`. */
const least = <T>(items: readonly T[], weight: (item: T) => number): T =>
  items.reduce((best, item) => (weight(item) < weight(best) ? item : best));

const rebuilt = ({ code, message, hint, culprits, stack }: ErrorData): MpcError =>
  new MpcError(code, message, { culprits, cause: stack, ...(hint === undefined ? {} : { hint }) });
