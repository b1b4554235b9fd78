/** Whole ceremonies among processes for tests: parties that are started, watched, and judged by how they end. */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { fromHex } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { DoneEvent, ErrorEvent, PartyEvent, StepName } from '#src/party/events.js';
import { type ClusterFolder, clusterJson, eventsIn } from './cluster-folder.js';
import { type CommandOptions, type Ended, type Running, startCommand } from './command.js';
import { TcpProxy } from './proxy.js';
import type { Chance } from './torture.js';

export interface PartyProcess extends Running {
  readonly self: PartyName;
  /** Settles when the party begins `step`; rejects when it ends before. */
  readonly begins: (step: StepName) => Promise<void>;
}

/** Parties that a failed test has left running would go on for as long as their time-out. */
const started = new Set<PartyProcess>();
after(() => {
  for (const { child } of started) child.kill('SIGKILL');
});

/** Starts a party in `cwd`, with stored primes unless `options` say otherwise. */
export function startParty(
  cwd: string,
  self: PartyName,
  args: readonly string[] = [],
  options: CommandOptions = {},
): PartyProcess {
  const all = [`--self=${self}`, '--json', '--timeout=10m', ...args];
  const running = startCommand(all, { cwd, storedPrimes: true, ...options });
  return {
    ...running,
    self,
    begins: (step) => running.prints(new RegExp(`"event":"step","step":"${step}"`)),
  };
}

const lastEvent = ({ stdout }: Ended): PartyEvent | undefined => eventsIn(stdout).at(-1);

/** The last event of a party that must have ended well. */
export function doneOf(ended: Ended): DoneEvent {
  assert.equal(ended.status, 0, ended.stderr);
  const done = lastEvent(ended);
  assert.equal(done?.event, 'done');
  return done as DoneEvent;
}

/** The last event of a party that must have failed. */
export function errorOf(ended: Ended): ErrorEvent {
  const error = lastEvent(ended);
  assert.equal(error?.event, 'error', ended.stdout);
  return error as ErrorEvent;
}

/** Checks by OpenSSL that a receiver's two signatures belong to the key that all parties ended with. */
export function assertSigned(results: readonly DoneEvent[]): void {
  const receiver = results.find(({ signatures }) => signatures.length > 0);
  assert.ok(receiver);
  for (const { publicKey } of results) assert.equal(publicKey, receiver.publicKey);
  const bytes = fromHex(receiver.publicKey)!;
  const curve = curveByName('P-256');
  const X = curve.point(Uint8Array.of(2 + (bytes.at(-1)! & 1), ...bytes.subarray(1, 33)))!;
  const key = createPublicKey(publicKeyPem(curve, X));
  assert.deepEqual(
    receiver.signatures.map(({ epoch }) => epoch),
    [0, 1],
  );
  for (const { der } of receiver.signatures)
    assert.ok(verify('sha256', Buffer.from(receiver.message), key, fromHex(der)!));
}

/** The argument that has all parties of a ceremony multiply by the one or the other. */
export const eitherMultiplication = (chance: Chance): string =>
  `--multiplication=${chance.pick(['paillier', 'ot'])}`;

/** The lines of a party's log that say `message`. */
export const logged = ({ stderr }: Ended, message: string): Record<string, unknown>[] =>
  stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => msg === message);

/** Files below `cwd` that only a party that was killed while it wrote them can have left. */
export const temporaryFiles = (cwd: string): string[] =>
  readdirSync(cwd, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.tmp'));

/** A proxy in each line between two parties; `configs` are the cluster files with which they dial through them. */
export interface Lines {
  readonly proxies: readonly TcpProxy[];
  /** Those of one party's lines. */
  readonly of: (party: PartyName) => readonly TcpProxy[];
  readonly config: (party: PartyName) => string;
  readonly close: () => Promise<void>;
}

/** Puts proxies between the parties of a cluster: of each pair the later dials the earlier, through theirs. */
export async function proxyLines(
  { cwd, ports }: ClusterFolder,
  parties: readonly PartyName[],
): Promise<Lines> {
  const lines: { readonly ends: readonly PartyName[]; readonly proxy: TcpProxy }[] = [];
  for (const [later, dialler] of parties.entries()) {
    const dialled = [...ports];
    for (const [earlier, target] of parties.slice(0, later).entries()) {
      const proxy = await TcpProxy.start(ports[earlier]!);
      lines.push({ ends: [dialler, target], proxy });
      dialled[earlier] = proxy.port;
    }
    writeFileSync(join(cwd, `${dialler}.json`), clusterJson(parties, dialled));
  }
  const proxies = lines.map(({ proxy }) => proxy);
  return {
    proxies,
    of: (party) => lines.filter(({ ends }) => ends.includes(party)).map(({ proxy }) => proxy),
    config: (party) => `--config=${party}.json`,
    close: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    },
  };
}
