/**
 * Every protocol as a scene that a cheat takes part in: who plays, which rounds there are, and what must hold of
 * those who end well, whatever the cheat did to the others.
 */
import assert from 'node:assert/strict';
import { parsePolicy } from '#src/access/policy.js';
import { equalBytes } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { type Curve, curveByName } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import { verify } from '#src/curve/ecdsa.js';
import type { Multiplication } from '#src/multiplication/multiplication.js';
import { dkg, dkgRounds } from '#src/protocol/dkg.js';
import type { Sharing } from '#src/protocol/key-share.js';
import { completePending, pendingRounds } from '#src/protocol/pending.js';
import { presignRounds } from '#src/protocol/presign.js';
import { refresh, refreshRounds, type SharingState, sharingState } from '#src/protocol/refresh.js';
import { type Settled, settle, settleRounds } from '#src/protocol/settle.js';
import { type PairwiseSetup, setupRounds } from '#src/protocol/setup.js';
import { signRounds } from '#src/protocol/sign.js';
import { type AnyRound, confirmRound, type HeldSharing } from '#src/rounds/run.js';
import { runParties, type TestParty, valuesOf } from './memory-network.js';
import { keygenAt, presignAt, quickSetups, setUpAt, signAt, testMultiplication } from './protocols.js';

export const CHEAT = 'mallory';
const three = ['alice', CHEAT, 'bob'];
const two = ['alice', CHEAT];
const curve = curveByName('P-256');
const message = new TextEncoder().encode('Hello, MPC World!');
const policyOf = (parties: readonly PartyName[]) => parsePolicy({ and: parties }, parties);

/** What each party keeps for good, newest first, while the protocol runs. */
export type Kept = Map<PartyName, HeldSharing[]>;

export interface Scenario<T = unknown> {
  readonly name: string;
  readonly parties: readonly PartyName[];
  /** The rounds of all its sessions, in order. */
  readonly rounds: readonly AnyRound[];
  /** Steps with the rounds of another scenario: they are left to that one where only a sample is run. */
  readonly asElsewhere?: readonly string[];
  /** Before each run. */
  readonly prepare?: () => void;
  /** One party's part in the protocol; what it would store it notes in `kept`. */
  readonly act: (party: TestParty, kept: Kept) => Promise<T>;
  /** Throws unless the honest parties that ended well agree with each other, and what all need has been kept. */
  readonly settle: (ended: ReadonlyMap<PartyName, T>, kept: Kept) => void | Promise<void>;
}

/** A multiplication to play the protocols with. */
interface Kind {
  readonly multiplication: (curve: Curve, index: number) => Multiplication;
  /** Set-ups to presign with. A kind whose failed checks void a set-up makes new ones each time it is asked. */
  readonly setups: (
    curve: Curve,
    parties: readonly PartyName[],
  ) => () => ReadonlyMap<PartyName, PairwiseSetup>;
}

const KINDS: readonly Kind[] = [
  {
    multiplication: testMultiplication,
    setups: (curve, parties) => {
      const setups = quickSetups(curve, parties);
      return () => setups;
    },
  },
  {
    multiplication: (curve, index) => testMultiplication(curve, index, 'ot'),
    setups: (curve, parties) => {
      const setups = quickSetups(curve, parties, 'ot');
      let current = new Map<PartyName, PairwiseSetup>();
      const restored = (index: number, setup: PairwiseSetup) => {
        using saved = setup.multiplication.save();
        const multiplication = testMultiplication(curve, index, 'ot').restore(saved);
        return { ...setup, multiplication };
      };
      return () => {
        for (const { multiplication } of current.values()) multiplication[Symbol.dispose]();
        current = new Map([...setups].map(([party, setup], index) => [party, restored(index, setup)]));
        return current;
      };
    },
  },
];

const held = ({ epoch, shid }: Sharing): HeldSharing => ({ epoch, shid });

const keep = (kept: Kept, party: PartyName, sharing: Sharing): void => {
  kept.set(party, [held(sharing), ...(kept.get(party) ?? [])]);
};

/** All who ended well have the same key of the same sharing, and it is kept by everybody: nothing is lost. */
async function sameSharing(
  parties: readonly PartyName[],
  ended: ReadonlyMap<PartyName, Sharing>,
  kept: Kept,
): Promise<void> {
  const [first] = ended.values();
  if (!first) return;
  for (const sharing of ended.values()) {
    assert.deepEqual(held(sharing), held(first));
    assert.ok(sharing.publicKey.equals(first.publicKey));
    for (const [party, point] of sharing.publicShares)
      assert.ok(point.equals(first.publicShares.get(party)!));
  }
  for (const party of parties) {
    const own = kept.get(party) ?? [];
    assert.ok(
      own.some(({ shid }) => equalBytes(shid, first.shid)),
      `${party} has not kept the key that ${[...ended.keys()]} would use`,
    );
  }
  // Those who are not sure of it learn it in the next hello.
  const next = await runParties(parties, (party) =>
    party.session({ operation: 'next', sharings: kept.get(party.self)! }, async (run) => run.sharing),
  );
  for (const sharing of valuesOf(next)) assert.deepEqual(sharing, held(first));
}

function keygen(): Scenario<Sharing> {
  const params = { curve, policy: policyOf(three) };
  const rounds = dkgRounds(params);
  return {
    name: 'key generation',
    parties: three,
    rounds,
    act: (party, kept) =>
      party.session({ operation: 'keygen', rounds }, async (run) => {
        using share = await dkg(run, params, async (pending) => keep(kept, party.self, pending.sharing));
        return share.sharing;
      }),
    settle: (ended, kept) => sameSharing(three, ended, kept),
  };
}

