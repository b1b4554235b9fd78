// Checks of peers' messages begin as these arrive, while another peer is slow, in every round in which they are heavy:
// of the set-ups and of presigning, with both multiplications. What that leaves as it is: who is named and for what, what
// comes first, and that nothing is left of a session that fails.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { Secret } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import type { OtSetup } from '#src/multiplication/ot.js';
import * as otJobs from '#src/multiplication/ot-jobs.js';
import * as paillierJobs from '#src/multiplication/paillier-jobs.js';
import { decodeFrame } from '#src/rounds/frames.js';
import type { Compute, Run } from '#src/rounds/run.js';
import { instead, type Substitute, withJobs, withRun } from '../support/cheating.js';
import { holdBack } from '../support/held-back.js';
import {
  errorAt,
  type Intercept,
  outcomeOf,
  type TestParty,
  valueAt,
  valuesOf,
} from '../support/memory-network.js';
import { otSetups } from '../support/ot.js';
import {
  type MultiplicationName,
  presignAt,
  quickKey,
  setUpAt,
  testMultiplication,
} from '../support/protocols.js';
import { rehearse, rememberingCompute } from '../support/rehearsed.js';
import { flipBit, type Target, tamper } from '../support/tamper.js';

const parties = ['alice', 'bob', 'charlie'];
const curve = curveByName('P-256');
const policy = parsePolicy({ and: parties }, parties);
const remembering = rememberingCompute();

const keys = {
  paillier: await quickKey(curve, policy, parties),
  ot: await quickKey(curve, policy, parties, { multiplication: 'ot' }),
};
after(() => {
  for (const states of Object.values(keys)) for (const state of states.values()) state[Symbol.dispose]();
});

/** Every round whose messages are heavy to check, and the job that does so. */
const HEAVY = [
  { name: 'paillier', step: 'paillier', round: 'open', job: paillierJobs.verifyPrm.name },
  { name: 'paillier', step: 'paillier', round: 'prove', job: paillierJobs.verifyModulus.name },
  { name: 'paillier', step: 'presign', round: 'commit', job: paillierJobs.respond.name },
  { name: 'paillier', step: 'presign', round: 'open', job: paillierJobs.finish.name },
  { name: 'ot', step: 'ot', round: 'choose', job: otJobs.transfer.name },
  { name: 'ot', step: 'ot', round: 'transfer', job: otJobs.receive.name },
  { name: 'ot', step: 'presign', round: 'commit', job: otJobs.respond.name },
  { name: 'ot', step: 'presign', round: 'open', job: otJobs.finish.name },
] as const satisfies readonly {
  readonly name: MultiplicationName;
  readonly step: string;
  readonly round: string;
  readonly job: string;
}[];

type Place = (typeof HEAVY)[number];

/** A party's part in the protocol that has the round; what comes of it is wiped. */
const protocolOf =
  ({ name, step }: Pick<Place, 'name' | 'step'>, states = keys[name]) =>
  async (party: TestParty): Promise<void> => {
    const multiplication = testMultiplication(curve, parties.indexOf(party.self), name);
    using _result =
      step === 'presign'
        ? await presignAt(party, parties, states.get(party.self)!, multiplication)
        : await setUpAt(party, multiplication);
  };

/** Whose messages a job works on, by the contexts in its input. */
const peerIn = (input: unknown): string | undefined =>
  ['context', 'modContext', 'receiverContext']
    .flatMap((key) => Object.values((input as Record<string, object | undefined>)[key] ?? {}))
    .find((value) => value === 'bob' || value === 'charlie');

/** alice, who tells `log` of every job of hers that has ended, and of her progress. */
function watched(party: TestParty, log: (event: string) => void): TestParty {
  if (party.self !== 'alice') return party;
  const compute: Compute = async (job, input, options) => {
    const output = await party.compute(job, input, options);
    log(`${job.name} ${peerIn(input)}`);
    return output;
  };
  const progress = (_stage: string, done: number, total: number) => log(`done ${done} of ${total}`);
  return {
    ...party,
    compute,
    session: (given, body) => party.session({ ...given, compute, progress }, body),
  };
}

interface Meeting {
  readonly act: (party: TestParty) => Promise<void>;
  /** What charlie sends to alice last of all. */
  readonly late: Omit<Target, 'from' | 'to'>;
  readonly meanwhile?: () => void;
  readonly forGood?: boolean;
  readonly intercept?: Intercept;
}

