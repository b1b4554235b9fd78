import { defineJob } from '#src/work/job.js';

export const double = defineJob(import.meta.url, 'test double', (input: { x: bigint }) => ({
  y: 2n * input.x,
}));
