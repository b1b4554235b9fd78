// Four daemons over TLS are asked for fifty signatures by several callers at once, while they are killed and started
// again at random moments and the shares renewed: every request ends signed or refused, none twice, none in silence,
// and the audit logs agree.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditRecord } from '#src/audit/record.js';
import type { DaemonEvent } from '#src/control/client.js';
import { asMpcError, type ErrorCode, type MpcError, type PartyName } from '#src/core/errors.js';
import { proxyLines } from '../support/ceremonies.js';
import { clusterFolders } from '../support/cluster-folder.js';
import { assertSigned, DaemonProcesses, resultOf, until } from '../support/daemon-processes.js';
import type { TcpProxy } from '../support/proxy.js';
import { Chance, count, either, TORTURE } from '../support/torture.js';

const PARTIES = ['alice', 'bob', 'charlie', 'dave'];
const makeFolder = clusterFolders();

const SIGNATURES = either(50, 150);
/** Callers at each party, each of which asks again as soon as it has been answered. */
const CALLERS = 2;
/** Who makes presignatures ahead: they are made anew after every kill, and that is much of the work. */
const WITH_STOCKS = ['alice'];
/** So many requests, from and below, are made between two kills, two refreshes, two cuts of a line. */
const BETWEEN = { kills: [5, 11], refreshes: [25, 40], cuts: [1, 4] } as const;

/**
 * What a request that did not end well may end with, while daemons are killed: somebody was not there any more, or went
 * on to use the key alone, because it had not learnt yet that somebody was not there.
 */
const FAIR_ENDS: readonly ErrorCode[] = ['UNREACHABLE', 'PEER_LEFT', 'PEER_ABORTED', 'DISAGREEMENT'];

interface Asked {
  readonly self: PartyName;
  /** Of a signature. */
  readonly message?: string;
  /** Once the daemon has said it. */
  id?: string;
  signature?: string;
  error?: MpcError;
}

/** Requests, and what befalls the daemons meanwhile. */
class Storm {
  readonly #daemons: DaemonProcesses;
  readonly #chance: Chance;
  readonly #quorum: number;
  readonly #proxies: readonly TcpProxy[];
  readonly #configs: (self: PartyName) => readonly string[];
  readonly asked: Asked[] = [];
  /** Who is being killed or started just now. */
  readonly #down = new Set<PartyName>();
  kills = 0;
  cuts = 0;

  constructor(
    daemons: DaemonProcesses,
    chance: Chance,
    {
      quorum,
      proxies,
      configs,
    }: {
      readonly quorum: number;
      readonly proxies: readonly TcpProxy[];
      readonly configs: (self: PartyName) => readonly string[];
    },
  ) {
    this.#daemons = daemons;
    this.#chance = chance;
    this.#quorum = quorum;
    this.#proxies = proxies;
    this.#configs = configs;
  }

  /** Until all signatures have been asked for and every caller has been answered. */
  async rage(): Promise<void> {
    const callers = PARTIES.flatMap((self) => Array.from({ length: CALLERS }, () => this.#call(self)));
    await Promise.all([
      ...callers,
      this.#nowAndThen(BETWEEN.kills, () => this.#kill()),
      this.#nowAndThen(BETWEEN.refreshes, () => this.#ask(this.#chance.pick(PARTIES), { do: 'refresh' })),
      ...(this.#proxies.length > 0 ? [this.#nowAndThen(BETWEEN.cuts, () => this.#cut())] : []),
    ]);
  }

  get #signaturesAsked(): number {
    return this.asked.filter(({ message }) => message !== undefined).length;
  }

  get #isOver(): boolean {
    return this.#signaturesAsked >= SIGNATURES;
  }

  /** Does `act` whenever some more signatures have been asked for, until they all have. */
  async #nowAndThen([from, below]: readonly [number, number], act: () => Promise<void>): Promise<void> {
    for (let next = 0; ; ) {
      next = this.#signaturesAsked + this.#chance.between(from, below);
      if (next >= SIGNATURES) return;
      await until(() => this.#signaturesAsked >= next);
      await act();
    }
  }

  async #call(self: PartyName): Promise<void> {
    while (!this.#isOver) {
      const message = `message ${this.asked.length + 1}`;
      const quorum = this.#chance.between(0, 2) === 0 ? { quorum: this.#anyQuorum(self) } : {};
      await this.#ask(
        self,
        { do: 'sign', message: Buffer.from(message).toString('base64'), ...quorum },
        message,
      );
    }
  }

  #anyQuorum(self: PartyName): PartyName[] {
    const others = this.#chance.shuffle(PARTIES.filter((name) => name !== self));
    return [self, ...others.slice(0, this.#quorum - 1)];
  }

  async #ask(
    self: PartyName,
    order: Parameters<DaemonProcesses['order']>[1],
    message?: string,
  ): Promise<void> {
    await until(() => !this.#down.has(self));
    const asked: Asked = { self, ...(message !== undefined && { message }) };
    this.asked.push(asked);
    try {
      const events = await this.#daemons.order(self, order, (event: DaemonEvent) => {
        if (event.event === 'request') asked.id = event.id as string;
      });
      const result = resultOf(events);
      if (message === undefined) return;
      assertSigned(result, message);
      asked.signature = result.signature!;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      asked.error = asMpcError(error);
    }
  }

  async #kill(): Promise<void> {
    const victims = this.#chance.shuffle(PARTIES).slice(0, this.#chance.pick([1, 1, 1, 2]));
    await Promise.all(
      victims.map(async (self) => {
        const [before, after] = [this.#chance.between(0, 800), this.#chance.between(0, 1_500)];
        await sleep(before);
        this.#down.add(self);
        await this.#daemons.kill(self);
        this.kills += 1;
        await sleep(after);
        await this.#daemons.start(self, ...this.#configs(self));
        await this.#daemons.linked(self);
        this.#down.delete(self);
      }),
    );
  }

  async #cut(): Promise<void> {
    const proxy = this.#chance.pick(this.#proxies);
    proxy.cutAfter = this.#chance.between(0, 50_000);
    this.cuts += 1;
  }
}

