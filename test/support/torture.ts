/**
 * The two forms of the fault tests: a short one, a sample chosen at random, for every day, and a long one with
 * TORTURE=1 in the environment (`make torture`), which adds up what the tests {@link count}.
 */
import type { TestContext } from 'node:test';

export const TORTURE = !['', '0'].includes(process.env.TORTURE ?? '');

/** `short` or `long`, whichever form this is. */
export const either = <T>(short: T, long: T): T => (TORTURE ? long : short);

/** Tells how many of something a test has done; scripts/test.js adds up what all tests told. */
export function count(context: TestContext, what: string, number: number): void {
  context.diagnostic(`count: ${what} ${number}`);
}

/** Choices that can be made again: by the seed that is printed, given as TEST_SEED. */
export class Chance {
  readonly seed: number;
  #state: number;

  constructor(context: TestContext) {
    this.seed = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));
    this.#state = this.seed;
    context.diagnostic(`TEST_SEED=${this.seed}`);
  }

  /** A whole number from `least` to below `bound`. */
  between(least: number, bound: number): number {
    return least + Math.floor(this.#next() * (bound - least));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.between(0, list.length)] as T;
  }

  /** The same things in another order. */
  shuffle<T>(list: readonly T[]): T[] {
    const left = [...list];
    return list.map(() => left.splice(this.between(0, left.length), 1)[0] as T);
  }

  /** SplitMix with 32 bits of state. */
  #next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  }
}