/** Alice, bob and charlie, who is slow towards alice. Neither tells her of a failure: what she finds, she finds herself. */
function meet({ act, late, meanwhile = () => {}, forGood = false, intercept }: Meeting) {
  const held = holdBack({ from: 'charlie', to: 'alice', ...late }, meanwhile, { forGood });
  return rehearse({
    parties,
    act,
    seed: 'arrival',
    compute: remembering,
    heldBack: held.heldBack,
    intercept: (from, to, bytes) => {
      if (to === 'alice' && decodeFrame(bytes).kind === 'abort') return [];
      const [changed = bytes] = intercept?.(from, to, bytes) ?? [];
      return held.intercept(from, to, changed) ?? [changed];
    },
  });
}

for (const place of HEAVY) {
  const { name, step, round, job } = place;
  test(`${name}, ${step} ${round}: alice works on bob’s message while charlie’s is missing`, async () => {
    const log: string[] = [];
    let before: readonly string[] = [];
    const meanwhile = () => {
      before = [...log];
    };
    const act = (party: TestParty) => protocolOf(place)(watched(party, (event) => log.push(event)));
    valuesOf(await meet({ act, late: { step, round }, meanwhile }));
    const ended = (events: readonly string[]) => events.filter((event) => event.startsWith(job));
    assert.deepEqual(ended(before), [`${job} bob`]);
    assert.deepEqual(ended(log), [`${job} bob`, `${job} charlie`]);
    const ticks = log.filter((event) => event.startsWith('done'));
    const total = step === 'presign' ? 0 : { paillier: 8, ot: 6 }[name];
    assert.deepEqual(
      ticks,
      Array.from({ length: total }, (_, k) => `done ${k + 1} of ${total}`),
    );
  });

  test(`${name}, ${step} ${round}: charlie’s message never comes, and nothing is left`, async () => {
    const live = Secret.live;
    const outcomes = await meet({ act: protocolOf(place), late: { step, round }, forGood: true });
    const { code, culprits } = errorAt(outcomes, 'alice');
    assert.deepEqual([code, culprits], ['TIMEOUT', ['charlie']]);
    assert.equal(Secret.live, live);
  });
}

test('ot: keys that a job gives when the set-up has failed already are wiped', async () => {
  const live = Secret.live;
  const ending = new AbortController();
  let late = 0;
  const act = protocolOf(HEAVY[4]);
  const interrupted = (party: TestParty): TestParty => {
    const compute: Compute = async (job, input, options) => {
      const output = await party.compute(job, input, options);
      if (job.name !== otJobs.transfer.name) return output;
      ending.abort(new MpcError('INTERRUPTED', 'over'));
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      late += 1;
      return output;
    };
    const { signal } = ending;
    return { ...party, session: (given, body) => party.session({ ...given, compute, signal }, body) };
  };
  const outcomes = await meet({
    act: (party) => act(party.self === 'alice' ? interrupted(party) : party),
    late: { step: 'ot', round: 'choose' },
  });
  assert.equal(errorAt(outcomes, 'alice').code, 'INTERRUPTED');
  assert.ok(late > 0);
  assert.equal(Secret.live, live);
});

// Who is named

/** bob with other jobs, or with another run. */
const bobWith =
  (act: (party: TestParty) => Promise<void>, cheat: (party: TestParty) => TestParty) =>
  (party: TestParty): Promise<void> =>
    act(party.self === 'bob' ? cheat(party) : party);

const plusOne = <T>(values: readonly T[], next: (value: T) => T): readonly T[] =>
  values.map((value, i) => (i === 0 ? next(value) : value));

interface Bad {
  readonly place: Pick<Place, 'name' | 'step' | 'round'>;
  /** What bob does instead of one of his jobs. */
  readonly job: Substitute;
  readonly reason: RegExp;
  /** What of charlie's tells alice of another view of the round. */
  readonly echo: { readonly round: string; readonly path: string };
}

const BAD: readonly Bad[] = [
  {
    place: HEAVY[0],
    job: instead(paillierJobs.makeKeys, async (_input, honest) => {
      const made = await honest();
      return { ...made, prm: { ...made.prm, z: plusOne(made.prm.z, (z) => z + 1n) } };
    }),
    reason: /the check of ring-Pedersen parameters \(prm\) fails/,
    echo: { round: 'open echo', path: 'direct' },
  },
  {
    place: HEAVY[1],
    job: instead(paillierJobs.proveFac, async (_input, honest) => {
      const made = await honest();
      return { ...made, z1: made.z1 + 1n };
    }),
    reason: /the check of Paillier–Blum modulus \(mod\) without small factors \(fac\) fails/,
    echo: { round: 'prove echo', path: 'direct' },
  },
  {
    place: HEAVY[3],
    job: instead(paillierJobs.respond, async (_input, honest) => {
      const made = await honest();
      return made && { ...made, D: plusOne(made.D, (D) => D + 1n) };
    }),
    reason: /the check of multiplication, second message fails/,
    echo: { round: 'open', path: 'direct.echo' },
  },
];

