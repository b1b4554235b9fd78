/** Frames over one connected socket. Knows nothing of who is at the other end. */
import type { Duplex } from 'node:stream';
import { encodeFrame, type Frame, FrameDecoder, FrameError } from './frame.js';

/** How long a connection that was ended in good order waits for the other side to close it. */
const LINGER_MILLIS = 300;

export interface ConnectionUser {
  frame(frame: Frame): void;
  /** Any bytes at all arrived. */
  heard(): void;
  /** The socket takes more after having been full. */
  drained(): void;
}

export class Connection {
  /** Resolves, with the reason, when the socket is closed. */
  readonly closed: Promise<string>;
  readonly #socket: Duplex;
  readonly #decoder = new FrameDecoder();
  #user: ConnectionUser | undefined;
  #reason: string | undefined;
  #ended = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        clearTimeout(this.#linger);
        this.#user = undefined;
        resolve(this.#reason ?? 'closed by the other side');
      });
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ??= error.code ?? error.message;
    });
    socket.on('drain', () => this.#user?.drained());
    socket.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      this.#decoder.push(chunk);
      this.#user?.heard();
      this.#decode();
    });
    socket.pause();
  }

  /** The next frame; then nothing is read until somebody asks again. Rejects when the connection ends before. */
  async next(): Promise<Frame> {
    const frame = new Promise<Frame>((resolve) => {
      this.use({
        frame: (received) => {
          this.#user = undefined;
          this.#socket.pause();
          resolve(received);
        },
        heard: () => {},
        drained: () => {},
      });
    });
    const ended = this.closed.then((reason) => {
      throw new Error(reason);
    });
    return await Promise.race([frame, ended]);
  }

  /** Gives every further frame to `user`. */
  use(user: ConnectionUser): void {
    this.#user = user;
    if (this.#ended) return;
    this.#socket.resume();
    this.#decode();
  }

  /** More can be written without piling up in memory. */
  get writable(): boolean {
    return !this.#ended && this.#socket.writable && !this.#socket.writableNeedDrain;
  }

  /** Writes made by `body` leave together. */
  together(body: () => void): void {
    this.#socket.cork();
    body();
    this.#socket.uncork();
  }

  write(frame: Frame): void {
    if (this.#ended || !this.#socket.writable) return;
    for (const part of encodeFrame(frame)) this.#socket.write(part);
  }

  /**
   * Ends the connection in good order, after a `last` frame. Nothing more is taken from the peer, but its bytes are
   * still read: closing a socket with unread data resets it, and what was written last would be lost on the way.
   */
  end(reason: string, last?: Frame): void {
    if (this.#ended) return;
    this.#reason ??= reason;
    if (last !== undefined) this.write(last);
    this.#ended = true;
    this.#socket.end();
    this.#socket.resume();
    this.#linger = setTimeout(() => this.#socket.destroy(), LINGER_MILLIS).unref();
  }

  /** Closes at once; no further frame is given to anybody. */
  destroy(reason: string): void {
    this.#reason ??= reason;
    this.#ended = true;
    this.#socket.destroy();
  }

  #decode(): void {
    try {
      while (this.#user !== undefined && !this.#ended) {
        const frame = this.#decoder.next();
        if (frame === undefined) return;
        this.#user.frame(frame);
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.destroy(error.message);
    }
  }
}
