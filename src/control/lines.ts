/** Lines of UTF-8 text, put together from what a socket brings. */
import { concatBytes } from '../core/bytes.js';

const NEWLINE = 0x0a;

export class Lines {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  /** A line has at most `maxBytes` bytes. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether a line has begun that has not ended. */
  get begun(): boolean {
    return this.#length > 0;
  }

  /** The lines that end in `chunk`, without their ends; throws `RangeError` when one is too long, or not UTF-8. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#add(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    this.#add(chunk.subarray(start));
    return lines;
  }

  #add(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#maxBytes) throw new RangeError(`has more than ${this.#maxBytes} bytes`);
    if (part.length > 0) this.#parts.push(part);
  }

  #take(): string {
    const bytes = concatBytes(...this.#parts);
    this.#parts = [];
    this.#length = 0;
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new RangeError('is not UTF-8', { cause });
    }
  }
}
