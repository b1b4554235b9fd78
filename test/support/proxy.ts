/** A TCP proxy between two parties that can spoil the connections running through it. Sees ciphertext only. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #connections = new Set<{ readonly near: Socket; readonly far: Socket }>();
  #stalled = false;
  /** Bytes forwarded since the start, both ways. */
  forwarded = 0;
  /** Connections accepted since the start. */
  accepted = 0;
  /** While true, new connections are closed at once. */
  refusing = false;
  /** Milliseconds that every chunk is held back. */
  delayMillis = 0;
  /** Largest piece that is forwarded at once; the rest follows after the delay. */
  pieceBytes = Number.POSITIVE_INFINITY;
  /** While true, whatever the dialling side sends also goes into a second connection to the target. */
  duplicating = false;
  /** After so many more bytes all connections are cut, in the middle of a TLS record if it happens so. */
  cutAfter = Number.POSITIVE_INFINITY;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((near) => this.#connected(near));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.#server.unref(); // A failed test must not keep its file running.
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Closes every connection abruptly. */
  cut(): void {
    for (const { near, far } of this.#connections) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#connections.clear();
  }

  /** Closes the dialling side's connections only; the target believes for a while that they live. */
  cutNear(): void {
    for (const pair of this.#connections) {
      pair.far.removeAllListeners('data').pause();
      this.#connections.delete(pair);
      pair.near.removeAllListeners('close').removeAllListeners('end').resetAndDestroy();
    }
  }

  /** Keeps connections open, new ones too, but forwards nothing, like a machine that lost its power. */
  stall(): void {
    this.#stalled = true;
    for (const { near, far } of this.#connections) {
      near.pause();
      far.pause();
    }
  }

  unstall(): void {
    this.#stalled = false;
    for (const { near, far } of this.#connections) {
      near.resume();
      far.resume();
    }
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connected(near: Socket): void {
    this.accepted += 1;
    if (this.refusing) {
      near.destroy();
      return;
    }
    const far = connect(this.#targetPort, '127.0.0.1');
    const echo = this.duplicating ? connect(this.#targetPort, '127.0.0.1') : undefined;
    const pair = { near, far };
    this.#connections.add(pair);
    for (const socket of [near, far, ...(echo === undefined ? [] : [echo])]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    if (echo !== undefined) {
      near.on('data', (chunk) => echo.write(chunk));
      near.on('close', () => echo.destroy());
      echo.resume();
    }
    this.#forward(near, far);
    this.#forward(far, near);
    const closed = () => {
      near.destroy();
      far.destroy();
      this.#connections.delete(pair);
    };
    near.on('close', closed);
    far.on('close', closed);
    if (this.#stalled) this.stall();
  }

  #forward(from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      const kept = chunk.subarray(0, Math.min(chunk.length, this.cutAfter));
      this.cutAfter -= kept.length;
      for (let at = 0; at < kept.length; at += this.pieceBytes)
        this.#pass(to, kept.subarray(at, at + this.pieceBytes));
      if (kept.length === chunk.length) return;
      this.cutAfter = Number.POSITIVE_INFINITY;
      setImmediate(() => this.cut());
    });
    from.on('end', () => to.end());
  }

  #pass(to: Socket, piece: Buffer): void {
    this.forwarded += piece.length;
    const write = () => {
      if (to.writable) to.write(piece);
    };
    if (this.delayMillis === 0) write();
    else setTimeout(write, this.delayMillis);
  }
}
