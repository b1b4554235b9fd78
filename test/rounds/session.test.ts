import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '#src/core/bytes.js';
import { encode } from '#src/core/codec.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { hash } from '#src/core/transcript.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { confirmRound, type HeldSharing, peerMap, type Run } from '#src/rounds/run.js';
import { defineJob } from '#src/work/job.js';
import {
  errorAt,
  type Intercept,
  MemoryCluster,
  runParties,
  testParty,
  valueAt,
  valuesOf,
} from '../support/memory-network.js';
import { BRIEF, converse, first, last, PARTIES, ROUNDS, second, third } from './protocol.js';

/** Records every frame of `kind`, by sender. */
function recorder(kind: string): {
  readonly seen: Map<PartyName, Uint8Array>;
  readonly intercept: Intercept;
} {
  const seen = new Map<PartyName, Uint8Array>();
  return {
    seen,
    intercept: (from, _to, bytes) => {
      if (decodeFrame(bytes).kind === kind) seen.set(from, bytes);
      return undefined;
    },
  };
}

const sharing = (epoch: number, byte: number): HeldSharing => ({
  epoch,
  shid: new Uint8Array(32).fill(byte),
});

test('a protocol with every kind of round, among two to four parties', async () => {
  for (const count of [2, 3, 4]) {
    const parties = PARTIES.slice(0, count);
    const outcomes = await runParties(parties, (party) => party.session({ rounds: ROUNDS }, converse));
    const results = valuesOf(outcomes);
    assert.equal(new Set(results.map(({ sid }) => toHex(sid))).size, 1);
    assert.deepEqual(new Set(results.map(({ sum }) => sum)), new Set([BigInt((count * (count - 1)) / 2)]));
  }
});

test('sid = H("sid"; descriptor, chosen sharing, names and nonces), and the echo of the hellos', async () => {
  const { seen: hellos, intercept } = recorder('hello');
  const { seen: echoes, intercept: interceptEcho } = recorder('hello echo');
  const outcomes = await runParties(
    PARTIES,
    (party) =>
      party.session({ descriptor: { curve: 'P-256', level: 112 }, sharings: [sharing(3, 7)] }, sidOf),
    { intercept: (...frame) => intercept(...frame) ?? interceptEcho(...frame) },
  );
  const nonces = PARTIES.map((name) => {
    const frame = decodeFrame(hellos.get(name)!);
    assert(frame.kind === 'hello');
    return [name, frame.nonce];
  });
  const descriptor = encode({ curve: 'P-256', level: 112, parties: PARTIES.join(', ') });
  const sid = hash('sid', [descriptor, sharing(3, 7).shid, nonces]);
  for (const value of valuesOf(outcomes)) assert.deepEqual(value, sid);
  const digest = hash('hello echo', [sid, PARTIES.map((name) => hellos.get(name)!)]);
  for (const name of PARTIES)
    assert.deepEqual(decodeFrame(echoes.get(name)!), { kind: 'hello echo', operation: 'test', digest });
});

const sidOf = async (run: Run): Promise<Uint8Array> => run.sid;

test('every session has fresh nonces and its own identifier', async () => {
  const outcomes = await runParties(['alice', 'bob'], async (party) => [
    await party.session({ operation: 'one' }, sidOf),
    await party.session({ operation: 'two' }, sidOf),
  ]);
  const [[one, two] = []] = valuesOf(outcomes);
  assert.notDeepEqual(one, two);
});

test('echo = H("echo"; sid, step, round, all broadcast parts in canonical order)', async () => {
  const { seen, intercept } = recorder('round');
  const outcomes = await runParties(
    PARTIES,
    (party) =>
      party.session({ rounds: [first] }, async (run) => {
        await run.broadcast(first, new Uint8Array(32).fill(PARTIES.indexOf(run.self)));
        return { sid: run.sid, echo: run.echo(first) };
      }),
    { intercept },
  );
  const parts = PARTIES.map((_, index) => encode(new Uint8Array(32).fill(index)));
  for (const { sid, echo } of valuesOf(outcomes))
    assert.deepEqual(echo, hash('echo', [sid, 'test', '1', parts]));
  for (const { echo } of valuesOf(outcomes)) {
    const frame = decodeFrame(seen.get('dave')!);
    assert(frame.kind === 'round' && frame.round === '1 echo');
    assert.deepEqual(frame.direct, encode(echo));
  }
});

