/** Waiting for something to become true. */
import { whenAborted } from '../rounds/abort-signal.js';

export class Condition {
  readonly #waiting = new Set<() => void>();

  /**
   * Resolves as soon as `isTrue`, which is asked now and at each {@link changed}; rejects with the signal's reason.
   * Whoever takes something once it is free takes it within `isTrue`: later, somebody else may have been faster.
   */
  async until(isTrue: () => boolean, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (isTrue()) return;
      await this.#change(signal);
    }
  }

  changed(): void {
    for (const tell of [...this.#waiting]) tell();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        this.#waiting.delete(tell);
        stopListening();
        settle();
      };
      const tell = (): void => done(resolve);
      const stopListening = whenAborted(signal, (reason) => done(() => reject(reason)));
      this.#waiting.add(tell);
    });
  }
}
