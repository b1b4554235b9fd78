// A party whose Paillier modulus is not a product of two large primes ≡ 3 mod 4. It knows the factors, commits to
// what it sends, and makes the best proofs that there are; the checks that catch it are Π^mod and Π^fac
// (docs/protocol.md §3, §7). What such moduli are good for: Makriyannis, Yomtov and Galansky, "Practical key
// extraction attacks in leading MPC wallets" (ePrint 2023/1234, BitForge, CVE-2023-33241); Tymokhanov and Shlomovits,
// "Alpha-Rays" (ePrint 2021/1621).
import assert from 'node:assert/strict';
import { generatePrimeSync, getDiffieHellman } from 'node:crypto';
import { test } from 'node:test';
import { z } from 'zod';
import { bytesToBigint } from '#src/core/bytes.js';
import { integerField, naturalField } from '#src/core/codec.js';
import { curveByName } from '#src/curve/curve.js';
import { isqrt } from '#src/math/modular.js';
import { isPrime } from '#src/math/prime.js';
import { makeKeys, proveFac, proveMod, verifyModulus, verifyPrm } from '#src/multiplication/paillier-jobs.js';
import { PublicKey } from '#src/paillier/keys.js';
import { RingPedersenPublic } from '#src/paillier/ring-pedersen.js';
import type { Run } from '#src/rounds/run.js';
import { instead, type Substitute, widened, withJobs, withRun } from '../support/cheating.js';
import {
  Factor,
  fillingPrime,
  forgeFac,
  forgeMod,
  forgePrm,
  modulusOf,
  strangerKey,
  withSmallFactors,
} from '../support/forgeries.js';
import { errorAt, runParties } from '../support/memory-network.js';
import { testPrivateKey } from '../support/primes.js';
import { LEVEL } from '../support/proofs.js';
import { setUpAt, testMultiplication } from '../support/protocols.js';

const curve = curveByName('P-256');
const { p1: honestPrime } = testPrivateKey(1);

interface BadModulus {
  readonly factors: readonly Factor[];
  /** What it says in Π^fac that the factors are: N when multiplied, or else as large as they may be. */
  readonly claimed: readonly [bigint, bigint];
}

/** About √N twice: within their ranges, and nothing else about them is right. */
const madeUp = (N: bigint): [bigint, bigint] => [isqrt(N), isqrt(N)];

const made = (factors: readonly Factor[], claimed = madeUp(modulusOf(factors))): BadModulus => ({
  factors,
  claimed,
});

const prime = (bits: number, add: bigint, rem: bigint) => generatePrimeSync(bits, { bigint: true, add, rem });

/** The given primes and two large ones. */
const withLarge = (...small: bigint[]): Factor[] => {
  const product = small.reduce((sum, p) => sum * p, honestPrime);
  return [...small, honestPrime, fillingPrime(product, 4n, 3n)].map((p) => new Factor(p));
};

/** The 16 primes ≡ 3 mod 4 that follow `start`. */
function sixteenPrimes(start: bigint): bigint[] {
  const primes: bigint[] = [];
  for (let p = start; primes.length < 16; p += 4n) if (isPrime(p)) primes.push(p);
  return primes;
}

const zeros = <T>(length: number, zero: T): T[] => new Array(length).fill(zero);

/** A Π^mod that nobody looks at. */
const UNSEEN = instead(proveMod, () => ({
  w: 0n,
  a: zeros(128, 0),
  b: zeros(128, 0),
  x: zeros(128, 0n),
  z: zeros(8, 0n),
}));

/** The jobs of the owner of such a modulus. */
function jobsFor({ factors, claimed }: BadModulus): Substitute[] {
  const N = modulusOf(factors);
  const proofs = [
    instead(makeKeys, ({ context }) => {
      // The exponents of a cheat need hide nothing: Π^prm holds, and is quickly made and verified.
      const { s, proof } = forgePrm(context, { key: strangerKey(N), t: 4n, kappa: 3n });
      return { parameters: { N, s, t: 4n }, prm: proof, secret: { ownKey: new Uint8Array(1) } };
    }),
    instead(proveMod, ({ context }) => forgeMod(context, factors).proof),
    instead(proveFac, ({ context, verifier: { N: Nhat, s, t } }) => {
      const key = PublicKey.parse(Nhat, LEVEL);
      const pedersen = key && RingPedersenPublic.parse(key, s, t);
      const [p1, p2] = context.verifier === 'alice' ? claimed : [0n, 0n];
      return pedersen && forgeFac(context, N, pedersen, { p1, p2 });
    }),
  ];
  return [...proofs, instead(verifyPrm, () => true), instead(verifyModulus, () => true)];
}

