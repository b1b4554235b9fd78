// Equivocation: a party that broadcasts one thing to one peer and another to the rest, in every round that has a
// broadcast, each version as good as the other. Only the echoes that the honest parties exchange can tell
// (docs/protocol.md §1; Goldwasser–Lindell, "Secure multi-party computation without agreement", J. Cryptology 2005).
// Aumasson–Shlomovits (ePrint 2020/1052) and Kudelski Security's audit of ING's library (2021) have what it is good for.
// Equivocation about a hello is in test/rounds/disagreement.test.ts, wrong echoes in test/rounds/blame.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { share } from '#src/access/sharing.js';
import { bigintToBytes, concatBytes, randomBytes } from '#src/core/bytes.js';
import { decode, encode, encodeAs, type Plain } from '#src/core/codec.js';
import { curveByName } from '#src/curve/curve.js';
import { makeKeys, verifyModulus, verifyPrm } from '#src/multiplication/paillier-jobs.js';
import { dealingRounds } from '#src/protocol/dealing.js';
import { dkgRounds } from '#src/protocol/dkg.js';
import { presignRounds } from '#src/protocol/presign.js';
import { refresh, refreshRounds } from '#src/protocol/refresh.js';
import { setupRounds } from '#src/protocol/setup.js';
import { signRounds } from '#src/protocol/sign.js';
import type { RoundFrame } from '#src/rounds/frames.js';
import * as dlog from '#src/zk/dlog.js';
import { assertNobodyNamed, CHEAT, cheatingAs, instead, withJobs, withRun } from '../support/cheating.js';
import { commitmentTo, type Dealing, dealingAs } from '../support/dealing.js';
import { forgePrm } from '../support/forgeries.js';
import { runParties, type TestParty } from '../support/memory-network.js';
import { Presigners } from '../support/presigning.js';
import { testPrivateKey } from '../support/primes.js';
import { keygenAt, setUpAt, testMultiplication } from '../support/protocols.js';
import { twoFaced } from '../support/two-faced.js';

const curve = curveByName('P-256');
const parties = ['alice', 'bob', CHEAT];
const presigners = await Presigners.of(parties);
const policy = parsePolicy({ and: parties }, parties);
const multiplicationOf = ({ self }: TestParty) => testMultiplication(curve, parties.indexOf(self));

/** What of each broadcast is another for bob, where another value is as good. */
const LIES: Readonly<Record<string, string>> = {
  'keygen/commit': 'V',
  'keygen/open': 'rid',
  'paillier/commit': 'V',
  'paillier/open': 'coin',
  'paillier/prove': 'mod',
  'refresh/commit': 'V',
  'refresh/open': 'rid',
  'presign/commit': 'V',
};

const acts: Readonly<Record<string, (party: TestParty) => Promise<unknown>>> = {
  keygen: (party) => keygenAt(party, curve, policy),
  paillier: cheatingAs(
    (party) => setUpAt(party, multiplicationOf(party)),
    (party) => withJobs(party, quick),
  ),
  refresh: (party) => {
    const { share } = presigners.states.get(party.self)!;
    const multiplication = multiplicationOf(party);
    const rounds = refreshRounds(share.sharing, multiplication);
    return party.session({ operation: 'refresh', rounds }, (run) => refresh(run, share, multiplication));
  },
  presign: (party) => presigners.presignAs(party),
};

/** mallory's key, with parameters that are quick to prove, and no interest in the others'. */
const quick = [
  instead(makeKeys, ({ context }) => {
    const key = testPrivateKey(2);
    const { s, proof } = forgePrm(context, { key, t: 4n, kappa: 3n });
    const pedersen = concatBytes(bigintToBytes(s, 256), bigintToBytes(4n, 256), bigintToBytes(3n, 256));
    const ownKey = concatBytes(key.toBytes(), pedersen);
    return { parameters: { N: key.N, s, t: 4n }, prm: proof, secret: { ownKey } };
  }),
  instead(verifyPrm, () => true),
  instead(verifyModulus, () => true),
];