test('parties may open minutes apart: what came early waits', async () => {
  const cluster = new MemoryCluster(PARTIES);
  const parties = PARTIES.map((name) => testParty(cluster, name));
  const results: Promise<{ readonly sum: bigint }>[] = [];
  for (const party of parties) {
    results.push(party.session({ rounds: ROUNDS }, converse));
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  }
  for (const { sum } of await Promise.all(results)) assert.equal(sum, 6n);
});

test('hello echo and first message of a peer that is ahead wait for the last hello', async () => {
  // Whatever charlie sends alice arrives only after bob's message of the first round.
  const held: Uint8Array[] = [];
  let ahead = false;
  const cluster = new MemoryCluster(['alice', 'bob', 'charlie'], (from, to, bytes) => {
    if (to !== 'alice' || ahead) return undefined;
    if (from === 'charlie') {
      held.push(bytes);
      return [];
    }
    const frame = decodeFrame(bytes);
    ahead = frame.kind === 'round' && frame.round === '1';
    if (ahead) setImmediate(() => cluster.deliver('charlie', 'alice', ...held));
    return undefined;
  });
  const parties = cluster.parties.map((name) => testParty(cluster, name));
  const results = await Promise.all(parties.map((party) => party.session({ rounds: ROUNDS }, converse)));
  assert.deepEqual(
    results.map(({ sum }) => sum),
    [3n, 3n, 3n],
  );
  assert.ok(held.length > 0);
});

test('several operations at a time: the failure of one does not disturb the others', async () => {
  const outcomes = await runParties(PARTIES, async (party) => {
    const good = ['a', 'b', 'c'].map((operation) => party.session({ operation, rounds: ROUNDS }, converse));
    const pair = ['alice', 'dave'].includes(party.self)
      ? party.session({ operation: 'pair', parties: ['alice', 'dave'], rounds: ROUNDS }, converse)
      : undefined;
    const bad = party.session({ operation: 'bad', rounds: BRIEF }, async (run) => {
      await run.broadcast(first, run.random(32));
      if (run.self === 'bob') throw new Error('bob is broken');
      await run.confirm(last, run.sid);
    });
    const failure = await bad.then(
      () => 'none',
      (error: MpcError) => error.code,
    );
    return { failure, sums: (await Promise.all(good)).map(({ sum }) => sum), pair: (await pair)?.sum };
  });
  for (const name of PARTIES) {
    const { failure, sums, pair } = valueAt(outcomes, name);
    assert.equal(failure, name === 'bob' ? 'BUG' : 'PEER_ABORTED');
    assert.deepEqual(sums, [6n, 6n, 6n]);
    assert.equal(pair, ['alice', 'dave'].includes(name) ? 1n : undefined);
  }
});

test('more than ten sessions at once warn of nothing', async (context) => {
  const warned = context.mock.method(process, 'emitWarning', () => {});
  const { signal } = new AbortController();
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        party.session({ operation: `${index}`, rounds: ROUNDS, signal }, converse),
      ),
    ),
  );
  assert.equal(valuesOf(outcomes).flat().length, 60);
  assert.equal(warned.mock.callCount(), 0);
});

test('the newest sharing that all hold is chosen, by the highest epoch', async () => {
  const held = new Map([
    ['alice', [sharing(3, 9), sharing(2, 8), sharing(1, 1)]],
    ['bob', [sharing(2, 8), sharing(1, 1)]],
    ['charlie', [sharing(2, 7), sharing(2, 8), sharing(1, 1), sharing(0, 0)]],
  ]);
  const outcomes = await runParties([...held.keys()], (party) =>
    party.session({ sharings: held.get(party.self)! }, async (run) => run.sharing),
  );
  for (const chosen of valuesOf(outcomes)) assert.deepEqual(chosen, sharing(2, 8));
});

