/** Jobs in the same thread, for tests and for tiny work; input and output cross as they would between threads. */
import type { Random } from '../core/bytes.js';
import { asMpcError, throwIfAborted } from '../core/errors.js';
import type { Compute } from '../rounds/run.js';
import { runJob } from './job.js';
import { transferOf, wipeSecrets, withCopiedSecrets } from './secrets.js';

/** A {@link Compute} that runs each job at once, with `random` as its source of randomness. */
export const inlineCompute =
  (random: Random): Compute =>
  async (job, input, { signal } = {}) => {
    throwIfAborted(signal);
    try {
      const output = await runJob(job, moved(input), { random, aborted: () => signal?.aborted ?? false });
      if (signal?.aborted) wipeSecrets(output);
      throwIfAborted(signal);
      return structuredClone(output, { transfer: transferOf(output) });
    } catch (error) {
      throwIfAborted(signal);
      throw asMpcError(error);
    }
  };

/** What another thread would receive: a clone of `input`, its secrets copied. */
function moved<I>(input: I): I {
  const copied = withCopiedSecrets(input);
  try {
    return structuredClone(copied, { transfer: transferOf(copied) });
  } finally {
    wipeSecrets(copied);
  }
}
