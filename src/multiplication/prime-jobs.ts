/**
 * The search for a safe prime, as a job for worker threads. It stands apart from what the primes are for, because it is
 * the first work of a party that has just started: a thread that looks for primes loads no proofs.
 */
import { bigintToBytes } from '../core/bytes.js';
import { type SecurityBits, securityLevel } from '../math/params.js';
import { safePrime as findSafePrime } from '../math/prime.js';
import { defineJob } from '../work/job.js';

/** One safe prime of the level's length, as bytes. */
export const safePrime = defineJob(
  import.meta.url,
  'paillier safe prime',
  ({ level }: { readonly level: SecurityBits }, { random, aborted }) => {
    const { primeBits } = securityLevel(level);
    return { secret: { prime: bigintToBytes(findSafePrime(primeBits, random, aborted), primeBits / 8) } };
  },
);
