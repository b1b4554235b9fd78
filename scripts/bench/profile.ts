/**
 * Where the CPU time of the Paillier multiplication goes: of its set-up, and of one use by an ordered pair. Its jobs
 * run in this thread as they do on workers. What OpenSSL does for them is timed by functions put in the place of
 * those of node:crypto, so that nothing in the program itself counts or measures. What is measured is a thread that has
 * done the same a few times before.
 */
import crypto, {
  createPublicKey,
  type DiffieHellman,
  type PublicKeyInput,
  type RsaPrivateKey,
  type RsaPublicKey,
} from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { bigintToBytes, bitLength, bytesToBigint, randomBytes } from '#src/core/bytes.js';
import { decodeAs, encodeAs } from '#src/core/codec.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { engineName } from '#src/math/modpow.js';
import { type SecurityBits, type SecurityLevel, securityLevel } from '#src/math/params.js';
import { paillierMultiplication } from '#src/multiplication/paillier.js';
import * as jobs from '#src/multiplication/paillier-jobs.js';
import { inlineCompute } from '#src/work/inline.js';
import { cloneAcross, wipeSecrets } from '#src/work/secrets.js';
import type { ProofContext } from '#src/zk/context.js';
import { testSafePrimes } from '#test/support/primes.js';
import { millis, printTable } from './measure.js';

const REPEATS = { 112: 7, 128: 3 } as const;
/** So many that what a thread makes for a peer's key once it has used it for a while is there. */
const WARM_UPS = 3;
const curve = curveByName('P-256');
const compute = inlineCompute(randomBytes);

/** CPU milliseconds of this process since `before`. */
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** What a step was seen to do: times, and milliseconds altogether. */
interface Tally {
  count: number;
  ms: number;
}

/** What is seen while {@link watch} is on, by a name of its kind. */
let seen = new Map<string, Tally>();

/** Milliseconds that went into finding these names, which are no step's. */
let naming = 0;

function tally(nameOf: () => string, ms: number): void {
  const before = process.cpuUsage();
  const name = nameOf();
  const entry = seen.get(name) ?? { count: 0, ms: 0 };
  seen.set(name, { count: entry.count + 1, ms: entry.ms + ms });
  naming += cpuSince(before);
}

function timed<T>(name: () => string, act: () => T): T {
  const before = process.cpuUsage();
  const result = act();
  const ms = cpuSince(before);
  tally(name, ms);
  return result;
}

const HASHING = 'hashing';

/** Moduli in use, by their value: whose factorisation is known is known by the name. */
const moduli = new Map<bigint, string>();

function nameKey(level: SecurityLevel, p1: bigint, p2: bigint): void {
  const { primeBits, modulusBits } = level;
  const N = p1 * p2;
  for (const p of [p1, p2]) {
    moduli.set(p, `own p, ${primeBits}`);
    moduli.set(p ** 2n, `own p², ${2 * primeBits}`);
  }
  moduli.set(N, `peer's N, ${modulusBits}`);
  moduli.set(N ** 2n, `peer's N², ${2 * modulusBits}`);
}

/** The name of a modulus, with or without the factor that the engine gives it. */
function modulusName(value: bigint): string {
  const name = moduli.get(value) ?? moduli.get(value / 3n ** 323n) ?? `${bitLength(value)} bits`;
  moduli.set(value, name);
  return name;
}

/**
 * Of a peer's modulus, exponents are public in verifications, and where they are a modulus; modulo one's own primes
 * they are reduced by a secret order. The engine's time depends on their length in words.
 */
function powerName(modulus: bigint, exponent: bigint): string {
  const name = modulusName(modulus);
  const isModulus = moduli.get(exponent)?.startsWith('peer') ?? false;
  const isPublic = isModulus || /\bverify\b/.test(new Error().stack ?? '');
  const words = Math.ceil(bitLength(exponent) / 64);
  const range = words <= 2 ? '≤ 128' : `≤ ${512 * Math.ceil(words / 8)}`;
  return [name, range, isPublic && !name.startsWith('own') ? 'public' : 'secret'].join(' / ');
}

