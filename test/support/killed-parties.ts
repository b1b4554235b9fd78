/** Parties that keep keys, as processes of the everyday commands, which may be killed; and what their folders hold. */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PartyName } from '#src/core/errors.js';
import { isStateFolder, type StoredKey } from '#src/keystore/keystore.js';
import { type Ended, type Running, startCommand } from './command.js';
import { KILLED_AT, type Moment } from './killed-at-call.js';
import { openKeystore, PASSPHRASE } from './stored-keys.js';
import { type Chance, either, TORTURE } from './torture.js';

const KILLED_AT_CALL = new URL('./killed-at-call.js', import.meta.url).href;

/** When a process is killed: at a call that changes its state folder, by number, or at a time after its start. */
type Kill = { readonly call: number; readonly moment: Moment } | { readonly millis: number };

/** About as many calls as these commands make to change the state folder, at most. */
const CALLS: Readonly<Record<string, number>> = {
  ...{ keygen: 55, sign: 40, refresh: 60 },
  ...{ 'backup create': 16, 'backup recover': 32 },
};

const nameOf = ([command, second]: readonly string[]): string =>
  command === 'backup' ? `${command} ${second}` : command!;

/** What a command may end with when one party was killed: well, a peer missed, interrupted by its user, killed. */
const FAIR_ENDS = [0, 3, 130, null];

/** How long the others go on when one has been killed: the longest time is enough for them to end by themselves. */
const MILLIS = [0, 0, 0, 100, 100, 100, 500, 500, 500, 1_000, 2_000, ...either([], [25_000])];
/** How long one that was started again may take to meet the others. */
const MEETING_MILLIS = 15_000;

/** A command that has to end well in the end, whoever is killed meanwhile. */
export interface Aim {
  /** Of all parties, in each try. */
  readonly args: () => readonly string[];
  /** Further ones of one party. */
  readonly own?: (self: PartyName) => readonly string[];
  /** Looks at what is left when some were killed. */
  readonly inspect: () => Promise<void>;
  /** Whether a party has nothing more to do; by default when its command has ended well. */
  readonly isDone?: (ended: Ended) => boolean;
}

const isWell = ({ status }: Ended): boolean => status === 0;
const noMore = (): readonly string[] => [];

interface Process extends Running {
  readonly self: PartyName;
}

/** Parties that a failed test has left running would go on for as long as their time-out. */
const running = new Set<Process>();
after(() => {
  for (const { child } of running) child.kill('SIGKILL');
});

interface Trial {
  readonly victims?: ReadonlyMap<PartyName, Kill>;
  readonly own?: (self: PartyName) => readonly string[];
}

const allEnded = (processes: readonly Process[]): Promise<Ended[]> =>
  Promise.all(processes.map(({ ended }) => ended));
const wasKilled = ({ child }: Process): boolean => child.signalCode === 'SIGKILL';
const isRunning = ({ child }: Process): boolean => child.exitCode === null && child.signalCode === null;

/** Settles when one has failed, or been killed; or when all have ended. */
async function failureAmong(processes: readonly Process[]): Promise<void> {
  const failures = processes.map(
    ({ ended }) => new Promise<void>((resolve) => void ended.then(({ status }) => status !== 0 && resolve())),
  );
  await Promise.race([allEnded(processes), ...failures]);
}

/** Waits for `event`, but no longer than that. */
async function within(millis: number, event: Promise<unknown>): Promise<void> {
  const time = new AbortController();
  const passed = sleep(millis, undefined, { signal: time.signal }).catch(() => {});
  await Promise.race([passed, event]);
  time.abort();
}

const told = (kill: Kill | undefined): string => (kill ? ` (${Object.values(kill).join(' ')})` : '');

export class KilledParties {
  readonly #cwd: string;
  readonly #chance: Chance;
  /** How long a command takes when nobody is killed: milliseconds, by its name. */
  readonly #millis = new Map<string, number>();
  #copies = 0;
  /** How many were killed. */
  kills = 0;
  /** What was run, who was killed when, and how it ended. */
  readonly history: string[] = [];

