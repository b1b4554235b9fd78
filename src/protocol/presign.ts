/**
 * Presigning (docs/protocol.md §8): Doerner–Kondi–Lee–shelat, "Threshold ECDSA in Three Rounds" (ePrint 2023/765),
 * Protocol 3.6, rounds 1 to 3, over any two-party multiplication.
 *
 * Symbols are the paper's: P_i multiplies its nonce share r_i and key share sk_i with every other party's φ_j by
 * one two-input multiplication per ordered pair; the consistency checks in the exponent tie the inputs of those
 * multiplications to R_i and pk_i.
 */
import { z } from 'zod';
import { coefficients } from '../access/sharing.js';
import { equalBytes, Secret } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import type { PartyName } from '../core/errors.js';
import { invariant } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import type { Curve, Point } from '../curve/curve.js';
import { pointField, scalarField } from '../curve/fields.js';
import type { Multiplication, Use } from '../multiplication/multiplication.js';
import type { PeerMap, Run } from '../rounds/run.js';
import { directRound, mixedRound, ofPeer, peerMap, peerMapAsync } from '../rounds/run.js';
import type { KeyShare } from './key-share.js';
import type { PairwiseSetup } from './setup.js';
import { zeroShare } from './setup.js';

export interface PresignInput {
  readonly share: KeyShare;
  readonly setup: PairwiseSetup;
  readonly multiplication: Multiplication;
}

/** What a presignature is good for: a signing session must name exactly this. */
export interface PresignatureBinding {
  readonly keyId: Uint8Array;
  readonly shid: Uint8Array;
  /** The signers, in canonical order. */
  readonly quorum: readonly PartyName[];
  /** Session that made it; names the presignature among its signers. */
  readonly sid: Uint8Array;
}

/**
 * A presignature that one signing session has reserved. Its secrets (φ_i, u_i, v_i, 32 bytes each) are wiped when
 * it is disposed.
 */
export interface ReservedPresignature extends Disposable {
  readonly curve: Curve;
  readonly binding: PresignatureBinding;
  /** R = Σ R_k. */
  readonly R: Point;
  readonly phi: Secret;
  readonly u: Secret;
  readonly v: Secret;
}

/**
 * A presignature: signs one message, once. Two messages under one presignature reveal the key, so its secrets can
 * be reserved a single time. It lives in memory only: it has no encoding.
 */
export class Presignature implements Disposable {
  readonly binding: PresignatureBinding;
  #content: ReservedPresignature | undefined;

  constructor(
    curve: Curve,
    binding: PresignatureBinding,
    R: Point,
    values: { readonly phi: bigint; readonly u: bigint; readonly v: bigint },
  ) {
    this.binding = binding;
    const phi = Secret.fromBigint(values.phi, 32);
    const u = Secret.fromBigint(values.u, 32);
    const v = Secret.fromBigint(values.v, 32);
    this.#content = {
      curve,
      binding,
      R,
      phi,
      u,
      v,
      [Symbol.dispose]: () => {
        for (const secret of [phi, u, v]) secret.dispose();
      },
    };
  }

  /**
   * Hands the content out, for the caller to dispose; to be called before the hello that names the presignature is
   * sent. Throws `BUG` the second time, and after disposal.
   */
  reserve(): ReservedPresignature {
    const content = this.#content;
    invariant(content !== undefined, 'a presignature was used twice');
    this.#content = undefined;
    return content;
  }

  [Symbol.dispose](): void {
    this.#content?.[Symbol.dispose]();
    this.#content = undefined;
  }
}

const step = 'presign';

export function presignRounds(multiplication: Multiplication) {
  const { curve } = multiplication;
  return {
    commit: mixedRound({
      step,
      name: 'commit',
      broadcast: z.strictObject({ V: bytesField(32) }),
      direct: z.strictObject({ message1: multiplication.message1 }),
      maxBytes: 256 + multiplication.maxBytes,
      echo: 'rides',
    }),
    open: directRound({
      step,
      name: 'open',
      direct: z.strictObject({
        echo: bytesField(32),
        R: pointField(curve),
        blind: bytesField(32),
        pk: pointField(curve),
        GammaU: pointField(curve),
        GammaV: pointField(curve),
        psi: scalarField(curve),
        message2: multiplication.message2,
      }),
      maxBytes: 512 + multiplication.maxBytes,
    }),
  };
}

/** V_i = H("presign commit"; sid, i, R_i, blind). */
const commitment = (sid: Uint8Array, party: PartyName, R: Point, blind: Uint8Array): Uint8Array =>
  hash('presign commit', [sid, party, R.toBytes(), blind]);

/** The values that are there. */
const present = <T>(values: PeerMap<T | undefined>): PeerMap<T> =>
  new Map([...values].filter((entry): entry is [PartyName, T] => entry[1] !== undefined));

