/** The ciphertext of a backup as fields of its file. Apart from the encryption, which worker threads do without files. */
import { z } from 'zod';
import { concatBytes } from '../core/bytes.js';
import { bytesField, listField } from '../core/codec.js';
import type { Curve } from '../curve/curve.js';
import { scalarField } from '../curve/fields.js';
import { type Ciphertext, CLOSED, cover, SALT_BYTES, SEED_BYTES } from './pve.js';
import { CIPHERTEXT_BYTES, type Scheme } from './recipient.js';

/** T as 30 ascending bytes. */
const closedField = z.codec(
  bytesField(CLOSED).refine(
    (bytes) => bytes.every((j, index) => index === 0 || j > bytes[index - 1]!),
    'not ascending',
  ),
  z.array(z.int()),
  { decode: (bytes) => [...bytes], encode: (closed) => Uint8Array.from(closed) },
);

/** Seeds one after another. */
const seedsField = z.codec(
  z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length % SEED_BYTES === 0,
    'not whole seeds',
  ),
  z.array(z.custom<Uint8Array>()),
  {
    decode: (bytes) =>
      Array.from({ length: bytes.length / SEED_BYTES }, (_, index) =>
        bytes.slice(index * SEED_BYTES, (index + 1) * SEED_BYTES),
      ),
    encode: (seeds) => concatBytes(...seeds),
  },
);

/** The fields of a {@link Ciphertext}; together they must pass {@link isComplete}. */
export const ciphertextShape = (curve: Curve, scheme: Scheme) => ({
  salt: bytesField(SALT_BYTES),
  closed: closedField,
  seeds: seedsField,
  rows: listField(z.strictObject({ c: bytesField(CIPHERTEXT_BYTES[scheme]), z: scalarField(curve) }), CLOSED),
});

/** Whether there are exactly the seeds that T asks for. */
export const isComplete = ({ closed, seeds }: Pick<Ciphertext, 'closed' | 'seeds'>): boolean =>
  seeds.length === cover(closed).length;