test('of siblings that all hold, all take the one that the first participant lists first', async () => {
  const held = new Map([
    ['alice', [sharing(1, 5), sharing(1, 4), sharing(0, 0)]],
    ['bob', [sharing(1, 4), sharing(1, 5), sharing(0, 0)]],
  ]);
  const outcomes = await runParties([...held.keys()], (party) =>
    party.session({ sharings: held.get(party.self)! }, async (run) => run.sharing),
  );
  for (const chosen of valuesOf(outcomes)) assert.deepEqual(chosen, sharing(1, 5));
});

test('without sharings in the hellos there is none to choose', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ sharings: [] }, async (run) => run.sharing),
  );
  assert.deepEqual(valuesOf(outcomes), [undefined, undefined]);
});

test('the sharing chosen enters the identifier', async () => {
  const random = (length: number) => new Uint8Array(length).fill(1);
  const sids = await Promise.all(
    [1, 2].map(async (byte) => {
      const outcomes = await runParties(
        ['alice', 'bob'],
        (party) => party.session({ sharings: [sharing(0, byte)] }, sidOf),
        { random },
      );
      return toHex(valueAt(outcomes, 'alice'));
    }),
  );
  assert.equal(new Set(sids).size, 2);
});

const NO_SHARING =
  /^no sharing is held by every party: alice holds 010101010101 \(epoch 1\); bob holds 020202020202 \(epoch 1\); charlie holds none$/;

test('no common sharing: every party ends with all lists', async () => {
  const held = new Map([
    ['alice', [sharing(1, 1)]],
    ['bob', [sharing(1, 2)]],
    ['charlie', []],
  ]);
  const outcomes = await runParties([...held.keys()], (party) =>
    party.session({ sharings: held.get(party.self)! }, sidOf),
  );
  for (const name of held.keys()) {
    assert.equal(errorAt(outcomes, name).code, 'DISAGREEMENT');
    assert.match(errorAt(outcomes, name).message, NO_SHARING);
  }
});

test('one shid under two epochs is not a common sharing', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ sharings: [sharing(party.self === 'alice' ? 0 : 1, 1)] }, sidOf),
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'DISAGREEMENT');
});

test('a hello lists the newest 64 sharings, and no more', async () => {
  const many = Array.from({ length: 100 }, (_, index) => sharing(200 - index, index));
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ sharings: many }, async (run) => run.sharing),
  );
  for (const chosen of valuesOf(outcomes)) assert.deepEqual(chosen, many[0]);
});

test('however many were cut off since, a hello lists the oldest sharing, which all still hold', async () => {
  const cutOff = Array.from({ length: 100 }, (_, index) => sharing(8, index));
  const held = new Map([
    ['alice', [...cutOff, sharing(7, 200)]],
    ['bob', [sharing(7, 200)]],
  ]);
  const outcomes = await runParties([...held.keys()], (party) =>
    party.session({ sharings: held.get(party.self)! }, async (run) => run.sharing),
  );
  for (const chosen of valuesOf(outcomes)) assert.deepEqual(chosen, sharing(7, 200));
});

test('a peer’s word that the others’ sharings are too old is told as its word', async () => {
  const held = new Map([
    ['alice', [sharing(3, 1)]],
    ['bob', [sharing(99, 2)]],
  ]);
  const outcomes = await runParties([...held.keys()], (party) =>
    party.session({ sharings: held.get(party.self)! }, sidOf),
  );
  assert.match(
    errorAt(outcomes, 'alice').hint ?? '',
    /^what alice holds is older than epoch 99, and by the word of bob of no use .* delete nothing before that works$/,
  );
});

// What only a few exchange

const request = confirmRound('few', 'request');
const answer = confirmRound('few', 'answer');