/** A set-up of alice with one cheat for each of `moduli`, who is called by its number; what alice makes of it. */
async function setUpWith(
  moduli: readonly BadModulus[],
  jobs: readonly Substitute[] = [],
  change: (run: Run) => Partial<Run> = () => ({}),
) {
  const cheats = moduli.map((_, index) => `cheat-${index}`);
  const outcomes = await runParties(['alice', ...cheats], (party) => {
    const modulus = moduli[cheats.indexOf(party.self)];
    const actor = modulus ? withJobs(withRun(party, change), [...jobs, ...jobsFor(modulus)]) : party;
    return setUpAt(actor, testMultiplication(curve, 0));
  });
  return errorAt(outcomes, 'alice');
}

/** Refused before Π^mod, since everybody can see it. */
const SEEN: ReadonlyMap<string, () => BadModulus> = new Map([
  ['sixteen prime factors below 2^16', () => made(withLarge(...sixteenPrimes(65027n)))],
  ['one prime factor below 2^16', () => made(withLarge(65519n))],
  ['an even number', () => made(withLarge(2n))],
  ['one bit too few', () => made([honestPrime, prime(1023, 4n, 3n)].map((p) => new Factor(p)))],
]);

/**
 * Refused by Π^mod; Π^fac holds wherever there are numbers to claim that multiply to N. For the finer points of Π^mod,
 * such as square factors and primes ≡ 1 mod 4, see test/zk/mod.test.ts.
 */
const NOT_BLUM: ReadonlyMap<string, () => BadModulus> = new Map([
  ['a prime', () => made([new Factor(bytesToBigint(getDiffieHellman('modp14').getPrime()))])],
  ['the square of a prime', () => made([new Factor(honestPrime, 2n)], [honestPrime, honestPrime])],
  [
    'three prime factors',
    () => {
      const [p, q] = [prime(683, 4n, 3n), prime(683, 4n, 3n)];
      const r = fillingPrime(p * q, 4n, 3n);
      return made([new Factor(p), new Factor(q), new Factor(r)], [p * q, r]);
    },
  ],
  ['sixteen prime factors above 2^16', () => made(withLarge(...sixteenPrimes(65539n)))],
]);

const LARGE_AND_SMALL = withSmallFactors([prime(256, 4n, 3n)]);

/** Refused by Π^fac; Π^mod holds. */
const LOPSIDED: ReadonlyMap<string, () => BadModulus> = new Map([
  ['a prime factor just above 2^16', () => made(withSmallFactors([65539n]))],
  ['a prime factor of 256 bits', () => made(LARGE_AND_SMALL)],
]);

/** What the owner of a good modulus can do by the same means: it is believed. */
const GOOD: ReadonlyMap<string, () => BadModulus> = new Map([
  [
    'two large primes ≡ 3 mod 4',
    () => {
      const { p1, p2 } = testPrivateKey(1);
      return made([new Factor(p1), new Factor(p2)], [p1, p2]);
    },
  ],
]);

/** One session with the owners of all these moduli, and a test for each of them. */
function judge(
  moduli: ReadonlyMap<string, () => BadModulus>,
  reason: RegExp,
  jobs: readonly Substitute[] = [],
): void {
  const error = setUpWith(
    [...moduli.values(), ...GOOD.values()].map((modulus) => modulus()),
    jobs,
  );
  for (const [index, what] of [...moduli.keys()].entries()) {
    test(`the owner of a modulus is named: ${what}`, async () => {
      const { code, culprits, message } = await error;
      assert.equal(code, 'PROTOCOL');
      assert.match(message, reason);
      assert.ok(culprits.includes(`cheat-${index}`));
    });
  }
  for (const what of GOOD.keys()) {
    test(`the owner of a modulus is believed: ${what}`, async () => {
      assert.equal((await error).culprits.length, moduli.size);
    });
  }
}

judge(SEEN, /the check of ring-Pedersen parameters \(prm\) fails/, [UNSEEN]);
judge(
  new Map([...NOT_BLUM, ...LOPSIDED]),
  /the check of Paillier–Blum modulus \(mod\) without small factors \(fac\) fails/,
);

test('the owner of a modulus is named: factors too far apart, and told as they are', async () => {
  const [small, large] = LARGE_AND_SMALL;
  const [natural, integer] = [naturalField(1 << 13), integerField(1 << 13)];
  const elements = { P: natural, Q: natural, A: natural, B: natural, T: natural, sigma: integer };
  const responses = { z1: integer, z2: integer, w1: integer, w2: integer, v: integer };
  const direct = z.strictObject({ fac: z.strictObject({ ...elements, ...responses }) });
  const wide = (run: Run) => widened(run, 'prove', { direct });
  const error = await setUpWith([made([small!, large!], [small!.p, large!.p])], [UNSEEN], wide);
  assert.deepEqual([error.code, error.culprits], ['PROTOCOL', ['cheat-0']]);
  assert.match(error.message, /an undecodable message of paillier round prove \(fac\.z2/);
});
