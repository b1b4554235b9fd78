/** Jobs by name: a module defines them when it is imported, and a worker thread imports the module to find them. */
import { invariant } from '../core/errors.js';
import type { Job, JobContext } from '../rounds/run.js';
import { cloneAcross, wipeSecrets } from './secrets.js';

const jobs = new Map<string, Job<unknown, unknown>>();

/**
 * Defines the job `name` of the module whose `import.meta.url` is `module`, once per thread, at the module's
 * top level: `export const proveMod = defineJob(import.meta.url, 'prove mod', (input, context) => …)`.
 */
export function defineJob<I, O>(module: string, name: string, run: Job<I, O>['run']): Job<I, O> {
  invariant(!jobs.has(name), `job ${name} is defined twice`);
  const job: Job<I, O> = { name, module, run };
  jobs.set(name, job as Job<unknown, unknown>);
  return job;
}

/** The job `name`, if its module has been imported in this thread. */
export const findJob = (name: string): Job<unknown, unknown> | undefined => jobs.get(name);

/**
 * The output of one run of `job`, as plain data that can be moved on. Wipes the secrets of `input`, which is the
 * job's own copy, and what the job keeps of the output's, however the run ends.
 */
export async function runJob<I, O>(job: Job<I, O>, input: I, context: JobContext): Promise<O> {
  try {
    const output = await job.run(input, context);
    try {
      return cloneAcross(output);
    } finally {
      wipeSecrets(output);
    }
  } finally {
    wipeSecrets(input);
  }
}
