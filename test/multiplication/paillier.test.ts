// The Paillier multiplication: its products are right, and neither message is accepted when altered or replayed. Parties
// that cheat at it are in test/adversary: moduli, ring-pedersen, ranges, multiplication, replay.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { bigintToBytes, bytesToBigint, randomBytes, Secret } from '#src/core/bytes.js';
import { decode, decodeAs, encodeAs } from '#src/core/codec.js';
import { curveByName } from '#src/curve/curve.js';
import type { MultiplicationSetup, ScalarPair, Use } from '#src/multiplication/multiplication.js';
import { type Message1, type Message2, makeKeys, verifyPrm } from '#src/multiplication/paillier-jobs.js';
import { add, encrypt, scale } from '#src/paillier/cipher.js';
import { PrivateKey } from '#src/paillier/keys.js';
import { RingPedersenOwner } from '#src/paillier/ring-pedersen.js';
import { decodeFrame } from '#src/rounds/frames.js';
import type { Compute, Run } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { secretsIn } from '#src/work/secrets.js';
import type { ProofContext } from '#src/zk/context.js';
import { errorAt, type Intercept, runParties, type TestParty, valuesOf } from '../support/memory-network.js';
import { testPrivateKey } from '../support/primes.js';
import { DRAWN_UNIT, leastDraws } from '../support/proofs.js';
import { quickSetups, setUpAt, testMultiplication } from '../support/protocols.js';

const curve = curveByName('P-256');
const setups = quickSetups(curve, ['alice', 'bob', 'charlie']);
after(() => {
  for (const setup of setups.values()) setup[Symbol.dispose]();
});

const stateOf = (name: string): MultiplicationSetup => setups.get(name)!.multiplication;
const compute = inlineCompute(randomBytes);

/** A use by `self` with `peer`; of a run it needs no more than this. */
const use = (self: string, peer: string, sid = 'sid'): Use => ({
  run: { self, random: randomBytes, compute: (job, input) => compute(job, input) } as Run,
  step: 'presign',
  sid: new TextEncoder().encode(sid),
  peer,
});

const scalar = () => curve.randomScalar(randomBytes);

/** alice is the receiver, bob the sender. */
async function exchange(inputs: ScalarPair) {
  const opened = await stateOf('alice').open(use('alice', 'bob'));
  const answer = await stateOf('bob').respond(use('bob', 'alice'), opened.message1, inputs);
  assert.ok(answer);
  return { opened, message2: answer.message2, c: answer.c.take() };
}

const honest = exchange([scalar(), scalar()]);

test('c + d = a·χ for both inputs, also at the edges of their range', async () => {
  for (const inputs of [
    [scalar(), scalar()],
    [0n, 1n],
    [curve.q - 1n, scalar()],
  ] satisfies ScalarPair[]) {
    const { opened, message2, c } = await exchange(inputs);
    const d = (await stateOf('alice').finish(use('alice', 'bob'), opened, message2))();
    for (const l of [0, 1] as const) {
      assert.equal(curve.mod(c[l] + d![l]), curve.mod(inputs[l] * opened.chi));
    }
  }
});

test('a set-up that was saved and restored works with the peer’s', async () => {
  const multiplication = testMultiplication(curve, 0);
  const before = Secret.live;
  const saved = stateOf('alice').save();
  const alice = multiplication.restore(saved);
  saved.dispose();
  const opened = await alice.open(use('alice', 'bob'));
  const inputs: ScalarPair = [scalar(), scalar()];
  const answer = await stateOf('bob').respond(use('bob', 'alice'), opened.message1, inputs);
  const c = answer!.c.take();
  const d = (await alice.finish(use('alice', 'bob'), opened, answer!.message2))();
  for (const l of [0, 1] as const) {
    assert.equal(curve.mod(c[l] + d![l]), curve.mod(inputs[l] * opened.chi));
  }
  alice[Symbol.dispose]();
  assert.equal(Secret.live, before);
});

test('what is no saved set-up is not restored', () => {
  const multiplication = testMultiplication(curve, 0);
  using saved = stateOf('alice').save();
  const { bytes } = saved;
  for (const damaged of [
    bytes.slice(0, 1000),
    bytes.slice(0, -1),
    Uint8Array.of(...bytes, 0),
    bytes.slice(1),
  ]) {
    using secret = Secret.own(damaged);
    assert.throws(() => multiplication.restore(secret), { code: 'FILE' });
  }
});

test('the sender hides its inputs by masks from the whole of ±2^ℓ′, another for each', async () => {
  const { opened } = await honest;
  const { C } = opened.message1 as Message1;
  const drawing = inlineCompute(leastDraws());
  const bob = use('bob', 'alice');
  const run = { ...bob.run, compute: (job, input) => drawing(job, input) } as Run;
  const inputs: ScalarPair = [scalar(), scalar()];
  const answer = await stateOf('bob').respond({ ...bob, run }, opened.message1, inputs);
  const { D } = answer!.message2 as Message2;
  const key = testPrivateKey(0);
  const c = answer!.c.take();
  for (const l of [0, 1] as const) {
    const y = curve.mod(-c[l]);
    // Between the two masks, Π^aff draws six of its own.
    const expected = -(2n ** 848n) + 7n * BigInt(l);
    assert.equal(y, curve.mod(expected));
    assert.equal(D[l], add(key, scale(key, C, inputs[l]), encrypt(key, expected, DRAWN_UNIT)));
  }
});

test('both messages survive the wire, and fit its bound', async () => {
  const multiplication = testMultiplication(curve, 0);
  const { opened, message2 } = await honest;
  for (const [schema, message] of [
    [multiplication.message1, opened.message1],
    [multiplication.message2, message2],
  ] as const) {
    const bytes = encodeAs(schema, message);
    assert.ok(bytes.length <= multiplication.maxBytes);
    assert.deepEqual(decodeAs(schema, bytes, multiplication.maxBytes), message);
  }
});

