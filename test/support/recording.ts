/** What an honest run sends, message by message, for cheats to take from and for rows to be made of. */
import { decode, type Plain } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { decodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import { keyOf, MESSAGE_LIMIT, type MessagePlace, type Part } from './cheat.js';
import type { Intercept } from './memory-network.js';

export interface Sent {
  readonly from: PartyName;
  readonly to: PartyName;
  readonly frame: RoundFrame;
  readonly bytes: Uint8Array;
}

export class Recording {
  readonly #sent: Sent[] = [];

  readonly intercept: Intercept = (from, to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind === 'round') this.#sent.push({ from, to, frame, bytes });
    return undefined;
  };

  /** Everything that `from` sent to `to`, in order. */
  between(from: PartyName, to: PartyName): readonly Sent[] {
    return this.#sent.filter((sent) => sent.from === from && sent.to === to);
  }

  find(place: MessagePlace, from: PartyName, to: PartyName): Sent | undefined {
    return this.between(from, to).find(({ frame }) => keyOf(frame) === keyOf(place));
  }

  /** The decoded part of a message; undefined where there is no such message or part. */
  part(place: MessagePlace, part: Part, from: PartyName, to: PartyName): Plain | undefined {
    const body = this.find(place, from, to)?.frame[part];
    return body ? decode(body, MESSAGE_LIMIT) : undefined;
  }
}