test('a round may be among some only: all to one, and that one to all', async () => {
  const word = (party: PartyName) => new Uint8Array(32).fill(PARTIES.indexOf(party));
  const outcomes = await runParties(PARTIES, (party) =>
    party.session({ rounds: [request, answer] }, async (run) => {
      const isReceiver = run.self === 'bob';
      const own = word(run.self);
      const asked = isReceiver
        ? await run.exchange(request, new Map())
        : await run.exchange(request, new Map([['bob', own]]), []);
      if (!isReceiver) return [...(await run.exchange(answer, new Map(), ['bob'])).keys()];
      await run.exchange(
        answer,
        peerMap(run.peers, () => own),
        [],
      );
      return [...asked.keys()];
    }),
  );
  assert.deepEqual(valueAt(outcomes, 'bob'), ['alice', 'charlie', 'dave']);
  for (const name of ['alice', 'charlie', 'dave']) assert.deepEqual(valueAt(outcomes, name), ['bob']);
});

// Work and progress

const square = defineJob(import.meta.url, 'session test square', (input: { x: bigint }) => input.x ** 2n);

const endless = defineJob(import.meta.url, 'session test endless', async (_input: null, { aborted }) => {
  while (!aborted()) await new Promise(setImmediate);
});

test('jobs and progress go where the session was told', async () => {
  const seen: unknown[] = [];
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ progress: (...report) => seen.push(report) }, async (run) => {
      run.progress('squares', 1, 2);
      return run.compute(square, { x: 12n });
    }),
  );
  assert.deepEqual(valuesOf(outcomes), [144n, 144n]);
  assert.deepEqual(seen, [
    ['squares', 1, 2],
    ['squares', 1, 2],
  ]);
});

test('the failure of a session ends its jobs, which fail with it', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: ROUNDS }, async (run) => {
      if (run.self === 'bob') throw new Error('bob is broken');
      await assert.rejects(run.compute(endless, null), { code: 'PEER_ABORTED' });
      assert(run.signal.aborted);
      await assert.rejects(run.compute(square, { x: 1n }), { code: 'PEER_ABORTED' });
      await assert.rejects(run.broadcast(first, run.random(32)), { code: 'PEER_ABORTED' });
      throw new Error('a later failure, which is not the first');
    }),
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'PEER_ABORTED');
});

test('all that is pending is rejected with the first failure, also what nobody awaits', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: ROUNDS }, async (run) => {
      if (run.self === 'bob') throw new Error('bob is broken');
      void run.compute(endless, null);
      void run.check('nothing', () => run.compute(endless, null).then(() => true));
      void run.broadcast(first, run.random(32));
      await run.compute(endless, null);
    }),
  );
  assert.equal(errorAt(outcomes, 'alice').code, 'PEER_ABORTED');
  await new Promise(setImmediate);
});

test('a failure after the last thing that was needed does not undo the result', async () => {
  const outcomes = await runParties(['alice', 'bob'], (party) =>
    party.session({ rounds: [last] }, async (run) => {
      await run.confirm(last, run.sid);
      if (run.self === 'bob') throw new Error('bob is broken');
      while (!run.signal.aborted) await new Promise(setImmediate);
      return 'done';
    }),
  );
  assert.equal(valueAt(outcomes, 'alice'), 'done');
  assert.equal(errorAt(outcomes, 'bob').code, 'BUG');
});

// What only a bug here can do

const misuse = (name: string, body: (run: Run) => Promise<unknown>, message: RegExp) =>
  test(`a bug: ${name}`, async () => {
    const outcomes = await runParties(['alice', 'bob'], (party) =>
      party.session({ rounds: ROUNDS }, async (run) => {
        await run.broadcast(first, run.random(32));
        await body(run);
      }),
    );
    for (const name of ['alice', 'bob']) {
      const error = errorAt(outcomes, name);
      if (error.code === 'PEER_ABORTED') continue;
      assert.equal(error.code, 'BUG');
      assert.match(error.message, message);
    }
  });

const toAll = <T>(run: Run, value: T) => peerMap(run.peers, () => value);

