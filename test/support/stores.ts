/** Parties in memory with key stores on disk: their commands run one after another, as processes would. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Policy } from '#src/access/policy.js';
import type { ClusterConfig } from '#src/config/cluster.js';
import { Secret } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import type { Curve } from '#src/curve/curve.js';
import { Keystore } from '#src/keystore/keystore.js';
import type { Resources } from '#src/party/operations.js';
import { StoredKeys, type Work } from '#src/party/stored-keys.js';
import { MemoryCluster, type Outcome, outcomeOf, type TestOptions, testParty } from './memory-network.js';
import { type MultiplicationName, testMultiplication } from './protocols.js';

/** The least that is accepted; only for tests. */
const SCRYPT = { N: 2 ** 14, r: 8, p: 1 };

export interface KeyKind {
  readonly curve: Curve;
  readonly policy: Policy;
  /** Default: `paillier`. */
  readonly by?: MultiplicationName;
}

/** What one party's command works with. */
export interface Home {
  readonly self: PartyName;
  readonly keystore: Keystore;
  readonly keys: StoredKeys;
  readonly work: Work;
}

export interface CommandOptions extends TestOptions {
  /** Who runs the command; default: all. */
  readonly parties?: readonly PartyName[];
  /** The store that a party's command sees, instead of its own: one that fails. */
  readonly store?: (self: PartyName, keystore: Keystore) => Keystore;
}

export class Homes {
  readonly parties: readonly PartyName[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-test-'));
  #kind: KeyKind;

  constructor(parties: readonly PartyName[], kind: KeyKind) {
    this.parties = parties;
    this.#kind = kind;
  }

  /** The same parties once more, with a copy of all that these have stored. */
  copy(): Homes {
    const copy = new Homes(this.parties, this.#kind);
    cpSync(this.#folder, copy.#folder, { recursive: true });
    return copy;
  }

  /** From now on the cluster files say so. */
  multiplyBy(by: MultiplicationName): void {
    this.#kind = { ...this.#kind, by };
  }

  folderOf(self: PartyName): string {
    return join(this.#folder, self);
  }

  async open(self: PartyName): Promise<Keystore> {
    using passphrase = Secret.own(new TextEncoder().encode('a passphrase of tests'));
    return await Keystore.open({
      folder: this.folderOf(self),
      party: self,
      passphrase,
      create: true,
      scrypt: SCRYPT,
    });
  }

  /** Runs one command at every party, each with its store opened for it and closed after it. */
  async command<T>(
    act: (home: Home) => Promise<T>,
    options: CommandOptions = {},
  ): Promise<ReadonlyMap<PartyName, Outcome<T>>> {
    const cluster = new MemoryCluster(this.parties, options.intercept);
    const running = options.parties ?? this.parties;
    const parties = running.map((self) => testParty(cluster, self, options));
    const outcomes = await Promise.all(
      parties.map(async (party) => {
        using keystore = await this.open(party.self);
        const seen = options.store?.(party.self, keystore) ?? keystore;
        const outcome = await outcomeOf(
          act({
            ...{ self: party.self, keystore: seen, keys: new StoredKeys(seen) },
            work: { resources: this.resources(party.self, party), tell: () => {} },
          }),
        );
        if ('error' in outcome) {
          // Its process ends here. The others learn of it after all that it has sent.
          await new Promise(setImmediate);
          cluster.lose(party.self, { forGood: true });
        }
        return outcome;
      }),
    );
    return new Map(running.map((self, at) => [self, outcomes[at]!]));
  }

  /** What an operation of `self` works with. */
  resources(self: PartyName, { mailbox, compute, random }: ReturnType<typeof testParty>): Resources {
    const cluster = {
      parties: this.parties.map((name) => ({ name })),
      security: 112,
      curve: this.#kind.curve.name,
      policy: this.#kind.policy,
    } as unknown as ClusterConfig;
    return {
      cluster,
      authority: 'the authority of tests',
      ...this.#kind,
      multiplication: testMultiplication(this.#kind.curve, this.parties.indexOf(self), this.#kind.by),
      mailbox,
      compute,
      random,
      signal: new AbortController().signal,
      progress: () => {},
    };
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
