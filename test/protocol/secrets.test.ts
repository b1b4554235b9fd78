/**
 * No secret outlives its protocol: none is left when all have ended, neither after a good end nor when a party falls
 * silent or sends nonsense, whichever the round; and nothing that holds secrets shows them.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { parsePolicy } from '#src/access/policy.js';
import { Secret } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { decodeFrame, encodeFrame, type RoundFrame } from '#src/rounds/frames.js';
import { type Attack, perform } from '../support/attacks.js';
import { type Outcome, runParties, valuesOf } from '../support/memory-network.js';
import { testPrivateKey, testRingPedersen } from '../support/primes.js';
import { presignAt, quickKey, testMultiplication } from '../support/protocols.js';
import { allScenarios, CHEAT, type Scenario } from '../support/scenarios.js';
import { Searched, soughtOf } from '../support/secret-search.js';
import { wireRounds } from '../support/table.js';

const NONSENSE = Uint8Array.of(0xff);

const nonsense = (frame: RoundFrame): RoundFrame => ({
  ...frame,
  broadcast: frame.broadcast && NONSENSE,
  direct: frame.direct && NONSENSE,
});

/** The cheat acts on all that it sends from a round on. */
function from(
  step: string,
  round: string,
  deed: (frame: RoundFrame) => readonly Uint8Array[],
): Attack & { hits: number } {
  let begun = false;
  const attack = {
    hits: 0,
    intercept: (sender: PartyName, _to: PartyName, bytes: Uint8Array) => {
      const frame = decodeFrame(bytes);
      if (sender !== CHEAT || frame.kind !== 'round') return undefined;
      begun ||= frame.step === step && frame.round === round;
      if (!begun) return undefined;
      attack.hits += 1;
      return deed(frame);
    },
  };
  return attack;
}

const dispose = (value: unknown): void => (value as Partial<Disposable> | undefined)?.[Symbol.dispose]?.();

/** Runs the scenario, and returns how all ended; what they returned is disposed, as callers do. */
async function endsWithoutSecrets(scenario: Scenario, attack: Attack): Promise<readonly Outcome<unknown>[]> {
  // What it makes for its runs, and gives up when it makes it again, counts before and after.
  scenario.prepare?.();
  const before = Secret.live;
  const { outcomes } = await perform(scenario, attack);
  for (const outcome of outcomes.values()) if ('value' in outcome) dispose(outcome.value);
  for (let k = 0; k < 5; k += 1) await turn();
  assert.equal(Secret.live - before, 0, 'secrets are left');
  return [...outcomes.values()];
}

for (const scenario of await allScenarios()) {
  describe(scenario.name, () => {
    test('a good end', async () => {
      const outcomes = await endsWithoutSecrets(scenario, { intercept: () => undefined });
      for (const outcome of outcomes) assert.ok('value' in outcome);
    });

    for (const { step, name } of wireRounds(scenario.rounds)) {
      test(`${step}/${name}: a party falls silent, or sends nonsense`, async () => {
        for (const deed of [() => [], (frame: RoundFrame) => [encodeFrame(nonsense(frame))]]) {
          const attack = from(step, name, deed);
          const outcomes = await endsWithoutSecrets(scenario, attack);
          assert.ok(attack.hits > 0 && outcomes.some((outcome) => 'error' in outcome));
        }
      });
    }
  });
}

/** Curves lead back to themselves, and numbers have no JSON. */
const withoutCurves = (name: string, value: unknown): unknown =>
  name === 'curve' ? undefined : typeof value === 'bigint' ? String(value) : value;

test('what holds secrets shows none of them, however it is printed', async () => {
  const curve = curveByName('P-256');
  const parties = ['alice', 'bob'];
  const states = await quickKey(curve, parsePolicy({ and: parties }, parties), parties);
  const presignatures = valuesOf(
    await runParties(parties, (party) => {
      const multiplication = testMultiplication(curve, parties.indexOf(party.self));
      return presignAt(party, parties, states.get(party.self)!, multiplication);
    }),
  );
  const state = states.get('alice')!;
  using reserved = presignatures[0]!.reserve();
  const [key, pedersen] = [testPrivateKey(0), testRingPedersen(0)];
  const secrets = [
    ...[state.share.x, ...state.setup.seeds.values(), reserved.phi, reserved.u, reserved.v].map(
      ({ bytes }) => bytes,
    ),
    ...[key.toBytes().subarray(0, 128), key.toBytes().subarray(128), pedersen.toBytes().subarray(-256)],
  ];
  const holders = [state, state.share, state.setup, reserved, presignatures[1], key, pedersen];
  for (const holder of holders) {
    const shown = [
      inspect(holder, { depth: Infinity, showHidden: true, maxArrayLength: null }),
      JSON.stringify(holder, withoutCurves),
      String(holder),
    ];
    const searched = new Searched(shown.join('\n'));
    for (const secret of secrets)
      assert.equal(searched.find(soughtOf(secret)), undefined, shown[0]!.slice(0, 300));
  }
  for (const print of [(value: object) => inspect(value), (value: object) => JSON.stringify(value)])
    for (const secret of secrets.slice(0, 2))
      assert.equal(new Searched(print({ held: [secret] })).find(soughtOf(secret)), 'numbers');
  for (const held of [...states.values(), ...presignatures]) dispose(held);
});
