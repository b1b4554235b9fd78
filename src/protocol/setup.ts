/**
 * Pairwise set-up (docs/protocol.md §6): a seed shared with each peer, from which zero-sharings for any quorum
 * are drawn, and the state of the two-party multiplication.
 */
import { z } from 'zod';
import { equalBytes, Secret } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import type { PartyName } from '../core/errors.js';
import { hash, hashToScalar } from '../core/transcript.js';
import type { Multiplication, MultiplicationSetup } from '../multiplication/multiplication.js';
import type { AnyRound, PeerMap, Run } from '../rounds/run.js';
import { confirmRound, directRound, ofPeer, peerMap } from '../rounds/run.js';

/** What a party keeps for use with its peers; wiped when disposed. */
export interface PairwiseSetup extends Disposable {
  /** Session that made it; names it among its parties. */
  readonly sid: Uint8Array;
  /** This party and the peers, in canonical order. */
  readonly parties: readonly PartyName[];
  /** seed_ij, 32 bytes, per peer. */
  readonly seeds: PeerMap<Secret>;
  readonly multiplication: MultiplicationSetup;
}

const step = 'setup';

const rounds = {
  commit: directRound({
    step,
    name: 'seed commit',
    direct: z.strictObject({ V: bytesField(32) }),
    maxBytes: 64,
  }),
  open: directRound({
    step,
    name: 'seed open',
    direct: z.strictObject({ seed: bytesField(32), blind: bytesField(32) }),
    maxBytes: 128,
  }),
};

export const setupRounds = (multiplication: Multiplication): readonly AnyRound[] => [
  ...Object.values(rounds),
  ...multiplication.setupRounds,
];

/** Keeps a set-up; must be durable when it resolves. */
export type StoreSetup = (setup: PairwiseSetup) => Promise<void>;

const confirmation = confirmRound(step, 'confirm');

export const confirmedSetupRounds = (multiplication: Multiplication): readonly AnyRound[] => [
  ...setupRounds(multiplication),
  confirmation,
];

/** One party's contribution to a seed, 32 bytes each. */
interface SeedPart {
  readonly seed: Uint8Array;
  readonly blind: Uint8Array;
}

const seedCommitment = (run: Run, from: PartyName, to: PartyName, part: SeedPart): Uint8Array =>
  hash('zero seed commit', [run.sid, from, to, part.seed, part.blind]);

/** Whether `a` stands before `b` in canonical order. */
const comesBefore = (run: Run, a: PartyName, b: PartyName): boolean =>
  run.parties.indexOf(a) < run.parties.indexOf(b);

/** Seeds with every peer: each side commits to and then reveals 32 bytes. */
async function zeroSeeds(run: Run): Promise<PeerMap<Secret>> {
  const own = peerMap(run.peers, () => ({ seed: run.random(32), blind: run.random(32) }));
  try {
    return await agreeOnSeeds(run, own);
  } finally {
    for (const { seed } of own.values()) seed.fill(0);
  }
}

async function agreeOnSeeds(run: Run, own: PeerMap<SeedPart>): Promise<PeerMap<Secret>> {
  // Round 1
  const committed = await run.exchange(
    rounds.commit,
    peerMap(run.peers, (peer) => ({ V: seedCommitment(run, run.self, peer, ofPeer(own, peer)) })),
  );

  // Round 2
  const opened = await run.exchange(rounds.open, own);
  await run.check('zero seed commitment', (peer) =>
    equalBytes(ofPeer(committed, peer).V, seedCommitment(run, peer, run.self, ofPeer(opened, peer))),
  );

  return peerMap(run.peers, (peer) => {
    const [mine, theirs] = [ofPeer(own, peer).seed, ofPeer(opened, peer).seed];
    const ordered = comesBefore(run, run.self, peer) ? [mine, theirs] : [theirs, mine];
    const seed = Secret.own(hash('zero seed', [run.sid, ...ordered]));
    theirs.fill(0);
    return seed;
  });
}

/**
 * A set-up as a session of its own, which ends when all participants have it: only then may older ones be erased.
 * `storeSetup` is called before the confirmation is sent. The caller disposes it.
 */
export async function confirmedSetup(
  run: Run,
  multiplication: Multiplication,
  storeSetup?: StoreSetup,
): Promise<PairwiseSetup> {
  const state = await setup(run, multiplication);
  try {
    await storeSetup?.(state);
    await run.confirm(confirmation, hash('setup confirm', [run.sid]));
    return state;
  } catch (error) {
    state[Symbol.dispose]();
    throw error;
  }
}

/** Set-up with all peers of `run`, as a part of its session. The caller disposes it. */
export async function setup(run: Run, multiplication: Multiplication): Promise<PairwiseSetup> {
  const seeds = await zeroSeeds(run);
  const wipeSeeds = () => {
    for (const seed of seeds.values()) seed.dispose();
  };
  try {
    const state = await multiplication.setup(run);
    return {
      sid: run.sid,
      parties: run.parties,
      seeds,
      multiplication: state,
      [Symbol.dispose]: () => {
        wipeSeeds();
        state[Symbol.dispose]();
      },
    };
  } catch (error) {
    wipeSeeds();
    throw error;
  }
}

/**
 * ζ_i of the quorum that takes part in `run`, by the seeds of a set-up: the ζ of all of them add up to 0 mod q.
 * `sid` is that of the presignature.
 */
export function zeroShare(run: Run, seeds: PeerMap<Secret>, sid: Uint8Array, q: bigint): bigint {
  const sum = run.peers.reduce((zeta, peer) => {
    const prf = hashToScalar('zero share', [ofPeer(seeds, peer).bytes, sid], q);
    return comesBefore(run, run.self, peer) ? zeta + prf : zeta - prf;
  }, 0n);
  return ((sum % q) + q) % q;
}
