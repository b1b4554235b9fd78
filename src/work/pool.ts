/** Jobs in worker threads, so that sockets keep answering and several cores are used. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Piscina } from 'piscina';
import { asMpcError, MpcError, throwIfAborted } from '../core/errors.js';
import { whenAborted } from '../rounds/abort-signal.js';
import type { Compute } from '../rounds/run.js';
import { transferOf, wipeSecrets, withCopiedSecrets } from './secrets.js';
import type { ErrorData, Outcome, Task } from './worker.js';

export class WorkerPool {
  readonly #threads: number;
  /** Loaded and made for the first job: a party that computes nothing starts no thread. */
  #piscina: Promise<Piscina> | undefined;
  /** Aborts everything that has not ended when the pool closes. */
  readonly #closing = new AbortController();

  /** A pool of `threads` threads, at least one. Each is started when there is work for it, and kept. */
  constructor(threads: number = availableParallelism()) {
    this.#threads = Math.max(1, threads);
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
    return (await this.#run(task, signal)) as O;
  };

  /**
   * Ends all threads at once, whatever they are at: jobs that have not ended reject with `INTERRUPTED`. The memory
   * of an ended thread is freed but not wiped.
   */
  async close(): Promise<void> {
    this.#closing.abort(new MpcError('INTERRUPTED', 'the worker threads are closing'));
    await (await this.#piscina)?.destroy();
  }

  /** Rejects as soon as the result is no longer wanted; the thread then goes on until the job notices. */
  #run(task: Task, signal: AbortSignal | undefined): Promise<unknown> {
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
      this.#post(task)
        .then(settle, (error: unknown) => reject(asMpcError(error)))
        .finally(() => {
          for (const stop of stopListening) stop();
        });
    });
  }

  async #post(task: Task): Promise<Outcome> {
    this.#piscina ??= startPiscina(this.#threads);
    try {
      const piscina = await this.#piscina;
      throwIfAborted(this.#closing.signal);
      return (await piscina.run(task, { transferList: transferOf(task.input) })) as Outcome;
    } finally {
      // What has moved to the thread is empty here; what never got there is wiped here.
      wipeSecrets(task.input);
    }
  }
}

async function startPiscina(maxThreads: number): Promise<Piscina> {
  const { Piscina } = await import('piscina');
  const filename = fileURLToPath(new URL('./entry.cjs', import.meta.url));
  // One thread at least, so that one that dies is replaced while others' jobs are in the queue.
  const piscina = new Piscina({
    filename,
    minThreads: 1,
    maxThreads,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
  });
  // A thread that dies at work rejects its job; one that dies idle concerns nobody.
  piscina.on('error', () => {});
  return piscina;
}

const rebuilt = ({ code, message, hint, culprits, stack }: ErrorData): MpcError =>
  new MpcError(code, message, { culprits, cause: stack, ...(hint === undefined ? {} : { hint }) });