const requested = (records: readonly AuditRecord[]): string[] =>
  records.flatMap((record) => (record.event === 'requested' ? [record.id] : []));

const about = (records: readonly AuditRecord[], id: string): AuditRecord[] =>
  records.filter((record) => 'id' in record && record.id === id);

const isEnd = (record: AuditRecord): boolean =>
  ['signed', 'refreshed', 'generated', 'failed'].includes(record.event) ||
  (record.event === 'decided' && record.decision === 'rejected');

/** Checks that all that was asked for is accounted for in the logs, and alike. */
function assertAccounted(
  asked: readonly Asked[],
  logs: ReadonlyMap<PartyName, readonly AuditRecord[]>,
): void {
  const signatures = new Map<string, string>();
  for (const [self, records] of logs) {
    for (const id of new Set(requested(records))) {
      const life = about(records, id);
      assert.ok(isEnd(life.at(-1)!), `${self}: ${id} has no end`);
      assert.ok(life.filter(({ event }) => event === 'signing').length <= 1, `${self}: ${id} began twice`);
      for (const record of life) {
        if (record.event !== 'signed' || record.signature === undefined) continue;
        assert.equal(signatures.get(id) ?? record.signature, record.signature, `${id} has two signatures`);
        signatures.set(id, record.signature);
      }
    }
  }
  for (const { self, id, signature, error, message } of asked) {
    // Without an id its daemon was gone before it has recorded anything, or has refused to ask for it.
    if (id === undefined) assert.ok(error, `${message} has neither an id nor an error`);
    else {
      const end = about(logs.get(self)!, id).at(-1);
      assert.ok(end && isEnd(end), `${self} has forgotten ${id}`);
      if (signature !== undefined) assert.equal(signatures.get(id), signature);
    }
    if (error) assert.ok(FAIR_ENDS.includes(error.code), `${self}: ${error.code}: ${error.message}`);
  }
}

interface Kind {
  /** How many of the four sign. */
  readonly quorum: number;
  readonly multiplication: 'ot' | 'paillier';
  readonly isCut?: boolean;
}

const KINDS: readonly Kind[] = [
  { quorum: 3, multiplication: 'ot' },
  { quorum: 4, multiplication: 'ot' },
];
const MORE: readonly Kind[] = [
  { quorum: 3, multiplication: 'paillier' },
  { quorum: 3, multiplication: 'ot', isCut: true },
];

const textOf = ({ quorum, multiplication, isCut }: Kind): string =>
  `${quorum} of four sign, ${multiplication}${isCut ? ', over lines that are cut' : ''}`;

/** One of {@link KINDS}, at random, unless it is given. */
async function endure(t: TestContext, given?: Kind): Promise<void> {
  const chance = new Chance(t);
  const kind = given ?? chance.pick(KINDS);
  const { quorum, multiplication, isCut = false } = kind;
  t.diagnostic(textOf(kind));
  const cluster = await makeFolder(`${quorum}-${multiplication}${isCut ? '-cut' : ''}`, PARTIES, {
    ...{ multiplication, policy: { threshold: quorum, of: PARTIES } },
  });
  const daemons = await DaemonProcesses.prepare(cluster.cwd, PARTIES, (self) => ({
    ...{ approval: 'auto', presignatures: either(WITH_STOCKS, PARTIES).includes(self) ? 2 : 0 },
    requestTimeout: '5m',
  }));
  await daemons.startAll();
  const { publicKey } = resultOf(await daemons.order('alice', { do: 'keygen' }));
  await daemons.atRest();

  const lines = isCut ? await proxyLines(cluster, PARTIES) : undefined;
  const configs = (self: PartyName) =>
    lines ? [lines.config(self), `--multiplication=${multiplication}`] : [];
  if (lines) {
    await daemons.stopAll();
    await daemons.startAll(configs);
  }
  const storm = new Storm(daemons, chance, { quorum, proxies: lines?.proxies ?? [], configs });
  await storm.rage();

  await daemons.atRest();
  for (const { status, stderr } of await daemons.stopAll()) assert.equal(status, 0, stderr);
  await daemons.startAll(configs);
  for (const self of PARTIES) {
    const order = { do: 'sign', message: Buffer.from(self).toString('base64') } as const;
    const result = resultOf(await daemons.order(self, order));
    assert.equal(result.publicKey, publicKey);
    assertSigned(result, self);
  }
  await daemons.atRest();
  await daemons.stopAll();
  await lines?.close();

  const { faults } = await daemons.verifyLogs();
  assert.deepEqual(faults, []);
  assertAccounted(storm.asked, new Map(PARTIES.map((self) => [self, daemons.records(self)])));
  const { asked, kills, cuts } = storm;
  const signed = asked.filter(({ signature }) => signature !== undefined).length;
  count(t, 'daemons killed', kills);
  count(t, 'signatures of daemons', signed);
  for (const code of FAIR_ENDS) {
    const ended = asked.filter(({ error }) => error?.code === code);
    count(t, `requests of daemons that ended with ${code}`, ended.length);
  }
  if (isCut) count(t, 'lines between daemons cut', cuts);
}

describe('fifty signatures of daemons that are killed and started again are all accounted for', () => {
  if (TORTURE) for (const kind of [...KINDS, ...MORE]) test(textOf(kind), (t) => endure(t, kind));
  else test('at random', (t) => endure(t));
});
