/**
 * Which operations run on a key at a time: any number side by side, or one alone. A refresh runs alone, since it
 * erases what the others work with.
 *
 * A key has a gate at each of its parties. Were each to let one operation in alone as it comes, a refresh could hold
 * one party and wait for another, on which a signature waits for the first. So whoever wants to be alone has all who
 * take part hold the key first: they start nothing new on it, still take part in what others have started, and say
 * when what they have started themselves is over. When all have said so, none of them waits for another any more.
 */
import { MpcError } from '../core/errors.js';
import { Condition } from './condition.js';

/** Somebody else uses the key just now; the same may be tried again later. */
export class BusyError extends MpcError {
  constructor(what: string) {
    super('DISAGREEMENT', what, { hint: 'ask again when that is over' });
  }
}

export class Gate {
  /** Operations side by side: all, and those that this party has started. */
  #running = 0;
  #started = 0;
  /** The request for which the key is held. */
  #holder: string | undefined;
  /** It runs, or is next. */
  #isAlone = false;
  readonly #condition = new Condition();

  /** Lets an operation of this party start side by side with others, as soon as nobody holds the key. */
  async start(signal: AbortSignal): Promise<Disposable> {
    await this.#condition.until(() => {
      if (this.#holder !== undefined || this.#isAlone) return false;
      this.#started += 1;
      this.#running += 1;
      return true;
    }, signal);
    return this.#leaving(() => {
      this.#started -= 1;
      this.#running -= 1;
    });
  }

  /** Lets a peer's operation in, side by side with others. Throws {@link BusyError} while one runs alone, or is next. */
  join(): Disposable {
    if (this.#isAlone) throw new BusyError('an operation that runs alone on the key is under way');
    this.#running += 1;
    return this.#leaving(() => {
      this.#running -= 1;
    });
  }

  /** Resolves when no request holds the key. */
  free(signal: AbortSignal): Promise<void> {
    return this.#condition.until(() => this.#holder === undefined && !this.#isAlone, signal);
  }

  /**
   * Holds the key for the request `id` from now on. Resolves when all that this party has started on it is over.
   * Throws {@link BusyError} when it is held for another.
   */
  async hold(id: string, signal: AbortSignal): Promise<void> {
    if (this.#holder !== undefined && this.#holder !== id)
      throw new BusyError('another operation that runs alone on the key comes first');
    this.#holder = id;
    await this.#condition.until(() => this.#started === 0, signal);
  }

  /**
   * Lets the request in for which the key is held, as soon as nothing else runs on it. What others begin meanwhile is
   * refused: who takes part in this has nothing running, and so nobody of them waits for it.
   */
  async alone(id: string, signal: AbortSignal): Promise<Disposable> {
    if (this.#holder !== id || this.#isAlone) throw new BusyError('the key is not held for this operation');
    this.#isAlone = true;
    const leaving = this.#leaving(() => {
      this.#isAlone = false;
    });
    try {
      await this.#condition.until(() => this.#running === 0, signal);
      return leaving;
    } catch (error) {
      leaving[Symbol.dispose]();
      throw error;
    }
  }

  /** The request `id` holds the key no longer, if it did. */
  release(id: string): void {
    if (this.#holder !== id) return;
    this.#holder = undefined;
    this.#condition.changed();
  }

  #leaving(leave: () => void): Disposable {
    return {
      [Symbol.dispose]: () => {
        leave();
        this.#condition.changed();
      },
    };
  }
}

/** The gates of all keys; that of no key is for the making of one. */
export class Gates {
  readonly #gates = new Map<string, Gate>();

  of(key: string | undefined): Gate {
    const name = key ?? '';
    const gate = this.#gates.get(name) ?? new Gate();
    this.#gates.set(name, gate);
    return gate;
  }

  /** The request `id` holds no key any longer. */
  release(id: string): void {
    for (const gate of this.#gates.values()) gate.release(id);
  }
}
