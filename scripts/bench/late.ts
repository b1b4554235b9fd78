/**
 * What a party has still to compute when the last message of a round comes late: in every round whose messages are heavy
 * to check or to answer, with the others' messages there long before.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { allOf } from '#src/access/policy.js';
import { randomBytes } from '#src/core/bytes.js';
import * as ot from '#src/multiplication/ot-jobs.js';
import * as paillier from '#src/multiplication/paillier-jobs.js';
import type { Compute, Job } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { holdBack } from '#test/support/held-back.js';
import { type TestParty, valuesOf } from '#test/support/memory-network.js';
import {
  type MultiplicationName,
  presignAt,
  quickKey,
  setUpAt,
  testMultiplication,
} from '#test/support/protocols.js';
import { rehearse } from '#test/support/rehearsed.js';
import { millis, printTable } from './measure.js';
import { CURVE, NAMES } from './memory-key.js';

interface Place {
  readonly name: MultiplicationName;
  readonly step: string;
  readonly round: string;
  /** What is done with each message. */
  readonly job: Pick<Job<never, unknown>, 'name'>;
}

const PLACES: readonly Place[] = [
  { name: 'paillier', step: 'paillier', round: 'open', job: paillier.verifyPrm },
  { name: 'paillier', step: 'paillier', round: 'prove', job: paillier.verifyModulus },
  { name: 'paillier', step: 'presign', round: 'commit', job: paillier.respond },
  { name: 'paillier', step: 'presign', round: 'open', job: paillier.finish },
  { name: 'ot', step: 'ot', round: 'choose', job: ot.transfer },
  { name: 'ot', step: 'ot', round: 'transfer', job: ot.receive },
  { name: 'ot', step: 'presign', round: 'commit', job: ot.respond },
  { name: 'ot', step: 'presign', round: 'open', job: ot.finish },
];

const PARTIES = NAMES.slice(0, 4);
const [FIRST = '', ...PEERS] = PARTIES;
const LATE = PEERS.at(-1) ?? '';

/** CPU of the first party's work on the messages of a round: before the last one comes, and from then on. */
async function workOf({ name, step, round, job }: Place, key: Awaited<ReturnType<typeof keyOf>>) {
  const cpu = { before: 0, after: 0 };
  let when: keyof typeof cpu = 'before';
  const compute = inlineCompute(randomBytes);
  const timed: Compute = async (given, input, options) => {
    // In a turn of its own, in which nothing else runs: a job here runs to its end before its promise is returned.
    await turn();
    const start = process.cpuUsage();
    const output = compute(given, input, options);
    const { user, system } = process.cpuUsage(start);
    if (given.name === job.name) cpu[when] += (user + system) / 1000;
    return output;
  };
  const act = async (party: TestParty): Promise<void> => {
    const multiplication = testMultiplication(CURVE, PARTIES.indexOf(party.self), name);
    const acting: TestParty = {
      ...party,
      session: (given, body) =>
        party.session(party.self === FIRST ? { ...given, compute: timed } : given, body),
    };
    using _result =
      step === 'presign'
        ? await presignAt(acting, PARTIES, key.get(party.self)!, multiplication)
        : await setUpAt(acting, multiplication);
  };
  const held = holdBack({ from: LATE, to: FIRST, step, round }, () => {
    when = 'after';
  });
  valuesOf(await rehearse({ parties: PARTIES, act, seed: 'late', compute, ...held }));
  return cpu;
}

const keyOf = (multiplication: MultiplicationName) =>
  quickKey(CURVE, allOf(PARTIES), PARTIES, { multiplication });

export async function benchLate(): Promise<void> {
  const rows: string[][] = [];
  for (const place of PLACES) {
    const key = await keyOf(place.name);
    const { before, after } = await workOf(place, key);
    for (const state of key.values()) state[Symbol.dispose]();
    rows.push([`${place.name}, ${place.step} ${place.round}`, millis(before + after), millis(after)]);
  }
  printTable(
    `The last of ${PEERS.length} messages of a round is late: CPU of the work on all of them, and of what is left to do then`,
    [['', 'all', 'left'], ...rows],
  );
}
