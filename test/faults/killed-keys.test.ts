// Processes of the everyday commands are killed at any moment, above all at and between the calls that change their
// state folders. Whatever they leave, the next command can use: all parties go on to sign under the same public key,
// and never is a share lost that the key needs.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fromHex, toHex } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import type { StoredKey } from '#src/keystore/keystore.js';
import { describeKey } from '#src/party/describe-key.js';
import type { ResultEvent } from '#src/party/events.js';
import { printId } from '#src/protocol/key-share.js';
import { clusterFolders, eventsIn } from '../support/cluster-folder.js';
import type { Ended } from '../support/command.js';
import { type Aim, KilledParties } from '../support/killed-parties.js';
import { Chance, count, either, TORTURE } from '../support/torture.js';

const makeFolder = clusterFolders();

/** Kills of one life, and the time after which it makes no further one. */
const KILLS = 130;
const BUDGET_MILLIS = 10 * 60_000;

function resultOf({ stdout }: Ended): ResultEvent {
  const last = eventsIn(stdout).at(-1);
  assert.ok(last?.event === 'result');
  return last;
}

const shidsOf = (key: StoredKey | undefined): string[] =>
  (key?.sharings ?? []).map(({ sharing }) => toHex(sharing.shid));

/** The lives of keys among some parties, whose processes are killed all the time. */
class Lives {
  readonly #parties: readonly PartyName[];
  readonly #quorum: number;
  readonly #processes: KilledParties;
  readonly #chance: Chance;
  /** The key that lives, as it was made. */
  #key!: { readonly keyId: string; readonly publicKey: string; readonly pem: string };
  #messages = 0;
  #backups = 0;

  constructor(cwd: string, parties: readonly PartyName[], quorum: number, chance: Chance) {
    this.#parties = parties;
    this.#quorum = quorum;
    this.#chance = chance;
    this.#processes = new KilledParties(cwd, chance);
  }

  get kills(): number {
    return this.#processes.kills;
  }

  get history(): readonly string[] {
    return this.#processes.history;
  }

  /** A key from its making on. */
  async live(goesOn: () => boolean): Promise<void> {
    await this.keygen();
    const years = either(1, 3);
    for (let year = 0; year < years && goesOn(); year++) {
      await this.sign();
      await this.recover();
      await this.refresh();
      if (TORTURE) await this.refresh();
    }
  }

  /** Makes the key, in new folders. Others may be left, on the way to it: pending ones, and of no harm. */
  async keygen(): Promise<void> {
    for (const self of this.#parties) await this.#processes.renewState(self);
    const ended = await this.#processes.insist(this.#parties, {
      args: () => ['keygen'],
      inspect: async () => {
        for (const self of this.#parties) await this.#processes.keysOf(self);
      },
    });
    const [first] = ended;
    const { keyId, publicKey } = resultOf(first!);
    for (const each of ended) assert.equal(resultOf(each).keyId, keyId);
    const exportKey = ['keys', 'export-public', keyId];
    const [exported] = await this.#processes.together([this.#parties[0]!], ...exportKey);
    this.#key = { keyId, publicKey, pem: JSON.parse(exported!.stdout).pem };
    const all = await Promise.all(this.#parties.map((self) => this.#processes.keysOf(self)));
    const listed = all.map((keys) => keys.map(describeKey));
    for (const { keyId: id, state } of listed.flat()) {
      const isCommon = listed.every((keys) => keys.some((key) => key.keyId === id));
      assert.equal(state, isCommon ? 'complete' : 'pending', id);
    }
    await this.#assertLiving();
  }

  async refresh(): Promise<void> {
    await this.#insist(this.#parties, () => ['refresh', this.#option]);
    await this.#assertLiving();
  }

  /** Signs; mostly with a new set-up, for one of the quorum has lost those that it had. */
  async sign(): Promise<void> {
    const quorum = this.#anyQuorum();
    const loser = this.#processes.stateOf(quorum[0]!);
    if (this.#chance.between(0, 3) > 0)
      for (const file of readdirSync(loser).filter((name) => name.endsWith('.setup')))
        rmSync(join(loser, file));
    this.#assertSigned(await this.#insist(quorum, () => this.#signing(quorum)));
    await this.#assertWhole();
  }

  /** The machine of a party is lost, and its share recovered on another, from a backup; a refresh has to follow. */
  async recover(): Promise<void> {
    const self = this.#chance.pick(this.#parties);
    const safe = `safe-${this.#backups}`;
    await this.#processes.together([self], 'backup', 'keygen', '--type=p256', `--out=${safe}`);
    const file = await this.#backUp(self, `${safe}.pub.pem`);

    await this.#processes.renewState(self);
    const recover = ['backup', 'recover', file, `--recovery-key=${safe}.key.pem`];
    await this.#processes.insist([self], {
      args: () => recover,
      inspect: async () => {
        await this.#processes.keysOf(self);
      },
      isDone: ({ status, stderr }) =>
        status === 0 || (status === 5 && /is in state\/\w+ already/.test(stderr)),
    });
    await this.#assertHeld();
  }

