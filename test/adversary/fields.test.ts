// Every field of every message of every protocol, changed by a cheat that covers it up: the parties that see the
// change abort and name the cheat, or nobody where docs/protocol.md §11 says that nobody can be named. The fields
// are those that an honest run sends, so a new one is covered without anybody remembering.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import type { SharingState } from '#src/protocol/refresh.js';
import { refresh, refreshRounds } from '#src/protocol/refresh.js';
import { cheat, type FieldPath, printField, recordFields } from '../support/cheat.js';
import {
  type Intercept,
  type Outcome,
  runParties,
  type TestParty,
  valuesOf,
} from '../support/memory-network.js';
import { keygenAt, presignAt, quickKey, setUpAt, signAt, testMultiplication } from '../support/protocols.js';

const CHEAT = 'mallory';
const curve = curveByName('P-256');
const message = randomBytes(20);

interface Scenario {
  readonly name: string;
  readonly parties: readonly string[];
  /** One party's part in the protocol. */
  readonly act: (party: TestParty) => Promise<unknown>;
  /** Steps whose messages are changed here; those of others are left to their own scenario. */
  readonly steps: readonly string[];
}

const three = ['alice', CHEAT, 'bob'];
const two = ['alice', CHEAT];
const policyOf = (parties: readonly string[]) => parsePolicy({ and: parties }, parties);
const multiplicationOf = ({ self, parties }: TestParty) => testMultiplication(curve, parties.indexOf(self));

const states: ReadonlyMap<string, SharingState> = await quickKey(curve, policyOf(two), two);
const stateOf = ({ self }: TestParty): SharingState => states.get(self)!;

const presignOnly = (party: TestParty) =>
  presignAt(party, party.parties, stateOf(party), multiplicationOf(party));

const presignAndSign = async (party: TestParty) => {
  using presignature = await presignOnly(party);
  return await signAt(party, presignature, stateOf(party).share, message, ['alice']);
};

const scenarios: readonly Scenario[] = [
  {
    name: 'key generation',
    parties: three,
    steps: ['keygen'],
    act: (party) => keygenAt(party, curve, policyOf(three)),
  },
  {
    name: 'set-up',
    parties: two,
    steps: ['setup', 'paillier'],
    act: (party) => setUpAt(party, multiplicationOf(party)),
  },
  { name: 'presigning and signing', parties: two, steps: ['presign', 'sign'], act: presignAndSign },
  {
    name: 'refresh',
    parties: two,
    steps: ['refresh'],
    act: (party) => {
      const { share } = stateOf(party);
      const multiplication = multiplicationOf(party);
      const rounds = refreshRounds(share.sharing, multiplication);
      return party.session({ operation: 'refresh', rounds }, (run) => refresh(run, share, multiplication));
    },
  },
];

/** Fields whose change is seen, but by a check that cannot tell who is at fault. */
const NOBODY_NAMED = [
  /^(keygen|refresh)\/confirm\./,
  / echo\./,
  /^presign\/open\.direct\.echo$/,
  // ψ_ij is tied to nothing but the signature that comes out.
  /^presign\/open\.direct\.psi$/,
  /^sign\/partial signature\./,
];

async function honestFields({ parties, act, steps }: Scenario): Promise<readonly FieldPath[]> {
  const recorder = recordFields(CHEAT);
  valuesOf(await runParties(parties, act, { intercept: recorder.intercept }));
  return recorder.fields.filter(({ step }) => steps.includes(step));
}

/** Runs the scenario. Once a party has failed, nobody waits for it in a later session: no test has a time-out. */
function runUntilFailure({ parties, act }: Scenario, intercept: Intercept) {
  const over = new AbortController();
  const { signal } = over;
  const actUntil = async (party: TestParty) => {
    try {
      return await act({ ...party, session: (given, body) => party.session({ signal, ...given }, body) });
    } catch (error) {
      setTimeout(() => over.abort(new MpcError('INTERRUPTED', 'the others have failed')), 20);
      throw error;
    }
  };
  return runParties(parties, actUntil, { intercept });
}

/** What the honest parties must not do, and what at least one of them must. */
function assertCaught(field: FieldPath, outcomes: ReadonlyMap<string, Outcome<unknown>>): void {
  const nobody = NOBODY_NAMED.some((pattern) => pattern.test(printField(field)));
  const honest = [...outcomes].filter(([name]) => name !== CHEAT);
  const codes = honest.map(([name, outcome]) => {
    assert.ok('error' in outcome, `${name} noticed nothing`);
    const { code, culprits } = outcome.error;
    assert.ok(
      culprits.every((culprit) => culprit === CHEAT),
      `${name} blames ${culprits}`,
    );
    if (code === 'PROTOCOL') assert.deepEqual(culprits, [CHEAT]);
    return code;
  });
  const expected = nobody ? 'EQUIVOCATION' : 'PROTOCOL';
  assert.ok(codes.includes(expected), `${expected} expected, got ${codes}`);
  for (const code of codes) assert.ok([expected, 'PEER_ABORTED'].includes(code), `unexpected ${code}`);
}

for (const scenario of scenarios) {
  describe(scenario.name, async () => {
    const fields = await honestFields(scenario);

    test('an honest run sends something in every step', () => {
      assert.deepEqual([...new Set(fields.map(({ step }) => step))], scenario.steps);
    });

    for (const field of fields) {
      test(printField(field), async () => {
        const attack = cheat(scenario.parties, CHEAT, field);
        const outcomes = await runUntilFailure(scenario, attack.intercept);
        assert.ok(attack.hits > 0, 'the cheat did nothing');
        assertCaught(field, outcomes);
      });
    }
  });
}
