/**
 * Two-party multiplication from Paillier encryption (docs/protocol.md §7, `paillier`): its set-up with all peers,
 * and its use with one. The arithmetic itself is in paillier-jobs.ts, which runs on worker threads.
 *
 * Set-up: CGGMP24 (ePrint 2021/060), auxiliary information. Everyone makes a Paillier modulus N_i with ring-Pedersen
 * parameters (s_i, t_i) in the same group, and proves Π^prm, Π^mod and, towards each peer, Π^fac.
 *
 * Use: the receiver sends C = enc(χ) with Π^enc; the sender answers D_l = C^{a_l}·enc(y_l) with Π^aff and keeps
 * c_l = −y_l; the receiver's d_l is the plaintext of D_l. As |a_l·χ + y_l| < N/2, nothing wraps around.
 */
import { z } from 'zod';
import { concatBytes, equalBytes, Secret } from '../core/bytes.js';
import { bytesField, decodeAs, encodeAs, listField, naturalField, UndecodableError } from '../core/codec.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import type { Curve } from '../curve/curve.js';
import type { SecurityLevel } from '../math/params.js';
import type { PeerMap, Run } from '../rounds/run.js';
import { broadcastRound, mixedRound, ofPeer, peerMap, peerMapAsync, progressOf } from '../rounds/run.js';
import * as aff from '../zk/aff.js';
import type { ProofContext } from '../zk/context.js';
import * as enc from '../zk/enc.js';
import * as fac from '../zk/fac.js';
import * as mod from '../zk/mod.js';
import * as prm from '../zk/prm.js';
import {
  HeldScalars,
  type IdleWork,
  type Multiplication,
  type MultiplicationSetup,
  type Opened,
  type ScalarPair,
  type Use,
} from './multiplication.js';
import * as jobs from './paillier-jobs.js';
import { Stock } from './stock.js';

/** Two different safe primes of the level's size, each as big-endian bytes; the receiver wipes them. */
export type PrimeSource = (signal: AbortSignal) => Promise<readonly [Secret, Secret]>;

const step = 'paillier';

/** The rounds of the set-up. */
function roundsOf(level: SecurityLevel) {
  const modulus = naturalField(level.modulusBits);
  const modulusBytes = level.modulusBits / 8;
  return {
    commit: broadcastRound({
      step,
      name: 'commit',
      broadcast: z.strictObject({ V: bytesField(32) }),
      maxBytes: 64,
    }),
    open: broadcastRound({
      step,
      name: 'open',
      broadcast: z.strictObject({
        N: modulus,
        s: modulus,
        t: modulus,
        prm: prm.proofSchema(level),
        coin: bytesField(32),
        blind: bytesField(32),
      }),
      maxBytes: 1024 + 280 * modulusBytes,
    }),
    prove: mixedRound({
      step,
      name: 'prove',
      broadcast: z.strictObject({ mod: mod.proofSchema(level) }),
      direct: z.strictObject({ fac: fac.proofSchema(level) }),
      maxBytes: 2048 + 180 * modulusBytes,
    }),
  };
}

type Opening = NonNullable<ReturnType<typeof roundsOf>['open']['broadcast']>['_output'];

/** V_i = H("paillier commit"; sid, i, N_i, s_i, t_i, Π^prm, coin_i, blind). */
const commitment = (run: Run, party: PartyName, { N, s, t, prm, coin, blind }: Opening): Uint8Array =>
  hash('paillier commit', [run.sid, party, N, s, t, prm.A, prm.z, coin, blind]);

/** Whether somebody else has the modulus of `party`. */
const isRepeated = (moduli: PeerMap<bigint>, party: PartyName): boolean =>
  [...moduli].some(([name, N]) => name !== party && N === moduli.get(party));

/** Of an opening made ahead: χ, and what paillier-jobs.ts packs of the rest. */
class PreparedOpening implements Disposable {
  constructor(
    readonly chi: Secret,
    readonly rest: Secret,
  ) {}

  [Symbol.dispose](): void {
    this.chi.dispose();
    this.rest.dispose();
  }
}

/** Of an answer made ahead: what paillier-jobs.ts packs for either input. */
class PreparedAnswer implements Disposable {
  constructor(
    private readonly first: Secret,
    private readonly second: Secret,
  ) {}

  get bytes(): readonly [Uint8Array, Uint8Array] {
    return [this.first.bytes, this.second.bytes];
  }

  [Symbol.dispose](): void {
    this.first.dispose();
    this.second.dispose();
  }
}

/** One party's keys of the set-up: its own secrets, and everyone's verified parameters. */
export class PaillierSetup implements MultiplicationSetup {
  /** Never aborted: what an invalid message is answered with depends on no secret. */
  readonly voided: AbortSignal = new AbortController().signal;
  beforeVoid: (() => void) | undefined;
  readonly #openings: PeerMap<Stock<PreparedOpening>>;
  readonly #answers: PeerMap<Stock<PreparedAnswer>>;

