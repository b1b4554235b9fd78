import { Duplex } from 'node:stream';

/** A socket whose other side takes nothing until it is let. */
export class StuckSocket extends Duplex {
  #release: (() => void) | undefined;
  taken = 0;

  constructor() {
    super({ writableHighWaterMark: 1000 });
  }

  release(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#release = () => {
      this.taken += chunk.length;
      done();
    };
  }
}
