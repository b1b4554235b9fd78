/**
 * Set-up, presigning and signing among 2, 3 and 4 parties over one curve and level: in one process over a network in
 * memory, with as many worker threads as there are cores. Primes are stored ones: finding them is measured apart.
 */
import { availableParallelism } from 'node:os';
import { allOf } from '#src/access/policy.js';
import { curveByName } from '#src/curve/curve.js';
import { sharingState } from '#src/protocol/refresh.js';
import { WorkerPool } from '#src/work/pool.js';
import { MemoryCluster, type TestParty, testParty } from '#test/support/memory-network.js';
import { keygenAt, presignAt, setUpAt, signAt, testMultiplication } from '#test/support/protocols.js';
import { millis, printTable } from './measure.js';

const NAMES = ['alice', 'bob', 'charlie', 'dave'];
const MESSAGE = new TextEncoder().encode('Hello, MPC World!');
const REPEATS = 5;

interface Cost {
  readonly cpu: number;
  readonly wall: number;
}

/** What `act` of all parties at once returns, and what it costs: CPU of all threads together, and time. */
async function measured<T>(parties: readonly TestParty[], act: (party: TestParty) => Promise<T>) {
  const start = performance.now();
  const before = process.cpuUsage();
  const results = await Promise.all(parties.map(act));
  const { user, system } = process.cpuUsage(before);
  return { results, cost: { cpu: (user + system) / 1000, wall: performance.now() - start } };
}

const median = (costs: readonly Cost[]): Cost => {
  const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return { cpu: middle(costs.map(({ cpu }) => cpu)), wall: middle(costs.map(({ wall }) => wall)) };
};

/** Costs of one n-of-n key of P-256 at level 112. */
async function benchParties(count: number, pool: WorkerPool) {
  const curve = curveByName('P-256');
  const names = NAMES.slice(0, count);
  const policy = allOf(names);
  const cluster = new MemoryCluster(names);
  const parties = names.map((name) => testParty(cluster, name, { compute: pool.compute }));
  const multiplicationOf = ({ self }: TestParty) => testMultiplication(curve, names.indexOf(self));

  const keygen = await measured(parties, (party) => keygenAt(party, curve, policy));
  const setUp = await measured(parties, (party) => setUpAt(party, multiplicationOf(party)));
  const states = new Map(
    keygen.results.map((share, k) => [share.self, sharingState(share, setUp.results[k]!)]),
  );

  const presigning: Cost[] = [];
  const signing: Cost[] = [];
  for (let k = 0; k <= REPEATS; k += 1) {
    const presigned = await measured(parties, (party) =>
      presignAt(party, names, states.get(party.self)!, multiplicationOf(party), `presign ${k}`),
    );
    const signed = await measured(parties, (party) => {
      const presignature = presigned.results[names.indexOf(party.self)]!;
      return signAt(party, presignature, states.get(party.self)!.share, MESSAGE, names, `sign ${k}`);
    });
    // The first time warms up the threads, as the set-up does in a process of its own.
    if (k === 0) continue;
    presigning.push(presigned.cost);
    signing.push(signed.cost);
  }
  for (const state of states.values()) state[Symbol.dispose]();
  return { keygen: keygen.cost, 'set-up': setUp.cost, presign: median(presigning), sign: median(signing) };
}

export async function benchProtocols(): Promise<void> {
  const pool = new WorkerPool();
  try {
    const rows: string[][] = [];
    for (const count of [2, 3, 4]) {
      for (const [name, { cpu, wall }] of Object.entries(await benchParties(count, pool))) {
        rows.push([`${name}, ${count}-of-${count}`, millis(cpu / count), millis(wall)]);
      }
    }
    printTable(`Protocols, level 112, all parties in one process on ${availableParallelism()} cores`, [
      ['', 'CPU per party', 'time'],
      ...rows,
    ]);
  } finally {
    await pool.close();
  }
}
