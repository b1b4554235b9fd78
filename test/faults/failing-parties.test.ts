// A party that is killed, frozen, cut off, stuck or interrupted in any step: the others end in time, with status 3 and
// its name, and no half-written file stays behind.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorCode, PartyName } from '#src/core/errors.js';
import { STEPS, type StepName } from '#src/party/events.js';
import { DEFAULT_LIMITS } from '#src/transport/limits.js';
import {
  assertSigned,
  doneOf,
  eitherMultiplication,
  errorOf,
  type Lines,
  type PartyProcess,
  proxyLines,
  startParty,
  temporaryFiles,
} from '../support/ceremonies.js';
import { clusterFolders } from '../support/cluster-folder.js';
import { type Ended, STUCK_IN } from '../support/command.js';
import { Chance, count, either } from '../support/torture.js';

const makeFolder = clusterFolders();

/** From the last sign of life of a party until the others have ended, on a machine that is busy with other tests. */
const HEARTBEAT_LIMIT_MILLIS = DEFAULT_LIMITS.goneMillis + 15_000;

interface Disaster {
  readonly parties: readonly PartyName[];
  /** Steps of the ceremony in which it strikes: a random one, or all. */
  readonly steps: readonly StepName[];
  /** Arguments of all parties. */
  readonly args?: readonly string[];
  /** The victim's environment when it is to strike in `step`. */
  readonly env?: (step: StepName) => NodeJS.ProcessEnv;
  readonly strike: (victim: PartyProcess, lines: Lines) => Promise<void> | void;
  /** What becomes of the victim. */
  readonly victim: (ended: Ended, others: readonly PartyName[]) => void;
  /** How the others end. */
  readonly codes: readonly ErrorCode[];
  /** By when, milliseconds after the disaster. */
  readonly within: number;
}

/** These a party does by itself, in a moment. */
const BRIEF_STEPS: readonly StepName[] = ['policy', 'backup', 'verify', 'recover', 'backup-again'];

/** In these nothing more may be needed of the victim: the others can have all that they want of it. */
const LAST_STEPS: readonly StepName[] = ['sign-again', 'backup-again'];

async function befalls(t: TestContext, what: string, disaster: Disaster): Promise<void> {
  const chance = new Chance(t);
  const { parties, steps } = disaster;
  for (const step of either([chance.pick(steps)], steps)) {
    const name = chance.pick(parties);
    const folder = await makeFolder(`${what}-${step}`, parties);
    const lines = await proxyLines(folder, parties);
    const multiplication = eitherMultiplication(chance);
    const running = parties.map((party) => {
      const args = [lines.config(party), '--receiver=all', multiplication, ...(disaster.args ?? [])];
      const env = party === name ? disaster.env?.(step) : undefined;
      return startParty(folder.cwd, party, args, { env: { ...process.env, SAVE_BACKUP: '1', ...env } });
    });
    const victim = running.find(({ self }) => self === name)!;
    const others = running.filter((party) => party !== victim);
    // Whoever has not met the victim yet waits for it to come, as long as for anybody.
    await Promise.all(running.map((party) => party.begins('policy')));
    await victim.begins(step);
    await sleep(chance.between(0, BRIEF_STEPS.includes(step) ? 30 : 300));
    const context = `${name} ${what} in ${step} (${multiplication})`;
    t.diagnostic(context);
    const struckAt = performance.now();
    await disaster.strike(victim, lines);

    const ended = await Promise.all(others.map((party) => party.ended));
    const millis = Math.round(performance.now() - struckAt);
    for (const proxy of lines.proxies) proxy.unstall();
    victim.child.kill('SIGKILL');
    const victimEnded = await victim.ended;
    await lines.close();
    const well = ended.filter(({ status }) => status === 0);
    if (LAST_STEPS.includes(step) && well.length > 0) assertSigned(well.map(doneOf));
    else assert.equal(well.length, 0, context);
    for (const each of ended) if (each.status !== 0) assertNames(each, name, disaster.codes, context);
    if (well.length === 0) {
      const told = [...ended, victimEnded].filter(({ status }) => status === 3);
      assert.ok(told.some((each) => errorOf(each).code === disaster.codes[0]));
      assert.ok(ended.some((each) => errorOf(each).culprits.includes(name)));
    }
    assert.ok(millis < disaster.within, `${context}: the others took ${millis} ms`);
    assert.deepEqual(temporaryFiles(folder.cwd), [], context);
    count(t, `parties ${what}`, 1);
  }
}

