/**
 * Presignatures made ahead, in memory only (docs/protocol.md §8). Each belongs to the party that had it made: it
 * alone names it when a signature begins, so no two signatures take the same one. The other members of the quorum
 * hold their parts of it for that party.
 */
import { equalBytes } from '../core/bytes.js';
import { invariant, type PartyName } from '../core/errors.js';
import { printId } from '../protocol/key-share.js';
import type { Presignature } from '../protocol/presign.js';

/** Most presignatures held for one peer; the oldest give way, which its owner finds when it names them. */
const MAX_HELD = 2048;

/** What a stock is for. */
export interface Stock {
  readonly keyId: Uint8Array;
  readonly quorum: readonly PartyName[];
}

export interface StockLevel {
  readonly key: string;
  readonly quorum: readonly PartyName[];
  readonly ready: number;
}

export const nameOfStock = ({ keyId, quorum }: Stock): string => `${printId(keyId)} ${quorum.join(',')}`;

interface Shelf {
  readonly stock: Stock;
  ready: Presignature[];
  /** When one was asked for, on the clock of `performance`. */
  wantedAt: number;
}

export class Presignatures implements Disposable {
  readonly #stocks = new Map<string, Shelf>();
  /** By peer and the name of the presignature, oldest first. */
  readonly #held = new Map<PartyName, Map<string, Presignature>>();

  /** Says that presignatures of this kind are of use from now on. */
  want(stock: Stock): void {
    const shelf = this.#stocks.get(nameOfStock(stock)) ?? { stock, ready: [], wantedAt: 0 };
    this.#stocks.set(nameOfStock(stock), shelf);
    shelf.wantedAt = performance.now();
  }

  /** Gives up the stocks that nobody has wanted for so long. */
  forget(millis: number): void {
    for (const [name, { ready, wantedAt }] of this.#stocks) {
      if (performance.now() - wantedAt < millis) continue;
      for (const presignature of ready) presignature[Symbol.dispose]();
      this.#stocks.delete(name);
    }
  }

  /** The stocks that are of use. */
  get stocks(): readonly Stock[] {
    return [...this.#stocks.values()].map(({ stock }) => stock);
  }

  level(stock: Stock): number {
    return this.#stocks.get(nameOfStock(stock))?.ready.length ?? 0;
  }

  levels(): readonly StockLevel[] {
    return [...this.#stocks.values()].map(({ stock: { keyId, quorum }, ready }) => ({
      key: printId(keyId),
      quorum,
      ready: ready.length,
    }));
  }

  /** How many parts of presignatures of `owner` are held here. */
  heldFor(owner: PartyName): number {
    return this.#held.get(owner)?.size ?? 0;
  }

  /** Takes over presignatures that this party has had made; wipes them when they are of no use any more. */
  add(stock: Stock, presignatures: readonly Presignature[]): void {
    const shelf = this.#stocks.get(nameOfStock(stock));
    if (shelf === undefined) for (const presignature of presignatures) presignature[Symbol.dispose]();
    else shelf.ready.push(...presignatures);
  }

  /** The oldest presignature of the stock, now the caller's. */
  take(stock: Stock): Presignature | undefined {
    return this.#stocks.get(nameOfStock(stock))?.ready.shift();
  }

  /** Takes over this party's parts of presignatures that `owner` has had made. */
  hold(owner: PartyName, presignatures: readonly Presignature[]): void {
    const held = this.#held.get(owner) ?? new Map<string, Presignature>();
    this.#held.set(owner, held);
    for (const presignature of presignatures) {
      const name = printId(presignature.binding.sid);
      invariant(!held.has(name), 'a presignature was held twice');
      held.set(name, presignature);
    }
    for (const [name, presignature] of held) {
      if (held.size <= MAX_HELD) break;
      held.delete(name);
      presignature[Symbol.dispose]();
    }
  }

  /** This party's part of the presignature `name` of `owner`, now the caller's. */
  takeHeld(owner: PartyName, name: Uint8Array): Presignature | undefined {
    const held = this.#held.get(owner);
    const presignature = held?.get(printId(name));
    held?.delete(printId(name));
    return presignature;
  }

  /** Wipes all that was made with `peer`, who has lost its parts of it. */
  dropPeer(peer: PartyName): void {
    this.#drop((presignature) => presignature.binding.quorum.includes(peer));
  }

  /** Wipes those of a key that were made with other shares than `kept`: they are gone with theirs. */
  keep(keyId: Uint8Array, kept: readonly Uint8Array[]): void {
    this.#drop(
      ({ binding }) =>
        equalBytes(binding.keyId, keyId) && !kept.some((shid) => equalBytes(shid, binding.shid)),
    );
  }

  [Symbol.dispose](): void {
    this.#drop(() => true);
    this.#stocks.clear();
  }

  #drop(isUseless: (presignature: Presignature) => boolean): void {
    for (const shelf of this.#stocks.values()) {
      for (const presignature of shelf.ready.filter(isUseless)) presignature[Symbol.dispose]();
      shelf.ready = shelf.ready.filter((presignature) => !isUseless(presignature));
    }
    for (const held of this.#held.values()) {
      for (const [name, presignature] of held) {
        if (!isUseless(presignature)) continue;
        held.delete(name);
        presignature[Symbol.dispose]();
      }
    }
  }
}
