// Proofs that hold, made for something else: for another session, by another prover, for another verifier, and whole
// messages of an earlier session. Each statement is the right one, so that only the proof's context can tell
// (docs/protocol.md §0, ctx). CVE-2022-47930 and CVE-2022-47931: proofs of tss-lib that could be replayed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { share } from '#src/access/sharing.js';
import { concatBytes, randomBytes } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import type { MultiplicationSetup, Opened } from '#src/multiplication/multiplication.js';
import * as jobs from '#src/multiplication/paillier-jobs.js';
import { PrivateKey } from '#src/paillier/keys.js';
import { RingPedersenOwner } from '#src/paillier/ring-pedersen.js';
import type { ProofContext } from '#src/zk/context.js';
import * as dlog from '#src/zk/dlog.js';
import {
  assertNamed,
  CHEAT,
  cheatingAs,
  instead,
  type Substitute,
  withJobs,
  withRun,
} from '../support/cheating.js';
import { dealingAs, type Opening, spyOn } from '../support/dealing.js';
import { forgePrm } from '../support/forgeries.js';
import { errorAt, runParties } from '../support/memory-network.js';
import { Presigners } from '../support/presigning.js';
import { testSafePrimes } from '../support/primes.js';
import { keygenAt, setUpAt, testMultiplication } from '../support/protocols.js';

const curve = curveByName('P-256');
const parties = ['alice', CHEAT];
const policy = parsePolicy({ and: parties }, parties);

/** Where else a proof may have been made. */
const ELSEWHERE = {
  'another session': (ctx: ProofContext) => ({ ...ctx, sid: new Uint8Array(32) }),
  'another prover': (ctx: ProofContext) => ({ ...ctx, prover: 'charlie' }),
  'another verifier': (ctx: ProofContext) => ({ ...ctx, verifier: 'charlie' }),
} as const;
const places = Object.entries(ELSEWHERE);

describe('proof of knowledge of a', () => {
  const KNOWLEDGE = /the check of proof of knowledge of a fails/;

  for (const [where, elsewhere] of places) {
    test(`the dealer is named: a proof for ${where}`, async () => {
      const cheat = dealingAs({
        dealing: ({ sid }) => {
          const a = curve.randomScalar(randomBytes);
          const { shares, commitments: F } = share(curve, policy, a, randomBytes);
          const ctx = { sid, step: 'keygen', curve: curve.name, prover: CHEAT, verifier: '*' } as const;
          const proof = [dlog.prove(elsewhere(ctx), { X: F[0]! }, { x: a }, randomBytes)];
          const [rid, blind] = [randomBytes(32), randomBytes(32)];
          return { F, proof, rid, blind, shareOf: (peer) => shares.get(peer)! };
        },
      });
      const act = cheatingAs(
        (party) => keygenAt(party, curve, policy),
        (party) => withRun(party, cheat),
      );
      assertNamed(await runParties(parties, act), KNOWLEDGE);
    });
  }

  test('the dealer is named: an honest dealer’s constant and proof of an earlier session', async () => {
    const { intercept, opened } = spyOn('alice', { step: 'keygen', curve, policy });
    await runParties(parties, (party) => keygenAt(party, curve, policy), { intercept });
    const { F, proof }: Opening = await opened;
    // mallory knows no a, but a share for alice that fits the line through it.
    const sigma = curve.randomScalar(randomBytes);
    const slope = curve.multiplyBase(sigma).subtract(F[0]!);
    const [rid, blind] = [randomBytes(32), randomBytes(32)];
    const dealing = () => ({ F: [F[0]!, slope], proof, rid, blind, shareOf: () => sigma });
    const act = cheatingAs(
      (party) => keygenAt(party, curve, policy),
      (party) => withRun(party, dealingAs({ dealing })),
    );
    assertNamed(await runParties(parties, act), KNOWLEDGE);
  });
});