function assertBobNamed({ code, culprits, message }: MpcError, reason: RegExp): void {
  assert.deepEqual([code, culprits], ['PROTOCOL', ['bob']], message);
  assert.match(message, reason);
}

for (const { place, job, reason, echo } of BAD) {
  const { step, round } = place;
  const act = bobWith(protocolOf(place), (party) => withJobs(party, [job]));

  test(`${step} ${round}: bob is named for what fails, once charlie’s message is there`, async () => {
    const meanwhile = () => assert.ok(!ended);
    let ended = false;
    const acting = (party: TestParty) =>
      act(party).finally(() => {
        if (party.self === 'alice') ended = true;
      });
    const outcomes = await meet({ act: acting, late: { step, round }, meanwhile });
    assertBobNamed(errorAt(outcomes, 'alice'), reason);
  });

  test(`${step} ${round}: nobody is named when charlie’s view of the broadcasts differs as well`, async () => {
    const { intercept } = tamper(
      { from: 'charlie', to: 'alice', step, round: echo.round },
      flipBit(echo.path),
    );
    const outcomes = await meet({ act, late: { step, round: echo.round }, intercept });
    const { code, culprits } = errorAt(outcomes, 'alice');
    assert.deepEqual([code, culprits], ['EQUIVOCATION', []]);
  });
}

/** The jobs of alice's on messages of bob's, while charlie's opening is missing. */
async function workOnBob(
  place: Pick<Place, 'name' | 'step' | 'round'>,
  change: (run: Run) => Partial<Run>,
  reason: RegExp,
) {
  const log: string[] = [];
  const act = bobWith(
    (party) => protocolOf(place)(watched(party, (event) => log.push(event))),
    (party) => withRun(party, change),
  );
  const { step, round } = place;
  const error = errorAt(await meet({ act, late: { step, round } }), 'alice');
  assert.match(`${error.code} [${error.culprits}] ${error.message}`, reason);
  return log.filter((event) => event.endsWith('bob'));
}

/** What changes the messages that are sent to alice in the direct round `open`. */
const opening =
  (changes: object) =>
  (run: Run): Partial<Run> => ({
    exchange: (round, messages, from) => {
      const altered = [...messages].map(([peer, message]) => {
        const cheats = round.name === 'open' && peer === 'alice';
        return [peer, cheats ? { ...message, ...changes } : message] as const;
      });
      return run.exchange(round, new Map(altered) as typeof messages, from);
    },
  });

test('a modulus that was not committed to is not worked on', async () => {
  const change = (run: Run): Partial<Run> => ({
    broadcast: (round, message) =>
      run.broadcast(round, round.name === 'open' ? { ...message, blind: new Uint8Array(32) } : message),
  });
  const reason = /^PROTOCOL \[bob\] .* commitment to the Paillier modulus/;
  assert.deepEqual(await workOnBob(HEAVY[0], change, reason), []);
});

for (const place of [HEAVY[3], HEAVY[7]]) {
  const { name } = place;
  const before = [`${name} open bob`, `${name} respond bob`];
  test(`${name}: nothing of a message is used whose sender opens another R than committed to`, async () => {
    const reason = /^PROTOCOL \[bob\] .* commitment to R/;
    assert.deepEqual(await workOnBob(place, opening({ R: curve.G }), reason), before);
  });

  test(`${name}: nothing of a message is used whose sender has another view of the first round`, async () => {
    const reason = /^EQUIVOCATION \[\] .* differs from bob's/;
    assert.deepEqual(await workOnBob(place, opening({ echo: new Uint8Array(32) }), reason), before);
  });
}

// Oblivious transfers: a failed check voids the set-up

/** Set-ups that a test may void, and the protocol on them. */
function freshOt() {
  const { setups } = otSetups(curve, parties);
  const states = new Map(
    parties.map((self) => {
      const state = keys.ot.get(self)!;
      return [self, { ...state, setup: { ...state.setup, multiplication: setups.get(self)! } }] as const;
    }),
  );
  return {
    alice: setups.get('alice') as OtSetup,
    act: protocolOf({ name: 'ot', step: 'presign' }, states),
    [Symbol.dispose]: () => {
      for (const setup of setups.values()) setup[Symbol.dispose]();
    },
  };
}

