/**
 * The arithmetic of the multiplication by oblivious transfer, as jobs for worker threads: the three of its set-up, for
 * one ordered pair each, and the three of its use.
 */
import { bigintToBytes, bytesToBigint, Secret } from '../core/bytes.js';
import { defineJob } from '../work/job.js';
import type { ScalarBytes } from './multiplication.js';
import { choose as chooseKeys, receive as receiveKeys, transfer as transferKeys } from './ot-base.js';
import type { OtContext } from './ot-context.js';
import { type Extension, extend, extendChosen } from './ot-extension.js';
import { type Correction, chosenSum, receiveProducts, sendProducts } from './ot-products.js';

const scalarBytes = (k: bigint): Uint8Array => bigintToBytes(k, 32);

// Set-up

/** Multiplication's sender: Δ, and the points that choose by it. */
export const choose = defineJob(
  import.meta.url,
  'ot choose',
  ({ context }: { readonly context: OtContext }, { random }) => {
    const { points, delta, b } = chooseKeys(context, random);
    return { points, secret: { delta, b } };
  },
);

/** Multiplication's receiver: its answer to the points, and both keys of every transfer. `undefined`: refused. */
export const transfer = defineJob(
  import.meta.url,
  'ot transfer',
  (input: { readonly context: OtContext; readonly points: Uint8Array }, { random }) => {
    const made = transferKeys(input.context, input.points, random);
    return made && { A: made.A, secret: { keys: made.keys } };
  },
);

/** Multiplication's sender: the keys that it chose, from the answer to its points. `undefined`: refused. */
export const receive = defineJob(
  import.meta.url,
  'ot receive',
  (input: {
    readonly context: OtContext;
    readonly points: Uint8Array;
    readonly A: Uint8Array;
    readonly secret: { readonly delta: Uint8Array; readonly b: Uint8Array };
  }) => {
    const keys = receiveKeys(input.context, input.points, input.A, input.secret);
    return keys && { secret: { keys } };
  },
);

// Use

/** Receiver: message 1, χ, and what it needs to finish. */
export const open = defineJob(
  import.meta.url,
  'ot open',
  (input: { readonly context: OtContext; readonly secret: { readonly keys: Uint8Array } }, { random }) => {
    const { extension, choice, rows } = extend(input.context, input.secret.keys, random);
    return { extension, secret: { chi: scalarBytes(chosenSum(input.context, choice)), choice, rows } };
  },
);

/** Sender: checks message 1, and answers it for the inputs a. `undefined`: refused. */
export const respond = defineJob(
  import.meta.url,
  'ot respond',
  (
    input: {
      readonly context: OtContext;
      readonly extension: Extension;
      readonly secret: {
        readonly delta: Uint8Array;
        readonly keys: Uint8Array;
        readonly a: ScalarBytes;
      };
    },
    { random },
  ): { readonly correction: Correction; readonly secret: ScalarBytes } | undefined => {
    const { delta, keys, a } = input.secret;
    const extended = extendChosen(input.context, input.extension, { delta, keys });
    if (extended === undefined) return undefined;
    using rows = Secret.own(extended);
    const inputs = [bytesToBigint(a[0]), bytesToBigint(a[1])] as const;
    const { correction, c } = sendProducts(input.context, { rows: rows.bytes, delta }, inputs, random);
    return { correction, secret: [scalarBytes(c[0]), scalarBytes(c[1])] };
  },
);

/** Receiver: checks message 2; its shares d. `undefined`: refused. */
export const finish = defineJob(
  import.meta.url,
  'ot finish',
  (input: {
    readonly context: OtContext;
    readonly correction: Correction;
    readonly secret: { readonly choice: Uint8Array; readonly rows: Uint8Array };
  }): { readonly secret: ScalarBytes } | undefined => {
    const d = receiveProducts(input.context, input.secret, input.correction);
    return d && { secret: [scalarBytes(d[0]), scalarBytes(d[1])] };
  },
);
