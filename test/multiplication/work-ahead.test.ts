// What a party makes ahead of its multiplications: the products are right, each mask hides one value only, and nothing
// of it is stored or left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesToBigint, concatBytes, randomBytes, Secret } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import type { MultiplicationSetup, ScalarPair, Use } from '#src/multiplication/multiplication.js';
import type { Message1, Message2 } from '#src/multiplication/paillier-jobs.js';
import * as jobs from '#src/multiplication/paillier-jobs.js';
import type { Compute, Run } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { secretsIn } from '#src/work/secrets.js';
import { testRingPedersen } from '../support/primes.js';
import { quickSetups, testMultiplication } from '../support/protocols.js';

const curve = curveByName('P-256');
const inline = inlineCompute(randomBytes);
const scalar = () => curve.randomScalar(randomBytes);

/** alice and bob with fresh set-ups, and the names of the jobs that began with something made ahead. */
function pair() {
  const setups = quickSetups(curve, ['alice', 'bob']);
  const withPrepared: string[] = [];
  const compute: Compute = (job, input, options) => {
    if ((input as { readonly secret?: { readonly prepared?: unknown } }).secret?.prepared !== undefined)
      withPrepared.push(job.name);
    return inline(job, input, options);
  };
  const use = (self: string, peer: string, given = compute): Use => ({
    run: { self, random: randomBytes, compute: (job, input) => given(job, input) } as Run,
    step: 'presign',
    sid: randomBytes(0),
    peer,
  });
  const of = (name: string): MultiplicationSetup => setups.get(name)!.multiplication;
  return {
    alice: of('alice'),
    bob: of('bob'),
    use,
    work: { compute, random: randomBytes },
    withPrepared,
    [Symbol.dispose]: () => {
      for (const setup of setups.values()) setup[Symbol.dispose]();
    },
  };
}

test('products are right with both sides made ahead, and when the stock is used up', async () => {
  using at = pair();
  await Promise.all([at.alice.prepare!(at.work, 'bob', 1), at.bob.prepare!(at.work, 'alice', 1)]);
  for (let k = 0; k < 2; k += 1) {
    const inputs: ScalarPair = [scalar(), curve.q - 1n];
    const opened = await at.alice.open(at.use('alice', 'bob'));
    const answer = await at.bob.respond(at.use('bob', 'alice'), opened.message1, inputs);
    const c = answer!.c.take();
    const d = (await at.alice.finish(at.use('alice', 'bob'), opened, answer!.message2))();
    for (const l of [0, 1] as const) assert.equal(curve.mod(c[l] + d![l]), curve.mod(inputs[l] * opened.chi));
  }
  assert.deepEqual(at.withPrepared, ['paillier open', 'paillier respond']);
});

test('products are right with both sides made ahead at level 128', async () => {
  const party = (index: number) => {
    const own = testRingPedersen(index, 3072);
    const { N, s, t } = own;
    return { peer: { N, s, t }, secret: { ownKey: concatBytes(own.key.toBytes(), own.toBytes()) } };
  };
  const [alice, bob] = [party(0), party(1)];
  const { q } = curve;
  const context = { sid: randomBytes(32), step: 'test', curve: curve.name };
  const toBob = { ...context, prover: 'alice', verifier: 'bob' };
  const toAlice = { ...context, prover: 'bob', verifier: 'alice' };
  const [withBob, withAlice] = [bob, alice].map(({ peer }) => ({ level: 128, q, peer }) as const);
  const [chi, ...a] = [scalar(), scalar(), q - 1n] as const;

  const secretOfAlice = { ...alice.secret, chi: curve.scalarBytes(chi) };
  const opening = await inline(jobs.prepareOpening, { ...withBob!, secret: secretOfAlice });
  const message1 = await inline(jobs.open, {
    ...withBob!,
    context: toBob,
    secret: { ...secretOfAlice, prepared: opening.secret },
  });
  const masks = await inline(jobs.prepareAnswer, withAlice!);
  const answer = await inline(jobs.respond, {
    ...withAlice!,
    receiverContext: toBob,
    senderContext: toAlice,
    message1,
    secret: {
      ...bob.secret,
      a: [curve.scalarBytes(a[0]), curve.scalarBytes(a[1])],
      prepared: masks.secret,
    },
  });
  const { D, aff, secret: c } = answer!;
  const message2 = { D, aff };
  const finished = await inline(jobs.finish, {
    ...withBob!,
    context: toAlice,
    C: message1.C,
    message2,
    secret: alice.secret,
  });
  for (const l of [0, 1] as const) {
    const sum = bytesToBigint(c[l]) + bytesToBigint(finished!.secret[l]);
    assert.equal(curve.mod(sum), curve.mod(a[l] * chi));
  }
});

