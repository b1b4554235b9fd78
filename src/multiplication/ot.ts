/**
 * Two-party multiplication from oblivious transfer (docs/protocol.md §7, `ot`): its set-up with all peers, and its use
 * with one. The arithmetic is in ot-base.ts, ot-extension.ts and ot-products.ts, and runs on worker threads.
 *
 * Set-up: for each ordered pair 128 base transfers, in which the multiplication's sender chooses by its secret Δ.
 *
 * Use: the receiver extends them to 416 correlated transfers (message 1), from which both derive pads; the sender sends
 * the pads' differences, corrected by its inputs (message 2). Weighted sums of the pads are the shares c and d.
 *
 * Each message is checked by its receiver, and whether the check fails depends on that party's secrets: on Δ, which
 * lasts as long as the set-up, or on the β_j. Hence a failed check voids the whole set-up, and no check may be tried a
 * second time: whether it holds and whether none has failed before is one step (`#judged`), and the set-up is erased
 * before anybody learns that the check has failed. The check of message 1 is judged as soon as it is done, also while
 * others' messages are missing and when its session has ended: a peer that has them held back, or ends its sessions in
 * time, could otherwise try again and again, and learn bits of Δ by how long this party's threads were busy. That of
 * message 2 is judged when its caller asks: the β_j go with their session.
 *
 * The sid of a use must be new: two uses of a pair under one sid have the same t_i and pads, whose masks would cancel.
 * A session's sid is, because this party's own nonce is in it.
 */
import { z } from 'zod';
import { bytesToBigint, concatBytes, Secret } from '../core/bytes.js';
import { bytesField, decodeAs, encodeAs, UndecodableError } from '../core/codec.js';
import { asMpcError, MpcError, type PartyName, throwIfAborted } from '../core/errors.js';
import { type Curve, SCALAR_BYTES } from '../curve/curve.js';
import { scalarField, scalarsField } from '../curve/fields.js';
import { whenAborted } from '../rounds/abort-signal.js';
import type { PeerMap, Run } from '../rounds/run.js';
import { directRound, ofPeer, peerMap, peerMapAsync, progressOf } from '../rounds/run.js';
import {
  HeldScalars,
  type Multiplication,
  type MultiplicationSetup,
  type Opened,
  type ScalarPair,
  type Use,
} from './multiplication.js';
import { CHOICE_POINTS_BYTES, DELTA_BYTES, KEYS_BYTES, TRANSFER_POINTS_BYTES } from './ot-base.js';
import type { OtContext } from './ot-context.js';
import { CHOICE_BYTES, COLUMNS_BYTES, type Extension, SUM_BYTES, SUMS_BYTES } from './ot-extension.js';
import * as jobs from './ot-jobs.js';
import { CORRECTIONS, type Correction } from './ot-products.js';

const step = 'ot';

/** The rounds of the set-up. */
const rounds = {
  choose: directRound({
    step,
    name: 'choose',
    direct: z.strictObject({ p: bytesField(CHOICE_POINTS_BYTES) }),
    maxBytes: CHOICE_POINTS_BYTES + 32,
  }),
  transfer: directRound({
    step,
    name: 'transfer',
    direct: z.strictObject({ A: bytesField(TRANSFER_POINTS_BYTES) }),
    maxBytes: TRANSFER_POINTS_BYTES + 32,
  }),
};

/** A peer's part of a set-up: as receiver all k_{i,0} and all k_{i,1}, as sender Δ and the k_{i,Δ_i}. */
const PEER_BYTES = 2 * KEYS_BYTES + DELTA_BYTES + KEYS_BYTES;

/** The own keys with a peer, in their secret. */
function partsOf({ bytes }: Secret) {
  const [asReceiver, asSender] = [bytes.subarray(0, 2 * KEYS_BYTES), bytes.subarray(2 * KEYS_BYTES)];
  return {
    receiver: { keys: asReceiver },
    sender: { delta: asSender.subarray(0, DELTA_BYTES), keys: asSender.subarray(DELTA_BYTES) },
  };
}

/** What the receiver keeps between its two messages: β ‖ all rows t_j. Wiped when it has finished, or cannot any more. */
interface OtOpened extends Opened {
  readonly state: Secret;
}

/** One party's keys of the set-up, with every peer. */
export class OtSetup implements MultiplicationSetup {
  beforeVoid: (() => void) | undefined;
  readonly #curve: Curve;
  readonly #peers: PeerMap<Secret>;
  readonly #voiding = new AbortController();
  /** What is opened and not finished. */
  readonly #opened = new Set<Secret>();

