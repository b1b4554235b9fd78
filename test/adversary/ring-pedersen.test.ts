// A party whose ring-Pedersen parameters do not hide what is committed under them. Its modulus is good, it commits to
// what it sends, and its Π^prm holds in every line, or in as many as it can guess; what catches it is Π^prm and the
// checks of s and t (docs/protocol.md §2, §3). With s outside ⟨t⟩ or with t = 1, a commitment s^k·t^μ tells of s^k and
// so of k: CVE-2020-12118 (h2 = 1 in tss-lib), TSSHOCK (Verichains 2023).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { curveByName } from '#src/curve/curve.js';
import { jacobi } from '#src/math/modular.js';
import { makeKeys, verifyPrm } from '#src/multiplication/paillier-jobs.js';
import { PrivateKey } from '#src/paillier/keys.js';
import { instead, type Substitute, withJobs } from '../support/cheating.js';
import { forgePrm } from '../support/forgeries.js';
import { errorAt, runParties } from '../support/memory-network.js';
import { testSafePrimes } from '../support/primes.js';
import { setUpAt, testMultiplication } from '../support/protocols.js';

type Claim = Omit<Parameters<typeof forgePrm>[1], 'key'>;

function withJacobi(symbol: 1 | -1, N: bigint): bigint {
  let x = 2n;
  while (jacobi(x, N) !== symbol) x += 1n;
  return x;
}

/** What a party claims about its parameters, where it depends on them by its key. */
const BAD: ReadonlyMap<string, (key: PrivateKey) => Claim> = new Map<string, (key: PrivateKey) => Claim>([
  ['s = −t^κ, outside ⟨t⟩, every bit of the challenge guessed', () => ({ t: 4n, kappa: 3n, sign: -1n })],
  ['s = t = 1', () => ({ t: 1n, kappa: 1n })],
  ['s = 1', () => ({ t: 4n, kappa: 0n })],
  ['s = t = N − 1', ({ N }) => ({ t: N - 1n, kappa: 1n })],
  ['s = t = 0', () => ({ t: 0n, kappa: 1n })],
  ['s and t that are no units', ({ p1 }) => ({ t: p1, kappa: 3n })],
  ['t that is no square, by its Jacobi symbol', ({ N }) => ({ t: withJacobi(-1, N), kappa: 2n })],
]);
const GOOD = (): Claim => ({ t: 4n, kappa: 3n });

/** Those of one cheat, whose key is another for each. */
function jobsFor(index: number, claim: (key: PrivateKey) => Claim): Substitute[] {
  const primes = testSafePrimes[1024];
  const key = PrivateKey.fromPrimes(primes[2]!, primes[3 + index]!);
  const made = instead(makeKeys, ({ context }) => {
    const { t, ...rest } = claim(key);
    const { s, proof } = forgePrm(context, { key, t, ...rest });
    return { parameters: { N: key.N, s, t }, prm: proof, secret: { ownKey: new Uint8Array(1) } };
  });
  return [made, instead(verifyPrm, () => true)];
}

/** What alice makes of all of them in one session, the last of whom has good parameters. */
const error = (async () => {
  const claims = [...BAD.values(), GOOD];
  const cheats = claims.map((_, index) => `cheat-${index}`);
  const outcomes = await runParties(['alice', ...cheats], (party) => {
    const index = cheats.indexOf(party.self);
    const actor = index < 0 ? party : withJobs(party, jobsFor(index, claims[index]!));
    return setUpAt(actor, testMultiplication(curveByName('P-256'), 0));
  });
  return errorAt(outcomes, 'alice');
})();

for (const [index, what] of [...BAD.keys()].entries()) {
  test(`the owner of ring-Pedersen parameters is named: ${what}`, async () => {
    const { code, culprits, message } = await error;
    assert.equal(code, 'PROTOCOL');
    assert.match(message, /the check of ring-Pedersen parameters \(prm\) fails/);
    assert.ok(culprits.includes(`cheat-${index}`));
  });
}

test('the owner of ring-Pedersen parameters is believed: the same proof for good ones', async () => {
  assert.equal((await error).culprits.length, BAD.size);
});