  /** A backup of one party's share in force, made by itself or with a refresh; the file. */
  async #backUp(self: PartyName, publicKey: string): Promise<string> {
    let file = '';
    // What a try that was cut off has written stays.
    const target = (option: string): string[] => {
      file = `backup-${++this.#backups}`;
      return [`--${option}to=${publicKey}`, `--${option}out=${file}`];
    };
    const create = () => ['backup', 'create', this.#option, ...target('')];
    const own = (name: PartyName) => (name === self ? target('backup-') : []);
    if (this.#chance.between(0, 2) === 0) await this.#insist([self], create);
    else await this.#insist(this.#parties, () => ['refresh', this.#option], own);
    return file;
  }

  get #option(): string {
    return `--key=${this.#key.keyId}`;
  }

  #anyQuorum(): PartyName[] {
    const [first, ...others] = this.#chance.shuffle(this.#parties);
    return [first!, ...others.slice(0, this.#quorum - 1)];
  }

  #signing(quorum: readonly PartyName[]): string[] {
    const message = `--message=message ${++this.#messages}`;
    return ['sign', this.#option, message, `--quorum=${quorum.join()}`, '--receiver=all'];
  }

  #insist(
    parties: readonly PartyName[],
    args: () => readonly string[],
    own: Aim['own'] = () => [],
  ): Promise<Ended[]> {
    const inspect = async (): Promise<void> => {
      await this.#assertHeld();
      if (TORTURE && this.#chance.between(0, 4) === 0) await this.#assertSigning();
    };
    return this.#processes.insist(parties, { args, own, inspect });
  }

  /** Checks that all parties hold good shares of one sharing, whether they know it or not; and returns their keys. */
  async #assertHeld(): Promise<StoredKey[]> {
    const keys = await Promise.all(
      this.#parties.map(async (self) => {
        const stored = await this.#processes.keysOf(self);
        const key = stored.find(({ keyId }) => printId(keyId) === this.#key.keyId);
        assert.ok(key, `${self} has lost the key`);
        return key;
      }),
    );
    const [first = [], ...others] = keys.map(shidsOf);
    const common = first.filter((shid) => others.every((shids) => shids.includes(shid)));
    assert.ok(common.length > 0, 'the parties hold no sharing together');
    for (const shid of common) {
      const [facts, ...same] = keys.map(({ sharings }) => {
        const { sharing } = sharings.find((info) => toHex(info.sharing.shid) === shid)!;
        const points = [sharing.publicKey, ...sharing.publicShares.values()];
        return points.map((point) => toHex(point.toUncompressed()));
      });
      assert.equal(facts![0], this.#key.publicKey);
      for (const each of same) assert.deepEqual(each, facts);
    }
    return keys;
  }

  /** Checks that all parties are at one again: they hold one sharing, in force, and nothing else is left. */
  async #assertWhole(): Promise<void> {
    for (const self of this.#parties) await this.#processes.assertTidy(self);
    const [first, ...others] = await this.#assertHeld();
    const shids = shidsOf(first);
    assert.equal(shids.length, 1);
    for (const key of others) assert.deepEqual(shidsOf(key), shids);
    for (const { sharings } of [first!, ...others]) assert.ok(sharings[0]!.confirmed);
  }

  /** Checks that, and that a quorum signs with it. */
  async #assertLiving(): Promise<void> {
    await this.#assertWhole();
    await this.#assertSigning();
  }

  async #assertSigning(): Promise<void> {
    const quorum = this.#anyQuorum();
    this.#assertSigned(await this.#processes.together(quorum, ...this.#signing(quorum)));
  }

  /** Checks by OpenSSL the last message's signature, which each of the quorum has got. */
  #assertSigned(quorum: readonly Ended[]): void {
    for (const ended of quorum) {
      const { publicKey, signature } = resultOf(ended);
      assert.equal(publicKey, this.#key.publicKey);
      const message = Buffer.from(`message ${this.#messages}`);
      assert.ok(verify('sha256', message, createPublicKey(this.#key.pem), fromHex(signature!)!));
    }
  }
}

interface Cluster {
  readonly parties: readonly PartyName[];
  /** How many of them sign. */
  readonly quorum: number;
  readonly multiplication: 'ot' | 'paillier';
}

async function live(t: TestContext, { parties, quorum, multiplication }: Cluster): Promise<void> {
  const chance = new Chance(t);
  const { cwd } = await makeFolder(parties.join('-'), parties, {
    ...{ multiplication, policy: { threshold: quorum, of: parties } },
  });
  const lives = new Lives(cwd, parties, quorum, chance);
  const start = performance.now();
  const goesOn = (): boolean => lives.kills < KILLS && performance.now() - start < BUDGET_MILLIS;
  try {
    do await lives.live(goesOn);
    while (TORTURE && goesOn());
  } catch (error) {
    for (const line of lives.history.slice(-10)) t.diagnostic(line);
    throw error;
  }
  count(t, 'keys’ parties killed', lives.kills);
}

describe('killed at any moment, they all sign under the same public key', { concurrency: 2 }, () => {
  const pair: Cluster = { parties: ['alice', 'bob'], quorum: 2, multiplication: 'ot' };
  test('two of two parties', (t) => live(t, pair));
  const trio: Cluster = { parties: ['alice', 'bob', 'charlie'], quorum: 2, multiplication: 'paillier' };
  if (TORTURE) test('two of three parties', (t) => live(t, trio));
});
