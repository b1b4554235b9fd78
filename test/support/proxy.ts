/** A TCP proxy between two parties that can spoil the connections running through it. Sees ciphertext only. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What becomes of one chunk: bytes that TCP itself would never repeat, lose or alter. */
export type Spoiling = 'repeat' | 'drop' | 'shorten' | 'flip';

/** More than a side sends until both hellos are exchanged. */
const HANDSHAKE_BYTES = 4_000;

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
  /** Milliseconds that every chunk is held back; none overtakes another when it changes. */
  delayMillis = 0;
  /** How much the line carries in each direction, bytes a second. */
  bytesPerSecond = Number.POSITIVE_INFINITY;
  /**
   * What happens to the next chunk, in whichever direction it goes, of a connection past its handshake: one that loses
   * bytes before is no different from one that stalls.
   */
  spoiling: Spoiling | undefined;
  /** Chunks spoilt since the start. */
  spoilt = 0;
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
    const closed = () => {
      near.destroy();
      far.destroy();
      this.#connections.delete(pair);
    };
    for (const line of [this.#forward(near, far), this.#forward(far, near)]) {
      // What one side sent before it closed still arrives.
      line.from.on('close', () => line.carry(closed, this.delayMillis));
    }
    if (this.#stalled) this.stall();
  }

  #forward(from: Socket, to: Socket): Line {
    const line = new Line(from);
    from.on('data', (chunk: Buffer) => {
      const kept = chunk.subarray(0, Math.min(chunk.length, this.cutAfter));
      this.cutAfter -= kept.length;
      const sent = line.carried > HANDSHAKE_BYTES ? this.#spoil(kept) : kept;
      line.carried += sent.length;
      for (let at = 0; at < sent.length; at += this.pieceBytes)
        this.#pass(line, to, sent.subarray(at, at + this.pieceBytes));
      if (kept.length === chunk.length) return;
      this.cutAfter = Number.POSITIVE_INFINITY;
      setImmediate(() => this.cut());
    });
    from.on('end', () => line.carry(() => to.end(), this.delayMillis));
    return line;
  }

  #spoil(chunk: Buffer): Buffer {
    const { spoiling } = this;
    if (spoiling === undefined || chunk.length < 2) return chunk;
    this.spoiling = undefined;
    this.spoilt += 1;
    if (spoiling === 'repeat') return Buffer.concat([chunk, chunk]);
    if (spoiling === 'drop') return Buffer.alloc(0);
    if (spoiling === 'shorten') return chunk.subarray(0, randomInt(1, chunk.length));
    const altered = Buffer.from(chunk);
    altered[randomInt(altered.length)]! ^= 1 << randomInt(8);
    return altered;
  }

  #pass(line: Line, to: Socket, piece: Buffer): void {
    this.forwarded += piece.length;
    const write = () => {
      if (to.writable) to.write(piece);
    };
    line.carry(write, this.delayMillis, (piece.length / this.bytesPerSecond) * 1000);
  }
}

/** One direction of a connection: what it carries arrives in order, each after its delay. */
class Line {
  readonly from: Socket;
  readonly #underWay: { readonly arrive: () => void; readonly at: number }[] = [];
  /** Bytes so far. */
  carried = 0;
  /** When the last of what was put on it will have been put on it. */
  #freeAt = 0;

  constructor(from: Socket) {
    this.from = from;
  }

  /** Lets `arrive` happen after everything before it, `delay` milliseconds after it has taken `duration` to send. */
  carry(arrive: () => void, delay: number, duration = 0): void {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now) + duration;
    this.#underWay.push({ arrive, at: this.#freeAt + delay });
    if (this.#underWay.length === 1) this.#deliver();
  }

  #deliver(): void {
    for (let [first] = this.#underWay; first !== undefined; [first] = this.#underWay) {
      const wait = first.at - performance.now();
      if (wait > 0) {
        setTimeout(() => this.#deliver(), wait);
        return;
      }
      first.arrive();
      this.#underWay.shift();
    }
  }
}
