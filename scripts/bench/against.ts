/**
 * `make bench-against REF=1cb39eb`: this version against an earlier one, which is built beside it with the same
 * packages. Both take turns, so that the ratios hold on a noisy machine.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeCluster } from './ceremony.js';
import type { Answer, Question, Step } from './costs.js';
import { millis, printTable } from './measure.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What of this benchmark runs in the earlier version as well. */
const DRIVER = ['costs.ts', 'memory-key.ts'];

const KEYS = 3;
const USES = 12;
const CEREMONIES = 3;
const STARTS = 15;

/** Two of everything: of the earlier version, and of this one. */
type Both<T> = readonly [before: T, now: T];

const git = (...args: string[]): Buffer => execFileSync('git', args, { cwd: ROOT, maxBuffer: 2 ** 30 });

const commitOf = (ref: string): string =>
  git('rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`).toString().trim();

/** A folder with the sources of `commit`, built with the packages of this version. */
function buildOf(commit: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-against-'));
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit) });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const name of DRIVER) cpSync(join(ROOT, 'scripts/bench', name), join(folder, 'scripts/bench', name));
  const compiler = join(ROOT, 'node_modules/.bin/tsc');
  execFileSync(compiler, ['-b', 'test', 'scripts/bench'], { cwd: folder, stdio: 'inherit' });
  return folder;
}

const middle = (samples: readonly number[]): number =>
  [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0;

const HEADING = ['', 'before', 'now', 'ratio', 'single ratios'];

const least = (samples: readonly number[]): number => Math.min(...samples);

/** What both take, and the ratio of this version to the earlier one: of these two, and of each two in a row. */
function row(
  name: string,
  [before, now]: Both<readonly number[]>,
  summary: typeof middle,
): readonly string[] {
  const [slow, fast] = [summary(before), summary(now)];
  const each = before.map((value, k) => (now[k] ?? 0) / value);
  const range = `${Math.min(...each).toFixed(2)} to ${Math.max(...each).toFixed(2)}`;
  return [name, millis(slow), millis(fast), (fast / slow).toFixed(2), range];
}

/** A sample of both; whose turn comes first changes from one `turn` to the next. */
async function inTurns<T>(turn: number, sample: (which: 0 | 1) => Promise<T>): Promise<Both<T>> {
  if (turn % 2 === 0) return [await sample(0), await sample(1)];
  const now = await sample(1);
  return [await sample(0), now];
}

/** Samples of both under several names. */
class Samples<K extends string> {
  readonly #samples = new Map<K, [number[], number[]]>();

  add(name: K, [before, now]: Both<number>): void {
    const samples = this.#samples.get(name) ?? [[], []];
    samples[0].push(before);
    samples[1].push(now);
    this.#samples.set(name, samples);
  }

  rows(prefix = '', summary = middle): (readonly string[])[] {
    return [...this.#samples].map(([name, samples]) => row(`${prefix}${name}`, samples, summary));
  }
}

const MULTIPLICATIONS = ['paillier', 'ot'] as const;

/** A key's life, with so many signatures. */
const lifeOf = (uses: number): readonly Step[] => [
  'keygen',
  'setUp',
  ...Array.from({ length: uses }, () => ['presign', 'sign'] as const).flat(),
  'refresh',
];

/** What warms up the threads. */
const BEGINNING = lifeOf(1).slice(0, -1);

/** Rejects when the child ends instead of answering. */
function ask(child: ChildProcess, question: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error(`a version has ended at ${question.step}`));
    child.once('exit', ended);
    child.once('message', (answer) => {
      child.off('exit', ended);
      resolve(answer as Answer);
    });
    child.send(question);
  });
}

/** CPU of every step of a key of four parties. */
async function compareSteps(roots: Both<string>): Promise<void> {
  const start = (root: string) => fork(join(root, 'dist/bench/costs.js'), { cwd: root });
  const children: Both<ChildProcess> = [start(roots[0]), start(roots[1])];
  const rows: (readonly string[])[] = [];
  try {
    for (const multiplication of MULTIPLICATIONS) {
      const samples = new Samples<Step>();
      const both = (turn: number, step: Step) =>
        inTurns(turn, (which) => ask(children[which], { multiplication, step }));
      for (const step of BEGINNING) await both(0, step);
      for (let key = 0; key < KEYS; key += 1)
        for (const step of lifeOf(USES)) {
          const costs = await both(key, step);
          samples.add(step, [costs[0].cpu, costs[1].cpu]);
        }
      rows.push(...samples.rows(`${multiplication}, `));
    }
  } finally {
    for (const child of children) child.disconnect();
  }
  printTable('CPU per party, four parties in one process, P-256, level 112', [HEADING, ...rows]);
}

