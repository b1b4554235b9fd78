/** The digest that ECDSA signs. It stands alone, so that whoever only shows it loads no curve. */
import { createHash } from 'node:crypto';

/** SHA-256 of the message, 32 bytes: what is signed. */
export const messageDigest = (message: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(message).digest());
