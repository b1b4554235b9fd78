// A dealer that cheats in a refresh: what it deals is no sharing of 0, so that the key would change or the shares no
// longer fit it (docs/protocol.md §9). Tymokhanov–Shlomovits, "Forget-and-forgive", and Aumasson–Shlomovits, "Attacking
// threshold wallets" (ePrint 2020/1052): refreshes that end with shares of no key, or of different ones.
import { test } from 'node:test';
import { z } from 'zod';
import { parsePolicy } from '#src/access/policy.js';
import { share, shareZero } from '#src/access/sharing.js';
import { randomBytes, Secret } from '#src/core/bytes.js';
import { bytesField } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { pointField } from '#src/curve/fields.js';
import { type KeyShare, makeKeyShare, makeSharing } from '#src/protocol/key-share.js';
import { refresh, refreshRounds } from '#src/protocol/refresh.js';
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
import { type Dealing, dealingAs } from '../support/dealing.js';
import { runParties, type TestParty, valuesOf } from '../support/memory-network.js';
import { keygenAt, testMultiplication } from '../support/protocols.js';

const curve = curveByName('P-256');
const parties = ['alice', 'bob', CHEAT];
const policy = parsePolicy({ threshold: 2, of: parties }, parties);
const keyShares = valuesOf(await runParties(parties, (party) => keygenAt(party, curve, policy)));
const shareOf = (name: PartyName): KeyShare => keyShares[parties.indexOf(name)]!;

const refreshOf = (share: (name: PartyName) => KeyShare) => (party: TestParty) => {
  const old = share(party.self);
  const multiplication = testMultiplication(curve, parties.indexOf(party.self));
  const rounds = refreshRounds(old.sharing, multiplication);
  return party.session({ operation: 'refresh', rounds }, (run) => refresh(run, old, multiplication));
};

/** A refresh in which mallory deals as given. */
const refreshWith = (dealing: () => Dealing, change: (run: Run) => Partial<Run> = () => ({})) =>
  runParties(
    parties,
    cheatingAs(refreshOf(shareOf), (party) =>
      withRun(party, (run) => dealingAs({ dealing })(changed(run, change(run)))),
    ),
  );

const blinded = () => ({ proof: [], rid: randomBytes(32), blind: randomBytes(32) });

test('the dealer is named: shares of a constant other than 0, which is left out of the commitments', async () => {
  const outcomes = await refreshWith(() => {
    const { shares, commitments } = share(curve, policy, 5n, randomBytes);
    return { F: commitments.slice(1), ...blinded(), shareOf: (peer) => shares.get(peer)! };
  });
  assertNamed(outcomes, /the check of share against its commitments fails/);
});

test('the dealer is named: a constant other than 0 among the commitments', async () => {
  const anyLength = (run: Run) =>
    widened(run, 'open', {
      broadcast: z.strictObject({
        F: z.array(pointField(curve)),
        proof: z.array(dlog.proofSchema(curve)),
        rid: bytesField(32),
        blind: bytesField(32),
      }),
    });
  const outcomes = await refreshWith(() => {
    const { shares, commitments } = share(curve, policy, 5n, randomBytes);
    return { F: commitments, ...blinded(), shareOf: (peer) => shares.get(peer)! };
  }, anyLength);
  assertNamed(outcomes, /an undecodable message of refresh round open \(F: /);
});

test('the dealer is named: a share of 0 for one party that is none', async () => {
  const outcomes = await refreshWith(() => {
    const { shares, commitments } = shareZero(curve, policy, randomBytes);
    const bad = (peer: PartyName) => (peer === 'alice' ? 1n : 0n);
    return { F: commitments, ...blinded(), shareOf: (peer) => curve.mod(shares.get(peer)! + bad(peer)) };
  });
  assertNamed(outcomes, /the check of share against its commitments fails/);
});

test('a refresh that would change the public key: nobody takes it, and nobody is named', async () => {
  // What one dealer of 0 cannot do, public shares that belong to another key can: mallory's is X + G to the others.
  const { sharing } = shareOf(CHEAT);
  const publicShares = new Map(sharing.publicShares);
  publicShares.set(CHEAT, sharing.publicShares.get(CHEAT)!.add(curve.G));
  const altered = makeSharing({ ...sharing, publicShares }, randomBytes(32));
  const misled = (name: PartyName): KeyShare => {
    const { x } = shareOf(name);
    return name === CHEAT ? shareOf(name) : makeKeyShare(altered, name, Secret.fromBigint(x.toBigint(), 32));
  };
  const outcomes = await runParties(parties, refreshOf(misled));
  assertNobodyNamed(outcomes, /the refreshed public shares do not belong to the public key: someone among/);
});
