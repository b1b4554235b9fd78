/** Keeps presignatures ready for the signatures that this party asks for, and makes those that its peers ask for. */
import { randomBytes, toHex } from '../core/bytes.js';
import { asMpcError, MpcError, type PartyName } from '../core/errors.js';
import type { StoredKeyEvent, WorkAhead } from '../party/stored-keys.js';
import { printId } from '../protocol/key-share.js';
import type { Presignature } from '../protocol/presign.js';
import { anyOf } from '../rounds/abort-signal.js';
import { toldOf } from '../rounds/blame.js';
import { printable } from '../rounds/untrusted.js';
import type { FailureListener } from './answerer.js';
import { Condition } from './condition.js';
import { type LetterBody, MAX_BATCH, MAX_REASON, type SignContent } from './letters.js';
import { nameOfStock, type Stock } from './presignatures.js';
import { RateLimit } from './rate-limit.js';
import { understand } from './requests.js';
import type { Tools } from './tools.js';

/** After a failure a stock is not filled for so long; each further failure doubles it. */
const PAUSE_MILLIS = 5_000;
const LONGEST_PAUSE_MILLIS = 300_000;

/** A stock that was not asked for during this time is of use no more. */
const UNUSED_MILLIS = 6 * 3_600_000;

interface StockerListeners {
  /** Told why a stock of this party could not be filled. */
  readonly unfilled: (error: MpcError) => void;
  readonly failed: FailureListener;
}

/** A making of presignatures, and what ends it. */
interface Making {
  readonly id: string;
  readonly stop: AbortController;
}

export class Stocker implements Disposable {
  readonly #tools: Tools;
  readonly #listeners: StockerListeners;
  readonly #over = new AbortController();
  #filling: Making | undefined;
  /** What each peer has this party make for it. */
  readonly #helping = new Map<PartyName, Making>();
  readonly #condition = new Condition();
  readonly #limit = new RateLimit();
  /** How often each stock could not be filled in a row. */
  readonly #failures = new Map<string, number>();
  /** Stocks of peers that this party has helped to fill, and when it last did, on the clock of `performance`. */
  readonly #helped = new Map<string, { readonly stock: Stock; readonly at: number }>();
  /** Set-ups kept loaded for work ahead, by the stock that they serve. */
  readonly #ahead = new Map<string, WorkAhead>();
  #isPreparing = false;
  /** Stocks that are not to be filled before their timer has run. */
  readonly #pausing = new Map<string, NodeJS.Timeout>();

  constructor(tools: Tools, listeners: StockerListeners) {
    this.#tools = tools;
    this.#listeners = listeners;
  }

