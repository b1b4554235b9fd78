/**
 * Starts the command as scripts/ecdsa-mpc.js does, but the party of this process takes stored safe primes instead of
 * searching its own, which is most of a ceremony's time. For tests only: the primes are public.
 */
import { safePrime } from '#src/multiplication/paillier-jobs.js';
import { SELF, storedPrime } from './stored-primes-job.js';

const [, self] = /(?:^| )--self[ =](\S+)/.exec(process.argv.join(' ')) ?? [];
process.env[SELF] = self;
const { module, name } = storedPrime;
Object.assign(safePrime, { module, name });
await import('#src/cli/main.js');
