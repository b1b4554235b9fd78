/** Whatever a peer sends: a session ends well or with a known error, no honest party is named, nothing else breaks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MpcError } from '#src/core/errors.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { type Intercept, type Outcome, outcomeOf, runParties, valueAt } from '../support/memory-network.js';
import { converse, ROUNDS } from './protocol.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const HONEST = ['alice', 'charlie'];
const KNOWN = ['PROTOCOL', 'EQUIVOCATION', 'DISAGREEMENT', 'PEER_ABORTED', 'PEER_LEFT', 'TIMEOUT'];

/** A way to spoil the frame that bob sends as his `at`-th. */
type Spoil = {
  readonly at: number;
  readonly change: (bytes: Uint8Array, earlier: Uint8Array[]) => Uint8Array[];
};

const changes: fc.Arbitrary<Spoil['change']> = fc.oneof(
  fc.constant(() => []),
  fc.constant((bytes: Uint8Array) => [bytes, bytes]),
  fc.uint8Array({ maxLength: 200 }).map((junk) => () => [junk]),
  fc.uint8Array({ maxLength: 200 }).map((junk) => (bytes: Uint8Array) => [bytes, junk]),
  fc.nat().map((at) => (bytes: Uint8Array) => [bytes.subarray(0, at % bytes.length)]),
  fc
    .nat()
    .map((at) => (bytes: Uint8Array, earlier: Uint8Array[]) => [
      bytes,
      earlier[at % earlier.length] ?? bytes,
    ]),
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => (bytes: Uint8Array) => {
    const changed = Uint8Array.from(bytes);
    changed[at % bytes.length]! ^= flip;
    return [changed];
  }),
);

const spoils = fc.array(fc.record({ at: fc.nat(14), change: changes }), { minLength: 1, maxLength: 3 });

/** Applies each spoil to the frames that bob sends in the operation among all. */
function spoiler(list: readonly Spoil[]): Intercept {
  const earlier: Uint8Array[] = [];
  return (from, _to, bytes) => {
    if (from !== 'bob' || decodeFrame(bytes).operation !== 'test') return undefined;
    const now = list.filter(({ at }) => at === earlier.length);
    earlier.push(bytes);
    return now.reduce<Uint8Array[]>(
      (sent, { change }) => sent.flatMap((each) => change(each, earlier)),
      [bytes],
    );
  };
}

function assertFair(outcome: Outcome<unknown>): void {
  if ('value' in outcome) return;
  assert.ok(KNOWN.includes(outcome.error.code), `${outcome.error.code}: ${outcome.error.message}`);
  assert.match(outcome.error.message, /^[\x20-\x7e]+$/);
  if (outcome.error.code === 'PROTOCOL') assert.deepEqual(outcome.error.culprits, ['bob']);
}

test('spoiled frames of one party', async () => {
  await fc.assert(
    fc.asyncProperty(spoils, async (list) => {
      const timer = new AbortController();
      const outcomes = runParties(
        PARTIES,
        async (party) => {
          const pair = HONEST.includes(party.self)
            ? party.session({ operation: 'pair', parties: HONEST, rounds: ROUNDS }, converse)
            : undefined;
          const all = await outcomeOf(party.session({ rounds: ROUNDS, signal: timer.signal }, converse));
          return { all, pair: (await pair)?.sum };
        },
        { intercept: spoiler(list) },
      );
      for (let turn = 0; turn < 60; turn += 1) await new Promise(setImmediate);
      timer.abort(new MpcError('TIMEOUT', 'timed out'));
      const results = await outcomes;
      for (const name of HONEST) {
        assertFair(valueAt(results, name).all);
        assert.equal(valueAt(results, name).pair, 1n);
      }
    }),
    { numRuns: 40 },
  );
});