/** CPU of a command and of all processes that it starts, and the time that it takes; milliseconds. */
async function costOf(command: readonly string[]): Promise<{ readonly cpu: number; readonly wall: number }> {
  const start = performance.now();
  // The shell tells with `times` what its children have used: once all of them have ended.
  const shell = spawn('sh', ['-c', '"$@" >&2 && times', 'sh', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  shell.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  let talk = '';
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    talk += text;
  });
  const [status] = await once(shell, 'close');
  if (status !== 0) throw new Error(`${command.join(' ')} failed: ${talk}`);
  const children = [...(output.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  const cpu = children.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0);
  return { cpu: 1000 * cpu, wall: performance.now() - start };
}

const programOf = (root: string): string => join(root, 'scripts/ecdsa-mpc.js');

/** The whole ceremony, as processes over TLS, primes included, of which some are found sooner than others. */
async function compareCeremonies(roots: Both<string>): Promise<void> {
  const rows: (readonly string[])[] = [];
  for (const multiplication of MULTIPLICATIONS) {
    const folder = await makeCluster({ multiplication });
    try {
      const samples = new Samples<'CPU of all' | 'time'>();
      const args = ['demo', '--json', '--timeout', '20m', '--config', join(folder, 'cluster.json')];
      for (let turn = 0; turn < CEREMONIES; turn += 1) {
        const costs = await inTurns(turn, (which) =>
          costOf([process.execPath, programOf(roots[which]), ...args]),
        );
        samples.add('CPU of all', [costs[0].cpu, costs[1].cpu]);
        samples.add('time', [costs[0].wall, costs[1].wall]);
      }
      rows.push(...samples.rows(`${multiplication}, `));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  printTable(`Whole ceremony, four processes on ${availableParallelism()} cores`, [HEADING, ...rows]);
}

/** Milliseconds until a party of the cluster in `folder` listens. */
async function timeToListen(root: string, folder: string): Promise<number> {
  const start = performance.now();
  const args = [programOf(root), '--self', 'alice', '--json', '--config', join(folder, 'cluster.json')];
  const party = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(party, 'close');
  for await (const line of createInterface({ input: party.stdout })) {
    if (JSON.parse(line).event !== 'listening') continue;
    const time = performance.now() - start;
    party.kill('SIGKILL');
    await ended;
    return time;
  }
  throw new Error('a party ended before it listened');
}

/** Time and CPU to begin. */
async function compareStarts(roots: Both<string>): Promise<void> {
  const samples = new Samples<string>();
  const folder = await makeCluster();
  try {
    for (let turn = 0; turn < STARTS; turn += 1) {
      const node = await inTurns(turn, () => costOf([process.execPath, '-e', '0']));
      const help = await inTurns(turn, (which) =>
        costOf([process.execPath, programOf(roots[which]), '--help']),
      );
      const listening = await inTurns(turn, (which) => timeToListen(roots[which], folder));
      samples.add('node alone, time', [node[0].wall, node[1].wall]);
      samples.add('--help, time', [help[0].wall, help[1].wall]);
      samples.add('--help, CPU', [help[0].cpu, help[1].cpu]);
      samples.add('a party listens, time', listening);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  // Other work on the machine only ever lengthens it.
  printTable(`Start-up, the least of ${STARTS}`, [HEADING, ...samples.rows('', least)]);
}

const COMPARISONS: Readonly<Record<string, (roots: Both<string>) => Promise<void>>> = {
  steps: compareSteps,
  ceremony: compareCeremonies,
  start: compareStarts,
};

const [ref, ...named] = process.argv.slice(2);
const unknown = named.filter((name) => !(name in COMPARISONS));
if (ref === undefined || ref === '' || unknown.length > 0) {
  console.error(`make bench-against REF=COMMIT, with ARGS of ${Object.keys(COMPARISONS).join(', ')}`);
  process.exitCode = 2;
} else {
  const commit = commitOf(ref);
  const before = buildOf(commit);
  try {
    const changed =
      git('status', '--porcelain', '--', 'src', 'test', 'scripts').length > 0 ? ', with changes' : '';
    console.log(`before: ${commit}\nnow: ${commitOf('HEAD')}${changed}`);
    for (const name of named.length > 0 ? named : Object.keys(COMPARISONS))
      await COMPARISONS[name]?.([before, ROOT]);
  } finally {
    rmSync(before, { recursive: true });
  }
}
