/** Integer arithmetic: the engine against bigint-crypto-utils, what knowing a factorisation saves, safe primes. */
import { modPow as bigintModPow } from 'bigint-crypto-utils';
import { bitLength, randomBytes } from '#src/core/bytes.js';
import { engineName, modPow } from '#src/math/modpow.js';
import { securityLevel } from '#src/math/params.js';
import { safePrime } from '#src/math/prime.js';
import { sampleBelow, sampleBits, sampleUnit } from '#src/math/sample.js';
import { decrypt, encrypt } from '#src/paillier/cipher.js';
import { PrivateKey, PublicKey } from '#src/paillier/keys.js';
import { RingPedersenOwner, RingPedersenPublic } from '#src/paillier/ring-pedersen.js';
import { cpuMillis, millis, printTable } from './measure.js';

const never = (): boolean => false;
const ratio = (slow: number, fast: number): string => `${(slow / fast).toFixed(1)}×`;

/** Prints one line per modulus: both ways in the same run, so that the ratio holds on a noisy machine. */
function benchPowers(short: PrivateKey, long: PrivateKey): void {
  const cases: [string, bigint, number][] = [
    ['p', short.p1, 1024],
    ['N', short.N, 2048],
    ['N', long.N, 3072],
    ['N²', short.NN, 2048],
    ['N²', long.NN, 3072],
  ];
  const rows = cases.map(([name, modulus, exponentBits]) => {
    const exponent = sampleBits(exponentBits, randomBytes) | (1n << BigInt(exponentBits - 1));
    const base = sampleBelow(modulus, randomBytes);
    const slow = cpuMillis(() => bigintModPow(base, exponent, modulus), 5);
    const fast = cpuMillis(() => modPow(base, exponent, modulus), 15);
    const sizes = `${name}, ${bitLength(modulus)} / ${exponentBits}`;
    return [sizes, millis(slow), millis(fast), ratio(slow, fast)];
  });
  printTable(`Modular powers (engine: ${engineName()})`, [
    ['modulus / exponent bits', 'bigint-crypto-utils', 'modPow', 'ratio'],
    ...rows,
  ]);
}

/** Prints the same operations as a stranger and as the owner of the key does them. */
function benchPaillier(owner: PrivateKey): void {
  const stranger = PublicKey.parse(owner.N, securityLevel(112));
  if (stranger === undefined) throw new Error('the key of the benchmark is unfit');
  const parameters = RingPedersenOwner.generate(owner, randomBytes);
  const publicParameters = RingPedersenPublic.parse(stranger, parameters.s, parameters.t);
  if (publicParameters === undefined) throw new Error('the parameters of the benchmark are unfit');
  const [x, y] = [sampleBits(486, randomBytes), sampleBits(2534, randomBytes)];
  const rho = sampleUnit(owner.N, randomBytes);
  const c = encrypt(owner, x, rho);
  const cases: [string, () => unknown, () => unknown][] = [
    ['encrypt', () => encrypt(stranger, x, rho), () => encrypt(owner, x, rho)],
    ['multiply by 256 bits', () => stranger.powSquare(c, x >> 230n), () => owner.powSquare(c, x >> 230n)],
    ['ring-Pedersen commit', () => publicParameters.commit(x, y), () => parameters.commit(x, y)],
  ];
  const rows = cases.map(([name, asStranger, asOwner]) => {
    const [slow, fast] = [cpuMillis(asStranger, 25), cpuMillis(asOwner, 25)];
    return [name, millis(slow), millis(fast), ratio(slow, fast)];
  });
  rows.push(['decrypt', '', millis(cpuMillis(() => decrypt(owner, c), 25)), '']);
  printTable('Paillier, 2048 bits', [['', 'stranger', 'owner', 'ratio'], ...rows]);
}

/** Prints the mean search time, and returns a key from the primes found. */
function benchSafePrimes(bits: number, count: number): PrivateKey {
  const before = process.cpuUsage();
  const [p1, p2] = Array.from({ length: count }, () => safePrime(bits, randomBytes, never));
  const { user, system } = process.cpuUsage(before);
  const mean = (user + system) / 1e6 / count;
  printTable(`Safe primes of ${bits} bits`, [[`mean of ${count}`, `${mean.toFixed(2)} s`]]);
  if (p1 === undefined || p2 === undefined) throw new RangeError('a key takes two primes');
  return PrivateKey.fromPrimes(p1, p2);
}

/** Prints the arithmetic section of the benchmark; about half a minute. */
export function benchArithmetic(): void {
  const short = benchSafePrimes(1024, 16);
  const long = benchSafePrimes(1536, 4);
  benchPowers(short, long);
  benchPaillier(short);
}
