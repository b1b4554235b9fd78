/** Decoding of points by OpenSSL, which takes the square root in a third of noble's time. */
import { createECDH, ECDH } from 'node:crypto';

/** The 65 bytes, uncompressed, of the point that SEC 1 compressed bytes encode. Throws when they encode none. */
export type Decode = (bytes: Uint8Array) => Uint8Array;

/** The types of Node.js leave `setPublicKey` out: for agreeing on secrets, it is of no use. */
interface Decoder extends ECDH {
  setPublicKey?(encoded: Uint8Array): void;
}

/** Whether Node.js has that function and lets it be used in silence: from version 24 on a warning is wrapped around it. */
const keepsObject = (ECDH.prototype as Decoder).setPublicKey?.name === 'setPublicKey';

/**
 * Decodes points of the curve that OpenSSL calls `curve`: by one object for all, which holds the last one, or by
 * `ECDH.convertKey`, which makes an object for the curve each time and so takes up to half as long again.
 */
export function pointDecoder(curve: string, byOneObject = keepsObject): Decode {
  if (!byOneObject)
    return (bytes) => ECDH.convertKey(bytes, curve, undefined, undefined, 'uncompressed') as Buffer;
  const decoder = createECDH(curve) as Decoder;
  return (bytes) => {
    decoder.setPublicKey!(bytes);
    return decoder.getPublicKey();
  };
}