/** Checks that a party has ended with status 3, and named `victim` and nobody else. */
function assertNames(ended: Ended, victim: PartyName, codes: readonly ErrorCode[], context: string): void {
  const error = errorOf(ended);
  const told = `${context}: ${ended.stderr}`;
  assert.equal(ended.status, 3, told);
  // Who is told by another before it noticed itself knows it from hearsay only.
  assert.ok(
    error.culprits.every((culprit) => culprit === victim),
    told,
  );
  assert.ok(codes.includes(error.code), told);
  assert.match(ended.stderr, new RegExp(`(^|\n)ecdsa-mpc: .*\\b${victim}\\b`), told);
}

const was = (signal: NodeJS.Signals) => (victim: PartyProcess) => {
  victim.child.kill(signal);
};
const isDead = ({ status }: Ended) => assert.equal(status, null);

describe('in a ceremony', { concurrency: 5 }, () => {
  test('a party that is killed', (t) =>
    befalls(t, 'killed', {
      parties: ['alice', 'bob', 'charlie'],
      steps: STEPS,
      strike: was('SIGKILL'),
      victim: isDead,
      codes: ['PEER_LEFT'],
      within: HEARTBEAT_LIMIT_MILLIS,
    }));

  test('a party whose machine freezes', (t) =>
    befalls(t, 'frozen', {
      parties: ['alice', 'bob'],
      steps: STEPS,
      strike: was('SIGSTOP'),
      victim: isDead,
      codes: ['PEER_LEFT'],
      within: HEARTBEAT_LIMIT_MILLIS,
    }));

  test('a party whose network is gone, and which takes the others to be', (t) =>
    befalls(t, 'cut off', {
      parties: ['alice', 'bob'],
      steps: STEPS,
      strike: (victim, lines) => {
        for (const proxy of lines.of(victim.self)) proxy.stall();
      },
      victim: (ended, [other]) => {
        if (ended.status !== null) assertNames(ended, other!, ['PEER_LEFT'], 'cut off');
      },
      codes: ['PEER_LEFT'],
      within: HEARTBEAT_LIMIT_MILLIS,
    }));

  // Every peer answers its pings: nothing but the time-out can end this.
  const timeoutSeconds = either(40, 120);
  test('a party that lives and never gets on with its work', (t) =>
    befalls(t, 'stuck', {
      parties: ['alice', 'bob', 'charlie'],
      steps: either<readonly StepName[]>(['setup'], ['setup', 'sign', 'refresh', 'sign-again']),
      args: [`--timeout=${timeoutSeconds}s`],
      env: (step) => ({ [STUCK_IN]: step }),
      strike: () => {},
      victim: (ended) => assert.ok([3, null].includes(ended.status), ended.stderr),
      // The first to give up tells the others, who then name the same one.
      codes: ['TIMEOUT', 'PEER_LEFT'],
      within: (timeoutSeconds + 5) * 1_000,
    }));

  test('a party that its user interrupts', (t) => {
    const signal = new Chance(t).pick(['SIGINT', 'SIGTERM', 'SIGHUP'] as const);
    return befalls(t, 'interrupted', {
      parties: ['alice', 'bob'],
      steps: STEPS,
      strike: async (victim) => {
        victim.child.kill(signal);
        const start = performance.now();
        await victim.ended;
        const millis = Math.round(performance.now() - start);
        assert.ok(millis < 3_000, `it took ${millis} ms`);
      },
      victim: ({ status, stderr }) =>
        assert.deepEqual([status, stderr.split('\n').at(-2)], [130, 'ecdsa-mpc: interrupted']),
      codes: ['PEER_LEFT'],
      within: 10_000,
    });
  });
});