  constructor(cwd: string, chance: Chance) {
    this.#cwd = cwd;
    this.#chance = chance;
    writeFileSync(join(cwd, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
  }

  stateOf(self: PartyName): string {
    return join(this.#cwd, 'state', self);
  }

  /**
   * An empty state folder, instead of what was there: mostly one whose key takes little time to make of the passphrase,
   * at times none at all, so that the next command makes it.
   */
  async renewState(self: PartyName): Promise<void> {
    rmSync(this.stateOf(self), { recursive: true, force: true });
    if (this.#chance.between(0, 4) > 0)
      (await openKeystore(this.stateOf(self), { party: self }))[Symbol.dispose]();
  }

  /** The keys in a state folder, by a copy: an opening clears up what the next command is to clear up. */
  async keysOf(self: PartyName): Promise<readonly StoredKey[]> {
    if (!isStateFolder(this.stateOf(self))) return [];
    const copy = join(this.#cwd, `copy-${this.#copies++}`);
    cpSync(this.stateOf(self), copy, { recursive: true });
    // Reads every share, and checks it against its public share.
    using keystore = await openKeystore(copy, { party: self, create: false });
    const keys = keystore.keys();
    rmSync(copy, { recursive: true });
    return keys;
  }

  /** Throws when a state folder holds anything but what its keys need, or is locked. */
  async assertTidy(self: PartyName): Promise<void> {
    const folder = this.stateOf(self);
    const names = readdirSync(folder);
    const locks = names.filter((name) => name.startsWith('lock.'));
    assert.deepEqual(
      locks.map((name) => statSync(join(folder, name)).size),
      [0],
      names.join(' '),
    );
    const needed = (await this.keysOf(self)).reduce(
      (sum, { sharings }) => sum + 1 + sharings.reduce((files, { setups }) => files + 1 + setups.length, 0),
      0,
    );
    const found = names.filter((name) => name !== 'keystore.json' && !locks.includes(name));
    assert.equal(found.length, needed, names.join(' '));
  }

  /** Runs a command at `parties` in some tries in which some of them are killed, and in a last one that must do. */
  async insist(parties: readonly PartyName[], aim: Aim): Promise<Ended[]> {
    const { args, own = noMore, inspect, isDone = isWell } = aim;
    for (let tries = this.#tries(parties); tries > 0; tries--) {
      const now = args();
      const victims = this.#victims(parties, nameOf(now));
      const ended = await this.#run(parties, now, { victims, own });
      for (const each of ended) assert.ok(FAIR_ENDS.includes(each.status) || isDone(each), each.stderr);
      this.kills += parties.filter((self, at) => victims.has(self) && ended[at]!.status === null).length;
      await inspect();
    }
    const now = args();
    const start = performance.now();
    const ended = await this.#run(parties, now, { own });
    this.#millis.set(nameOf(now), performance.now() - start);
    for (const [at, each] of ended.entries())
      assert.ok(isDone(each), `${parties[at]}: ${now.join(' ')}: ${each.stderr}`);
    return ended;
  }

  /** Runs a command at `parties` together, which must end well. */
  async together(parties: readonly PartyName[], ...args: readonly string[]): Promise<Ended[]> {
    const ended = await this.#run(parties, args);
    for (const { status, stderr } of ended) assert.equal(status, 0, stderr);
    return ended;
  }

  /** How often a command is cut off before it ends well; one that a party runs by itself costs little. */
  #tries(parties: readonly PartyName[]): number {
    if (!TORTURE) return 1;
    return parties.length === 1 ? this.#chance.between(4, 12) : this.#chance.between(1, 6);
  }

  /** Some of the parties, and when they are killed. */
  #victims(parties: readonly PartyName[], command: string): ReadonlyMap<PartyName, Kill> {
    const chance = this.#chance;
    const victims = chance.shuffle(parties).slice(0, chance.between(1, parties.length + 1));
    return new Map(victims.map((self) => [self, this.#kill(command)]));
  }

  #kill(command: string): Kill {
    const chance = this.#chance;
    if (chance.between(0, 3) === 0) return { millis: chance.between(0, this.#millis.get(command) ?? 3_000) };
    const moment = chance.pick<Moment>(['before', 'writing', 'after']);
    return { call: chance.between(0, CALLS[command]!), moment };
  }

  /** Runs a command at `parties`. When one of them has failed or been killed the others end soon, too. */
  async #run(
    parties: readonly PartyName[],
    args: readonly string[],
    { victims = new Map(), own = noMore }: Trial = {},
  ): Promise<Ended[]> {
    const launch = (self: PartyName, kill?: Kill) => this.#start(self, [...args, ...own(self)], kill);
    const processes = parties.map((self) => launch(self, victims.get(self)));
    const all = allEnded(processes);
    await failureAmong(processes);
    const isRestarted = processes.some(isRunning) && this.#chance.between(0, 5) === 0;
    const again = isRestarted ? processes.filter(wasKilled).map(({ self }) => launch(self)) : [];
    // Both meet, or the others learn that it was restarted, or they have just ended well.
    if (again.length > 0)
      await within(MEETING_MILLIS, failureAmong([...processes.filter(isRunning), ...again]));
    const millis = this.#chance.pick(MILLIS);
    await within(millis, allEnded([...processes, ...again]));
    for (const { self, child } of processes) child.kill(victims.has(self) ? 'SIGKILL' : 'SIGINT');
    for (const { child, ended } of again) {
      child.kill('SIGINT');
      const { status, stderr } = await ended;
      assert.ok(FAIR_ENDS.includes(status), stderr);
    }
    const ended = await all;
    const ends = processes.map(({ self }, at) => `${self}${told(victims.get(self))} ${ended[at]!.status}`);
    const more = again.length > 0 ? `, ${again.map(({ self }) => self).join()} started again` : '';
    this.history.push(`${args.join(' ')}: ${ends.join(', ')}${more}, within ${millis} ms`);
    return ended;
  }

  #start(self: PartyName, args: readonly string[], kill?: Kill): Process {
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      ECDSA_MPC_PASSPHRASE_FILE: join(this.#cwd, 'passphrase'),
      ...(kill &&
        'call' in kill && {
          NODE_OPTIONS: `--import=${KILLED_AT_CALL}`,
          [KILLED_AT]: `${kill.call} ${kill.moment}`,
        }),
    };
    const all = [...args, `--self=${self}`, '--json', '--timeout=5m', '--connect-timeout=2m'];
    const started = { self, ...startCommand(all, { cwd: this.#cwd, env, storedPrimes: true }) };
    running.add(started);
    const timer =
      kill && 'millis' in kill ? setTimeout(() => started.child.kill('SIGKILL'), kill.millis) : undefined;
    void started.ended.finally(() => {
      running.delete(started);
      clearTimeout(timer);
    });
    return started;
  }
}
