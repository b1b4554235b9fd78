// The multiplication by oblivious transfer as the protocol uses it: its set-up, its messages on the wire, and what a
// failed check does to the set-up. Its arithmetic is tested in ot-transfers.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { parsePolicy } from '#src/access/policy.js';
import { bigintToBytes, concatBytes, equalBytes, randomBytes, Secret } from '#src/core/bytes.js';
import { bytesField, decodeAs, encodeAs, UndecodableError } from '#src/core/codec.js';
import { MpcError } from '#src/core/errors.js';
import { type Curve, curveByName } from '#src/curve/curve.js';
import type { MultiplicationSetup, Opened, ScalarPair, Use } from '#src/multiplication/multiplication.js';
import { type OtSetup, otMultiplication } from '#src/multiplication/ot.js';
import type { OtContext } from '#src/multiplication/ot-context.js';
import type { Extension } from '#src/multiplication/ot-extension.js';
import type { Correction } from '#src/multiplication/ot-products.js';
import { presign, presignRounds } from '#src/protocol/presign.js';
import { sharingState } from '#src/protocol/refresh.js';
import type { PairwiseSetup } from '#src/protocol/setup.js';
import { decodeFrame, encodeFrame } from '#src/rounds/frames.js';
import type { Compute, Run } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { WorkerPool } from '#src/work/pool.js';
import {
  errorAt,
  type Intercept,
  MemoryCluster,
  outcomeOf,
  runParties,
  type TestParty,
  testParty,
  valuesOf,
} from '../support/memory-network.js';
import { bit, naiveOpen, naiveRespond, otSetups } from '../support/ot.js';
import { keygenAt, setUpAt } from '../support/protocols.js';

const curve = curveByName('P-256');
const compute = inlineCompute(randomBytes);
const scalar = (of: Curve = curve) => of.randomScalar(randomBytes);
const INPUTS: ScalarPair = [scalar(), scalar()];

interface UseOptions {
  readonly sid?: Uint8Array;
  readonly compute?: Compute;
  readonly signal?: AbortSignal;
}

/** A use by `self` with `peer`; of a run it needs no more than this. */
function use(self: string, peer: string, options: UseOptions = {}): Use {
  const run = { self, random: randomBytes, compute, signal: new AbortController().signal, ...options };
  return { run: run as unknown as Run, step: 'presign', sid: options.sid ?? new Uint8Array(32), peer };
}

const contextOf = (receiver: string, sender: string, sid: Uint8Array = new Uint8Array(32)): OtContext => ({
  sid,
  step: 'presign',
  curve: 'P-256',
  receiver,
  sender,
});

/** Fresh set-ups of alice, bob and charlie; `using` wipes them. */
function fresh() {
  const { keys, setups } = otSetups(curve, ['alice', 'bob', 'charlie']);
  const at = (name: string): OtSetup => setups.get(name)!;
  const dispose = () => {
    for (const setup of setups.values()) setup[Symbol.dispose]();
  };
  return {
    alice: at('alice'),
    bob: at('bob'),
    /** Keys of the pair whose receiver is alice and whose sender is bob. */
    pair: keys.get('alice bob')!,
    [Symbol.dispose]: dispose,
  };
}

async function multiply(of: Curve, receiver: MultiplicationSetup, sender: MultiplicationSetup) {
  const inputs: ScalarPair = [scalar(of), scalar(of)];
  const opened = await receiver.open(use('alice', 'bob'));
  const answer = await sender.respond(use('bob', 'alice'), opened.message1, inputs);
  const c = answer!.c.take();
  const d = (await receiver.finish(use('alice', 'bob'), opened, answer!.message2))();
  for (const l of [0, 1] as const) assert.equal(of.mod(c[l] + d![l]), of.mod(inputs[l] * opened.chi));
}

/** A first message of alice to bob that is refused if and only if Δ has bit i. */
const testing = (i: number, pair: ReturnType<typeof fresh>['pair'], sid?: Uint8Array): Extension =>
  naiveOpen(contextOf('alice', 'bob', sid), pair.both, (column) => (column === i ? 1n : 0n)).message1;

const withBit = (delta: Uint8Array, value: number): number[] =>
  [...new Array(128).keys()].filter((i) => bit(delta, i) === value);

