/**
 * What a key costs by the number of its parties and by its policy, with both multiplications: CPU, bytes and messages
 * in sequence. Draws docs/performance-*.svg. Some twenty minutes of CPU.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allOf, type Policy, parsePolicy } from '#src/access/policy.js';
import type { PartyName } from '#src/core/errors.js';
import { otMultiplication } from '#src/multiplication/ot.js';
import type { PrimeSource } from '#src/multiplication/paillier.js';
import { WorkerPool } from '#src/work/pool.js';
import type { MultiplicationName } from '#test/support/protocols.js';
import { multiplicationOf, primesOf } from './key-material.js';
import { LockstepCluster } from './lockstep.js';
import { printTable } from './measure.js';
import { type Cost, CURVE, MemoryKey, NAMES } from './memory-key.js';
import { type Chart, type Panel, svgOf } from './plot.js';

const COUNTS = [2, 3, 4, 6, 8, 12, 16];
const STEPS = ['keygen', 'set-up', 'presign', 'sign', 'refresh'] as const;
/** Up to so many parties everything is measured; among more no refresh, which is a keygen and a set-up once more. */
const FEW = 8;
const MULTIPLICATIONS = ['paillier', 'ot'] as const satisfies readonly MultiplicationName[];

type Step = (typeof STEPS)[number];
type Costs = Readonly<Partial<Record<Step, Cost>>>;

/** By multiplication, then by number of parties in the order of {@link COUNTS}. */
type Growth = Readonly<Record<MultiplicationName, readonly Costs[]>>;

const cheapest = (costs: readonly Cost[]): Cost => costs.reduce((a, b) => (a.cpu < b.cpu ? a : b));

/** Every step once; among few parties those that are over quickly thrice, of which the cheapest counts. */
async function costsOf(key: MemoryKey, isSmall: boolean): Promise<Costs> {
  using _key = key;
  const keygen = await key.keygen();
  const setUp = await key.setUp();
  const [presigning, signing]: [Cost[], Cost[]] = [[], []];
  for (let k = 0; k < (isSmall ? 3 : 1); k += 1) {
    presigning.push(await key.presign());
    signing.push(await key.sign());
  }
  const costs = { keygen, 'set-up': setUp, presign: cheapest(presigning), sign: cheapest(signing) };
  return isSmall ? { ...costs, refresh: await key.refresh() } : costs;
}

async function growth(pool: WorkerPool, primes: readonly PrimeSource[]): Promise<Growth> {
  const { compute } = pool;
  const growthOf = async (name: MultiplicationName): Promise<Costs[]> => {
    const keyOf = (count: number) =>
      new MemoryKey(NAMES.slice(0, count), multiplicationOf(name, primes), { compute });
    await costsOf(keyOf(2), true); // warms up the threads
    const costs: Costs[] = [];
    for (const count of COUNTS) {
      costs.push(await costsOf(keyOf(count), count <= FEW));
      console.error(`measured ${count} parties with ${name}`);
    }
    return costs;
  };
  return { paillier: await growthOf('paillier'), ot: await growthOf('ot') };
}

/** Messages in sequence, the two of the opening of each session included; the same for any number of parties. */
async function sequences(primes: readonly PrimeSource[]): Promise<string[][]> {
  const rows: string[][] = [];
  for (const count of [2, 3])
    for (const name of MULTIPLICATIONS) {
      const names = NAMES.slice(0, count);
      const cluster = new LockstepCluster(names);
      using key = new MemoryKey(names, multiplicationOf(name, primes), { cluster });
      const waves: string[] = [];
      for (const step of [key.keygen, key.setUp, key.presign, key.sign, key.refresh]) {
        const before = cluster.waves;
        await step();
        waves.push(`${cluster.waves - before}`);
      }
      rows.push([`${name}, ${count} parties`, ...waves]);
    }
  return rows;
}

const significant = (value: number): string => `${Number(value.toPrecision(3))}`;

function printGrowth({ paillier, ot }: Growth): void {
  const table = (heading: string, value: (cost: Cost) => number) => {
    for (const [name, costs] of Object.entries({ paillier, ot }))
      printTable(`${heading}, ${name}`, [
        ['parties', ...STEPS],
        ...COUNTS.map((count, i) => [
          `${count}`,
          ...STEPS.map((step) => {
            const cost = costs[i]![step];
            return cost === undefined ? '' : significant(value(cost));
          }),
        ]),
      ]);
  };
  table('CPU per party, ms', ({ cpu }) => cpu);
  table('Sent by each party, and received, kB', ({ bytes }) => bytes / 1000);
}

/** A panel in the larger of two units that its highest value reaches. */
function panelIn(
  title: string,
  units: readonly [small: string, large: string],
  what: string,
  lines: Panel['lines'],
): Panel {
  const isLarge = Math.max(...lines.flatMap(({ points }) => points.map(([, y]) => y))) >= 2000;
  const [unit, factor] = isLarge ? [units[1], 1000] : [units[0], 1];
  return {
    title,
    y: `${what}, ${unit}`,
    lines: lines.map(({ name, points }) => ({ name, points: points.map(([x, y]) => [x, y / factor]) })),
  };
}

