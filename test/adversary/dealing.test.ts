// A dealer that cheats in a key generation. It runs the protocol, commits to what it deals unless that is the cheat,
// and makes everything fit that it can; what catches it are the checks of docs/protocol.md §5.
import { test } from 'node:test';
import { z } from 'zod';
import { parsePolicy } from '#src/access/policy.js';
import { share } from '#src/access/sharing.js';
import { randomBytes } from '#src/core/bytes.js';
import { bytesField } from '#src/core/codec.js';
import { curveByName, type Point } from '#src/curve/curve.js';
import { pointField } from '#src/curve/fields.js';
import { proofContext } from '#src/protocol/context.js';
import type { Run } from '#src/rounds/run.js';
import * as dlog from '#src/zk/dlog.js';
import {
  assertNamed,
  assertNobodyNamed,
  CHEAT,
  changed,
  cheatingAs,
  widened,
  withRun,
} from '../support/cheating.js';
import { type Dealer, type Dealing, dealingAs, spyOn } from '../support/dealing.js';
import { type Intercept, runParties } from '../support/memory-network.js';
import { keygenAt } from '../support/protocols.js';

const curve = curveByName('P-256');
const scalar = () => curve.randomScalar(randomBytes);
const fresh = () => ({ rid: randomBytes(32), blind: randomBytes(32) });

const three = ['alice', 'bob', CHEAT];
const policy = parsePolicy({ threshold: 2, of: three }, three);

/** As it should be, for the given policy. */
function honestDealing(run: Run, along = policy): Dealing {
  const a = scalar();
  const { shares, commitments } = share(curve, along, a, randomBytes);
  const ctx = proofContext(run, { step: 'keygen', curve }, run.self, '*');
  const proof = [dlog.prove(ctx, { X: commitments[0]! }, { x: a }, randomBytes)];
  return { F: commitments, proof, ...fresh(), shareOf: (peer) => shares.get(peer)! };
}

interface Setting {
  readonly intercept?: Intercept;
  /** How mallory sends. */
  readonly change?: (run: Run) => Partial<Run>;
}

/** A key generation of three in which mallory deals as given. */
function keygenWith(dealer: Dealer, { intercept, change = () => ({}) }: Setting = {}) {
  const act = cheatingAs(
    (party) => keygenAt(party, curve, policy),
    (party) => withRun(party, (run) => dealingAs(dealer)(changed(run, change(run)))),
  );
  return runParties(three, act, intercept ? { intercept } : {});
}

/** A sharing of what nobody knows: `constant`, and the line through it on which the given share of alice lies. */
function dealingOf(constant: Point, sigma: bigint): Dealing {
  const slope = curve.multiplyBase(sigma).subtract(constant);
  // The best of a prover who does not know a: it picks the challenge, and hopes that the hash gives the same.
  const [e, response] = [scalar(), scalar()];
  const A = curve.multiplyBase(response).subtract(constant.multiply(e));
  return { F: [constant, slope], proof: [{ A, z: response }], ...fresh(), shareOf: () => sigma };
}

test('the cheat of these tests is able: an honest dealing of its making passes all checks', async () => {
  // Up to the confirmation, for which mallory's own code counts with what it would have dealt.
  const outcomes = await keygenWith({ dealing: (run) => honestDealing(run) });
  assertNobodyNamed(outcomes, /view of keygen round confirm differs from mallory's/);
});

// Feldman, FOCS 1987: what the commitments are for.
test('the dealer is named: a bad share for one party', async () => {
  const outcomes = await keygenWith({
    dealing: (run) => {
      const { shareOf, ...rest } = honestDealing(run);
      return { ...rest, shareOf: (peer) => curve.mod(shareOf(peer) + (peer === 'bob' ? 1n : 0n)) };
    },
  });
  assertNamed(outcomes, /the check of share against its commitments fails/);
});

// Sigma Prime, "Rogue key attack on DKG" (2020), found in drand: the last to speak picks the key.
test('the dealer is named: a constant that makes the key what it likes, chosen after the others’', async () => {
  const { intercept, opened } = spyOn('alice', { step: 'keygen', curve, policy });
  const target = curve.multiplyBase(scalar());
  const outcomes = await keygenWith(
    {
      dealing: (run) => honestDealing(run),
      opening: async () => dealingOf(target.subtract((await opened).F[0]!), scalar()),
    },
    { intercept },
  );
  assertNamed(outcomes, /the check of dealing commitment fails/);
});

// The other half of the defence: Gennaro–Jarecki–Krawczyk–Rabin, J. Cryptology 2007; Ristenpart–Yilek, EUROCRYPT 2007.
test('the dealer is named: a constant whose logarithm it does not know, with shares that fit', async () => {
  const pair = ['alice', CHEAT];
  const both = parsePolicy({ and: pair }, pair);
  const unknown = curve.multiplyBase(scalar());
  const act = cheatingAs(
    (party) => keygenAt(party, curve, both),
    (party) => withRun(party, dealingAs({ dealing: () => dealingOf(unknown, scalar()) })),
  );
  assertNamed(await runParties(pair, act), /the check of proof of knowledge of a fails/);
});

// Fresco issue 432: a commitment that does not say whose it is can be copied, and then its opening.
test('the dealer is named: a commitment and its opening, copied from another party', async () => {
  const { intercept, committed, opened } = spyOn('alice', { step: 'keygen', curve, policy });
  const outcomes = await keygenWith(
    {
      dealing: (run) => honestDealing(run),
      V: () => committed,
      opening: async () => ({ ...(await opened), shareOf: () => 1n }),
    },
    { intercept },
  );
  assertNamed(outcomes, /^mallory broke the protocol: the check of dealing commitment fails/);
});

/** Any number of coefficients and proofs. */
const anyLength = (run: Run) =>
  widened(run, 'open', {
    broadcast: z.strictObject({
      F: z.array(pointField(curve)),
      proof: z.array(dlog.proofSchema(curve)),
      rid: bytesField(32),
      blind: bytesField(32),
    }),
  });

// Trail of Bits, "Breaking the shared key in threshold signature schemes" (2024); WSTS issue 87.
test('the dealer is named: a coefficient more than the policy has, which would raise the threshold', async () => {
  const higher = parsePolicy({ threshold: 3, of: three }, three);
  const dealing = (run: Run) => honestDealing(run, higher);
  const outcomes = await keygenWith({ dealing }, { change: anyLength });
  assertNamed(outcomes, /an undecodable message of keygen round open \(F: /);
});

test('the dealer is named: a coefficient less than the policy has', async () => {
  const dealing = (run: Run): Dealing => {
    const { F, ...rest } = honestDealing(run);
    return { ...rest, F: F.slice(0, 1) };
  };
  const outcomes = await keygenWith({ dealing }, { change: anyLength });
  assertNamed(outcomes, /an undecodable message of keygen round open \(F: /);
});

test('the dealer is named: no proof at all, of which each would hold', async () => {
  const dealing = (run: Run): Dealing => ({ ...honestDealing(run), proof: [] });
  const outcomes = await keygenWith({ dealing }, { change: anyLength });
  assertNamed(outcomes, /an undecodable message of keygen round open \(proof: /);
});