const NAMES = z.array(z.string());
/** A second message whose scalars are not looked at. */
const UNCHECKED = z.strictObject({ a: bytesField(32 * 1248), eta: bytesField(32), mu: bytesField(32) });

const VOID = {
  code: 'PROTOCOL',
  culprits: ['alice'],
  message: /^alice broke the protocol: .* makes the set-up void$/,
};

for (const name of ['P-256', 'secp256k1'] as const) {
  test(`${name}: set-up among three parties, in threads, then products in both directions, also when restored`, async () => {
    const of = curveByName(name);
    const multiplication = otMultiplication(of);
    const before = Secret.live;
    const pool = new WorkerPool(2);
    try {
      const names = name === 'P-256' ? ['alice', 'bob', 'charlie'] : ['alice', 'bob'];
      const setups = valuesOf(
        await runParties(names, (party) => setUpAt(party, multiplication), { compute: pool.compute }),
      );
      const [alice, bob] = setups.map((setup) => setup.multiplication);
      await multiply(of, alice!, bob!);
      const saved = alice!.save();
      const restored = multiplication.restore(saved);
      using again = restored.save();
      assert.ok(equalBytes(saved.bytes, again.bytes));
      saved.dispose();
      await multiply(of, restored, bob!);
      const opened = await bob!.open(use('bob', 'alice'));
      const answer = await restored.respond(use('alice', 'bob'), opened.message1, INPUTS);
      answer!.c.take();
      assert.ok((await bob!.finish(use('bob', 'alice'), opened, answer!.message2))());
      for (const setup of setups) setup[Symbol.dispose]();
      restored[Symbol.dispose]();
    } finally {
      await pool.close();
    }
    assert.equal(Secret.live, before);
  });
}

test('what is no saved set-up is not restored', () => {
  using setups = fresh();
  using saved = setups.alice.save();
  const { bytes } = saved;
  const multiplication = otMultiplication(curve);
  const before = Secret.live;
  const one = bytes.length - 1;
  for (const damaged of [
    bytes.slice(0, one),
    Uint8Array.of(...bytes, 0),
    bytes.slice(1),
    bytes.slice(6160),
    new Uint8Array(0),
    new Uint8Array(6160),
    concatBytes(bytes.subarray(0, 6160), bytes),
    concatBytes(bytes.subarray(0, 12320), encodeAs(NAMES, ['bob', 'bob'])),
  ]) {
    using secret = Secret.own(damaged);
    assert.throws(() => multiplication.restore(secret), { code: 'FILE' });
  }
  assert.equal(Secret.live, before);
});

test('both messages survive the wire and fit its bound; wrong lengths and scalars from q on do not pass', async () => {
  using setups = fresh();
  const { message1, message2, maxBytes } = otMultiplication(curve);
  const opened = await setups.alice.open(use('alice', 'bob'));
  const answer = await setups.bob.respond(use('bob', 'alice'), opened.message1, INPUTS);
  for (const [schema, message] of [
    [message1, opened.message1],
    [message2, answer!.message2],
  ] as const) {
    const bytes = encodeAs(schema, message);
    assert.ok(bytes.length <= maxBytes);
    assert.deepEqual(decodeAs(schema, bytes, maxBytes), message);
    for (const [field, value] of Object.entries(message as Record<string, unknown>)) {
      if (!(value instanceof Uint8Array)) continue;
      for (const wrong of [value.subarray(1), Uint8Array.of(...value, 0)])
        assert.throws(() => encodeAs(schema, { ...(message as object), [field]: wrong }));
    }
  }
  const correction = answer!.message2 as Correction;
  const withScalar = (at: number | 'eta', value: bigint) => {
    const a = Uint8Array.from(correction.a);
    const eta = curve.scalarBytes(correction.eta);
    if (at === 'eta') eta.set(bigintToBytes(value, 32));
    else a.set(bigintToBytes(value, 32), 32 * at);
    return encodeAs(UNCHECKED, { ...correction, a, eta });
  };
  for (const at of [0, 1, 1247, 'eta'] as const) {
    decodeAs(message2, withScalar(at, curve.q - 1n), maxBytes);
    for (const value of [curve.q, curve.q + 1n, 2n ** 256n - 1n])
      assert.throws(() => decodeAs(message2, withScalar(at, value), maxBytes), UndecodableError);
  }
});