describe('proofs of the set-up', () => {
  type Place = (ctx: ProofContext) => ProofContext;
  const here: Place = (ctx) => ctx;

  /** mallory's jobs, who makes the three proofs in the places given. */
  function jobsFor(
    index: number,
    { prm = here, mod = here, fac = here }: Record<string, Place>,
  ): Substitute[] {
    const primes = testSafePrimes[1024];
    const key = PrivateKey.fromPrimes(primes[2]!, primes[3 + index]!);
    return [
      instead(jobs.makeKeys, ({ context }) => {
        // Short exponents prove as well, and faster.
        const { s, proof } = forgePrm(prm(context), { key, t: 4n, kappa: 3n });
        const pedersen = RingPedersenOwner.generate(key, randomBytes);
        const ownKey = concatBytes(key.toBytes(), pedersen.toBytes());
        return { parameters: { N: key.N, s, t: 4n }, prm: proof, secret: { ownKey } };
      }),
      instead(jobs.proveMod, (input, honest) => honest({ ...input, context: mod(input.context) })),
      instead(jobs.proveFac, (input, honest) =>
        input.context.verifier === 'alice' ? honest({ ...input, context: fac(input.context) }) : UNSEEN,
      ),
      instead(jobs.verifyPrm, () => true),
      instead(jobs.verifyModulus, () => true),
    ];
  }

  /** A Π^fac that nobody looks at. */
  const UNSEEN = { P: 0n, Q: 0n, A: 0n, B: 0n, T: 0n, sigma: 0n, z1: 0n, z2: 0n, w1: 0n, w2: 0n, v: 0n };

  /** One set-up of alice with a cheat for each of `proofs`, and one more with none that is wrong: what she makes of it. */
  async function setUpWith(proofs: readonly Record<string, Place>[]) {
    const cheats = [...proofs, {}].map((_, index) => `cheat-${index}`);
    const outcomes = await runParties(['alice', ...cheats], (party) => {
      const index = cheats.indexOf(party.self);
      const actor = index < 0 ? party : withJobs(party, jobsFor(index, proofs[index] ?? {}));
      return setUpAt(actor, testMultiplication(curve, 0));
    });
    return errorAt(outcomes, 'alice');
  }

  for (const [kinds, reason] of [
    [['prm'], /the check of ring-Pedersen parameters \(prm\) fails/],
    [['mod', 'fac'], /the check of Paillier–Blum modulus \(mod\) without small factors \(fac\) fails/],
  ] as const) {
    const cases = kinds.flatMap((kind) =>
      places.map(([where, elsewhere]) => ({ what: `Π^${kind} for ${where}`, proof: { [kind]: elsewhere } })),
    );
    const error = setUpWith(cases.map(({ proof }) => proof));
    for (const [index, { what }] of cases.entries()) {
      test(`the prover is named: ${what}`, async () => {
        const { code, culprits, message } = await error;
        assert.equal(code, 'PROTOCOL');
        assert.match(message, reason);
        assert.ok(culprits.includes(`cheat-${index}`));
        assert.equal(culprits.length, cases.length);
      });
    }
  }
});

describe('proofs of a multiplication', async () => {
  const presigners = await Presigners.of(parties);
  const FIRST = /the check of multiplication, first message fails/;
  const SECOND = /the check of multiplication, second message fails/;

  for (const [where, elsewhere] of places) {
    test(`the prover is named: Π^enc for ${where}`, async () => {
      const open = instead(jobs.open, (input, honest) =>
        honest({ ...input, context: elsewhere(input.context) }),
      );
      const outcomes = await presigners.presign({ party: (party) => withJobs(party, [open]) });
      assertNamed(outcomes, FIRST);
    });

    test(`the prover is named: Π^aff for ${where}`, async () => {
      const respond = instead(jobs.respond, (input, honest) =>
        honest({ ...input, senderContext: elsewhere(input.senderContext) }),
      );
      const outcomes = await presigners.presign({ party: (party) => withJobs(party, [respond]) });
      assertNamed(outcomes, SECOND);
    });
  }

  test('the prover is named: a first message of an earlier session, sent again', async () => {
    let recorded: Opened | undefined;
    const setup = (uses: MultiplicationSetup): Partial<MultiplicationSetup> => ({
      open: async (use) => {
        recorded ??= await uses.open(use);
        return recorded;
      },
    });
    for (const outcome of (await presigners.presign({ setup })).values()) assert.ok('value' in outcome);
    assertNamed(await presigners.presign({ setup }), FIRST);
  });
});
