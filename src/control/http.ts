/**
 * `GET /healthz` and `GET /metrics` for a monitor on the same machine, and nothing else.
 *
 * There is no password, so it listens on loopback addresses only, and answers only those who ask for a loopback
 * host: a page in a browser on this machine that has its own name resolve to 127.0.0.1 asks for that name.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MpcError } from '../core/errors.js';
import type { Notice } from './server.js';

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export type HttpHandler = () => HttpAnswer | Promise<HttpAnswer>;

export interface MonitorOptions {
  /** Which address to listen on. */
  readonly host: string;
  readonly port: number;
  /** By path. */
  readonly pages: Readonly<Record<string, HttpHandler>>;
  readonly notice?: Notice;
  readonly limits?: Partial<MonitorLimits>;
}

export interface MonitorLimits {
  readonly headerBytes: number;
  /** Within this time the headers of a request must have come; its body is not waited for. */
  readonly requestMillis: number;
  /** A connection on which nothing moves for so long is dropped: so is one whose client does not read. */
  readonly idleMillis: number;
  readonly connections: number;
}

const DEFAULT_LIMITS: MonitorLimits = {
  headerBytes: 8 * 1024,
  requestMillis: 5_000,
  idleMillis: 10_000,
  connections: 32,
};

/** The addresses that may be listened on, as they are written in the settings without their brackets. */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1'];

/** `localhost`, `127.0.0.1` and `[::1]`, with any port: tunnels have others. */
const LOOPBACK_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

const text = (status: number, body: string): HttpAnswer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

export class MonitorServer {
  readonly #server: Server;
  readonly #pages: ReadonlyMap<string, HttpHandler>;
  readonly #notice: Notice;

  private constructor(pages: Readonly<Record<string, HttpHandler>>, limits: MonitorLimits, notice: Notice) {
    this.#pages = new Map(Object.entries(pages));
    this.#notice = notice;
    this.#server = createServer(
      {
        maxHeaderSize: limits.headerBytes,
        headersTimeout: limits.requestMillis,
        connectionsCheckingInterval: Math.min(1_000, limits.requestMillis),
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.timeout = limits.idleMillis;
    this.#server.maxConnections = limits.connections;
  }

  /** Listens. Throws `USAGE` when the address is not a loopback address, `PORT` when it cannot be listened on. */
  static async listen({
    host,
    port,
    pages,
    notice = () => {},
    limits,
  }: MonitorOptions): Promise<MonitorServer> {
    if (!LOOPBACK.includes(host))
      throw new MpcError('USAGE', `the monitor would listen on ${host}, where others could reach it`, {
        hint: 'use 127.0.0.1 or [::1], and a tunnel or a proxy with a password of its own',
      });
    const monitor = new MonitorServer(pages, { ...DEFAULT_LIMITS, ...limits }, notice);
    await monitor.#open(host, port);
    return monitor;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends at once, whatever is being asked. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #open(host: string, port: number): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host, port, exclusive: true }, resolve);
      });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new MpcError('PORT', `the monitor cannot listen on ${host}, port ${port} (${code})`, {
        hint: 'end what listens there, or change `monitor` in the settings',
        cause,
      });
    }
    this.#server.removeAllListeners('error');
    this.#server.on('error', (error) => this.#notice('a client of the monitor could not be accepted', error));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, contentType, body } = await this.#judge(request);
    // One request for each connection, so that none stays open when the server ends.
    response.shouldKeepAlive = false;
    response
      .writeHead(status, {
        'Content-Type': contentType,
        'Content-Length': Buffer.byteLength(body),
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        ...(status === 405 && { Allow: 'GET' }),
      })
      .end(body);
  }

  async #judge({ method, url = '', headers }: IncomingMessage): Promise<HttpAnswer> {
    if (!LOOPBACK_HOST.test(headers.host ?? '')) return text(403, 'ask for localhost');
    const [path = ''] = url.split('?', 1);
    const page = this.#pages.get(path);
    if (page === undefined) return text(404, `there is ${[...this.#pages.keys()].join(' and ')}`);
    if (method !== 'GET') return text(405, 'use GET');
    try {
      return await page();
    } catch (error) {
      this.#notice('a page of the monitor has failed', error);
      return text(500, 'failed; the log says more');
    }
  }
}