const badFirst = instead(otJobs.open, async (_input, honest) => {
  const made = await honest();
  return {
    ...made,
    extension: { ...made.extension, x: made.extension.x.map((byte, i) => byte ^ Number(i === 0)) },
  };
});

const badSecond = instead(otJobs.respond, async (_input, honest) => {
  const made = await honest();
  return made && { ...made, correction: { ...made.correction, eta: curve.mod(made.correction.eta + 1n) } };
});

test('ot: a first message that fails its check voids the set-up at once, whoever is late', async () => {
  using ot = freshOt();
  const act = bobWith(ot.act, (party) => withJobs(party, [badFirst]));
  const meanwhile = () => assert.ok(ot.alice.voided.aborted);
  const late = { step: 'presign', round: 'commit' };
  await meet({ act, late, meanwhile, forGood: true });
  assert.deepEqual((ot.alice.voided.reason as MpcError).culprits, ['bob']);
});

test('ot: an answer that is ready while charlie is late is not sent once another session has voided the set-up', async () => {
  using ot = freshOt();
  const live = Secret.live;
  const log: string[] = [];
  const sent: string[] = [];
  const named = (party: TestParty, operation: string): TestParty => ({
    ...party,
    session: (given, body) => {
      const signal = party.self === 'alice' ? { signal: ot.alice.voided } : {};
      return party.session({ ...given, operation, ...signal }, body);
    },
  });
  const act = async (party: TestParty) => {
    const cheating = party.self === 'bob' ? withJobs(party, [badFirst]) : party;
    const sessions = [
      named(
        watched(party, (event) => log.push(event)),
        'one',
      ),
      named(cheating, 'two'),
    ];
    return Promise.all(sessions.map((session) => outcomeOf(ot.act(session))));
  };
  const place = { to: 'alice', step: 'presign', round: 'commit' };
  const bad = holdBack({ ...place, from: 'bob', operation: 'two' }, () => {
    assert.ok(log.includes(`${otJobs.respond.name} bob`));
    assert.ok(!ot.alice.voided.aborted);
  });
  const late = holdBack({ ...place, from: 'charlie', operation: 'one' }, () => {});
  const outcomes = await rehearse({
    parties,
    act,
    seed: 'kept answer',
    compute: remembering,
    heldBack: () => [...bad.heldBack(), ...late.heldBack()],
    intercept: (from, to, bytes) => {
      const frame = decodeFrame(bytes);
      // What alice finds, she finds herself.
      if (to === 'alice' && frame.kind === 'abort') return [];
      if (from === 'alice' && frame.kind === 'round') sent.push(`${frame.operation} ${frame.round}`);
      return bad.intercept(from, to, bytes) ?? late.intercept(from, to, bytes);
    },
  });
  for (const outcome of valueAt(outcomes, 'alice')) {
    assert.ok('error' in outcome);
    assertBobNamed(outcome.error, /which makes the set-up void/);
  }
  assert.deepEqual(new Set(sent), new Set(['one commit', 'two commit']));
  // Of her set-up, and of charlie's, who finds the same, nothing is left, nor of what was made with them.
  assert.equal(Secret.live, live - 4);
});

test('ot: a second message that fails its check voids the set-up, once charlie’s is there', async () => {
  using ot = freshOt();
  const act = bobWith(ot.act, (party) => withJobs(party, [badSecond]));
  const meanwhile = () => assert.ok(!ot.alice.voided.aborted);
  const outcomes = await meet({ act, late: { step: 'presign', round: 'open' }, meanwhile });
  assertBobNamed(errorAt(outcomes, 'alice'), /which makes the set-up void/);
  assert.ok(ot.alice.voided.aborted);
});

test('ot: a second message that fails its check is not judged when charlie’s view of the broadcasts differs', async () => {
  using ot = freshOt();
  const act = bobWith(ot.act, (party) => withJobs(party, [badSecond]));
  const late = { step: 'presign', round: 'open' };
  const { intercept } = tamper({ from: 'charlie', to: 'alice', ...late }, flipBit('direct.echo'));
  const outcomes = await meet({ act, late, intercept });
  assert.equal(errorAt(outcomes, 'alice').code, 'EQUIVOCATION');
  assert.ok(!ot.alice.voided.aborted);
});
