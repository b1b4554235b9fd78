/**
 * The control socket of a daemon: a Unix socket through which its user gives it orders, and nobody else.
 *
 * A client sends one line of JSON, the request. The daemon answers with lines of JSON, the events of what it does,
 * the last of which is `{"event":"end"}`, or an `error` event that says why it failed; without one of these two the
 * daemon has gone in the middle. An empty line means nothing.
 *
 * A client that ends its side of the connection after the request, as `socat` does, still gets its answer. Whether
 * it has only ended its side or has gone, a system tells whoever writes: so it is sent an empty line now and then.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { describeError, invariant, MpcError, type PartyName } from '../core/errors.js';
import { displayPath, fileError } from '../files/files.js';
import { removeSocket } from '../files/private.js';
import { whenAborted } from '../rounds/abort-signal.js';
import { Lines } from './lines.js';
import { checkPlace, isAnswered, MAX_REQUEST_BYTES, OTHER_PATH_HINT, socketOf } from './socket.js';

export interface ControlLimits {
  /** Bytes of a request. */
  readonly requestBytes: number;
  /** Within this time a client must have sent its request. */
  readonly requestMillis: number;
  /** Clients at a time; to as many more it is said that there are too many. */
  readonly connections: number;
  /** Bytes of events that a client has not read, above which no event is added: it is dropped instead. */
  readonly unreadBytes: number;
  /** How often a client that has ended its side is asked whether it is still there. */
  readonly probeMillis: number;
  /** How long a client may take to read the rest of its answer, and a request to end once the daemon stops. */
  readonly lingerMillis: number;
}

export const DEFAULT_LIMITS: ControlLimits = {
  requestBytes: MAX_REQUEST_BYTES,
  requestMillis: 10_000,
  connections: 64,
  unreadBytes: 8 * 1024 * 1024,
  probeMillis: 1_000,
  lingerMillis: 5_000,
};

/** The client of a request. */
export interface ControlConnection {
  /** Sends an event, any object but `end` and `error`, which say how the request ended. Nothing once it has gone. */
  emit(event: object): void;
  /** Aborted when the client has gone before its answer was complete, and when the daemon stops. */
  readonly signal: AbortSignal;
}

/** Does what a request asks for; its end is the end of the answer, and what it throws is sent as an `error` event. */
export type ControlHandler = (request: unknown, connection: ControlConnection) => Promise<void>;

/** Is told what may be worth a line in the log: texts of this program, never a client's words. */
export type Notice = (what: string, error?: unknown) => void;

export interface ControlOptions {
  readonly path: string;
  /** Whose daemon this is: its errors say so. */
  readonly party: PartyName;
  readonly handle: ControlHandler;
  readonly notice?: Notice;
  readonly limits?: Partial<ControlLimits>;
}

/** What all connections of a server share. */
interface Context {
  readonly party: PartyName;
  readonly handle: ControlHandler;
  readonly notice: Notice;
  readonly limits: ControlLimits;
}

export class ControlServer {
  readonly #server: Server;
  readonly #context: Context;
  readonly #callers = new Set<Caller>();
  /** How many of them were not too many. */
  #served = 0;
  #closing: Promise<void> | undefined;

  private constructor(context: Context) {
    this.#context = context;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#connected(socket));
    this.#server.maxConnections = 2 * context.limits.connections;
  }

  /**
   * Listens at `path`. The caller holds the lock of the party's state folder, so that no two daemons start at once.
   * Throws `FILE` when a daemon answers there already, when something else stands there, which is left alone, or
   * when others could reach it.
   */
  static async listen({ path, limits, notice = () => {}, ...rest }: ControlOptions): Promise<ControlServer> {
    checkPlace(path);
    await makeRoom(path);
    const control = new ControlServer({ ...rest, notice, limits: { ...DEFAULT_LIMITS, ...limits } });
    await control.#open(path);
    return control;
  }