test('set-up names the sender of points that are none', async () => {
  for (const round of ['choose', 'transfer']) {
    const parties = ['alice', 'mallory'];
    let hits = 0;
    const intercept: Intercept = (from, _to, bytes) => {
      const frame = decodeFrame(bytes);
      if (from !== 'mallory' || frame.kind !== 'round' || frame.round !== round) return undefined;
      hits += 1;
      // The first byte of the fifth point from the end.
      return [encodeFrame({ ...frame, direct: frame.direct!.with(-33 * 5, 4) })];
    };
    const outcomes = await runParties(parties, (party) => setUpAt(party, otMultiplication(curve)), {
      intercept,
    });
    const { code, culprits, message } = errorAt(outcomes, 'alice');
    assert.deepEqual([code, culprits], ['PROTOCOL', ['mallory']]);
    assert.match(message, /base transfer/);
    assert.equal(hits, 1);
  }
});

test('a first message that fails its check voids the set-up: erased where it is stored, then ended everywhere', async () => {
  using setups = fresh();
  const { alice, bob, pair } = setups;
  const before = Secret.live;
  const waiting = await bob.open(use('bob', 'charlie'));
  const order: string[] = [];
  bob.beforeVoid = () => order.push(`stored ${bob.voided.aborted}`);
  bob.voided.addEventListener('abort', () => order.push('ended'));
  const [i] = withBit(pair.delta, 1);
  const refused = bob.respond(use('bob', 'alice'), testing(i!, pair), INPUTS);
  assert.equal(await refused.finally(() => order.push('told')), undefined);
  assert.deepEqual(order, ['stored false', 'ended', 'told']);
  const { code, culprits, message } = bob.voided.reason as MpcError;
  assert.deepEqual([code, culprits], [VOID.code, VOID.culprits]);
  assert.match(message, VOID.message);

  const opened = await alice.open(use('alice', 'bob'));
  await assert.rejects(bob.respond(use('bob', 'alice'), opened.message1, INPUTS), VOID);
  await assert.rejects(bob.open(use('bob', 'charlie')), VOID);
  await assert.rejects(bob.finish(use('bob', 'charlie'), waiting, {}), VOID);
  assert.throws(() => bob.save(), VOID);
  // The two of bob's are gone, one of alice's has come.
  assert.equal(Secret.live, before - 2 + 1);
});

test('a second message that fails its check voids the set-up', async () => {
  using setups = fresh();
  const { alice, bob } = setups;
  let stored = 0;
  bob.beforeVoid = () => {
    stored += 1;
  };
  const opened = await bob.open(use('bob', 'alice'));
  const answer = await alice.respond(use('alice', 'bob'), opened.message1, INPUTS);
  const eta = curve.mod((answer!.message2 as Correction).eta + 1n);
  const changed = { ...(answer!.message2 as Correction), eta };
  const verdict = await bob.finish(use('bob', 'alice'), opened, changed);
  assert.ok(!bob.voided.aborted, 'the verdict is drawn when it is asked for');
  assert.equal(verdict(), undefined);
  assert.equal(stored, 1);
  await assert.rejects(bob.open(use('bob', 'charlie')), VOID);
});

test('a set-up that cannot be erased where it is stored is void all the same, and its owner is told so', async () => {
  using setups = fresh();
  const { bob, pair } = setups;
  bob.beforeVoid = () => {
    throw new MpcError('FILE', 'the disk is gone');
  };
  const [i] = withBit(pair.delta, 1);
  assert.equal(await bob.respond(use('bob', 'alice'), testing(i!, pair), INPUTS), undefined);
  await assert.rejects(bob.open(use('bob', 'charlie')), {
    ...VOID,
    hint: /erasing it failed: the disk is gone$/,
  });
});

