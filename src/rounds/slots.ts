/**
 * The place of every message of a session: one slot per declared round and peer, all there from the start.
 * A slot is filled once; what does not fit a slot is refused and blamed on its sender.
 */
import { equalBytes } from '../core/bytes.js';
import { bytesField } from '../core/codec.js';
import { invariant, type PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';
import { brokeProtocol } from './blame.js';
import { MAX_LABEL, type RoundFrame } from './frames.js';
import { type AnyRound, DIGEST_BYTES, directRound, type Round } from './run.js';
import { quoted } from './untrusted.js';

interface Taken {
  /** Hash of the whole frame: a repeat of the same bytes is no second message. */
  readonly fingerprint: Uint8Array;
  readonly frame: RoundFrame;
}

/** Names are printable, so that the line break separates them without ambiguity. */
const keyOf = (step: string, name: string): string => `${step}\n${name}`;

/** How a round is called in messages. */
export const placeOf = (round: { readonly step: string; readonly name: string }): string =>
  `${round.step} round ${round.name}`;

/** The exchange of echoes that follows `round` when its echo is its own. */
export const echoRound = (round: Pick<AnyRound, 'step' | 'name'>): Round<never, Uint8Array> =>
  directRound({
    step: round.step,
    name: `${round.name} echo`,
    maxBytes: DIGEST_BYTES + 8,
    direct: bytesField(DIGEST_BYTES),
  });

export class Slots {
  readonly #rounds: readonly AnyRound[];
  readonly #positions: ReadonlyMap<string, number>;
  readonly #taken = new Map<PartyName, Map<number, Taken>>();
  /** Position of the round entered last. */
  #current = -1;

  constructor(rounds: readonly AnyRound[]) {
    this.#rounds = rounds.flatMap((round) => (round.echo === 'own' ? [round, echoRound(round)] : [round]));
    this.#positions = new Map(this.#rounds.map((round, at) => [keyOf(round.step, round.name), at]));
    invariant(this.#positions.size === this.#rounds.length, 'a round is declared twice');
    for (const round of this.#rounds)
      invariant(placeOf(round).length <= MAX_LABEL, `the name of ${placeOf(round)} is too long`);
  }

  /** Makes `round`, the next one in their order, the current one. Left out, it would seem ahead to the others. */
  enter(round: AnyRound): void {
    const position = this.#position(round);
    invariant(position === this.#current + 1, `${placeOf(round)} is entered out of order`);
    this.#current = position;
  }

  /** The round entered last, for messages. */
  get currentPlace(): string {
    const round = this.#rounds[this.#current];
    return round ? placeOf(round) : 'the opening';
  }

  /** The message of `peer` in `round`, once it is there. */
  message(round: AnyRound, peer: PartyName): RoundFrame | undefined {
    return this.#taken.get(peer)?.get(this.#position(round))?.frame;
  }

  /**
   * Puts the message of `peer` into its slot; a byte-identical repeat changes nothing.
   * Throws `PROTOCOL` naming `peer` for a round that does not exist or is more than one ahead of the current one,
   * for a message of the wrong size or without its parts, and for a different second message.
   */
  put(peer: PartyName, frame: RoundFrame, bytes: Uint8Array): void {
    const position = this.#positions.get(keyOf(frame.step, frame.round));
    const round = position === undefined ? undefined : this.#rounds[position];
    if (position === undefined || !round) {
      const name = quoted(`${frame.step} round ${frame.round}`);
      throw brokeProtocol([peer], `a message of ${name}, which this protocol does not have`);
    }
    const fingerprint = hash('frame', [bytes]);
    const mine = this.#taken.get(peer) ?? new Map<number, Taken>();
    const earlier = mine.get(position);
    if (earlier && equalBytes(earlier.fingerprint, fingerprint)) return;
    if (earlier) throw brokeProtocol([peer], `two different messages of ${placeOf(round)}`);
    if (position > this.#current + 1)
      throw brokeProtocol([peer], `a message of ${placeOf(round)}, more than one round ahead`);
    checkShape(peer, round, frame);
    this.#taken.set(peer, mine.set(position, { fingerprint, frame }));
  }

  #position(round: AnyRound): number {
    const position = this.#positions.get(keyOf(round.step, round.name));
    invariant(position !== undefined, `${placeOf(round)} is not declared by this session`);
    return position;
  }
}

function checkShape(peer: PartyName, round: AnyRound, frame: RoundFrame): void {
  const size = (frame.broadcast?.length ?? 0) + (frame.direct?.length ?? 0);
  if (size > round.maxBytes)
    throw brokeProtocol([peer], `${size} bytes in ${placeOf(round)}, at most ${round.maxBytes} allowed`);
  const fits =
    (frame.broadcast === null) === (round.broadcast === undefined) &&
    (frame.direct === null) === (round.direct === undefined);
  if (!fits) throw brokeProtocol([peer], `a message without the parts of ${placeOf(round)}`);
}
