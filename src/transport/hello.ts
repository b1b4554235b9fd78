/** The first frame of each side of a connection: who speaks, and where to resume. */
import { z } from 'zod';
import { bytesField, decodeAs, encodeAs } from '../core/codec.js';
import type { PartyName } from '../core/errors.js';
import { MAX_HELLO_BYTES } from './limits.js';

/** Raised whenever frames, hello or their meaning change. */
export const TRANSPORT_VERSION = 1;

export const INCARNATION_BYTES = 16;

/** As in cluster.json, so that a name can be shown to the user as it is. */
const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/);
const incarnation = bytesField(INCARNATION_BYTES);
const number = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48 - 1);

const helloSchema = z.strictObject({
  version: z.literal(TRANSPORT_VERSION),
  from: name,
  /** All parties in the order of the sender's cluster.json: it decides who dials whom. */
  parties: z.array(name),
  /** Random, new with every start of the process and whenever it has given the receiver up. */
  incarnation,
  /** The receiver's incarnation that the sender knows, and the last message received from it. */
  resume: z.strictObject({ incarnation, received: number }).nullable(),
});

const versionSchema = z.object({ version: z.number().int() });

export interface Resume {
  readonly incarnation: Uint8Array;
  readonly received: number;
}

export interface Hello {
  readonly version: number;
  readonly from: PartyName;
  readonly parties: readonly PartyName[];
  readonly incarnation: Uint8Array;
  readonly resume: Resume | null;
}

export const encodeHello = (hello: Omit<Hello, 'version'>): Uint8Array =>
  encodeAs(helloSchema, { version: TRANSPORT_VERSION, ...hello, parties: [...hello.parties] });

/** The transport version of a hello of any version. Throws `UndecodableError`. */
export const helloVersion = (body: Uint8Array): number =>
  decodeAs(versionSchema, body, MAX_HELLO_BYTES).version;

/** A hello of this version. Throws `UndecodableError`. */
export const decodeHello = (body: Uint8Array): Hello => decodeAs(helloSchema, body, MAX_HELLO_BYTES);