test('of many uses in flight that each test a bit of Δ, none is answered after the first failed check', async () => {
  for (const order of ['as they come', 'the other way round']) {
    using setups = fresh();
    const { bob, pair } = setups;
    const live = Secret.live;
    // Results of jobs come when they are let go of, not when they are made.
    const pending: (() => void)[] = [];
    const held: Compute = async (job, input) => {
      const output = await compute(job, input);
      await new Promise<void>((resolve) => pending.push(resolve));
      return output;
    };
    const [ones, zeros] = [withBit(pair.delta, 1), withBit(pair.delta, 0)];
    const bits = [zeros[0]!, zeros[1]!, ones[0]!, zeros[2]!, ones[1]!, zeros[3]!];
    const answers = bits.map((i) => {
      const sid = randomBytes(32);
      return outcomeOf(
        bob.respond(use('bob', 'alice', { sid, compute: held }), testing(i, pair, sid), INPUTS),
      );
    });
    while (pending.length < bits.length) await new Promise(setImmediate);
    if (order !== 'as they come') pending.reverse();
    for (const letGo of pending) letGo();
    const seen = (await Promise.all(answers)).map((outcome) =>
      'error' in outcome
        ? outcome.error.culprits.join()
        : outcome.value === undefined
          ? 'refused'
          : 'answered',
    );
    const expected =
      order === 'as they come'
        ? ['answered', 'answered', 'refused', 'alice', 'alice', 'alice']
        : ['alice', 'alice', 'alice', 'alice', 'refused', 'answered'];
    assert.deepEqual(seen, expected);
    // Of bob's set-up nothing is left, and of the uses two scalars for each answer.
    assert.equal(Secret.live, live - 2 + 2 * seen.filter((end) => end === 'answered').length);
  }
});

test('nothing is opened for a set-up that was voided meanwhile', async () => {
  using setups = fresh();
  const { bob, pair } = setups;
  const before = Secret.live;
  let letGo = () => {};
  const held: Compute = async (job, input) => {
    const output = await compute(job, input);
    await new Promise<void>((resolve) => {
      letGo = resolve;
    });
    return output;
  };
  const opened = bob.open(use('bob', 'charlie', { compute: held }));
  const [i] = withBit(pair.delta, 1);
  assert.equal(await bob.respond(use('bob', 'alice'), testing(i!, pair), INPUTS), undefined);
  letGo();
  await assert.rejects(opened, VOID);
  assert.equal(Secret.live, before - 2);
});

test('a first message of another session, step or pair is refused, and voids', async () => {
  const cases: ((opened: Opened, bob: OtSetup) => Promise<unknown>)[] = [
    ({ message1 }, bob) => bob.respond(use('bob', 'alice', { sid: randomBytes(32) }), message1, INPUTS),
    ({ message1 }, bob) => bob.respond({ ...use('bob', 'alice'), step: 'another' }, message1, INPUTS),
    ({ message1 }, bob) => bob.respond(use('bob', 'charlie'), message1, INPUTS),
  ];
  for (const respond of cases) {
    using setups = fresh();
    const opened = await setups.alice.open(use('alice', 'bob'));
    assert.equal(await respond(opened, setups.bob), undefined);
    assert.ok(setups.bob.voided.aborted);
  }
});

test('what is opened is used once, and is wiped when its session fails or the set-up goes', async () => {
  using setups = fresh();
  const { alice, bob } = setups;
  const before = Secret.live;
  const opened = await alice.open(use('alice', 'bob'));
  const answer = await bob.respond(use('bob', 'alice'), opened.message1, INPUTS);
  answer!.c.take();
  assert.ok((await alice.finish(use('alice', 'bob'), opened, answer!.message2))());
  await assert.rejects(alice.finish(use('alice', 'bob'), opened, answer!.message2), { code: 'BUG' });
  assert.equal(Secret.live, before);

  const session = new AbortController();
  await alice.open(use('alice', 'bob', { signal: session.signal }));
  assert.equal(Secret.live, before + 1);
  session.abort(new MpcError('INTERRUPTED', 'over'));
  assert.equal(Secret.live, before);

  await alice.open(use('alice', 'charlie'));
  alice[Symbol.dispose]();
  assert.equal(Secret.live, before - 2);
});

test('an answer that comes from the naive sender is finished, another input in one row or not', async () => {
  using setups = fresh();
  const { alice, pair } = setups;
  const opened = await alice.open(use('alice', 'bob'));
  const answer = naiveRespond(contextOf('alice', 'bob'), pair, opened.message1 as Extension, INPUTS);
  const d = (await alice.finish(use('alice', 'bob'), opened, answer.message2))();
  for (const l of [0, 1] as const)
    assert.equal(curve.mod(answer.c[l]! + d![l]), curve.mod(INPUTS[l] * opened.chi));
  assert.ok(!alice.voided.aborted);
});

