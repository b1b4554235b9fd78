/** Keys from stored safe primes, so that tests need not search for any. For tests only: the primes are public. */
import { readFileSync } from 'node:fs';
import { randomBytes } from '#src/core/bytes.js';
import { PrivateKey } from '#src/paillier/keys.js';
import { RingPedersenOwner } from '#src/paillier/ring-pedersen.js';

interface Fixture {
  readonly bits1024: readonly string[];
  readonly bits1536: readonly string[];
}

// Compiled tests run from dist/test/support, the fixtures stay in test/.
const file = new URL('../../../test/fixtures/safe-primes.json', import.meta.url);
const fixture = JSON.parse(readFileSync(file, 'utf8')) as Fixture;
const parse = (list: readonly string[]): readonly bigint[] => list.map((hex) => BigInt(`0x${hex}`));

/** Distinct safe primes: 14 of 1024 bits, 6 of 1536. */
export const testSafePrimes: Readonly<Record<1024 | 1536, readonly bigint[]>> = {
  1024: parse(fixture.bits1024),
  1536: parse(fixture.bits1536),
};

/** The i-th Paillier key: i < 7 for 2048 bits, i < 3 for 3072. Distinct keys share no prime. */
export function testPrivateKey(i: number, bits: 2048 | 3072 = 2048): PrivateKey {
  const primes = testSafePrimes[bits === 2048 ? 1024 : 1536];
  const [p1, p2] = [primes[2 * i], primes[2 * i + 1]];
  if (p1 === undefined || p2 === undefined) throw new RangeError(`no stored primes for key ${i}`);
  return PrivateKey.fromPrimes(p1, p2);
}

/** Fresh ring-Pedersen parameters under the i-th key. */
export const testRingPedersen = (i: number, bits: 2048 | 3072 = 2048): RingPedersenOwner =>
  RingPedersenOwner.generate(testPrivateKey(i, bits), randomBytes);
