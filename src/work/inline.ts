/** Jobs in the same thread, for tests and for tiny work; input and output cross as they would between threads. */
import type { Random } from '../core/bytes.js';
import { asMpcError, throwIfAborted } from '../core/errors.js';
import type { Compute } from '../rounds/run.js';
import { runJob } from './job.js';
import { cloneAcross, wipeSecrets } from './secrets.js';

/** A {@link Compute} that runs each job at once, with `random` as its source of randomness. */
export const inlineCompute =
  (random: Random): Compute =>
  async (job, input, { signal } = {}) => {
    throwIfAborted(signal);
    try {
      const aborted = () => signal?.aborted ?? false;
      const output = await runJob(job, cloneAcross(input), { random, aborted });
      if (aborted()) wipeSecrets(output);
      throwIfAborted(signal);
      return output;
    } catch (error) {
      throwIfAborted(signal);
      throw asMpcError(error);
    }
  };