/**
 * One presignature for the quorum that takes part in `run` (reduced: exactly the leaves that sign).
 * Aborts naming the peer whose multiplication, commitment or consistency check fails.
 */
export async function presign(run: Run, input: PresignInput): Promise<Presignature> {
  const { share, setup, multiplication } = input;
  const { curve, policy, publicKey } = share.sharing;
  const { sid } = run;
  const rounds = presignRounds(multiplication);
  const use = (peer: PartyName): Use => ({ run, step, sid, peer });

  const lambda_i = coefficients(curve, policy, run.parties).get(run.self)!;
  const sk_i = curve.mod(lambda_i * share.x.toBigint() + zeroShare(run, setup.seeds, sid, curve.q));

  // Round 1
  const r_i = curve.randomScalar(run.random);
  const phi_i = curve.randomScalar(run.random);
  const R_i = curve.multiplyBase(r_i);
  const blind = run.random(32);
  const opened = await peerMapAsync(run.peers, (peer) => setup.multiplication.open(use(peer)));
  const answering = run.onArrival(rounds.commit, (peer, { direct: { message1 } }) =>
    setup.multiplication.respond(use(peer), message1, [r_i, sk_i]),
  );
  const round1 = await run.broadcastAndExchange(
    rounds.commit,
    { V: commitment(sid, run.self, R_i, blind) },
    peerMap(run.peers, (peer) => ({ message1: ofPeer(opened, peer).message1 })),
  );

  // Round 2
  const pk_i = curve.multiplyBase(sk_i);
  const answered = present(await peerMapAsync(run.peers, answering));
  await run.check('multiplication, first message', (peer) => answered.has(peer));
  const chi = (peer: PartyName): bigint => ofPeer(opened, peer).chi;
  const c = peerMap(run.peers, (peer) => ofPeer(answered, peer).c.take());
  const opensR = (peer: PartyName, { R, blind }: { readonly R: Point; readonly blind: Uint8Array }) =>
    equalBytes(ofPeer(round1, peer).broadcast.V, commitment(sid, peer, R, blind));
  const finishing = run.onArrival(rounds.open, async (peer, message) => {
    const usable = equalBytes(message.echo, run.echo(rounds.commit)) && opensR(peer, message);
    return usable
      ? setup.multiplication.finish(use(peer), ofPeer(opened, peer), message.message2)
      : undefined;
  });
  const round2 = await run.exchange(
    rounds.open,
    peerMap(run.peers, (peer) => ({
      echo: run.echo(rounds.commit),
      R: R_i,
      blind,
      pk: pk_i,
      GammaU: curve.multiplyBase(ofPeer(c, peer)[0]),
      GammaV: curve.multiplyBase(ofPeer(c, peer)[1]),
      psi: curve.mod(phi_i - chi(peer)),
      message2: ofPeer(answered, peer).message2,
    })),
  );

  // Round 3: checks
  run.checkEcho(
    rounds.commit,
    peerMap(run.peers, (peer) => ofPeer(round2, peer).echo),
  );
  await run.check('commitment to R', (peer) => opensR(peer, ofPeer(round2, peer)));
  const d = present(await peerMapAsync(run.peers, async (peer) => (await finishing(peer))?.()));
  await run.check('multiplication, second message', (peer) => d.has(peer));
  await run.check('multiplication inputs against R and pk', (peer) => {
    const { R, pk, GammaU, GammaV } = ofPeer(round2, peer);
    return (
      R.multiply(chi(peer))
        .subtract(GammaU)
        .equals(curve.multiplyBase(ofPeer(d, peer)[0])) &&
      pk
        .multiply(chi(peer))
        .subtract(GammaV)
        .equals(curve.multiplyBase(ofPeer(d, peer)[1]))
    );
  });
  const messages = [...round2.values()];
  if (!curve.sum([pk_i, ...messages.map(({ pk }) => pk)]).equals(publicKey)) {
    run.fail('the key shares of the quorum do not add up to the public key');
  }
  const R = curve.sum([R_i, ...messages.map((message) => message.R)]);
  if (R.isIdentity) run.fail('the nonce point is the identity');

  // Output
  const phi = run.peers.reduce((sum, peer) => sum + ofPeer(round2, peer).psi, phi_i);
  const sum = (l: 0 | 1): bigint =>
    run.peers.reduce((total, peer) => total + ofPeer(c, peer)[l] + ofPeer(d, peer)[l], 0n);
  return new Presignature(
    curve,
    { keyId: share.sharing.keyId, shid: share.sharing.shid, quorum: run.parties, sid },
    R,
    { phi: phi_i, u: curve.mod(r_i * phi + sum(0)), v: curve.mod(sk_i * phi + sum(1)) },
  );
}
