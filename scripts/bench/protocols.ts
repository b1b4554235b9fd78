/**
 * Set-up, presigning and signing among 2, 3 and 4 parties over one curve and level, by both multiplications: in one
 * process over a network in memory, with as many worker threads as there are cores. Primes are stored ones: finding
 * them is measured apart.
 */
import { availableParallelism } from 'node:os';
import { allOf } from '#src/access/policy.js';
import { randomBytes } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import * as jobs from '#src/multiplication/ot-jobs.js';
import { sharingState } from '#src/protocol/refresh.js';
import { WorkerPool } from '#src/work/pool.js';
import { MemoryCluster, type TestParty, testParty } from '#test/support/memory-network.js';
import {
  keygenAt,
  type MultiplicationName,
  presignAt,
  setUpAt,
  signAt,
  testMultiplication,
} from '#test/support/protocols.js';
import { millis, printTable } from './measure.js';

const NAMES = ['alice', 'bob', 'charlie', 'dave'];
const MESSAGE = new TextEncoder().encode('Hello, MPC World!');
const REPEATS = 5;
/** Set-ups of an ordered pair, and uses of each. */
const PAIR_REPEATS = 5;
const USES = 10;

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
async function benchParties(count: number, name: MultiplicationName, pool: WorkerPool) {
  const curve = curveByName('P-256');
  const names = NAMES.slice(0, count);
  const policy = allOf(names);
  const cluster = new MemoryCluster(names);
  const parties = names.map((name) => testParty(cluster, name, { compute: pool.compute }));
  const multiplicationOf = ({ self }: TestParty) => testMultiplication(curve, names.indexOf(self), name);

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

/** CPU of one ordered pair, by jobs as parties run them: base transfers, and a use. */
async function benchPair(pool: WorkerPool): Promise<void> {
  const rows: string[][] = [];
  for (const curve of (['P-256', 'secp256k1'] as const).map(curveByName)) {
    const cpu = {
      'base transfers': [] as number[],
      open: [] as number[],
      respond: [] as number[],
      finish: [] as number[],
    };
    const timed = async <T>(samples: number[], act: () => Promise<T>): Promise<T> => {
      const before = process.cpuUsage();
      const result = await act();
      const { user, system } = process.cpuUsage(before);
      samples.push((user + system) / 1000);
      return result;
    };
    const { compute } = pool;
    for (let k = 0; k < PAIR_REPEATS; k += 1) {
      const context = { sid: randomBytes(32), step: 'bench', curve: curve.name, receiver: 'r', sender: 's' };
      const { both, chosen } = await timed(cpu['base transfers'], async () => {
        const { points, secret } = await compute(jobs.choose, { context });
        const made = await compute(jobs.transfer, { context, points });
        const { A, secret: both } = made!;
        const received = await compute(jobs.receive, { context, points, A, secret });
        return { both, chosen: { delta: secret.delta, ...received!.secret } };
      });
      for (let use = 0; use < USES; use += 1) {
        const a = [0, 1].map(() => curve.scalarBytes(curve.randomScalar(randomBytes))) as [
          Uint8Array,
          Uint8Array,
        ];
        const opened = await timed(cpu.open, () => compute(jobs.open, { context, secret: both }));
        const { extension } = opened;
        const answer = await timed(cpu.respond, () =>
          compute(jobs.respond, { context, extension, secret: { ...chosen, a } }),
        );
        const { correction } = answer!;
        await timed(cpu.finish, () => compute(jobs.finish, { context, correction, secret: opened.secret }));
      }
    }
    const middle = (samples: number[]) => samples.sort((x, y) => x - y)[Math.floor(samples.length / 2)] ?? 0;
    const costs = Object.values(cpu).map(middle);
    const [, ...use] = costs;
    rows.push([curve.name, ...[...costs, use.reduce((sum, cost) => sum + cost)].map(millis)]);
  }
  printTable('One ordered pair by oblivious transfer, CPU of both sides', [
    ['', 'base transfers', 'open', 'respond', 'finish', 'a use'],
    ...rows,
  ]);
}

export async function benchProtocols(): Promise<void> {
  const pool = new WorkerPool();
  try {
    const rows: string[][] = [];
    for (const count of [2, 3, 4]) {
      const [paillier, ot] = [
        await benchParties(count, 'paillier', pool),
        await benchParties(count, 'ot', pool),
      ];
      for (const step of ['keygen', 'set-up', 'presign', 'sign'] as const) {
        const costs = [paillier[step], ot[step]].flatMap(({ cpu, wall }) => [
          millis(cpu / count),
          millis(wall),
        ]);
        rows.push([`${step}, ${count}-of-${count}`, ...costs]);
      }
    }
    printTable(
      `Protocols, P-256, level 112, all parties in one process on ${availableParallelism()} cores: CPU per party, and time`,
      [['', 'paillier: CPU', 'time', 'ot: CPU', 'time'], ...rows],
    );
    await benchPair(pool);
  } finally {
    await pool.close();
  }
}
