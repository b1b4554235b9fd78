/** Parties' transports for tests: real TLS on loopback, everything they hear recorded. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { MpcError, PartyName } from '#src/core/errors.js';
import type { TransportLimits } from '#src/transport/limits.js';
import type { LogFields, TransportLogger } from '#src/transport/log.js';
import { TlsTransport, type TransportParty } from '#src/transport/tls-transport.js';
import { type Credentials, TestAuthority } from '../support/certs.js';

export const HOST = '127.0.0.1';

/** Nodes that a failed test has left open would keep its file running for ever. */
const started = new Set<TestNode>();
after(async () => {
  await closeAll(...started);
});

/** A port that was free a moment ago, below those that systems give to outgoing connections. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    try {
      await once(server.listen(port, HOST), 'listening');
    } catch {
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** An authority and parties with a certificate and an address each. */
export class TestCluster {
  readonly #ports = new Map<PartyName, number>();
  readonly #credentials = new Map<PartyName, Credentials>();

  private constructor(
    readonly names: readonly PartyName[],
    readonly authority: TestAuthority,
  ) {}

  static async create(names: readonly PartyName[], authority?: TestAuthority): Promise<TestCluster> {
    const cluster = new TestCluster(names, authority ?? (await TestAuthority.create()));
    for (const name of names) {
      cluster.#ports.set(name, await freePort());
      cluster.#credentials.set(name, await cluster.authority.issue([name, 'localhost'], { ips: [HOST] }));
    }
    return cluster;
  }

  /** The same parties at addresses of their own, for a test of its own. */
  async moved(): Promise<TestCluster> {
    const cluster = new TestCluster(this.names, this.authority);
    for (const name of this.names) {
      cluster.#ports.set(name, await freePort());
      cluster.#credentials.set(name, this.credentials(name));
    }
    return cluster;
  }

  port(name: PartyName): number {
    return this.#ports.get(name) as number;
  }

  credentials(name: PartyName): Credentials {
    return this.#credentials.get(name) as Credentials;
  }

  parties(): TransportParty[] {
    return this.names.map((name) => ({ name, host: HOST, port: this.port(name) }));
  }
}

export interface NodeOptions {
  readonly limits?: Partial<TransportLimits>;
  readonly credentials?: Credentials;
  readonly ca?: string;
  readonly parties?: readonly TransportParty[];
  /** Ports at which this node dials certain peers: a proxy's. */
  readonly via?: Readonly<Record<PartyName, number>>;
}

export interface LogLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

/** One party's transport, with a handler that records. */
export class TestNode {
  readonly received: { readonly from: PartyName; readonly bytes: Uint8Array }[] = [];
  readonly lost: { readonly peer: PartyName; readonly error: MpcError }[] = [];
  readonly links: { readonly peer: PartyName; readonly up: boolean }[] = [];
  readonly log: LogLine[] = [];
  transport!: TlsTransport;

  static async start(cluster: TestCluster, name: PartyName, options: NodeOptions = {}): Promise<TestNode> {
    const node = new TestNode();
    const parties = (options.parties ?? cluster.parties()).map((party) => ({
      ...party,
      port: options.via?.[party.name] ?? party.port,
    }));
    node.transport = await TlsTransport.start({
      self: name,
      parties,
      ca: options.ca ?? cluster.authority.cert,
      ...(options.credentials ?? cluster.credentials(name)),
      logger: node.#logger(),
      limits: { redialMillis: 10, redialMaxMillis: 200, ...options.limits },
    });
    started.add(node);
    node.transport.watch((peer, up) => {
      node.links.push({ peer, up });
    });
    node.transport.subscribe({
      message: (from, bytes) => {
        node.received.push({ from, bytes });
      },
      lost: (peer, error) => {
        node.lost.push({ peer, error });
      },
    });
    return node;
  }

  /** Resolves when `condition` holds; a test that waits for ever runs into its time limit. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await pause(5);
  }

  ready(): Promise<void> {
    return this.transport.ready(new AbortController().signal);
  }

  send(to: PartyName, text: string): Promise<void> {
    return this.transport.send(to, new Uint8Array(Buffer.from(text)));
  }

  texts(from: PartyName): string[] {
    return this.received
      .filter((message) => message.from === from)
      .map(({ bytes }) => Buffer.from(bytes).toString());
  }

  #logger(): TransportLogger {
    const at = (level: string) => (fields: LogFields, message: string) => {
      this.log.push({ level, ...fields, message });
    };
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }
}

export const closeAll = async (...nodes: readonly TestNode[]): Promise<void> => {
  await Promise.all(nodes.map((node) => node.transport.close()));
};

/** `count` texts that differ. */
export const texts = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `message ${index}`);