/** Presigning by alice and mallory on one set-up. */
async function presigning() {
  const parties = ['alice', 'mallory'];
  const policy = parsePolicy({ and: parties }, parties);
  const multiplication = otMultiplication(curve);
  const { keys, setups } = otSetups(curve, parties);
  const { both, delta } = keys.get('mallory alice')!;
  const alice = setups.get('alice')!;
  const seed = randomBytes(32);
  const shares = valuesOf(await runParties(parties, (party) => keygenAt(party, curve, policy)));
  const pairwise = (self: string, state: MultiplicationSetup): PairwiseSetup => ({
    sid: new Uint8Array(32),
    parties,
    seeds: new Map(parties.filter((name) => name !== self).map((peer) => [peer, Secret.own(seed.slice())])),
    multiplication: state,
    [Symbol.dispose]: () => {},
  });
  /** mallory's set-up, whose first messages have one column that does not fit. */
  const cheating = (i: number): MultiplicationSetup => {
    const honest = setups.get('mallory')!;
    return Object.assign(Object.create(honest) as MultiplicationSetup, {
      open: async ({ sid }: Use) => {
        const { message1, chi } = naiveOpen(contextOf('mallory', 'alice', sid), both, (column) =>
          column === i ? 1n : 0n,
        );
        return { message1, chi };
      },
      respond: honest.respond.bind(honest),
    });
  };
  const session = (party: TestParty, k: number, state: MultiplicationSetup, signals: AbortSignal[]) => {
    const share = shares[parties.indexOf(party.self)]!;
    const input = { ...sharingState(share, pairwise(party.self, state)), multiplication };
    const rounds = Object.values(presignRounds(multiplication));
    const signal = AbortSignal.any([...signals, AbortSignal.timeout(60_000)]);
    return party.session({ operation: `presign ${k}`, rounds, signal }, (run) => presign(run, input));
  };
  return { parties, alice, delta, cheating, session };
}

test('presigning sessions on one set-up all end with it, and none sends an answer after the check has failed', async () => {
  const { parties, alice, delta, cheating, session } = await presigning();
  // Sessions, and the bit of Δ that mallory tests in each: the third fails.
  const bits = [0, 0, 1, 0, 1, 0].map((value, k) => withBit(delta, value)[k]!);
  const opened = new Map<string, number>();
  let released = 0;
  let releasedAfter = 0;
  const cluster = new MemoryCluster(parties, (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (from !== 'alice' || frame.kind !== 'round' || frame.round !== 'open') return undefined;
    opened.set(frame.operation, (opened.get(frame.operation) ?? 0) + 1);
    released += 1;
    if (alice.voided.aborted) releasedAfter += 1;
    return undefined;
  });
  const [honest, mallory] = parties.map((name) => testParty(cluster, name));
  const outcomes = await Promise.all(
    bits.flatMap((i, k) => [
      outcomeOf(session(honest!, k, alice, [alice.voided])),
      outcomeOf(session(mallory!, k, cheating(i), [])),
    ]),
  );
  assert.ok(alice.voided.aborted);
  assert.equal(releasedAfter, 0);
  assert.ok(released < bits.length);
  for (const [k, outcome] of outcomes.entries()) {
    if (k % 2 === 1) continue;
    assert.ok('error' in outcome, `session ${k / 2} has ended well`);
    const { code, culprits } = outcome.error;
    assert.deepEqual([code, culprits], ['PROTOCOL', ['mallory']]);
  }
});

test('a first message that fails its check voids the set-up also when its session ends before the check does', async () => {
  const { parties, alice, delta, cheating, session } = await presigning();
  const ending = new AbortController();
  const pool = new WorkerPool(1);
  const leaving: Compute = (job, input, options) => {
    const output = pool.compute(job, input, options);
    if (job.name === 'ot respond') ending.abort(new MpcError('INTERRUPTED', 'over'));
    return output;
  };
  const cluster = new MemoryCluster(parties);
  const honest = testParty(cluster, 'alice', { compute: leaving });
  const [i] = withBit(delta, 1);
  try {
    const [outcome] = await Promise.all([
      outcomeOf(session(honest, 0, alice, [alice.voided, ending.signal])),
      outcomeOf(session(testParty(cluster, 'mallory'), 0, cheating(i!), [])),
    ]);
    assert.ok('error' in outcome);
    assert.equal(outcome.error.code, 'INTERRUPTED');
    assert.ok(alice.voided.aborted);
  } finally {
    await pool.close();
  }
});
