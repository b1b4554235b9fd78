/** The proof context (sid, step, curve, prover, verifier) of a proof made in a run. */
import type { PartyName } from '../core/errors.js';
import type { Curve } from '../curve/curve.js';
import type { Run } from '../rounds/run.js';
import type { ProofContext } from '../zk/context.js';

export const proofContext = (
  run: Run,
  { step, curve }: { readonly step: string; readonly curve: Curve },
  prover: PartyName,
  verifier: PartyName | '*',
): ProofContext => ({ sid: run.sid, step, curve: curve.name, prover, verifier });
