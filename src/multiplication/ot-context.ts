/**
 * What every hash of the oblivious transfers is bound to (docs/protocol.md §7, `ot`): nothing of one session, step,
 * curve or ordered pair is of any use in another.
 */
import type { PartyName } from '../core/errors.js';
import type { Field } from '../core/transcript.js';
import type { CurveName } from '../curve/curve.js';

export interface OtContext {
  /** Of the set-up's session, or of the presignature. */
  readonly sid: Uint8Array;
  readonly step: string;
  readonly curve: CurveName;
  /** R and S, as the multiplication has them: in the base transfers it is S that chooses. */
  readonly receiver: PartyName;
  readonly sender: PartyName;
}

const text = new TextEncoder();

/** The fields that every hash takes first; texts as their bytes, because they are hashed hundreds of times. */
export const otFields = ({ sid, step, curve, receiver, sender }: OtContext): readonly Field[] => [
  sid,
  ...[step, curve, receiver, sender].map((field) => text.encode(field)),
];
