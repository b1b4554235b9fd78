/** Counts the messages in sequence of an operation: how often a party waits for the way through the network. */
import { setImmediate as turn } from 'node:timers/promises';
import type { PartyName } from '#src/core/errors.js';
import { CountingCluster } from './memory-key.js';

/** After as many turns of the event loop without a message, nobody sends anything before another one arrives. */
const QUIET_TURNS = 50;

/**
 * Delivers in waves: all that was sent since the last wave, once no party can go on without it. The jobs of its
 * parties run in this thread, which is busy while anybody computes.
 */
export class LockstepCluster extends CountingCluster {
  waves = 0;
  #held: (() => void)[] = [];

  override deliver(from: PartyName, to: PartyName, ...frames: readonly Uint8Array[]): void {
    this.#held.push(() => super.deliver(from, to, ...frames));
  }

  override async during<T>(all: Promise<T>): Promise<T> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    all.then(end, end);
    while (!ended) {
      await this.#quiet();
      const wave = this.#held.splice(0);
      if (wave.length > 0) this.waves += 1;
      for (const deliver of wave) deliver();
    }
    return await all;
  }

  async #quiet(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
      const held = this.#held.length;
      await turn();
      if (this.#held.length > held) quiet = 0;
    }
  }
}