/** Puts watched functions in the place of those of node:crypto that powers and hashes go through, until disposed. */
function watch(): Disposable {
  const { createDiffieHellman, publicEncrypt, privateDecrypt, createHash, createCipheriv } = crypto;
  crypto.createDiffieHellman = ((prime: Uint8Array, generator: Uint8Array) => {
    // Read now: the engine wipes what it gave.
    const modulus = bytesToBigint(prime);
    const created = process.cpuUsage();
    const group: DiffieHellman = createDiffieHellman(prime, generator);
    let creation = cpuSince(created);
    let exponent = 0n;
    const setPrivateKey = group.setPrivateKey.bind(group) as (key: Uint8Array) => void;
    group.setPrivateKey = ((key: Uint8Array) => {
      exponent = bytesToBigint(key);
      setPrivateKey(key);
    }) as DiffieHellman['setPrivateKey'];
    const computeSecret = group.computeSecret.bind(group) as (base: Uint8Array) => Buffer;
    group.computeSecret = ((base: Uint8Array) => {
      const before = process.cpuUsage();
      const power = computeSecret(base);
      const ms = cpuSince(before) + creation;
      creation = 0; // of a group that is kept, it is the first power's
      tally(() => powerName(modulus, exponent), ms);
      return power;
    }) as DiffieHellman['computeSecret'];
    const generateKeys = group.generateKeys.bind(group) as () => Buffer;
    group.generateKeys = (() =>
      timed(() => powerName(modulus, exponent), generateKeys)) as DiffieHellman['generateKeys'];
    return group;
  }) as typeof createDiffieHellman;
  crypto.publicEncrypt = ((options: RsaPublicKey, base: Uint8Array) => {
    const { key, format, type } = options as PublicKeyInput;
    // Read now: the engine wipes what it gave.
    const before = process.cpuUsage();
    const { n = '', e = '' } = createPublicKey({ key, format, type }).export({ format: 'jwk' });
    const [modulus, exponent] = [n, e].map((part) => bytesToBigint(Buffer.from(part, 'base64url')));
    naming += cpuSince(before);
    return timed(
      () => powerName(modulus!, exponent!),
      () => publicEncrypt(options, base),
    );
  }) as typeof publicEncrypt;
  crypto.privateDecrypt = ((options: RsaPrivateKey, block: Uint8Array) =>
    timed(
      () => `both own p at once, ${4 * block.length} / ≤ ${4 * block.length} / secret`,
      () => privateDecrypt(options, block),
    )) as typeof privateDecrypt;
  crypto.createHash = ((name: string, options: object) => {
    const hash = createHash(name, options);
    const update = hash.update.bind(hash) as (data: Uint8Array) => typeof hash;
    hash.update = ((data: Uint8Array) =>
      timed(
        () => HASHING,
        () => update(data),
      )) as typeof hash.update;
    return hash;
  }) as typeof createHash;
  crypto.createCipheriv = ((name: 'aes-256-ctr', key: Uint8Array, iv: Uint8Array) => {
    const cipher = createCipheriv(name, key, iv);
    const update = cipher.update.bind(cipher) as (data: Uint8Array) => Buffer;
    cipher.update = ((data: Uint8Array) =>
      timed(
        () => HASHING,
        () => update(data),
      )) as typeof cipher.update;
    return cipher;
  }) as typeof createCipheriv;
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]: () => {
      Object.assign(crypto, {
        createDiffieHellman,
        publicEncrypt,
        privateDecrypt,
        createHash,
        createCipheriv,
      });
      syncBuiltinESMExports();
    },
  };
}

/** One step's CPU per repetition: all of it, what was seen of it, and copying and encoding what goes in and out. */
interface Step {
  readonly name: string;
  readonly total: number;
  readonly seen: ReadonlyMap<string, Tally>;
  readonly copying: number;
}

