// Work that begins when a peer's message is there, while others' are still missing (Run.onArrival): when it begins, that
// nothing is concluded from it before the round is complete, and what becomes of it when the session fails.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { type AnyRound, ofPeer, peerMap, type Run } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { defineJob } from '#src/work/job.js';
import { holdBack } from '../support/held-back.js';
import { errorAt, type Intercept, runParties, valueAt, valuesOf } from '../support/memory-network.js';
import { type Held, rehearse } from '../support/rehearsed.js';
import { flipBit, setField, type Target, tamper } from '../support/tamper.js';
import { BRIEF, first, last, PARTIES, ROUNDS, second, summary, third } from './protocol.js';

const ALL: Target = { from: 'charlie', to: 'alice' };

interface Options {
  readonly rounds?: readonly AnyRound[];
  readonly intercept?: Intercept;
  readonly heldBack?: () => readonly Held[];
}

/** All parties run `body`, jobs in this thread; who is left waiting is timed out. */
const rehearsal = <T>(body: (run: Run) => Promise<T>, { rounds = BRIEF, ...options }: Options = {}) =>
  rehearse({
    parties: PARTIES,
    act: (party) => party.session({ rounds }, body),
    seed: 'arrival',
    compute: inlineCompute(randomBytes),
    ...options,
  });

/** What `change` makes of a message goes through `then`. */
const inTurn =
  (change: { readonly intercept: Intercept }, then: { readonly intercept: Intercept }): Intercept =>
  (from, to, bytes) => {
    const [changed = bytes] = change.intercept(from, to, bytes) ?? [];
    return then.intercept(from, to, changed) ?? [changed];
  };

const toAll = <T>(run: Run, value: T) => peerMap(run.peers, () => value);

/** The small protocol with every kind of round, telling `log` at alice what begins and what is complete. */
const telling = (log: (event: string) => void) => async (run: Run) => {
  const tell = run.self === 'alice' ? log : () => {};
  run.onArrival(first, (peer, word) => tell(`1 ${peer} ${word[0]}`));
  run.onArrival(second, (peer, { broadcast, direct }) => tell(`2 ${peer} ${broadcast.x} ${direct.y}`));
  run.onArrival(third, (peer, { echo }) => tell(`3 ${peer} ${echo.length}`));
  const own = run.parties.indexOf(run.self);
  await run.broadcast(first, new Uint8Array(32).fill(own));
  tell('1 is complete');
  const x = BigInt(own);
  await run.broadcastAndExchange(second, { x }, toAll(run, { y: 10n + x, to: '' }));
  tell('2 is complete');
  const echoes = await run.exchange(third, toAll(run, { echo: run.echo(second) }));
  run.checkEcho(
    second,
    peerMap(run.peers, (peer) => ofPeer(echoes, peer).echo),
  );
  tell('3 is complete');
  await run.confirm(last, run.sid);
};

const EVENTS: Readonly<Record<string, readonly string[]>> = {
  '1': ['1 bob 1', '1 dave 3', '1 charlie 2', '1 is complete'],
  '2': ['2 bob 1 11', '2 dave 3 13', '2 charlie 2 12', '2 is complete'],
  '3': ['3 bob 32', '3 dave 32', '3 charlie 32', '3 is complete'],
};

for (const round of ['1', '2', '3'])
  test(`work on the messages of round ${round} begins as they come, and not on those that are ahead of their round`, async () => {
    const log: string[] = [];
    const before: string[] = [];
    const held = holdBack({ ...ALL, round }, () => before.push(...log));
    valuesOf(
      await rehearsal(
        telling((event) => log.push(event)),
        { rounds: ROUNDS, ...held },
      ),
    );
    const ofThis = (events: readonly string[]) => events.filter((event) => event.startsWith(round));
    // bob and dave have all of charlie's, and have gone one round further.
    assert.deepEqual(ofThis(before).sort(), EVENTS[round]?.slice(0, 2));
    assert.ok(before.every((event) => event[0]! <= round));
    assert.deepEqual(ofThis(log).slice(2), EVENTS[round]?.slice(2));
  });

test('no work begins before all participants agree on the session', async () => {
  const log: string[] = [];
  const [echo, messages] = (['hello echo', 'round'] as const).map((kind) =>
    holdBack({ ...ALL, kind }, () => assert.deepEqual(log, [])),
  );
  valuesOf(
    await rehearsal(
      telling((event) => log.push(event)),
      {
        rounds: ROUNDS,
        intercept: (...sent) =>
          echo!.intercept(...sent) ?? (log.length > 0 ? undefined : messages!.intercept(...sent)),
        heldBack: () => [...echo!.heldBack(), ...messages!.heldBack()],
      },
    ),
  );
  assert.equal(log.length, 12);
});

test('several works on a round begin in their order, and a later one gets what an earlier one came to', async () => {
  const outcomes = await rehearsal(async (run) => {
    const begun: string[] = [];
    const words = run.onArrival(first, (peer, word) => {
      begun.push(`word ${peer}`);
      return word[0];
    });
    const sums = run.onArrival(first, async (peer, word) => {
      begun.push(`sum ${peer}`);
      return (await words(peer))! + word[1]!;
    });
    await run.broadcast(first, new Uint8Array(32).fill(run.parties.indexOf(run.self)));
    assert.deepEqual([...begun].sort(), run.peers.flatMap((peer) => [`sum ${peer}`, `word ${peer}`]).sort());
    for (const peer of run.peers) assert.ok(begun.indexOf(`word ${peer}`) < begun.indexOf(`sum ${peer}`));
    return Promise.all(run.peers.map(sums));
  });
  assert.deepEqual(valueAt(outcomes, 'alice'), [2, 4, 6]);
});