  constructor(
    private readonly curve: Curve,
    private readonly level: SecurityLevel,
    /** p₁ ‖ p₂ ‖ s ‖ t ‖ κ. */
    private readonly ownKey: Secret,
    private readonly peers: PeerMap<jobs.Parameters>,
  ) {
    this.#openings = peerMap(peers.keys(), () => new Stock());
    this.#answers = peerMap(peers.keys(), () => new Stock());
  }

  /** For each use an opening of one's own, and an answer to the peer's: neither depends on the session or its inputs. */
  async prepare({ compute, random }: IdleWork, peer: PartyName, count: number): Promise<void> {
    const pair = this.#pair({ peer });
    await ofPeer(this.#openings, peer).fill(count, async () => {
      const chi = this.#secretScalar(this.curve.randomScalar(random));
      try {
        const secret = { ownKey: this.ownKey.bytes, chi: chi.bytes };
        const made = await compute(jobs.prepareOpening, { ...pair, secret });
        return new PreparedOpening(chi, Secret.own(made.secret));
      } catch (error) {
        chi.dispose();
        throw error;
      }
    });
    await ofPeer(this.#answers, peer).fill(count, async () => {
      const [first, second] = (await compute(jobs.prepareAnswer, pair)).secret;
      return new PreparedAnswer(Secret.own(first), Secret.own(second));
    });
  }

  async open(use: Use): Promise<Opened> {
    using prepared = ofPeer(this.#openings, use.peer).take();
    const chi = prepared?.chi.toBigint() ?? this.curve.randomScalar(use.run.random);
    using chiSecret = this.#secretScalar(chi);
    const message1 = await use.run.compute(jobs.open, {
      ...this.#pair(use),
      context: this.#context(use, use.run.self),
      secret: { ownKey: this.ownKey.bytes, chi: chiSecret.bytes, prepared: prepared?.rest.bytes },
    });
    return { message1, chi };
  }

  async respond(use: Use, message1: unknown, inputs: ScalarPair) {
    // Not put back, whatever becomes of this use: part of it may have left this process.
    using prepared = ofPeer(this.#answers, use.peer).take();
    using a0 = this.#secretScalar(inputs[0]);
    using a1 = this.#secretScalar(inputs[1]);
    const answer = await use.run.compute(jobs.respond, {
      ...this.#pair(use),
      receiverContext: this.#context(use, use.peer),
      senderContext: this.#context(use, use.run.self),
      message1: message1 as jobs.Message1,
      secret: { ownKey: this.ownKey.bytes, a: [a0.bytes, a1.bytes], prepared: prepared?.bytes },
    });
    if (answer === undefined) return undefined;
    return { message2: { D: answer.D, aff: answer.aff }, c: new HeldScalars(use.run, answer.secret) };
  }

  async finish(use: Use, { message1 }: Opened, message2: unknown): Promise<() => ScalarPair | undefined> {
    const result = await use.run.compute(jobs.finish, {
      ...this.#pair(use),
      context: this.#context(use, use.peer),
      C: (message1 as jobs.Message1).C,
      message2: message2 as jobs.Message2,
      secret: { ownKey: this.ownKey.bytes },
    });
    const d = result && new HeldScalars(use.run, result.secret);
    return () => d?.take();
  }

  /** The own key, then the peers' parameters: nothing else of it is secret, and no other copy of it is made. */
  save(): Secret {
    const peers = [...this.peers].map(([name, parameters]) => ({ name, ...parameters }));
    return Secret.own(concatBytes(this.ownKey.bytes, encodeAs(savedPeers(this.level), peers)));
  }

  [Symbol.dispose](): void {
    this.ownKey.dispose();
    for (const stock of [...this.#openings.values(), ...this.#answers.values()]) stock[Symbol.dispose]();
  }

  #pair({ peer }: Pick<Use, 'peer'>) {
    return { level: this.level.bits, q: this.curve.q, peer: ofPeer(this.peers, peer) };
  }

  #secretScalar(k: bigint): Secret {
    return Secret.own(this.curve.scalarBytes(k));
  }

  #context({ run, sid, step, peer }: Use, prover: PartyName): ProofContext {
    return { sid, step, curve: this.curve.name, prover, verifier: prover === peer ? run.self : peer };
  }
}

/** Wire form of the verified parameters of all peers. */
const savedPeers = (level: SecurityLevel) => {
  const modulus = naturalField(level.modulusBits);
  return z.array(z.strictObject({ name: z.string(), N: modulus, s: modulus, t: modulus }));
};

/** What {@link PaillierSetup.save} has saved. */
function restore(curve: Curve, level: SecurityLevel, saved: Secret): PaillierSetup {
  const keyBytes = (4 * level.modulusBits) / 8;
  try {
    const peers = decodeAs(savedPeers(level), saved.bytes.subarray(keyBytes), saved.bytes.length);
    const parameters = new Map(peers.map(({ name, ...parameters }) => [name, parameters]));
    return new PaillierSetup(curve, level, Secret.own(saved.bytes.slice(0, keyBytes)), parameters);
  } catch (cause) {
    if (!(cause instanceof UndecodableError)) throw cause;
    throw new MpcError('FILE', 'a stored Paillier set-up cannot be read', { cause });
  }
}