const inCpu = (title: string, lines: Panel['lines']) => panelIn(title, ['ms', 's'], 'CPU per party', lines);
const inBytes = (title: string, lines: Panel['lines']) =>
  panelIn(title, ['kB', 'MB'], 'sent and received, each', lines);

/** A line of each multiplication, of keygen only one: it multiplies nothing. */
function linesOf({ paillier, ot }: Growth, step: Step, value: (cost: Cost) => number): Panel['lines'] {
  const points = (costs: readonly Costs[]) =>
    COUNTS.flatMap((count, i): [number, number][] => {
      const cost = costs[i]![step];
      return cost === undefined ? [] : [[count, value(cost)]];
    });
  if (step === 'keygen') return [{ name: '', points: points(ot) }];
  return [
    { name: 'paillier', points: points(paillier) },
    { name: 'ot', points: points(ot) },
  ];
}

/** All parties in one gate, or two by two in a tree of gates. */
const POLICIES: Readonly<Record<string, (names: readonly PartyName[]) => Policy>> = {
  'one AND': allOf,
  'one, 2 of n': (names) => parsePolicy({ threshold: 2, of: names }, names),
  'n − 1 ANDs': (names) => parsePolicy(pairs(names), names),
};

/** A tree of ANDs of two. */
function pairs(names: readonly PartyName[]): unknown {
  if (names.length === 1) return names[0];
  const half = Math.ceil(names.length / 2);
  return { and: [pairs(names.slice(0, half)), pairs(names.slice(half))] };
}

/** Keygen by the leaves of the policy and its gates. */
async function policyGrowth(): Promise<ReadonlyMap<string, readonly Cost[]>> {
  const costs = new Map<string, Cost[]>(Object.keys(POLICIES).map((name) => [name, []]));
  for (const count of COUNTS) {
    const names = NAMES.slice(0, count);
    for (const [name, policyOf] of Object.entries(POLICIES)) {
      const samples: Cost[] = [];
      for (let k = 0; k < (count <= FEW ? 3 : 1); k += 1) {
        const key = new MemoryKey(names, () => otMultiplication(CURVE), { policy: policyOf(names) });
        samples.push(await key.keygen());
      }
      costs.get(name)!.push(cheapest(samples));
    }
  }
  return costs;
}

function printPolicies(costs: ReadonlyMap<string, readonly Cost[]>): void {
  const names = [...costs.keys()];
  printTable('Keygen by the gates of the policy: CPU per party, ms, and sent by each, kB', [
    ['leaves', ...names.flatMap((name) => [name, ''])],
    ...COUNTS.map((count, i) => [
      `${count}`,
      ...names.flatMap((name) => {
        const { cpu, bytes } = costs.get(name)![i]!;
        return [significant(cpu), significant(bytes / 1000)];
      }),
    ]),
  ]);
}

const draw = (name: string, chart: Chart): void =>
  writeFileSync(fileURLToPath(new URL(`../../docs/performance-${name}.svg`, import.meta.url)), svgOf(chart));

function drawGrowth(costs: Growth): void {
  const x = { x: 'parties', marks: [2, 4, 8, 12, 16] };
  const panels = (panelOf: typeof inCpu, value: (cost: Cost) => number) =>
    STEPS.map((step) => panelOf(step, linesOf(costs, step, value)));
  draw('cpu', {
    ...x,
    description: 'CPU per party of each step, by the number of parties',
    panels: panels(inCpu, ({ cpu }) => cpu),
  });
  draw('bytes', {
    ...x,
    description: 'Bytes that each party sends and receives in each step, by the number of parties',
    panels: panels(inBytes, ({ bytes }) => bytes / 1000),
  });
}

function drawPolicies(costs: ReadonlyMap<string, readonly Cost[]>): void {
  const lines = (value: (cost: Cost) => number) =>
    [...costs].map(([name, all]) => ({
      name,
      points: COUNTS.map((count, i): [number, number] => [count, value(all[i]!)]),
    }));
  draw('policy', {
    description: 'Key generation by the leaves of the policy: one gate of all, one of 2 of n, ANDs of two',
    x: 'leaves of the policy',
    marks: [2, 4, 8, 12, 16],
    panels: [
      inCpu(
        'keygen',
        lines(({ cpu }) => cpu),
      ),
      inBytes(
        'keygen',
        lines(({ bytes }) => bytes / 1000),
      ),
    ],
  });
}

export async function benchGrowth(): Promise<void> {
  const pool = new WorkerPool();
  try {
    const primes = await primesOf(Math.max(...COUNTS), pool);
    printTable('Messages in sequence', [['', ...STEPS], ...(await sequences(primes))]);
    const policies = await policyGrowth();
    printPolicies(policies);
    const costs = await growth(pool, primes);
    printGrowth(costs);
    drawPolicies(policies);
    drawGrowth(costs);
    console.log('\ndrawn: docs/performance-cpu.svg, docs/performance-bytes.svg, docs/performance-policy.svg');
  } finally {
    await pool.close();
  }
}
