// A party that multiplies other numbers than those that it has shown to the exponent, or hands out a wrong ψ: the
// checks that catch the first are the paper's consistency checks (docs/protocol.md §8.3; Doerner–Kondi–Lee–shelat,
// ePrint 2023/765, Protocol 3.6, step 8); the second is tied to nothing but the signature, which is not let out.
import { test } from 'node:test';
import type { MultiplicationSetup, ScalarPair } from '#src/multiplication/multiplication.js';
import type { Run } from '#src/rounds/run.js';
import { assertNamed, assertNobodyNamed, CHEAT, cheatingAs, withRun } from '../support/cheating.js';
import { runParties, type TestParty } from '../support/memory-network.js';
import { Presigners } from '../support/presigning.js';

const presigners = await Presigners.of(['alice', CHEAT]);
const three = await Presigners.of(['alice', 'bob', CHEAT]);
const { curve } = presigners;

const CONSISTENCY = /the check of multiplication inputs against R and pk fails/;

/** mallory answers for other inputs, to one or to all; its Γ are those of what it has then. */
const answering =
  (other: (inputs: ScalarPair) => ScalarPair, to?: string) =>
  (setup: MultiplicationSetup): Partial<MultiplicationSetup> => ({
    respond: (use, message1, inputs) =>
      setup.respond(use, message1, to === undefined || to === use.peer ? other(inputs) : inputs),
  });

test('the sender of a multiplication is named: another r_j than that of R_j, to one party', async () => {
  const setup = answering(([r, sk]) => [r + 1n, sk], 'bob');
  assertNamed(await three.presign({ setup }), CONSISTENCY, { unaware: ['alice'] });
});

test('the sender of a multiplication is named: another sk_j than that of pk_j', async () => {
  const setup = answering(([r, sk]) => [r, sk + 1n]);
  assertNamed(await presigners.presign({ setup }), CONSISTENCY);
});

type Opening = { readonly [field in 'R' | 'pk' | 'GammaU' | 'GammaV']: { add(other: unknown): unknown } } & {
  readonly psi: bigint;
};

/** mallory opens otherwise than it should, to bob or to all. */
const opening =
  (change: (message: Opening) => Partial<Record<keyof Opening, unknown>>, to?: string) =>
  (party: TestParty): TestParty =>
    withRun(party, (run: Run) => ({
      exchange: (round, messages, from) => {
        const altered = [...messages].map(([peer, message]) => {
          const cheats = round.name === 'open' && (to === undefined || peer === to);
          return [peer, cheats ? { ...message, ...change(message as Opening) } : message] as const;
        });
        return run.exchange(round, new Map(altered) as typeof messages, from);
      },
    }));

test('the sender of a multiplication is named: another pk_j, with the inputs unchanged', async () => {
  const party = opening(({ pk }) => ({ pk: pk.add(curve.G) }));
  assertNamed(await presigners.presign({ party }), CONSISTENCY);
});

test('the sender of a multiplication is named: Γ moved to make up for another input', async () => {
  // Γ = cG − χ'G would do, for the χ' that the cheat guesses.
  const setup = answering(([r, sk]) => [r + 1n, sk + 1n]);
  const party = opening(({ GammaU, GammaV }) => ({
    GammaU: GammaU.add(curve.G),
    GammaV: GammaV.add(curve.G),
  }));
  assertNamed(await presigners.presign({ setup, party }), CONSISTENCY);
});

test('the maker of a commitment is named: another R_j than committed to, to one party', async () => {
  const party = opening(({ R }) => ({ R: R.add(curve.G) }), 'bob');
  assertNamed(await three.presign({ party }), /the check of commitment to R fails/, { unaware: ['alice'] });
});

test('a share that is not of the key: what the quorum has does not add up, and nobody is named', async () => {
  // Consistent throughout: mallory multiplies with sk + 1 everywhere and shows it to the exponent.
  const setup = (uses: MultiplicationSetup): Partial<MultiplicationSetup> => ({
    respond: (use, message1, [r, sk]) => uses.respond(use, message1, [r, sk + 1n]),
  });
  const party = opening(({ pk }) => ({ pk: pk.add(curve.G) }));
  const reason = /the key shares of the quorum do not add up to the public key: someone among/;
  assertNobodyNamed(await presigners.presign({ setup, party }), reason);
});

const message = new TextEncoder().encode('what all agreed to sign');

const presignAndSign = async (party: TestParty) => {
  using presignature = await presigners.presignAs(party);
  return await presigners.signAs(party, presignature, message, ['alice']);
};

test('ψ altered: no signature comes out, and nobody is named', async () => {
  const cheat = opening(({ psi }) => ({ psi: curve.mod(psi + 1n) }));
  const outcomes = await runParties(presigners.parties, cheatingAs(presignAndSign, cheat));
  assertNobodyNamed(outcomes, /the assembled signature does not verify/);
});
