/** The job that stands in for the search for safe primes: takes one of the stored ones. Worker threads import it. */
import { randomInt } from 'node:crypto';
import { bigintToBytes } from '#src/core/bytes.js';
import { invariant } from '#src/core/errors.js';
import { securityLevel } from '#src/math/params.js';
import type { safePrime } from '#src/multiplication/prime-jobs.js';
import { defineJob } from '#src/work/job.js';
import { testSafePrimes } from './primes.js';

/** Who may use them, each its own few, so that no two parties ever have a prime in common. */
const PARTIES = ['alice', 'bob', 'charlie', 'dave'];
const PRIMES_EACH = 3;

/** Names the party: a thread does not know the arguments of its process, but has its environment. */
export const SELF = 'ECDSA_MPC_TEST_SELF';

const take: typeof safePrime.run = ({ level }) => {
  const { primeBits } = securityLevel(level);
  const first = PARTIES.indexOf(process.env[SELF] ?? '') * PRIMES_EACH;
  const own = first < 0 ? [] : testSafePrimes[primeBits].slice(first, first + PRIMES_EACH);
  invariant(own.length === PRIMES_EACH, `no stored primes for a party called ${process.env[SELF]}`);
  return { secret: { prime: bigintToBytes(own[randomInt(PRIMES_EACH)]!, primeBits / 8) } };
};

export const storedPrime = defineJob(import.meta.url, 'test stored safe prime', take);