/** The byte string at `field`, or the first one below it, with its last bit turned over. */
function flipped(body: Plain, field: string): Plain {
  const record = body as { readonly [key: string]: Plain };
  const value = record[field]!;
  if (value instanceof Uint8Array)
    return { ...record, [field]: value.map((byte, i) => (i === value.length - 1 ? byte ^ 1 : byte)) };
  return { ...record, [field]: flipped(value, 'w') };
}

const multiplication = testMultiplication(curve, 0);
const sharing = presigners.states.get('alice')!.share.sharing;
const BROADCASTS = [
  ...dkgRounds({ curve, policy }),
  ...setupRounds(multiplication),
  ...refreshRounds(sharing, multiplication),
  ...Object.values(presignRounds(multiplication)),
  ...signRounds(curve),
]
  .filter(({ broadcast }) => broadcast !== undefined)
  .map(({ step, name }) => `${step}/${name}`);

test('there is a lie for every round that has a broadcast', () => {
  assert.deepEqual([...new Set(BROADCASTS)].sort(), Object.keys(LIES).sort());
});

for (const [place, field] of Object.entries(LIES)) {
  test(`equivocation in ${place}: nobody is named, and nobody goes on`, async () => {
    const [step = '', round = ''] = place.split('/');
    const lie = (frame: RoundFrame) =>
      frame.step === step && frame.round === round
        ? { direct: frame.direct, broadcast: encode(flipped(decode(frame.broadcast!, 1 << 20), field)) }
        : undefined;
    const intercept = twoFaced(parties, { cheat: CHEAT, victim: 'bob', lie });
    const outcomes = await runParties(parties, acts[step]!, { intercept });
    const reason = new RegExp(
      `view of ${step} round ${round} differs from (alice|bob)'s: someone equivocated`,
    );
    assertNobodyNamed(outcomes, reason);
  });
}

// One dealing for alice and another for bob, of one polynomial, so that all shares fit: what differs is rid.
test('a commitment and its opening, both different for two peers and each pair good', async () => {
  const { commit, open } = dealingRounds({ step: 'keygen', curve, policy });
  const a = curve.randomScalar(randomBytes);
  const { shares, commitments } = share(curve, policy, a, randomBytes);
  const dealings = new Map<string, Dealing>();
  const dealingFor = (victim: string, sid: Uint8Array): Dealing => {
    const ctx = { sid, step: 'keygen', curve: curve.name, prover: CHEAT, verifier: '*' } as const;
    const made = dealings.get(victim) ?? {
      F: commitments,
      proof: [dlog.prove(ctx, { X: commitments[0]! }, { x: a }, randomBytes)],
      rid: randomBytes(32),
      blind: randomBytes(32),
      shareOf: (peer) => shares.get(peer)!,
    };
    dealings.set(victim, made);
    return made;
  };
  const lie = (frame: RoundFrame) => {
    const { sid, step, round, direct } = frame;
    const { shareOf: _, ...opening } = dealingFor('bob', sid);
    const V = commitmentTo(opening, { sid, step, dealer: CHEAT });
    if (round === 'commit') return { direct, broadcast: encodeAs(commit.broadcast!, { V }) };
    if (round !== 'open') return undefined;
    return {
      direct,
      broadcast: encodeAs(open.broadcast!, { ...opening, F: [...opening.F], proof: [...opening.proof] }),
    };
  };
  const act = cheatingAs(
    (party) => keygenAt(party, curve, policy),
    (party) => withRun(party, dealingAs({ dealing: ({ sid }) => dealingFor('alice', sid) })),
  );
  const intercept = twoFaced(parties, { cheat: CHEAT, victim: 'bob', lie });
  const outcomes = await runParties(parties, act, { intercept });
  assertNobodyNamed(outcomes, /view of keygen round commit differs from (alice|bob)'s: someone equivocated/);
});
