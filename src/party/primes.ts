/** Safe primes made ahead on worker threads: while peers are still missing, and while other steps wait. */
import type { ClusterConfig } from '../config/cluster.js';
import { equalBytes, Secret } from '../core/bytes.js';
import type { SecurityBits } from '../math/params.js';
import type { PrimeSource } from '../multiplication/paillier.js';
import { safePrime } from '../multiplication/prime-jobs.js';
import { whenAborted } from '../rounds/abort-signal.js';
import type { Compute } from '../rounds/run.js';

/** How many safe primes one set-up takes. */
export const primesPerSetup = ({ multiplication }: Pick<ClusterConfig, 'multiplication'>): number =>
  multiplication === 'ot' ? 0 : 2;

/**
 * Looks for safe primes ahead of their use. Its searches end with `signal`; what nobody has taken is wiped when it
 * is disposed.
 */
export class PrimeStock implements Disposable {
  readonly #find: () => Promise<Secret>;
  readonly #searches: Promise<Secret>[] = [];

  constructor(compute: Compute, level: SecurityBits, signal: AbortSignal) {
    this.#find = async () => {
      const { secret } = await compute(safePrime, { level }, { signal });
      return Secret.own(secret.prime);
    };
  }

  /** Starts looking for `count` more primes. */
  prepare(count: number): void {
    for (let k = 0; k < count; k += 1) {
      const search = this.#find();
      // A failed search is reported to whoever takes its prime, and to nobody else.
      search.catch(() => {});
      this.#searches.push(search);
    }
  }

  /**
   * Two different primes: those that have been looked for longest, or new ones. Rejects as soon as `signal` is
   * aborted; what it had taken is wiped.
   */
  readonly take: PrimeSource = async (signal) => {
    const first = await this.#next(signal);
    try {
      for (;;) {
        const second = await this.#next(signal);
        if (!equalBytes(first.bytes, second.bytes)) return [first, second];
        second.dispose();
      }
    } catch (error) {
      first.dispose();
      throw error;
    }
  };

  [Symbol.dispose](): void {
    for (const search of this.#searches.splice(0)) wipe(search);
  }

  #next(signal: AbortSignal): Promise<Secret> {
    if (this.#searches.length === 0) this.prepare(1);
    const search = this.#searches.shift()!;
    return new Promise((resolve, reject) => {
      const stopListening = whenAborted(signal, (reason) => {
        wipe(search);
        reject(reason);
      });
      search.then(resolve, reject).finally(stopListening);
    });
  }
}

/** Wipes the prime that a search finds. */
function wipe(search: Promise<Secret>): void {
  search.then((prime) => prime.dispose()).catch(() => {});
}