/** What the ceremony opens with: nothing but a confirmation (src/party/operations.ts). */
function agreement(): Scenario<Uint8Array> {
  const round = confirmRound('agree', 'confirm');
  return {
    name: 'agreement',
    parties: three,
    rounds: [round],
    act: (party) =>
      party.session({ operation: 'agree', rounds: [round] }, async (run) => {
        await run.confirm(round, run.sid);
        return run.sid;
      }),
    settle: sameFinding,
  };
}

/** A sharing that all have stored, and a set-up. */
const STORED: HeldSharing = { epoch: 1, shid: new Uint8Array(32).fill(1) };
const SETUP = new Uint8Array(32).fill(2);

/** All who ended well have found the same. */
const sameFinding = (ended: ReadonlyMap<PartyName, unknown>): void => {
  const [first, ...others] = ended.values();
  for (const other of others) assert.deepEqual(other, first);
};

/** The use of a stored key whose confirmation one party has not seen. */
function settling(): Scenario<Settled> {
  return {
    name: 'settling on a stored sharing',
    parties: three,
    rounds: settleRounds,
    act: (party) => {
      const confirmed = party.self !== 'alice';
      const stored = [{ ...STORED, parties: three, confirmed, pending: false, setups: [SETUP] }];
      return party.session({ operation: 'settle', rounds: settleRounds, sharings: [STORED] }, (run) =>
        settle(run, stored),
      );
    },
    settle: sameFinding,
  };
}

function completing(): Scenario<Uint8Array | undefined> {
  return {
    name: 'completing a pending key',
    parties: three,
    rounds: pendingRounds,
    act: (party) =>
      party.session({ operation: 'pending', rounds: pendingRounds }, (run) =>
        completePending(run, {
          pending: [STORED.shid],
          holds: (shid) => equalBytes(shid, STORED.shid),
        }),
      ),
    settle: sameFinding,
  };
}

function setUp({ multiplication }: Kind): Scenario<PairwiseSetup> {
  const of = ({ self }: TestParty) => multiplication(curve, three.indexOf(self));
  return {
    name: `set-up (${multiplication(curve, 0).name})`,
    parties: three,
    rounds: setupRounds(multiplication(curve, 0)),
    act: (party) => setUpAt(party, of(party)),
    settle: (ended) => {
      for (const [party, { seeds }] of ended)
        for (const [peer, seed] of seeds) {
          const theirs = ended.get(peer)?.seeds.get(party);
          if (theirs) assert.deepEqual(seed.bytes, theirs.bytes, `the seeds of ${party} and ${peer}`);
        }
      for (const setup of ended.values()) setup[Symbol.dispose]();
    },
  };
}

async function signing({ multiplication, setups }: Kind): Promise<Scenario<Uint8Array | undefined>> {
  const shares = valuesOf(await runParties(three, (party) => keygenAt(party, curve, policyOf(three))));
  const { publicKey } = shares[0]!.sharing;
  const fresh = setups(curve, three);
  let states: ReadonlyMap<PartyName, SharingState>;
  return {
    name: `presigning and signing (${multiplication(curve, 0).name})`,
    parties: three,
    rounds: [...Object.values(presignRounds(multiplication(curve, 0))), ...signRounds(curve)],
    prepare: () => {
      const current = fresh();
      states = new Map(shares.map((share) => [share.self, sharingState(share, current.get(share.self)!)]));
    },
    act: async (party) => {
      const state = states.get(party.self)!;
      using presignature = await presignAt(
        party,
        three,
        state,
        multiplication(curve, three.indexOf(party.self)),
      );
      return await signAt(party, presignature, state.share, message, ['alice', CHEAT]);
    },
    settle: (ended) => {
      for (const [party, signature] of ended) {
        if (party === 'alice') assert.ok(signature, 'a receiver ended well without a signature');
        if (signature) assert.ok(verify(curve, publicKey, messageDigest(message), signature));
      }
    },
  };
}

async function refreshing({ multiplication }: Kind): Promise<Scenario<Sharing>> {
  const shares = valuesOf(await runParties(two, (party) => keygenAt(party, curve, policyOf(two))));
  const old = shares[0]!.sharing;
  const rounds = refreshRounds(old, multiplication(curve, 0));
  return {
    name: `refresh (${multiplication(curve, 0).name})`,
    parties: two,
    rounds,
    asElsewhere: setupRounds(multiplication(curve, 0)).map(({ step }) => step),
    act: (party, kept) =>
      party.session({ operation: 'refresh', rounds, sharings: [held(old)] }, async (run) => {
        const index = two.indexOf(party.self);
        keep(kept, party.self, old);
        using state = await refresh(run, shares[index]!, multiplication(curve, index), async ({ share }) =>
          keep(kept, party.self, share.sharing),
        );
        return state.share.sharing;
      }),
    settle: async (ended, kept) => {
      for (const sharing of ended.values()) assert.ok(sharing.publicKey.equals(old.publicKey));
      await sameSharing(two, ended, kept);
    },
  };
}

/** All protocols, those of the multiplication with each kind of it. */
export async function allScenarios(): Promise<readonly Scenario[]> {
  const withKinds = await Promise.all(
    KINDS.map(async (kind) => [setUp(kind), await signing(kind), await refreshing(kind)]),
  );
  return [
    agreement(),
    settling(),
    completing(),
    keygen(),
    ...withKinds.flat(),
  ] as unknown as readonly Scenario[];
}