// What is concluded, and when

/** A round whose messages of `bad` fail a check that begins as they come; returns what alice had found, and when. */
const checked =
  (bad: readonly PartyName[], found: (peer: PartyName) => void = () => {}) =>
  async (run: Run) => {
    const holds = run.onArrival(first, (peer) => {
      if (run.self === 'alice') found(peer);
      return !bad.includes(peer);
    });
    await run.broadcast(first, run.random(32));
    if (run.self === 'alice') await run.check('what alice wants', holds);
    await run.confirm(last, run.sid);
  };

for (const late of ['bob', 'charlie', 'dave'])
  test(`all for whom a check does not hold are named, also when the message of ${late} is the last`, async () => {
    const held = holdBack({ from: late, to: 'alice', round: '1' }, () => {});
    const error = errorAt(await rehearsal(checked(['bob', 'dave']), held), 'alice');
    assert.equal(
      summary(error),
      'PROTOCOL [bob, dave] bob, dave broke the protocol: the check of what alice wants fails',
    );
  });

test('who is silent is not heard from, although a check of another’s message has failed', async () => {
  const found: string[] = [];
  const held = holdBack({ ...ALL, round: '1' }, () => {}, { forGood: true });
  const outcomes = await rehearsal(
    checked(['bob', 'dave'], (peer) => found.push(peer)),
    held,
  );
  const { code, culprits } = errorAt(outcomes, 'alice');
  assert.deepEqual([code, culprits, found.sort()], ['TIMEOUT', ['charlie'], ['bob', 'dave']]);
});

test('views that differ name nobody, although a check has failed: the echo comes first', async () => {
  const found: string[] = [];
  const held = holdBack({ ...ALL, round: '1 echo' }, () => assert.equal(found.length, 3));
  const lie = tamper({ ...ALL, round: '1 echo' }, flipBit('direct'));
  const outcomes = await rehearsal(
    checked(['bob', 'charlie'], (peer) => found.push(peer)),
    { ...held, intercept: inTurn(lie, held) },
  );
  assert.match(
    summary(errorAt(outcomes, 'alice')),
    /^EQUIVOCATION \[\] alice's view of test round 1 differs/,
  );
});

test('no work begins on a message that cannot be decoded; its sender is named', async () => {
  const found: string[] = [];
  const late = holdBack({ ...ALL, round: '1' }, () => assert.equal(found.length, 2));
  const broken = tamper({ ...ALL, round: '1' }, setField('broadcast', 'no 32 bytes'));
  const outcomes = await rehearsal(
    checked(['bob'], (peer) => found.push(peer)),
    { ...late, intercept: inTurn(broken, late) },
  );
  const { code, culprits } = errorAt(outcomes, 'alice');
  assert.deepEqual([code, culprits, found.sort()], ['PROTOCOL', ['charlie'], ['bob', 'dave']]);
});

test('work that throws is a bug here when it is asked for, and nothing when the session has failed before', async () => {
  const throwing = async (run: Run) => {
    const results = run.onArrival(first, (peer) => {
      if (run.self === 'alice' && peer === 'bob') throw new RangeError('oops');
      return true;
    });
    await run.broadcast(first, run.random(32));
    await run.check('anything', results);
    await run.confirm(last, run.sid);
  };
  const [bug] = [errorAt(await rehearsal(throwing), 'alice')];
  assert.deepEqual([bug.code, bug.culprits], ['BUG', []]);
  const held = holdBack({ ...ALL, round: '1' }, () => {}, { forGood: true });
  assert.equal(errorAt(await rehearsal(throwing, held), 'alice').code, 'TIMEOUT');
});

// The end

const endless = defineJob(import.meta.url, 'arrival test endless', async (_input: null, { aborted }) => {
  while (!aborted()) await new Promise(setImmediate);
});

const lasting = defineJob(import.meta.url, 'arrival test lasting', async (_input: null) => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
});

for (const [job, toTheEnd] of [
  [endless, false],
  [lasting, true],
] as const)
  test(`a session that fails has ended when its ${toTheEnd ? 'lasting' : 'endless'} work has`, async () => {
    const ending = new AbortController();
    const events: string[] = [];
    const { intercept } = tamper({ ...ALL, round: '1' }, () => []);
    const outcomes = await runParties(
      ['alice', 'bob', 'charlie'],
      (party) => {
        const signal = party.self === 'alice' ? ending.signal : new AbortController().signal;
        const ended = party.session({ rounds: ROUNDS, signal }, async (run) => {
          run.onArrival(first, async () => {
            if (run.self !== 'alice') return;
            setImmediate(() => ending.abort(new MpcError('INTERRUPTED', 'over')));
            await run.compute(job, null, { toTheEnd }).finally(() => events.push('job'));
          });
          await run.broadcast(first, run.random(32));
        });
        return ended.finally(() => {
          if (party.self === 'alice') events.push('session');
        });
      },
      { intercept },
    );
    assert.equal(errorAt(outcomes, 'alice').code, 'INTERRUPTED');
    assert.deepEqual(events, ['job', 'session']);
  });
