/**
 * Encrypting and verifying in a worker thread, so that a party's sockets keep answering. Files are read and written
 * elsewhere: what they take would cost a thread more to load than its work.
 */
import { Secret } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import type { Field } from '../core/transcript.js';
import { type CurveName, curveByName } from '../curve/curve.js';
import { defineJob } from '../work/job.js';
import { type Ciphertext, encrypt, type Statement, verify } from './pve.js';
import { recipientFromSpki } from './recipient.js';

/** A {@link Statement} as plain data. */
interface PlainStatement {
  readonly curve: CurveName;
  readonly label: string;
  readonly Q: Uint8Array;
  readonly spki: Uint8Array;
  readonly subject: readonly Field[];
}

export const statementToPlain = ({ curve, label, Q, recipient, subject }: Statement): PlainStatement => ({
  ...{ curve: curve.name, label, Q: Q.toBytes(), spki: recipient.spki, subject },
});

function statementOfPlain({ curve: name, label, Q: bytes, spki, subject }: PlainStatement): Statement {
  const curve = curveByName(name);
  const Q = curve.point(bytes);
  const recipient = recipientFromSpki(spki);
  invariant(Q !== undefined && recipient !== undefined, 'a statement was garbled between threads');
  return { curve, label, Q, recipient, subject };
}

export const encryptJob = defineJob(
  import.meta.url,
  'pve encrypt',
  (input: { readonly statement: PlainStatement; readonly secret: Uint8Array }, { random }): Ciphertext => {
    using x = Secret.own(input.secret);
    return encrypt(statementOfPlain(input.statement), x, random);
  },
);

export const verifyJob = defineJob(
  import.meta.url,
  'pve verify',
  (input: { readonly statement: PlainStatement; readonly ciphertext: Ciphertext }): boolean =>
    verify(statementOfPlain(input.statement), input.ciphertext),
);
