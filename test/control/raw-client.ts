/** A client of a control socket that speaks as it likes, and reads when it is told. */
import { connect, type Socket } from 'node:net';

export class RawClient implements Disposable {
  readonly socket: Socket;
  #text = '';
  #changed = () => {};
  #closed = false;

  private constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.setEncoding('utf8');
    this.socket.on('error', () => {});
    this.socket.once('close', () => {
      this.#closed = true;
      this.#changed();
    });
    this.socket.once('end', () => this.#changed());
  }

  /** Connected, and not reading yet. */
  static async open(path: string): Promise<RawClient> {
    const client = new RawClient(path);
    await new Promise<void>((resolve, reject) => {
      client.socket.once('connect', resolve).once('error', reject);
    });
    return client;
  }

  /** Connected, reading, and with `text` sent. */
  static async sending(path: string, text: string | Uint8Array): Promise<RawClient> {
    const client = await RawClient.open(path);
    client.read();
    client.socket.write(text);
    return client;
  }

  read(): void {
    this.socket.on('data', (part: string) => {
      this.#text += part;
      this.#changed();
    });
    this.socket.resume();
  }

  /** All that has come. */
  get text(): string {
    return this.#text;
  }

  /** Settles when `condition` holds of what has come, or nothing comes any more. */
  async until(condition: (text: string) => boolean): Promise<void> {
    while (!condition(this.#text) && !this.socket.readableEnded && !this.#closed)
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
  }

  /** The lines of the whole answer, parsed. */
  async answer(): Promise<Record<string, unknown>[]> {
    await this.until(() => false);
    return this.#text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
