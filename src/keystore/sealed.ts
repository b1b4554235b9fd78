/**
 * Encryption of the files of a state folder: canonical CBOR of format, version, nonce and what AES-256-GCM makes of
 * the content. The associated data say which file of which key and party it is, so that no file passes for another;
 * those of another folder have another key. Each writing draws a fresh nonce of 96 bits, of which 2^32 are safe.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { z } from 'zod';
import { randomBytes, Secret } from '../core/bytes.js';
import { bytesField, decode, decodeAs, encode, encodeAs, UndecodableError } from '../core/codec.js';
import { invariant, type PartyName } from '../core/errors.js';
import { FORMAT, FORMAT_VERSION } from './header.js';

/** Most bytes of a file, encrypted. */
export const SEALED_MAX_BYTES = 16 * 2 ** 20;
/** What encryption adds to the content, at most. */
const OVERHEAD = 256;
/** Most bytes of the content of a file. */
export const CONTENT_MAX_BYTES = SEALED_MAX_BYTES - OVERHEAD;

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FILE_FORMAT = `${FORMAT} file`;

/** Which file it is. */
export interface Place {
  readonly party: PartyName;
  readonly keyId: Uint8Array;
  /** Its name, relative to the folder. */
  readonly file: string;
}

const sealedSchema = z.strictObject({
  format: z.literal(FILE_FORMAT),
  version: z.literal(FORMAT_VERSION),
  nonce: bytesField(NONCE_BYTES),
  /** Ciphertext, then the tag. */
  sealed: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length >= TAG_BYTES),
});

const associatedData = ({ party, keyId, file }: Place): Uint8Array =>
  encode({ format: FILE_FORMAT, version: FORMAT_VERSION, party, keyId, file });

/** The bytes of a file with that content, which stays the caller's. */
export function seal(key: Secret, place: Place, content: Uint8Array): Uint8Array {
  invariant(content.length <= CONTENT_MAX_BYTES, 'a stored file would be too long');
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(place));
  const sealed = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  return encodeAs(sealedSchema, {
    ...{ format: FILE_FORMAT, version: FORMAT_VERSION, nonce },
    sealed: new Uint8Array(sealed),
  });
}

/** Whether `bytes` are such a file in a format version of the future. */
export function isOfOtherVersion(bytes: Uint8Array): boolean {
  try {
    const { format, version } = decode(bytes, SEALED_MAX_BYTES) as { format?: unknown; version?: unknown };
    return format === FILE_FORMAT && typeof version === 'number' && version !== FORMAT_VERSION;
  } catch {
    return false;
  }
}

/** The content of a file, which the caller disposes, or `undefined` when it is not the one that was put there. */
export function open(key: Secret, place: Place, bytes: Uint8Array): Secret | undefined {
  let fields: z.output<typeof sealedSchema>;
  try {
    fields = decodeAs(sealedSchema, bytes, SEALED_MAX_BYTES);
  } catch (error) {
    if (error instanceof UndecodableError) return undefined;
    throw error;
  }
  const { nonce, sealed } = fields;
  const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(place));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const clear = decipher.update(sealed.subarray(0, -TAG_BYTES));
  const content = Secret.own(new Uint8Array(clear.buffer, clear.byteOffset, clear.length));
  try {
    decipher.final();
    return content;
  } catch {
    content.dispose();
    return undefined;
  }
}