misuse('a round entered twice', (run) => run.broadcast(first, run.random(32)), /out of order/);
misuse('a round left out', (run) => run.confirm(last, run.sid), /test round confirm is entered out of order/);
misuse(
  'a round that is not declared',
  (run) => run.confirm(confirmRound('other', '1'), run.sid),
  /other round 1 is not declared/,
);
misuse(
  'a round within another',
  (run) => {
    void run.broadcastAndExchange(second, { x: 1n }, toAll(run, { y: 1n, to: '' }));
    return run.exchange(third, toAll(run, { echo: run.sid }));
  },
  /begun within another round/,
);
misuse(
  'an echo that rides, never compared',
  (run) => run.broadcastAndExchange(second, { x: 1n }, toAll(run, { y: 1n, to: '' })),
  /the echo of test round 2 was never compared/,
);
misuse('an echo before its broadcast', async (run) => run.echo(second), /has not finished/);
misuse(
  'a message for somebody who takes no part',
  (run) => run.exchange(third, new Map([['dave', { echo: run.sid }]])),
  /dave take no part/,
);
misuse(
  'no message for a peer of a mixed round',
  (run) => run.broadcastAndExchange(second, { x: 1n }, new Map()),
  /no value for/,
);
misuse(
  'a message longer than its limit',
  (run) => run.broadcastAndExchange(second, { x: 1n }, toAll(run, { y: 1n, to: 'x'.repeat(300) })),
  /longer than its limit/,
);
misuse(
  'two parts that are longer together than their limit',
  (run) => run.broadcastAndExchange(second, { x: 1n }, toAll(run, { y: 1n, to: 'x'.repeat(242) })),
  /longer than its limit/,
);
misuse(
  'a message that does not fit its schema',
  (run) => run.exchange(third, toAll(run, { echo: new Uint8Array(31) })),
  /not 32 bytes long/,
);

test('a bug: participants that are no list of this cluster', async () => {
  const outcomes = await runParties(PARTIES, async (party) => {
    for (const parties of [['alice'], ['bob', 'alice'], ['charlie', 'dave'], ['alice', 'zoe'], []])
      if (party.self === 'alice')
        await assert.rejects(party.session({ parties }, sidOf), { code: 'BUG' }, parties.join());
  });
  valuesOf(outcomes);
});

test('at most 64 participants, and names of at most 80 characters', async () => {
  const names = Array.from({ length: 65 }, (_, index) => `party-${index}`);
  const alone = testParty(new MemoryCluster(names), 'party-0');
  const signal = AbortSignal.abort(new MpcError('INTERRUPTED', 'interrupted'));
  const open = (count: number, nameLength: number, operation: string) => {
    const rounds = [confirmRound('test', 'x'.repeat(nameLength - 'test round '.length))];
    return alone.session({ operation, parties: names.slice(0, count), rounds, signal }, sidOf);
  };
  await assert.rejects(open(64, 80, 'o'.repeat(80)), { code: 'INTERRUPTED' });
  await assert.rejects(open(65, 80, 'a'), { code: 'BUG', message: /too many participants/ });
  await assert.rejects(open(2, 81, 'b'), { code: 'BUG', message: /is too long/ });
  await assert.rejects(open(2, 80, 'o'.repeat(81)), { message: /operation/ });
});

test('a bug: an operation opened twice, or used after its end', async () => {
  const outcomes = await runParties(['alice', 'bob'], async (party) => {
    let kept: Run | undefined;
    await party.session({ rounds: ROUNDS }, async (run) => {
      kept = run;
      await assert.rejects(party.session({}, sidOf), { code: 'BUG', message: 'test is opened twice' });
      return converse(run);
    });
    await assert.rejects(party.session({}, sidOf), { code: 'BUG', message: 'test is opened twice' });
    await assert.rejects(
      kept!.check('anything', () => true),
      { message: 'test was used after its end' },
    );
  });
  valuesOf(outcomes);
});

test('a bug: a round declared twice, a name too long, a descriptor with the session’s own field', async () => {
  const party = testParty(new MemoryCluster(['alice', 'bob']), 'alice');
  await assert.rejects(party.session({ rounds: [last, last] }, sidOf), {
    message: 'a round is declared twice',
  });
  const long = confirmRound('test', 'x'.repeat(80));
  await assert.rejects(party.session({ rounds: [long] }, sidOf), { code: 'BUG', message: /is too long/ });
  await assert.rejects(party.session({ descriptor: { parties: '' } }, sidOf), { code: 'BUG' });
  await assert.rejects(party.session({ descriptor: { policy: 'x'.repeat(40000) } }, sidOf), { code: 'BUG' });
});
