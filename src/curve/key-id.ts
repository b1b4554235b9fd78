/** The name of a key: the same on every party, in every epoch and in every backup (docs/protocol.md §5). */
import { hash } from '../core/transcript.js';
import type { Curve, Point } from './curve.js';

export const KEY_ID_BYTES = 16;

/** First 16 bytes of H("key id"; curve, X). */
export const keyIdOf = (curve: Curve, publicKey: Point): Uint8Array =>
  hash('key id', [curve.name, publicKey.toBytes()]).slice(0, KEY_ID_BYTES);
