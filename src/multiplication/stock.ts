/**
 * Secrets made ahead of their use, in memory only. Each is taken once: a mask that is used twice tells the difference
 * of what it hides.
 */

/** The most that a stock holds, whatever it is asked for: it must not grow in a process that is idle for long. */
export const STOCK_LIMIT = 32;

export class Stock<T extends Disposable> implements Disposable {
  readonly #items: T[] = [];
  #inMaking = 0;
  #disposed = false;

  get size(): number {
    return this.#items.length;
  }

  /** The oldest item, which is the caller's alone from now on, to be disposed; `undefined` when there is none. */
  take(): T | undefined {
    return this.#items.shift();
  }

  /** Makes what is missing up to `count`, one after the other. What comes when the stock is disposed is, too. */
  async fill(count: number, make: () => Promise<T>): Promise<void> {
    const wanted = Math.min(count, STOCK_LIMIT);
    while (!this.#disposed && this.#items.length + this.#inMaking < wanted) {
      this.#inMaking += 1;
      try {
        const item = await make();
        if (this.#disposed) item[Symbol.dispose]();
        else this.#items.push(item);
      } finally {
        this.#inMaking -= 1;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const item of this.#items.splice(0)) item[Symbol.dispose]();
  }
}