  constructor(curve: Curve, peers: PeerMap<Secret>) {
    this.#curve = curve;
    this.#peers = peers;
  }

  get voided(): AbortSignal {
    return this.#voiding.signal;
  }

  async open(use: Use): Promise<OtOpened> {
    const { extension, secret } = await use.run.compute(jobs.open, {
      context: this.#context(use, use.run.self),
      secret: this.#keys(use).receiver,
    });
    try {
      throwIfAborted(this.voided);
      const state = this.#hold(Secret.own(concatBytes(secret.choice, secret.rows)), use.run.signal);
      return { message1: extension, chi: bytesToBigint(secret.chi), state };
    } finally {
      wipe(Object.values(secret));
    }
  }

  async respond(use: Use, message1: unknown, inputs: ScalarPair) {
    using a0 = Secret.own(this.#curve.scalarBytes(inputs[0]));
    using a1 = Secret.own(this.#curve.scalarBytes(inputs[1]));
    const answer = await use.run.compute(
      jobs.respond,
      {
        context: this.#context(use, use.peer),
        extension: message1 as Extension,
        secret: { ...this.#keys(use).sender, a: [a0.bytes, a1.bytes] },
      },
      { toTheEnd: true },
    );
    const c = this.#judged(use.peer, answer && new HeldScalars(use.run, answer.secret));
    return c && { message2: answer!.correction, c };
  }

  async finish(use: Use, opened: Opened, message2: unknown): Promise<() => ScalarPair | undefined> {
    throwIfAborted(this.voided);
    using state = (opened as OtOpened).state;
    this.#opened.delete(state);
    const result = await use.run.compute(jobs.finish, {
      context: this.#context(use, use.run.self),
      correction: message2 as Correction,
      secret: { choice: state.bytes.subarray(0, CHOICE_BYTES), rows: state.bytes.subarray(CHOICE_BYTES) },
    });
    const d = result && new HeldScalars(use.run, result.secret);
    return () => this.#judged(use.peer, d)?.take();
  }

  /** The keys with every peer, then the peers' names, which are shorter than the keys with one of them. */
  save(): Secret {
    throwIfAborted(this.voided);
    const keys = [...this.#peers.values()].map(({ bytes }) => bytes);
    return Secret.own(concatBytes(...keys, encodeAs(savedNames, [...this.#peers.keys()])));
  }

  [Symbol.dispose](): void {
    for (const secret of [...this.#peers.values(), ...this.#opened]) secret.dispose();
    this.#opened.clear();
  }

  /**
   * The result of a check by this party, `undefined` when it failed, let out or not in one step: after the first
   * failure nothing is, whatever the order in which the threads were done.
   */
  #judged(peer: PartyName, result: HeldScalars | undefined): HeldScalars | undefined {
    if (this.voided.aborted) result?.[Symbol.dispose]();
    throwIfAborted(this.voided);
    if (result === undefined) this.#void(peer);
    return result;
  }

  #void(peer: PartyName): void {
    let failure: MpcError | undefined;
    try {
      this.beforeVoid?.();
    } catch (cause) {
      failure = asMpcError(cause);
    }
    this.#voiding.abort(voidBy(peer, failure));
    this[Symbol.dispose]();
  }

  /** Keeps `state` until it is used, its session has failed, or the set-up is wiped. */
  #hold(state: Secret, signal: AbortSignal): Secret {
    this.#opened.add(state);
    whenAborted(signal, () => {
      this.#opened.delete(state);
      state.dispose();
    });
    return state;
  }

  #keys({ peer }: Use) {
    throwIfAborted(this.voided);
    return partsOf(ofPeer(this.#peers, peer));
  }

  #context({ run, sid, step, peer }: Use, receiver: PartyName): OtContext {
    const sender = receiver === peer ? run.self : peer;
    return { sid, step, curve: this.#curve.name, receiver, sender };
  }
}

/**
 * What ends the sessions of a set-up whose check has failed for a message of `peer`; `failure` is why it is still
 * stored. That stands in the hint, which peers do not get: it would tell the cheat that another try is worth it.
 */
const voidBy = (peer: PartyName, failure: MpcError | undefined): MpcError =>
  new MpcError(
    'PROTOCOL',
    `${peer} broke the protocol: the check of its oblivious transfers fails, which makes the set-up void`,
    {
      culprits: [peer],
      hint: failure
        ? `see that the file of the set-up is gone before the key is used again, for erasing it failed: ${failure.message}`
        : 'find out what happened on that machine before the key is used again, which makes a new set-up',
      cause: failure,
    },
  );

function wipe(arrays: Iterable<Uint8Array>): void {
  for (const bytes of arrays) bytes.fill(0);
}

const savedNames = z.array(z.string());

/** What {@link OtSetup.save} has saved. */
function restore(curve: Curve, { bytes }: Secret): OtSetup {
  const count = Math.floor(bytes.length / PEER_BYTES);
  try {
    const names = decodeAs(savedNames, bytes.subarray(count * PEER_BYTES), PEER_BYTES);
    if (names.length !== count || new Set(names).size !== count)
      throw new UndecodableError('not as many names as keys');
    const keys = (at: number) => Secret.own(bytes.slice(at * PEER_BYTES, (at + 1) * PEER_BYTES));
    return new OtSetup(curve, new Map(names.map((name, at) => [name, keys(at)])));
  } catch (cause) {
    if (!(cause instanceof UndecodableError)) throw cause;
    throw new MpcError('FILE', 'a stored set-up of oblivious transfers cannot be read', { cause });
  }
}

/** The multiplication by oblivious transfer for one curve. Its security is the curve's: there are no levels of it. */
export const otMultiplication = (curve: Curve): Multiplication => ({
  name: 'ot',
  curve,
  setupRounds: Object.values(rounds),
  message1: z.strictObject({
    u: bytesField(COLUMNS_BYTES),
    x: bytesField(SUM_BYTES),
    t: bytesField(SUMS_BYTES),
  }),
  message2: z.strictObject({
    a: scalarsField(curve, CORRECTIONS),
    eta: scalarField(curve),
    mu: bytesField(32),
  }),
  maxBytes: 256 + CORRECTIONS * SCALAR_BYTES,
  setup: (run) => setup(run, curve),
  restore: (saved) => restore(curve, saved),
});

async function setup(run: Run, curve: Curve): Promise<MultiplicationSetup> {
  const context = (receiver: PartyName, sender: PartyName): OtContext => ({
    sid: run.sid,
    step,
    curve: curve.name,
    receiver,
    sender,
  });
  const held: Secret[] = [];
  const hold = (bytes: Uint8Array): Secret => {
    const secret = Secret.own(bytes);
    held.push(secret);
    // What a job gives when this has failed already is wiped, too.
    whenAborted(run.signal, () => secret.dispose());
    return secret;
  };
  const tick = progressOf(run, 'base oblivious transfers', 3 * run.peers.length);
  try {
    // Round 1, as sender: Δ, and p_{i,0}, p_{i,1} for each i
    const chosen = await peerMapAsync(run.peers, async (peer) => {
      const { points, secret } = await run.compute(jobs.choose, { context: context(peer, run.self) });
      tick();
      return { points, delta: hold(secret.delta), b: hold(secret.b) };
    });
    // As receiver: A_i, and k_{i,0}, k_{i,1}
    const transferring = run.onArrival(rounds.choose, async (peer, { p }) => {
      const made = await run.compute(jobs.transfer, { context: context(run.self, peer), points: p });
      tick();
      return made && { A: made.A, keys: hold(made.secret.keys) };
    });
    await run.exchange(
      rounds.choose,
      peerMap(run.peers, (peer) => ({ p: ofPeer(chosen, peer).points })),
    );
    const transferred = await peerMapAsync(run.peers, transferring);
    await run.check('base transfer points', (peer) => transferred.get(peer) !== undefined);

    // Round 2; as sender: k_{i,Δ_i}
    const receiving = run.onArrival(rounds.transfer, async (peer, { A }) => {
      const { points, delta, b } = ofPeer(chosen, peer);
      const result = await run.compute(jobs.receive, {
        context: context(peer, run.self),
        points,
        A,
        secret: { delta: delta.bytes, b: b.bytes },
      });
      tick();
      return result && hold(result.secret.keys);
    });
    await run.exchange(
      rounds.transfer,
      peerMap(run.peers, (peer) => ({ A: ofPeer(transferred, peer)!.A })),
    );
    const received = await peerMapAsync(run.peers, receiving);
    await run.check('base transfer answers', (peer) => received.get(peer) !== undefined);
    const keysWith = (peer: PartyName): Secret =>
      Secret.own(
        concatBytes(
          ofPeer(transferred, peer)!.keys.bytes,
          ofPeer(chosen, peer).delta.bytes,
          ofPeer(received, peer)!.bytes,
        ),
      );
    return new OtSetup(curve, peerMap(run.peers, keysWith));
  } finally {
    for (const secret of held) secret.dispose();
  }
}
