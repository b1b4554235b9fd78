/** Keeps presignatures ready for the signatures that this party asks for, and makes those that its peers ask for. */
import { randomBytes, toHex } from '../core/bytes.js';
import { asMpcError, MpcError, type PartyName } from '../core/errors.js';
import type { StoredKeyEvent } from '../party/stored-keys.js';
import { printId } from '../protocol/key-share.js';
import type { Presignature } from '../protocol/presign.js';
import { anyOf } from '../rounds/abort-signal.js';
import { printable } from '../rounds/untrusted.js';
import { type LetterBody, MAX_BATCH, MAX_REASON } from './letters.js';
import type { Stock } from './presignatures.js';
import { understand } from './requests.js';
import type { Tools } from './tools.js';

/** After a failure no stock is filled for so long; each further failure doubles it. */
const PAUSE_MILLIS = 5_000;
const LONGEST_PAUSE_MILLIS = 300_000;

export class Stocker implements Disposable {
  readonly #tools: Tools;
  readonly #report: (error: MpcError) => void;
  /** The filling that runs, and what ends it. */
  #filling: { readonly id: string; readonly stop: AbortController } | undefined;
  /** What each peer has this party make for it. */
  readonly #helping = new Map<PartyName, { readonly id: string; readonly stop: AbortController }>();
  readonly #over = new AbortController();
  #failures = 0;
  #pausing: NodeJS.Timeout | undefined;

  /** `report` is told why a stock could not be filled. */
  constructor(tools: Tools, report: (error: MpcError) => void) {
    this.#tools = tools;
    this.#report = report;
  }

  /** Fills a stock that is not full, if one can be filled just now; called whenever that may have changed. */
  look(): void {
    const { settings, presignatures, isUp, self } = this.#tools;
    if (this.#filling !== undefined || this.#pausing !== undefined || this.#over.signal.aborted) return;
    const isReachable = ({ quorum }: Stock) => quorum.every((name) => name === self || isUp(name));
    const stock = presignatures.stocks
      .filter(isReachable)
      .find((each) => presignatures.level(each) < settings.presignatures);
    if (stock !== undefined) void this.#fill(stock);
  }

  /** A peer could not take part in the filling `id`, or has given up its own. */
  failed(from: PartyName, id: string, { reason }: LetterBody<'failed'>): void {
    const what = `${from} could not presign: ${printable(reason, MAX_REASON)}`;
    for (const each of [this.#filling, this.#helping.get(from)])
      if (each?.id === id) each.stop.abort(new MpcError('PEER_ABORTED', what, { culprits: [from] }));
  }

  /** Makes presignatures for `from` to use, and holds this party's parts of them. */
  async help(from: PartyName, letter: LetterBody<'presign'>): Promise<void> {
    const { gates, presignatures, post } = this.#tools;
    const { signal } = this.#over;
    const { key, quorum, count } = letter;
    const id = toHex(letter.id);
    try {
      if (this.#helping.has(from)) throw new MpcError('USAGE', 'others are being made for this party');
      const stop = new AbortController();
      this.#helping.set(from, { id, stop });
      try {
        using _gate = gates.of(printId(key)).join();
        using ending = anyOf(signal, stop.signal);
        const made = await this.#presign(from, { keyId: key, quorum }, id, count, ending.signal);
        presignatures.hold(from, made);
      } finally {
        this.#helping.delete(from);
      }
    } catch (cause) {
      post(from, 'failed', { id: letter.id, attempt: 0, ...wordsOf(cause) });
    }
  }

  /** Makes no more, here or for others; what is being made is given up. */
  [Symbol.dispose](): void {
    clearTimeout(this.#pausing);
    this.#over.abort(new MpcError('INTERRUPTED', 'this daemon is stopping'));
  }

  async #fill(stock: Stock): Promise<void> {
    const { gates, presignatures, settings, post, self } = this.#tools;
    const { signal } = this.#over;
    const idBytes = randomBytes(16);
    const id = toHex(idBytes);
    const stop = new AbortController();
    this.#filling = { id, stop };
    const { keyId: key, quorum } = stock;
    const count = Math.min(MAX_BATCH, settings.presignatures - presignatures.level(stock));
    try {
      using either = anyOf(signal, stop.signal);
      using _gate = await gates.of(printId(key)).start(either.signal);
      for (const peer of quorum.filter((name) => name !== self))
        post(peer, 'presign', { id: idBytes, key, quorum: [...quorum], count });
      presignatures.add(stock, await this.#presign(self, stock, id, count, either.signal));
      this.#failures = 0;
    } catch (error) {
      for (const peer of quorum.filter((name) => name !== self))
        post(peer, 'failed', { id: idBytes, attempt: 0, ...wordsOf(error) });
      this.#pause();
      if (!signal.aborted) this.#report(asMpcError(error));
    } finally {
      this.#filling = undefined;
    }
    this.look();
  }

  #pause(): void {
    const millis = Math.min(PAUSE_MILLIS * 2 ** this.#failures, LONGEST_PAUSE_MILLIS);
    this.#failures += 1;
    this.#pausing = setTimeout(() => {
      this.#pausing = undefined;
      this.look();
    }, millis).unref();
  }

  async #presign(
    owner: PartyName,
    { keyId, quorum }: Stock,
    id: string,
    count: number,
    signal: AbortSignal,
  ): Promise<Presignature[]> {
    const { record, during, keys, running } = this.#tools;
    // As if a signature of nothing were asked for: who takes part in that takes part here.
    const nothing = { operation: 'sign', nonce: new Uint8Array(16), message: new Uint8Array() } as const;
    const content = { ...nothing, key: keyId, quorum: [...quorum], receivers: [quorum[0]!] };
    const { kind, key } = understand(this.#tools, owner, content);
    using entry = running.enter({ id, operation: 'presign', ...(key !== undefined && { key }) });
    return await during(kind, signal, async (resources) => {
      let epoch = 0;
      const tell = (event: StoredKeyEvent): void => {
        if (event.kind === 'settled') epoch = event.sharing.epoch;
      };
      const work = { resources: { ...resources, progress: entry.progress }, tell };
      const made = await keys.presign(work, id, keyId, quorum, count, { shared: true });
      try {
        record({
          event: 'presigned',
          key: printId(keyId),
          epoch,
          quorum: [...quorum],
          count,
          by: owner,
        });
        return made;
      } catch (error) {
        for (const presignature of made) presignature[Symbol.dispose]();
        throw error;
      }
    });
  }
}

/** What a peer is told of a failure here. */
function wordsOf(cause: unknown): { readonly code: string; readonly reason: string } {
  const { code, message } = asMpcError(cause);
  return { code, reason: printable(message, MAX_REASON) };
}
