/** The operations that run just now, for `status`. */
import type { Progress } from '../rounds/run.js';
import { Condition } from './condition.js';

export interface RunningOperation {
  readonly id: string;
  readonly operation: 'sign' | 'refresh' | 'keygen' | 'presign';
  readonly key?: string;
  /** When it began, and what it does. */
  readonly since: Date;
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

export class RunningOperations {
  readonly #running = new Map<object, RunningOperation>();

  readonly #condition = new Condition();
  readonly #took: (operation: RunningOperation['operation'], millis: number) => void;

  /** `took` is told how long each operation has run. */
  constructor(took: (operation: RunningOperation['operation'], millis: number) => void = () => {}) {
    this.#took = took;
  }

  /** Resolves when none runs any more. Rejects with the signal's reason. */
  ended(signal: AbortSignal): Promise<void> {
    return this.#condition.until(() => this.#running.size === 0, signal);
  }

  list(): readonly RunningOperation[] {
    return [...this.#running.values()];
  }

  /** Notes an operation until it is disposed; `progress` is to be told how far it is. */
  enter(
    facts: Pick<RunningOperation, 'id' | 'operation' | 'key'>,
  ): Disposable & { readonly progress: Progress } {
    const { operation } = facts;
    const entry = {};
    const began = performance.now();
    this.#running.set(entry, { ...facts, since: new Date(), stage: 'beginning', done: 0, total: 1 });
    return {
      progress: (stage, done, total) => {
        const before = this.#running.get(entry);
        if (before !== undefined) this.#running.set(entry, { ...before, stage, done, total });
      },
      [Symbol.dispose]: () => {
        this.#running.delete(entry);
        this.#condition.changed();
        this.#took(operation, performance.now() - began);
      },
    };
  }
}
