/**
 * Where the CPU time of the multiplication by oblivious transfer goes: of its set-up, and of its use, for one ordered
 * pair. Its jobs run in this thread as they do on workers. They make thousands of short calls, so that none is timed:
 * V8's profiler looks five times in a millisecond at what runs, and a step's CPU time is divided accordingly.
 */
import { type Profiler, Session } from 'node:inspector/promises';
import { randomBytes } from '#src/core/bytes.js';
import { type CurveName, curveByName } from '#src/curve/curve.js';
import * as jobs from '#src/multiplication/ot-jobs.js';
import { inlineCompute } from '#src/work/inline.js';
import { millis, printTable } from './measure.js';

const REPEATS = { 'set-up': 12, use: 150 } as const;
const INTERVAL_MICROSECONDS = 200;
const compute = inlineCompute(randomBytes);

/**
 * What a function is about that has one of these names, or stands in a file whose address has one in it; of those on the
 * stack the innermost counts.
 */
type Kinds = readonly (readonly [kind: string, functions: readonly string[]])[];

const REST = 'the rest';
const COMMON: Kinds = [
  ['hashing', ['internal/crypto/hash', 'core/transcript.js', 'expandMessage']],
  ['copying', ['work/secrets.js', 'structuredClone']],
  ['garbage', ['(garbage collector)']],
];
const SETUP: Kinds = [
  [
    'secret multiples',
    [
      ...['multiplyAll', 'multiplyBaseAll', 'multiplyPairs', 'dhComputeSecret', 'setPrivateKey'],
      ...['curve/p256-multiple.js', 'curve/secp256k1-multiple.js'],
    ],
  ],
  ['decoding points', ['point', 'curve/decoder.js', 'setPublicKey', 'convertKey']],
  ['other curve work', ['addAll', 'curve/affine.js', 'curve/hash-to-curve.js']],
  ...COMMON,
];
const USE: Kinds = [
  ['AES', ['internal/crypto/cipher']],
  ['columns, rows', ['multiplication/ot-extension.js', 'math/gf128.js']],
  ['scalars', ['multiplication/ot-products.js']],
  ...COMMON,
];

/** Milliseconds of CPU of one run, by kind, REST among them. */
type Shares = ReadonlyMap<string, number>;

/** The steps of what is done `times` over. */
class Steps {
  readonly #session = new Session();
  readonly #shares = new Map<string, Shares>();

  constructor(
    readonly kinds: Kinds,
    readonly times: number,
  ) {
    this.#session.connect();
  }

  /** What `act` resolves to the last time: it is warmed up, then measured, then profiled, which takes longer. */
  async add<T>(name: string, act: () => Promise<T>): Promise<T> {
    const repeat = async () => {
      for (let k = 0; k < this.times; k += 1) await act();
    };
    await repeat();
    const before = process.cpuUsage();
    await repeat();
    const { user, system } = process.cpuUsage(before);
    const cpu = (user + system) / 1000 / this.times;
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS });
    await this.#session.post('Profiler.start');
    await repeat();
    const { profile } = await this.#session.post('Profiler.stop');
    const counts = this.#countsOf(profile);
    const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
    this.#shares.set(name, new Map([...counts].map(([kind, count]) => [kind, (cpu * count) / all])));
    return await act();
  }

  print(heading: string): void {
    const kinds = [...this.kinds.map(([kind]) => kind), REST];
    const total = (step: Shares): number => [...step.values()].reduce((sum, ms) => sum + ms, 0);
    const row = (name: string, step: Shares) => [
      name,
      millis(total(step)),
      ...kinds.map((kind) => millis(step.get(kind) ?? 0)),
    ];
    const all = new Map<string, number>();
    for (const step of this.#shares.values())
      for (const [kind, ms] of step) all.set(kind, (all.get(kind) ?? 0) + ms);
    printTable(heading, [
      ['', 'CPU', ...kinds],
      ...[...this.#shares].map(([name, step]) => row(name, step)),
      row('all', all),
    ]);
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }

  /** How many samples are of which kind. */
  #countsOf({ nodes, samples = [] }: Profiler.Profile): Map<string, number> {
    const kindOf = new Map<number, string>();
    const visit = (node: Profiler.ProfileNode, outer: string): void => {
      const { functionName, url } = node.callFrame;
      const found = this.kinds.find(([, names]) => names.some((n) => functionName === n || url.includes(n)));
      const kind = found?.[0] ?? outer;
      kindOf.set(node.id, kind);
      for (const child of node.children ?? []) visit(byId.get(child)!, kind);
    };
    const byId = new Map(nodes.map((node) => [node.id, node]));
    visit(nodes[0]!, REST);
    const counts = new Map<string, number>();
    for (const id of samples) {
      const kind = kindOf.get(id) ?? REST;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return counts;
  }
}

async function profileCurve(name: CurveName): Promise<void> {
  const curve = curveByName(name);
  const context = { sid: randomBytes(32), step: 'bench', curve: name, receiver: 'r', sender: 's' };

  using setUp = new Steps(SETUP, REPEATS['set-up']);
  const { points, secret } = await setUp.add('sender: choose', () => compute(jobs.choose, { context }));
  const made = await setUp.add('receiver: transfer', () => compute(jobs.transfer, { context, points }));
  const { A, secret: both } = made!;
  const received = await setUp.add('sender: receive', () =>
    compute(jobs.receive, { context, points, A, secret }),
  );
  setUp.print(`Set-up by ot on ${name}, for an ordered pair`);

  using use = new Steps(USE, REPEATS.use);
  const scalar = () => curve.scalarBytes(curve.randomScalar(randomBytes));
  const chosen = { delta: secret.delta, ...received!.secret, a: [scalar(), scalar()] as const };
  const opened = await use.add('receiver: open', () => compute(jobs.open, { context, secret: both }));
  const { extension } = opened;
  const answer = await use.add('sender: respond', () =>
    compute(jobs.respond, { context, extension, secret: chosen }),
  );
  const { correction } = answer!;
  await use.add('receiver: finish', () =>
    compute(jobs.finish, { context, correction, secret: opened.secret }),
  );
  use.print(`A use by ot on ${name}, by an ordered pair`);
}

/** Prints the profile on both curves; about half a minute. */
export async function benchProfileOt(): Promise<void> {
  for (const name of ['P-256', 'secp256k1'] as const) await profileCurve(name);
}