test('the sender refuses a first message that is altered, replayed or meant for another', async () => {
  const { opened } = await honest;
  const { C, enc } = opened.message1 as Message1;
  const { N, NN } = testPrivateKey(0);
  const other = (await stateOf('alice').open(use('alice', 'bob'))).message1 as Message1;
  const refused = (message: Message1, at = use('bob', 'alice'), state = stateOf('bob')) =>
    state.respond(at, message, [1n, 2n]).then((answer) => assert.equal(answer, undefined));
  await refused({ C: (C * (1n + N)) % NN, enc });
  await refused({ C: 0n, enc });
  await refused({ C: N, enc });
  await refused({ C: C + NN, enc });
  await refused({ C: other.C, enc });
  await refused({ C, enc: other.enc });
  await refused({ C, enc }, use('bob', 'alice', 'another sid'));
  await refused({ C, enc }, use('bob', 'charlie'));
  await refused({ C, enc }, use('charlie', 'alice'), stateOf('charlie'));
});

test('the receiver refuses a second message that is altered, replayed or meant for another', async () => {
  const { opened, message2 } = await honest;
  const { D, aff } = message2 as Message2;
  const { N, NN } = testPrivateKey(0);
  const refused = (message: Message2, at = use('alice', 'bob'), from = opened) =>
    stateOf('alice')
      .finish(at, from, message)
      .then((d) => assert.equal(d(), undefined));
  for (const l of [0, 1]) {
    const withD = (value: bigint) => ({ D: D.with(l, value), aff });
    await refused(withD((D[l]! * (1n + N)) % NN));
    await refused(withD(0n));
    await refused(withD(N));
    await refused(withD(D[l]! + NN));
    await refused({ D, aff: aff.with(l, aff[1 - l]!) });
  }
  await refused({ D: [D[1]!, D[0]!], aff: [aff[1]!, aff[0]!] });
  await refused({ D, aff }, use('alice', 'bob', 'another sid'));
  await refused({ D, aff }, use('alice', 'charlie'));
  const again = await stateOf('alice').open(use('alice', 'bob'));
  await refused({ D, aff }, use('alice', 'bob'), again);
});

test('scalars that go to a job as bytes are wiped when it has ended', async () => {
  const scalars: Uint8Array[] = [];
  const watched = (at: Use): Use => {
    const run: Pick<Run, 'compute'> = {
      compute: (job, input) => {
        scalars.push(...secretsIn(input).filter(({ length }) => length === 32));
        return compute(job, input);
      },
    };
    return { ...at, run: { ...at.run, ...run } };
  };
  const opened = await stateOf('alice').open(watched(use('alice', 'bob')));
  const answer = await stateOf('bob').respond(watched(use('bob', 'alice')), opened.message1, [1n, 2n]);
  assert.ok(answer);
  assert.deepEqual(scalars, new Array(3).fill(new Uint8Array(32)));
});

test('the keys made from two primes are nowhere but in the output', async (context) => {
  const parts = [PrivateKey, RingPedersenOwner].map(
    ({ prototype }) => context.mock.method(prototype as { toBytes(): Uint8Array }, 'toBytes').mock,
  );
  const { p1, p2 } = testPrivateKey(0);
  const secret = { p1: bigintToBytes(p1), p2: bigintToBytes(p2) };
  const proofContext = { sid: new Uint8Array(32), step: 'test', curve: 'P-256', prover: 'alice' } as const;
  const input = { level: 112, context: { ...proofContext, verifier: '*' }, secret } as const;
  const { ownKey } = (await compute(makeKeys, input)).secret;
  assert.equal(bytesToBigint(ownKey.subarray(0, 128)), p1);
  for (const { calls } of parts) assert.deepEqual(calls[0]?.result, new Uint8Array(calls[0]!.result!.length));
});

test('the proofs about a modulus are bound to the coin of all parties', async () => {
  const coins = new Map<string, Uint8Array>();
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind === 'round' && frame.step === 'paillier' && frame.round === 'open') {
      const opening = decode(frame.broadcast!, 1 << 20) as { readonly coin: Uint8Array };
      coins.set(from, opening.coin);
    }
    return undefined;
  };
  const contexts: ProofContext[] = [];
  const watched: Compute = (job, input, options) => {
    const { context, modContext, facContext } = input as Record<string, ProofContext>;
    if (job.name !== makeKeys.name && job.name !== verifyPrm.name)
      contexts.push(...[context, modContext, facContext].filter((given) => given !== undefined));
    return compute(job, input, options);
  };
  const act = (party: TestParty) =>
    setUpAt(party, testMultiplication(curve, party.parties.indexOf(party.self)));
  valuesOf(await runParties(['alice', 'bob'], act, { intercept, compute: watched }));
  const [first, second] = [...coins.values()];
  assert.equal(contexts.length, 8);
  for (const { extra } of contexts)
    assert.deepEqual(
      extra,
      first!.map((byte, k) => byte ^ second![k]!),
    );
});

test('two owners of one modulus are both named, and each of them names the other', async () => {
  const parties = ['alice', 'bob', 'charlie'];
  const outcomes = await runParties(parties, (party) =>
    setUpAt(party, testMultiplication(curve, party.self === 'alice' ? 0 : 1)),
  );
  assert.deepEqual(errorAt(outcomes, 'alice').culprits, ['bob', 'charlie']);
  assert.deepEqual(errorAt(outcomes, 'bob').culprits, ['charlie']);
  assert.deepEqual(errorAt(outcomes, 'charlie').culprits, ['bob']);
});
