/**
 * Signing from a presignature: one message (docs/protocol.md §8.4; DKLs23, Protocol 3.6, signing phase), with the
 * presignature re-randomised by values fixed after the message (Groth–Shoup, ePrint 2021/1330).
 */
import { z } from 'zod';
import { bytesToBigint } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { invariant } from '../core/errors.js';
import { hashToScalar } from '../core/transcript.js';
import type { Curve, Point } from '../curve/curve.js';
import { messageDigest } from '../curve/digest.js';
import { encodeDer, lowS, verifyMessage } from '../curve/ecdsa.js';
import { scalarField } from '../curve/fields.js';
import type { AnyRound, Run } from '../rounds/run.js';
import { directRound, peerMap } from '../rounds/run.js';
import type { ReservedPresignature } from './presign.js';

export interface SignInput {
  /** Reserved for this message before the hello that names it was sent; used up here, and disposed by the caller. */
  readonly presignature: ReservedPresignature;
  readonly publicKey: Point;
  /** The whole message: every signer hashes it itself. */
  readonly message: Uint8Array;
  /** Who gets the signature: members of the quorum. */
  readonly receivers: readonly PartyName[];
  /**
   * Called once all hellos agree, immediately before this party's share of the signature leaves it, or is used here
   * where it goes to nobody. What it throws ends the session, and nobody has got anything.
   */
  readonly beforeShare?: (() => void) | undefined;
}

const step = 'sign';

const signRoundsOf = (curve: Curve) => ({
  partial: directRound({
    step,
    name: 'partial signature',
    direct: z.strictObject({ w: scalarField(curve), u: scalarField(curve) }),
    maxBytes: 128,
  }),
  answer: directRound({
    step,
    name: 'answer',
    direct: z.strictObject({ ok: z.literal(true) }),
    maxBytes: 16,
  }),
});

export const signRounds = (curve: Curve): readonly AnyRound[] => Object.values(signRoundsOf(curve));

/**
 * Signs `message` with a presignature that has been reserved for it.
 * Returns the low-s DER signature, verified under the public key, to receivers; `undefined` to the other signers
 * once every receiver has said that it has it. An invalid signature aborts naming the quorum, nobody in it.
 */
export async function sign(run: Run, input: SignInput): Promise<Uint8Array | undefined> {
  const { presignature, publicKey, message, receivers } = input;
  const { curve, binding } = presignature;
  const { q } = curve;
  invariant(
    binding.quorum.length === run.parties.length &&
      binding.quorum.every((name, k) => name === run.parties[k]),
    'a presignature was used with another quorum',
  );
  const rounds = signRoundsOf(curve);
  const otherReceivers = receivers.filter((name) => name !== run.self);

  // Re-randomise
  const delta = hashToScalar('rerandomise', [run.sid, binding.keyId, presignature.R.toBytes()], q);
  const R = presignature.R.add(curve.multiplyBase(delta));
  if (R.isIdentity) run.fail('the re-randomised nonce point is the identity');
  const r = curve.mod(R.x);
  if (r === 0n) run.fail('r is 0');
  const h = curve.mod(bytesToBigint(messageDigest(message)));

  // The one message
  const phi_i = presignature.phi.toBigint();
  const w_i = curve.mod(h * phi_i + r * presignature.v.toBigint());
  const u_i = curve.mod(presignature.u.toBigint() + delta * phi_i);
  // Before anything made of it leaves: a second use in the same reservation finds nothing.
  presignature[Symbol.dispose]();
  input.beforeShare?.();
  const isReceiver = receivers.includes(run.self);
  const partials = await run.exchange(
    rounds.partial,
    peerMap(otherReceivers, () => ({ w: w_i, u: u_i })),
    isReceiver ? run.peers : [],
  );

  const signature = isReceiver ? assemble() : undefined;

  // The receivers' answer
  await run.exchange(
    rounds.answer,
    peerMap(isReceiver ? run.peers : [], () => ({ ok: true as const })),
    otherReceivers,
  );
  return signature;

  function assemble(): Uint8Array {
    const all = [...partials.values()];
    const w = curve.mod(all.reduce((sum, partial) => sum + partial.w, w_i));
    const u = curve.mod(all.reduce((sum, partial) => sum + partial.u, u_i));
    if (u === 0n || w === 0n) run.fail('the partial signatures add up to 0');
    const der = encodeDer(r, lowS(curve, curve.mod(w * curve.invert(u))));
    if (!verifyMessage(curve, publicKey, message, der)) run.fail('the assembled signature does not verify');
    return der;
  }
}