/** The Paillier multiplication for one curve and level, with its safe primes from `primes`. */
export function paillierMultiplication(
  curve: Curve,
  level: SecurityLevel,
  primes: PrimeSource,
): Multiplication {
  const rounds = roundsOf(level);
  const modulusBytes = level.modulusBits / 8;
  return {
    name: 'paillier',
    curve,
    setupRounds: Object.values(rounds),
    message1: z.strictObject({ C: naturalField(2 * level.modulusBits), enc: enc.proofSchema(level) }),
    message2: z.strictObject({
      D: listField(naturalField(2 * level.modulusBits), 2),
      aff: listField(aff.proofSchema(level), 2),
    }),
    maxBytes: 2048 + 32 * modulusBytes,
    setup: (run) => setup(run, curve, level, rounds, primes),
    restore: (saved) => restore(curve, level, saved),
  };
}

async function setup(
  run: Run,
  curve: Curve,
  level: SecurityLevel,
  rounds: ReturnType<typeof roundsOf>,
  primes: PrimeSource,
): Promise<MultiplicationSetup> {
  const context = (prover: PartyName, verifier: PartyName | '*', coin?: Uint8Array): ProofContext => ({
    sid: run.sid,
    step,
    curve: curve.name,
    prover,
    verifier,
    ...(coin && { extra: coin }),
  });
  const tick = progressOf(run, 'Paillier keys and their proofs', 2 + 3 * run.peers.length);

  // Round 1: N_i = p₁p₂, (s_i, t_i), Π^prm
  const [p1, p2] = await primes(run.signal);
  using _p1 = p1;
  using _p2 = p2;
  const {
    parameters: own,
    prm: prmProof,
    secret,
  } = await run.compute(jobs.makeKeys, {
    level: level.bits,
    context: context(run.self, '*'),
    secret: { p1: p1.bytes, p2: p2.bytes },
  });
  const ownKey = Secret.own(secret.ownKey);
  try {
    tick();
    const opening: Opening = { ...own, prm: prmProof, coin: run.random(32), blind: run.random(32) };
    const committed = await run.broadcast(rounds.commit, { V: commitment(run, run.self, opening) });

    // Round 2
    const opens = run.onArrival(rounds.open, (peer, theirs) =>
      equalBytes(ofPeer(committed, peer).V, commitment(run, peer, theirs)),
    );
    const prmHolds = run.onArrival(rounds.open, async (peer, { N, s, t, prm }) => {
      if (!(await opens(peer))) return false;
      const valid = await run.compute(jobs.verifyPrm, {
        level: level.bits,
        context: context(peer, '*'),
        parameters: { N, s, t },
        prm,
      });
      tick();
      return valid;
    });
    const opened = await run.broadcast(rounds.open, opening);
    await run.check('commitment to the Paillier modulus', opens);
    const parameters = peerMap(run.peers, (peer): jobs.Parameters => {
      const { N, s, t } = ofPeer(opened, peer);
      return { N, s, t };
    });
    const moduli = peerMap(run.parties, (party) => (party === run.self ? own : ofPeer(parameters, party)).N);
    await run.check('Paillier modulus that nobody else has', (peer) => !isRepeated(moduli, peer));
    await run.check('ring-Pedersen parameters (prm)', prmHolds);

    // Round 3: Π^mod to all, Π^fac to each
    const coin = [opening, ...opened.values()].reduce(
      (sum, part) => sum.map((byte, k) => byte ^ part.coin[k]!),
      new Uint8Array(32),
    );
    const [modProof, facProofs] = await Promise.all([
      run.compute(jobs.proveMod, {
        level: level.bits,
        context: context(run.self, '*', coin),
        secret: { ownKey: ownKey.bytes },
      }),
      peerMapAsync(run.peers, async (peer) => {
        const proof = await run.compute(jobs.proveFac, {
          level: level.bits,
          context: context(run.self, peer, coin),
          verifier: ofPeer(parameters, peer),
          secret: { ownKey: ownKey.bytes },
        });
        tick();
        return { fac: proof };
      }),
    ]);
    tick();
    const modulusHolds = run.onArrival(rounds.prove, async (peer, { broadcast, direct }) => {
      const valid = await run.compute(jobs.verifyModulus, {
        level: level.bits,
        modContext: context(peer, '*', coin),
        facContext: context(peer, run.self, coin),
        parameters: ofPeer(parameters, peer),
        mod: broadcast.mod,
        fac: direct.fac,
        secret: { ownKey: ownKey.bytes },
      });
      tick();
      return valid;
    });
    await run.broadcastAndExchange(rounds.prove, { mod: modProof }, facProofs);
    await run.check('Paillier–Blum modulus (mod) without small factors (fac)', modulusHolds);
    return new PaillierSetup(curve, level, ownKey, parameters);
  } catch (error) {
    ownKey.dispose();
    throw error;
  }
}