  /**
   * Ends: new clients find no socket, requests are aborted and their clients told so. Returns when all have ended,
   * at the latest after `lingerMillis`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #open(path: string): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        // Node makes the socket within this call: at no moment is it open to others.
        const umask = process.umask(0o177);
        try {
          this.#server.listen({ path }, resolve);
        } finally {
          process.umask(umask);
        }
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw runningAlready(path);
      throw fileError(path, error, 'FILE', OTHER_PATH_HINT);
    }
    this.#server.removeAllListeners('error');
    this.#server.on('error', (error) => this.#context.notice('a client could not be accepted', error));
  }

  #connected(socket: Socket): void {
    const caller = new Caller(socket, this.#context);
    this.#callers.add(caller);
    socket.once('close', () => this.#callers.delete(caller));
    if (this.#served >= this.#context.limits.connections) {
      caller.refuse(tooMany());
      return;
    }
    this.#served += 1;
    socket.once('close', () => {
      this.#served -= 1;
    });
    void caller.serve();
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const caller of this.#callers) caller.stop();
    const late = setTimeout(() => {
      for (const caller of this.#callers) caller.drop();
    }, this.#context.limits.lingerMillis);
    await closed;
    clearTimeout(late);
  }
}

/** Removes the socket of a daemon that has died; throws `FILE` when there is one that lives, or anything else. */
async function makeRoom(path: string): Promise<void> {
  const found = socketOf(path);
  if (found === undefined) return;
  if (await isAnswered(path)) throw runningAlready(path);
  removeSocket(path, found, OTHER_PATH_HINT);
}

const runningAlready = (path: string): MpcError =>
  new MpcError('FILE', `a daemon of this party is running already: it answers at ${displayPath(path)}`, {
    hint: `use that one, or end it first; or ${OTHER_PATH_HINT}`,
  });

const tooMany = (): MpcError =>
  new MpcError('UNREACHABLE', 'the daemon has too many clients at present', { hint: 'try again later' });

const badRequest = (what: string): MpcError =>
  new MpcError('USAGE', `the request ${what}`, { hint: 'send one object of JSON in one line' });

/** One client: its request is read, handled and answered. */
class Caller {
  readonly #socket: Socket;
  readonly #context: Context;
  readonly #ending = new AbortController();
  #probe: NodeJS.Timeout | undefined;
  /** Whether the last line has been sent, or nothing can be sent any more. */
  #over = false;

  constructor(socket: Socket, context: Context) {
    this.#socket = socket;
    this.#context = context;
    socket.on('error', () => {}); // 'close' follows.
    socket.once('close', () => this.#gone());
  }

  async serve(): Promise<void> {
    const { signal } = this.#ending;
    try {
      const request = await this.#read();
      this.#watch();
      if (request !== undefined)
        await this.#context.handle(request.value, { emit: (event) => this.#emit(event), signal });
      this.#finish({ event: 'end' });
    } catch (cause) {
      this.refuse(this.#judge(cause));
    }
  }

  /** Answers with an error. */
  refuse(error: MpcError): void {
    this.#socket.resume();
    this.#finish({ event: 'error', party: this.#context.party, ...describeError(error) });
  }

  /** The daemon stops. */
  stop(): void {
    if (this.#over) return;
    this.#ending.abort(
      new MpcError('UNREACHABLE', 'the daemon is stopping', {
        hint: 'start it again; what became of the request, `ecdsa-mpc audit show` tells',
      }),
    );
  }

  drop(): void {
    this.#socket.destroy();
    this.#gone();
  }

  /** What is wrong, as the client is told it; a fault of the daemon's own is for its log. */
  #judge(cause: unknown): MpcError {
    if (cause instanceof MpcError) return cause;
    this.#context.notice('a request has failed', cause);
    return new MpcError('BUG', 'the daemon has failed at this request', { hint: 'look at its log' });
  }

  /** The request, or `undefined` when the client has ended without one. */
  #read(): Promise<{ readonly value: unknown } | undefined> {
    const { requestBytes, requestMillis } = this.#context.limits;
    const lines = new Lines(requestBytes);
    const { signal } = this.#ending;
    return new Promise<{ readonly value: unknown } | undefined>((resolve, reject) => {
      const late = setTimeout(() => reject(badRequest('did not come in time')), requestMillis).unref();
      const ended = () => (lines.begun ? reject(badRequest('has no end')) : resolve(undefined));
      const received = (chunk: Buffer) => {
        try {
          const [line] = lines.push(chunk);
          if (line !== undefined) resolve({ value: parse(line) });
        } catch (error) {
          reject(error instanceof RangeError ? badRequest(error.message) : error);
        }
      };
      const listening = whenAborted(signal, reject);
      this.#socket.on('data', received).once('end', ended);
      this.#release = () => {
        clearTimeout(late);
        listening();
        this.#socket.off('data', received).off('end', ended).resume();
      };
    }).finally(() => this.#release());
  }

  #release: () => void = () => {};

  /** Learns whether the client is still there once it has ended its side. */
  #watch(): void {
    const probe = () => {
      if (this.#over) return;
      this.#socket.write('\n');
      this.#probe = setTimeout(probe, this.#context.limits.probeMillis).unref();
    };
    if (this.#socket.readableEnded) probe();
    else this.#socket.once('end', probe);
  }

  #emit(event: object): void {
    const { event: name } = event as { event?: unknown };
    invariant(name !== 'end' && name !== 'error', 'a request ends by the end of its handler');
    if (this.#over) return;
    if (this.#socket.writableLength > this.#context.limits.unreadBytes) {
      this.#context.notice('dropped a client that does not read');
      this.drop();
    } else this.#socket.write(`${JSON.stringify(event)}\n`);
  }

  #finish(last: object): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#probe);
    this.#socket.end(`${JSON.stringify(last)}\n`);
    const late = setTimeout(() => this.#socket.destroy(), this.#context.limits.lingerMillis).unref();
    this.#socket.once('close', () => clearTimeout(late));
  }

  #gone(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#probe);
    this.#ending.abort(new MpcError('INTERRUPTED', 'the client has gone'));
  }
}

/** The value of a line; throws `USAGE` when it is not JSON. */
function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw badRequest('is not JSON');
  }
}
