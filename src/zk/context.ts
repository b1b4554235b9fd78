/**
 * What every proof is bound to besides its statement: docs/protocol.md §0, `ctx`. A proof made in one place
 * verifies in no other: not in another session, step or curve, not for another prover or verifier.
 */
import type { PartyName } from '../core/errors.js';
import type { Field } from '../core/transcript.js';
import type { CurveName } from '../curve/curve.js';

export interface ProofContext {
  /** Session id. */
  readonly sid: Uint8Array;
  /** Step of the protocol; unique for each proof that one prover makes towards one verifier in a session. */
  readonly step: string;
  readonly curve: CurveName;
  readonly prover: PartyName;
  /** Whom the proof is made for; `*` for all. No party can be called that. */
  readonly verifier: PartyName | '*';
  /** What else the proof is bound to, such as a joint coin. */
  readonly extra?: Uint8Array;
}

/** The fields that every proof's hash takes first. */
export const contextFields = (ctx: ProofContext): readonly Field[] => [
  ctx.sid,
  ctx.step,
  ctx.curve,
  ctx.prover,
  ctx.verifier,
  ctx.extra === undefined ? [] : [ctx.extra],
];
