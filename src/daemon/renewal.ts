/** Notices that a party's certificate was renewed on disk, and uses it without a restart. */
import { asMpcError, type MpcError } from '../core/errors.js';
import type { Party } from '../party/party.js';

const LOOK_EVERY_MILLIS = 60_000;

export interface RenewalOptions {
  readonly party: Pick<Party, 'certificateExpires' | 'renew'>;
  /** Told of a certificate that is used from now on. */
  readonly renewed: (expires: Date) => void;
  /** Told, once for each cause, why what is on disk cannot be used; what is in use stays. */
  readonly unfit: (error: MpcError) => void;
}

export class Renewal implements Disposable {
  readonly #options: RenewalOptions;
  readonly #timer: NodeJS.Timeout;
  #complaint = '';
  #looking: Promise<void> | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MILLIS).unref();
  }

  /** Looks now, unless that is being done. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { party, renewed, unfit } = this.#options;
    try {
      // Files are replaced one after the other: what does not fit together just now may the next time.
      if (await party.renew()) renewed(party.certificateExpires);
      this.#complaint = '';
    } catch (cause) {
      const error = asMpcError(cause);
      if (error.message === this.#complaint) return;
      this.#complaint = error.message;
      unfit(error);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
