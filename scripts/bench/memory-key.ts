/**
 * A key of parties in one process, over a network in memory, and what each step of its life costs them. Runs in
 * earlier versions of this program as well (against.ts), so it uses little of it.
 */
import { allOf, type Policy } from '#src/access/policy.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import type { Multiplication } from '#src/multiplication/multiplication.js';
import type { KeyShare } from '#src/protocol/key-share.js';
import type { Presignature } from '#src/protocol/presign.js';
import { refresh, refreshRounds, type SharingState, sharingState } from '#src/protocol/refresh.js';
import type { Compute } from '#src/rounds/run.js';
import { MemoryCluster, type TestParty, testParty } from '#test/support/memory-network.js';
import { keygenAt, presignAt, setUpAt, signAt } from '#test/support/protocols.js';

export const NAMES: readonly PartyName[] = [
  ...['alice', 'bob', 'charlie', 'dave', 'erin', 'frank', 'grace', 'heidi'],
  ...['ivan', 'judy', 'kim', 'leo', 'mia', 'nina', 'oscar', 'peggy'],
];

export const CURVE = curveByName('P-256');

const MESSAGE = new TextEncoder().encode('Hello, MPC World!');

/** Of one step, for one party on average. */
export interface Cost {
  /** Milliseconds of CPU, of all threads. */
  readonly cpu: number;
  /** Bytes sent; as many are received, as everything that is sent arrives. */
  readonly bytes: number;
}

/** A network that counts the bytes that go over it. */
export class CountingCluster extends MemoryCluster {
  bytes = 0;

  override deliver(from: PartyName, to: PartyName, ...frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.bytes += frame.length;
    super.deliver(from, to, ...frames);
  }

  /** Resolves to what all parties have, when they have come to an end. */
  during<T>(all: Promise<T>): Promise<T> {
    return all;
  }
}

export interface MemoryKeyOptions {
  readonly policy?: Policy;
  readonly cluster?: CountingCluster;
  /** Default: jobs run in this thread. */
  readonly compute?: Compute;
}

/** The steps of a key, to be run in their order; presigning, signing and refreshing as often as one likes. */
export class MemoryKey implements Disposable {
  readonly #names: readonly PartyName[];
  readonly #policy: Policy;
  readonly #cluster: CountingCluster;
  readonly #parties: readonly TestParty[];
  readonly #multiplicationOf: (party: PartyName) => Multiplication;
  #shares: readonly KeyShare[] = [];
  #states: readonly SharingState[] = [];
  #presignatures: readonly Presignature[] = [];
  #operations = 0;

  constructor(
    names: readonly PartyName[],
    multiplicationOf: (index: number) => Multiplication,
    options: MemoryKeyOptions = {},
  ) {
    const { policy = allOf(names), cluster = new CountingCluster(names), compute } = options;
    this.#names = names;
    this.#policy = policy;
    this.#cluster = cluster;
    this.#parties = names.map((name) => testParty(cluster, name, compute === undefined ? {} : { compute }));
    const multiplications = new Map(names.map((name, i) => [name, multiplicationOf(i)]));
    this.#multiplicationOf = (party) => multiplications.get(party)!;
  }

  keygen = (): Promise<Cost> =>
    this.#measured(
      (party) => keygenAt(party, CURVE, this.#policy),
      (shares) => {
        this.#shares = shares;
      },
    );

  setUp = (): Promise<Cost> =>
    this.#measured(
      (party) => setUpAt(party, this.#multiplicationOf(party.self)),
      (setups) => {
        this.#states = setups.map((setup, i) => sharingState(this.#shares[i]!, setup));
      },
    );

  /** By all parties, whatever the policy. */
  presign = (): Promise<Cost> => {
    const operation = this.#newOperation('presign');
    return this.#measured(
      (party) =>
        presignAt(party, this.#names, this.#stateOf(party), this.#multiplicationOf(party.self), operation),
      (presignatures) => {
        this.#presignatures = presignatures;
      },
    );
  };

  /** With the presignature made last; every party gets the signature and verifies it. */
  sign = (): Promise<Cost> => {
    const operation = this.#newOperation('sign');
    return this.#measured((party) => {
      const presignature = this.#presignatures[this.#indexOf(party)]!;
      return signAt(party, presignature, this.#stateOf(party).share, MESSAGE, this.#names, operation);
    });
  };

  refresh = (): Promise<Cost> => {
    const operation = this.#newOperation('refresh');
    return this.#measured(
      (party) => {
        const { share } = this.#stateOf(party);
        const multiplication = this.#multiplicationOf(party.self);
        const rounds = refreshRounds(share.sharing, multiplication);
        return party.session({ operation, rounds }, (run) => refresh(run, share, multiplication));
      },
      (states) => {
        this[Symbol.dispose]();
        this.#states = states;
      },
    );
  };

  [Symbol.dispose](): void {
    for (const state of this.#states) state[Symbol.dispose]();
  }

  #indexOf = ({ self }: TestParty): number => this.#names.indexOf(self);

  #stateOf = (party: TestParty): SharingState => this.#states[this.#indexOf(party)]!;

  #newOperation(name: string): string {
    this.#operations += 1;
    return `${name} ${this.#operations}`;
  }

  async #measured<T>(act: (party: TestParty) => Promise<T>, keep?: (results: T[]) => void): Promise<Cost> {
    const bytesBefore = this.#cluster.bytes;
    const before = process.cpuUsage();
    const results = await this.#cluster.during(Promise.all(this.#parties.map(act)));
    const { user, system } = process.cpuUsage(before);
    keep?.(results);
    const count = this.#names.length;
    return { cpu: (user + system) / 1000 / count, bytes: (this.#cluster.bytes - bytesBefore) / count };
  }
}
