/** The multiplications of more parties than the tests have stored primes for. */
import { Secret } from '#src/core/bytes.js';
import { securityLevel } from '#src/math/params.js';
import type { Multiplication } from '#src/multiplication/multiplication.js';
import { otMultiplication } from '#src/multiplication/ot.js';
import { type PrimeSource, paillierMultiplication } from '#src/multiplication/paillier.js';
import { safePrime } from '#src/multiplication/prime-jobs.js';
import type { WorkerPool } from '#src/work/pool.js';
import { testSafePrimes } from '#test/support/primes.js';
import { type MultiplicationName, storedPrimes } from '#test/support/protocols.js';
import { CURVE } from './memory-key.js';

const LEVEL = 112;

/** Two primes for each party: the stored ones, and new ones where there are no more. */
export async function primesOf(count: number, pool: WorkerPool): Promise<readonly PrimeSource[]> {
  const stored = Math.min(count, testSafePrimes[1024].length / 2);
  const made = await Promise.all(
    Array.from({ length: 2 * (count - stored) }, async () => {
      const { secret } = await pool.compute(safePrime, { level: LEVEL });
      return secret.prime;
    }),
  );
  // A set-up wipes its primes, and a refresh needs some again.
  const copy = (k: number) => Secret.own(Uint8Array.from(made[k]!));
  return Array.from({ length: count }, (_, i): PrimeSource => {
    const first = 2 * (i - stored);
    return i < stored ? storedPrimes(i) : async () => [copy(first), copy(first + 1)];
  });
}

/** The multiplication of the party at `index`. */
export const multiplicationOf =
  (name: MultiplicationName, primes: readonly PrimeSource[]) =>
  (index: number): Multiplication =>
    name === 'ot'
      ? otMultiplication(CURVE)
      : paillierMultiplication(CURVE, securityLevel(LEVEL), primes[index]!);