/** Runs a job `times` over, after warming up. The last output is returned, the earlier ones are wiped. */
async function step<I, O>(
  name: string,
  job: Parameters<typeof compute<I, O>>[0],
  input: I,
  times: number,
): Promise<{ readonly step: Step; readonly output: O }> {
  let output = await compute(job, input);
  for (let k = 1; k < WARM_UPS; k += 1) {
    wipeSecrets(output);
    output = await compute(job, input);
  }
  seen = new Map();
  naming = 0;
  const before = process.cpuUsage();
  for (let k = 0; k < times; k += 1) {
    wipeSecrets(output);
    output = await compute(job, input);
  }
  const total = (cpuSince(before) - naming) / times;
  const perRun = new Map(
    [...seen].map(([kind, { count, ms }]) => [kind, { count: count / times, ms: ms / times }]),
  );
  const copied = process.cpuUsage();
  for (let k = 0; k < times; k += 1) wipeSecrets([cloneAcross(input), cloneAcross(output)]);
  return { step: { name, total, seen: perRun, copying: cpuSince(copied) / times }, output };
}

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
const powersOf = (step: Step): [string, Tally][] => [...step.seen].filter(([kind]) => kind !== HASHING);

function printSteps(
  heading: string,
  steps: readonly Step[],
  extra: readonly (readonly string[])[] = [],
): void {
  const rows = steps.map((step) => {
    const powers = sum(powersOf(step).map(([, { ms }]) => ms));
    const hashing = step.seen.get(HASHING)?.ms ?? 0;
    const rest = Math.max(0, step.total - powers - hashing - step.copying);
    return [step.name, ...[step.total, powers, hashing, step.copying, rest].map(millis)];
  });
  printTable(heading, [
    ['', 'CPU', 'powers', 'hashing', 'copying', 'the rest'],
    ...rows,
    ['all', millis(sum(steps.map(({ total }) => total)))],
    ...extra,
  ]);
  const powers = steps.flatMap((step) =>
    powersOf(step)
      .sort(([, a], [, b]) => b.ms - a.ms)
      .map(([kind, { count, ms }]) => [
        step.name,
        ...kind.split(' / '),
        `${Number(count.toFixed(1))}`,
        millis(ms),
      ]),
  );
  printTable(`${heading}: its powers`, [
    ['', 'modulus, bits', 'exponent bits', 'exponent', 'powers', 'CPU'],
    ...powers,
  ]);
}

/** A party's parameters and secret bytes as the set-up makes them, and what making them cost. */
async function makeParty(index: number, level: SecurityLevel, name: PartyName) {
  const [p1, p2] = testSafePrimes[level.primeBits].slice(2 * index);
  if (p1 === undefined || p2 === undefined) throw new RangeError(`no stored primes for ${name}`);
  nameKey(level, p1, p2);
  const made = await step(
    'make keys, with Π^prm',
    jobs.makeKeys,
    {
      level: level.bits,
      context: contextOf(name, '*'),
      secret: { p1: bigintToBytes(p1), p2: bigintToBytes(p2) },
    },
    REPEATS[level.bits],
  );
  return { name, ...made.output, step: made.step };
}

const sid = randomBytes(32);
const contextOf = (prover: PartyName, verifier: PartyName | '*'): ProofContext => ({
  sid,
  step: 'bench',
  curve: curve.name,
  prover,
  verifier,
});

type Party = Awaited<ReturnType<typeof makeParty>>;

async function profileSetup(level: SecurityLevel, own: Party, peer: Party): Promise<void> {
  const times = REPEATS[level.bits];
  const { bits } = level;
  const [modContext, facContext] = [contextOf(own.name, '*'), contextOf(own.name, peer.name)];
  const mod = await step(
    'prove Π^mod',
    jobs.proveMod,
    { level: bits, context: modContext, secret: own.secret },
    times,
  );
  const prm = await step(
    'a peer: verify Π^prm',
    jobs.verifyPrm,
    { level: bits, context: modContext, parameters: own.parameters, prm: own.prm },
    times,
  );
  const fac = await step(
    'a peer: prove Π^fac',
    jobs.proveFac,
    { level: bits, context: facContext, verifier: peer.parameters, secret: own.secret },
    times,
  );
  const modulus = await step(
    'a peer: verify Π^mod, Π^fac',
    jobs.verifyModulus,
    {
      level: bits,
      modContext,
      facContext,
      parameters: own.parameters,
      mod: mod.output,
      fac: fac.output,
      secret: peer.secret,
    },
    times,
  );
  if (!prm.output || !modulus.output) throw new Error('the proofs of the benchmark do not verify');
  printSteps(`Set-up by paillier at level ${bits}, with one peer`, [
    own.step,
    mod.step,
    prm.step,
    fac.step,
    modulus.step,
  ]);
}