  /** Fills the emptiest stock that can be filled just now; called whenever there may be one. */
  look(): void {
    const { settings, presignatures, isUp, self } = this.#tools;
    if (this.#over.signal.aborted) return;
    // First of all, since filling a stock may wait for peers: what a refresh has erased must not stay in memory.
    this.#giveUpUseless();
    if (this.#filling !== undefined) return;
    presignatures.forget(UNUSED_MILLIS);
    const canBeFilled = (stock: Stock): boolean =>
      presignatures.level(stock) < settings.presignatures &&
      !this.#pausing.has(nameOfStock(stock)) &&
      stock.quorum.every((name) => name === self || isUp(name));
    const [emptiest] = presignatures.stocks
      .filter(canBeFilled)
      .toSorted((a, b) => presignatures.level(a) - presignatures.level(b));
    for (const name of this.#failures.keys())
      if (!presignatures.stocks.some((stock) => nameOfStock(stock) === name)) this.#failures.delete(name);
    if (emptiest !== undefined) void this.#fill(emptiest);
    else void this.#workAhead();
  }

  /** Resolves when nothing is being made for `peer` any more. */
  async helping(peer: PartyName): Promise<void> {
    await this.#condition.until(() => !this.#helping.has(peer), this.#over.signal).catch(() => {});
  }

  /** A peer could not take part in the filling `id`, or has given up its own. */
  failed(from: PartyName, id: string, { reason }: LetterBody<'failed'>): void {
    const what = `${from} could not presign: ${printable(reason, MAX_REASON)}`;
    for (const each of [this.#filling, this.#helping.get(from)])
      if (each?.id === id) each.stop.abort(new MpcError('PEER_ABORTED', what, { culprits: [from] }));
  }

  /** Makes presignatures for `from` to use, and holds this party's parts of them. */
  async help(from: PartyName, letter: LetterBody<'presign'>): Promise<void> {
    const { presignatures, post } = this.#tools;
    const { key, quorum, count } = letter;
    const making = { id: toHex(letter.id), stop: new AbortController() };
    try {
      if (this.#helping.has(from) || !this.#limit.allows(from))
        throw new MpcError('DISAGREEMENT', 'too many presignatures at a time');
      this.#helping.set(from, making);
      try {
        using ending = anyOf(this.#over.signal, making.stop.signal);
        const stock = { keyId: key, quorum };
        presignatures.hold(from, await this.#presign(from, stock, making.id, count, ending.signal));
        this.#helped.set(nameOfStock(stock), { stock, at: performance.now() });
      } finally {
        this.#helping.delete(from);
        this.#condition.changed();
      }
    } catch (cause) {
      post(from, 'failed', { id: letter.id, attempt: 0, ...wordsOf(cause) });
      this.#listeners.failed(from, asMpcError(cause));
    }
  }

  /** Makes no more, here or for others; what is being made is given up. */
  [Symbol.dispose](): void {
    for (const timer of this.#pausing.values()) clearTimeout(timer);
    for (const ahead of this.#ahead.values()) ahead[Symbol.dispose]();
    this.#ahead.clear();
    this.#over.abort(new MpcError('INTERRUPTED', 'this daemon is stopping'));
  }

  async #fill(stock: Stock): Promise<void> {
    const { presignatures, settings, post, self } = this.#tools;
    const id = randomBytes(32);
    const making = { id: toHex(id), stop: new AbortController() };
    this.#filling = making;
    const { keyId: key, quorum } = stock;
    const peers = quorum.filter((name) => name !== self);
    const count = Math.min(MAX_BATCH, settings.presignatures - presignatures.level(stock));
    const begin = (): void => {
      for (const peer of peers) post(peer, 'presign', { id, key, quorum: [...quorum], count });
    };
    try {
      using ending = anyOf(this.#over.signal, making.stop.signal);
      presignatures.add(stock, await this.#presign(self, stock, making.id, count, ending.signal, begin));
      this.#failures.delete(nameOfStock(stock));
    } catch (error) {
      for (const peer of peers) post(peer, 'failed', { id, attempt: 0, ...wordsOf(error) });
      if (!this.#over.signal.aborted) this.#pause(stock, asMpcError(error));
    } finally {
      this.#filling = undefined;
    }
    this.look();
  }

  /** Wipes what was made ahead for set-ups that are gone from the store, or for stocks that nobody wants. */
  #giveUpUseless(): void {
    const stocks = this.#stocks();
    for (const [name, ahead] of this.#ahead) {
      if (ahead.isOfUse() && stocks.has(name)) continue;
      this.#ahead.delete(name);
      ahead[Symbol.dispose]();
    }
  }

  /** Where nothing else is to be done, makes ahead what the next multiplications will need. */
  async #workAhead(): Promise<void> {
    const { running, settings } = this.#tools;
    if (this.#isPreparing || running.list().length > 0) return;
    this.#isPreparing = true;
    try {
      // What is in the way of this is in the way of filling the stock, which reports it.
      for (const [name, stock] of this.#stocks())
        await this.#prepare(stock, settings.presignatures).catch(() => this.#helped.delete(name));
    } finally {
      this.#isPreparing = false;
    }
  }

  /** Those of this party, and those of peers that are of use, by name. */
  #stocks(): ReadonlyMap<string, Stock> {
    for (const [name, { at }] of this.#helped)
      if (performance.now() - at > UNUSED_MILLIS) this.#helped.delete(name);
    const all = [
      ...this.#tools.presignatures.stocks,
      ...[...this.#helped.values()].map(({ stock }) => stock),
    ];
    return new Map(all.map((stock) => [nameOfStock(stock), stock]));
  }

  async #prepare(stock: Stock, count: number): Promise<void> {
    const { during, keys, self } = this.#tools;
    const { kind } = understand(this.#tools, self, signingOfNothing(stock));
    await during(kind, this.#over.signal, async (resources) => {
      this.#over.signal.throwIfAborted();
      const ahead =
        this.#ahead.get(nameOfStock(stock)) ??
        keys.ahead({ resources: { ...resources, progress: () => {} } }, stock.keyId, stock.quorum);
      if (ahead === undefined) return;
      this.#ahead.set(nameOfStock(stock), ahead);
      await ahead.prepare(resources, Math.min(count, MAX_BATCH));
    });
  }

  #pause(stock: Stock, error: MpcError): void {
    const name = nameOfStock(stock);
    const failures = this.#failures.get(name) ?? 0;
    this.#failures.set(name, failures + 1);
    const goOn = (): void => {
      this.#pausing.delete(name);
      this.look();
    };
    const millis = Math.min(PAUSE_MILLIS * 2 ** failures, LONGEST_PAUSE_MILLIS);
    this.#pausing.set(name, setTimeout(goOn, millis).unref());
    this.#listeners.unfilled(error);
  }

  /** Presignatures of `owner`, made here with the rest of the quorum. An owner's `begin` has the others begin. */
  async #presign(
    owner: PartyName,
    { keyId, quorum }: Stock,
    id: string,
    count: number,
    signal: AbortSignal,
    begin?: () => void,
  ): Promise<Presignature[]> {
    const { during, gates, keys, record, running } = this.#tools;
    const { kind, key } = understand(this.#tools, owner, signingOfNothing({ keyId, quorum }));
    using _gate = begin ? await gates.of(key).start(signal) : gates.of(key).join();
    begin?.();
    using entry = running.enter({ id, operation: 'presign', ...(key !== undefined && { key }) });
    return await during(kind, signal, async (resources) => {
      let epoch = 0;
      const tell = (event: StoredKeyEvent): void => {
        if (event.kind === 'settled') epoch = event.sharing.epoch;
      };
      const work = { resources: { ...resources, progress: entry.progress }, tell };
      const made = await keys.presign(work, `presign ${id}`, keyId, quorum, count, { shared: true });
      try {
        record({ event: 'presigned', key: printId(keyId), epoch, quorum: [...quorum], count, by: owner });
        return made;
      } catch (error) {
        for (const presignature of made) presignature[Symbol.dispose]();
        throw error;
      }
    });
  }
}

/** A signature of nothing: who may ask for that, and takes part in it, does so in presignatures. */
const signingOfNothing = ({ keyId, quorum }: Stock): SignContent => ({
  ...{ operation: 'sign', nonce: new Uint8Array(16), message: new Uint8Array() },
  ...{ key: keyId, quorum: [...quorum], receivers: [quorum[0]!] },
});

/** What a peer is told of a failure here. */
function wordsOf(cause: unknown): { readonly code: string; readonly reason: string } {
  const error = asMpcError(cause);
  return { code: error.code, reason: toldOf(error, MAX_REASON) };
}