test('nothing made ahead serves twice, not even for uses at the same time', async () => {
  using at = pair();
  await Promise.all([at.alice.prepare!(at.work, 'bob', 2), at.bob.prepare!(at.work, 'alice', 2)]);
  const three = [0, 1, 2];
  const opened = await Promise.all(three.map(() => at.alice.open(at.use('alice', 'bob'))));
  const openings = opened.flatMap(({ message1, chi }) => {
    const { C, enc } = message1 as Message1;
    return [chi, C, enc.S, enc.C, enc.A];
  });
  assert.equal(new Set(openings).size, openings.length);

  // The same message and inputs each time: only the masks make a difference.
  const answers = await Promise.all(
    three.map(() => at.bob.respond(at.use('bob', 'alice'), opened[0]!.message1, [5n, 5n])),
  );
  const masked = answers.flatMap((answer) => {
    const { D, aff } = answer!.message2 as Message2;
    return [...answer!.c.take(), ...D, ...aff.flatMap(({ A, E, S, F, T, w }) => [A, E, S, F, T, w])];
  });
  assert.equal(new Set(masked).size, masked.length);
  const uses = at.withPrepared.sort();
  assert.deepEqual(uses, [...new Array(2).fill('paillier open'), ...new Array(2).fill('paillier respond')]);
});

test('what a use has taken is gone and wiped, also when the use fails', async () => {
  using at = pair();
  const { message1 } = await at.alice.open(at.use('alice', 'bob'));
  await at.bob.prepare!(at.work, 'alice', 2);
  const live = Secret.live;
  const { C, enc } = message1 as Message1;
  const refused = { C: C + 1n, enc };
  assert.equal(await at.bob.respond(at.use('bob', 'alice'), refused, [1n, 2n]), undefined);
  const given: Uint8Array[] = [];
  const failing: Compute = (_job, input) => {
    given.push(...secretsIn(input).filter(({ length }) => length > 2048));
    throw new Error('out of memory');
  };
  await assert.rejects(at.bob.respond(at.use('bob', 'alice', failing), message1, [1n, 2n]), /out of memory/);
  assert.equal(given.length, 2);
  for (const bytes of given) assert.ok(bytes.every((byte) => byte === 0));
  assert.equal(Secret.live, live - 4);
  at.withPrepared.length = 0;
  assert.ok(await at.bob.respond(at.use('bob', 'alice'), message1, [1n, 2n]));
  assert.deepEqual(at.withPrepared, []);
});

test('nothing made ahead is saved, and all of it is wiped with the set-up', async () => {
  const before = Secret.live;
  {
    using at = pair();
    using without = at.alice.save();
    await at.alice.prepare!(at.work, 'bob', 1);
    using saved = at.alice.save();
    assert.deepEqual(saved.bytes, without.bytes);
    using restored = testMultiplication(curve, 0).restore(saved);
    await restored.open(at.use('alice', 'bob'));
    assert.deepEqual(at.withPrepared, []);
  }
  assert.equal(Secret.live, before);
});

test('what is being made when the set-up is disposed is wiped when it comes, and when it cannot be made', async () => {
  const before = Secret.live;
  const at = pair();
  const made = at.alice.prepare!(at.work, 'bob', 3);
  at[Symbol.dispose]();
  await made;
  assert.equal(Secret.live, before);

  using other = pair();
  const live = Secret.live;
  const failing: Compute = async () => {
    throw new Error('out of memory');
  };
  await assert.rejects(other.alice.prepare!({ ...other.work, compute: failing }, 'bob', 1), /out of memory/);
  assert.equal(Secret.live, live);
});