async function profileUse(level: SecurityLevel, receiver: Party, sender: Party): Promise<void> {
  const times = REPEATS[level.bits];
  const pair = (peer: Party) => ({ level: level.bits, q: curve.q, peer: peer.parameters });
  const scalar = () => curve.scalarBytes(curve.randomScalar(randomBytes));
  const chi = scalar();
  const toSender = contextOf(receiver.name, sender.name);
  const toReceiver = contextOf(sender.name, receiver.name);
  const opening = { ...pair(sender), context: toSender, secret: { ...receiver.secret, chi } };
  const opened = await step('receiver: open', jobs.open, opening, times);
  const message1 = opened.output;
  const answer = {
    ...pair(receiver),
    receiverContext: toSender,
    senderContext: toReceiver,
    message1,
    secret: { ...sender.secret, a: [scalar(), scalar()] as const },
  };
  const answered = await step('sender: respond', jobs.respond, answer, times);
  if (answered.output === undefined) throw new Error('the opening of the benchmark is refused');
  const { D, aff } = answered.output;
  const message2 = { D, aff };
  const finished = await step(
    'receiver: finish',
    jobs.finish,
    { ...pair(sender), context: toReceiver, C: message1.C, message2, secret: receiver.secret },
    times,
  );
  if (finished.output === undefined) throw new Error('the answer of the benchmark is refused');

  const multiplication = paillierMultiplication(curve, level, async () => {
    throw new Error('no primes are needed');
  });
  const encoding = cost(times, () => {
    for (const [schema, value] of [
      [multiplication.message1, message1],
      [multiplication.message2, message2],
    ] as const) {
      decodeAs(schema, encodeAs(schema, value), multiplication.maxBytes);
    }
  });
  const [k, point] = [curve.randomScalar(randomBytes), curve.multiplyBase(3n)];
  // Γ^u, Γ^v, the two checks against them, and the points that come in.
  const curveWork = cost(times, () => {
    for (let l = 0; l < 2; l += 1) {
      curve.multiplyBase(k);
      point.multiply(k).subtract(point).equals(curve.multiplyBase(k));
    }
    for (let n = 0; n < 4; n += 1) curve.point(point.toBytes());
  });
  printSteps(
    `A use by an ordered pair at level ${level.bits}, after some others`,
    [opened.step, answered.step, finished.step],
    [
      ['encoding and decoding both messages', millis(encoding)],
      ['curve work of the pair in presigning', millis(curveWork)],
    ],
  );

  // In the program what was made ahead is used once; nobody sees what the benchmark makes of it.
  const openingAhead = await step('ahead: opening', jobs.prepareOpening, opening, times);
  const answerAhead = await step('ahead: answer', jobs.prepareAnswer, pair(receiver), times);
  const online = [
    await step(
      'receiver: open',
      jobs.open,
      { ...opening, secret: { ...opening.secret, prepared: openingAhead.output.secret } },
      times,
    ),
    await step(
      'sender: respond',
      jobs.respond,
      { ...answer, secret: { ...answer.secret, prepared: answerAhead.output.secret } },
      times,
    ),
    finished,
  ].map(({ step }) => step);
  printSteps(
    `A use by an ordered pair at level ${level.bits}, after some others, with work ahead`,
    [openingAhead.step, answerAhead.step, ...online],
    [['after the work ahead', millis(sum(online.map(({ total }) => total)))]],
  );
}

function cost(times: number, act: () => void): number {
  act();
  const before = process.cpuUsage();
  for (let k = 0; k < times; k += 1) act();
  return cpuSince(before) / times;
}

/** Prints the profile of both levels; about a minute. */
export async function benchProfile(): Promise<void> {
  using _watch = watch();
  Error.stackTraceLimit = 50; // so that a power's verification, if any, is among its callers
  engineName(); // the self-test is nobody's power
  for (const bits of [112, 128] as const satisfies readonly SecurityBits[]) {
    const level = securityLevel(bits);
    const [receiver, sender] = [await makeParty(0, level, 'alice'), await makeParty(1, level, 'bob')];
    await profileSetup(level, receiver, sender);
    await profileUse(level, receiver, sender);
  }
}
