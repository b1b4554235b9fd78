/**
 * Starts the command as scripts/ecdsa-mpc.js does, but the party of this process takes stored safe primes instead of
 * searching its own, which is most of a ceremony's time. For tests only: the primes are public.
 */
import { Piscina } from 'piscina';
import { safePrime } from '#src/multiplication/prime-jobs.js';
import { STUCK_IN } from './command.js';
import { SELF, storedPrime } from './stored-primes-job.js';

const [, self] = /(?:^| )--self[ =](\S+)/.exec(process.argv.join(' ')) ?? [];
process.env[SELF] = self;
const { module, name } = storedPrime;
Object.assign(safePrime, { module, name });

// A party that is alive and never gets on with its work, from the beginning of a step: no job of it ever ends.
const stuckIn = process.env[STUCK_IN];
if (stuckIn !== undefined) {
  const write = process.stdout.write.bind(process.stdout);
  const watched = (text: string, ...rest: []) => {
    if (text.includes(`"event":"step","step":"${stuckIn}"`))
      Piscina.prototype.run = () => new Promise(() => {});
    return write(text, ...rest);
  };
  process.stdout.write = watched as typeof process.stdout.write;
}

await import('#src/cli/main.js');
