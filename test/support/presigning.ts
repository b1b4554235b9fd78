/** Presigning by alice, perhaps bob, and mallory, who does some of it otherwise than she should. */
import { parsePolicy } from '#src/access/policy.js';
import type { ClusterConfig } from '#src/config/cluster.js';
import type { PartyName } from '#src/core/errors.js';
import { type Curve, curveByName } from '#src/curve/curve.js';
import type { Multiplication, MultiplicationSetup } from '#src/multiplication/multiplication.js';
import type { Resources } from '#src/party/operations.js';
import type { Presignature } from '#src/protocol/presign.js';
import type { SharingState } from '#src/protocol/refresh.js';
import { CHEAT, changed } from './cheating.js';
import { type Outcome, runParties, type TestParty } from './memory-network.js';
import { presignAt, quickKey, signAt, testMultiplication } from './protocols.js';

export interface CheatAtPresigning {
  /** Other jobs or rounds. */
  readonly party?: (party: TestParty) => TestParty;
  /** Another way to use the set-up. */
  readonly setup?: (setup: MultiplicationSetup) => Partial<MultiplicationSetup>;
  /** Other schemas to send by. */
  readonly multiplication?: (multiplication: Multiplication) => Multiplication;
}

type Outcomes<T> = Promise<ReadonlyMap<PartyName, Outcome<T>>>;

export class Presigners {
  private constructor(
    readonly curve: Curve,
    readonly parties: readonly PartyName[],
    readonly states: ReadonlyMap<PartyName, SharingState>,
  ) {}

  /** With a key that all must sign for. */
  static async of(parties: readonly PartyName[]): Promise<Presigners> {
    const curve = curveByName('P-256');
    return new Presigners(
      curve,
      parties,
      await quickKey(curve, parsePolicy({ and: parties }, parties), parties),
    );
  }

  get publicKey() {
    return this.states.get(CHEAT)!.share.sharing.publicKey;
  }

  presign(cheat: CheatAtPresigning): Outcomes<Presignature> {
    return runParties(this.parties, (party) => this.presignAs(party, cheat));
  }

  presignAs(party: TestParty, cheat: CheatAtPresigning = {}): Promise<Presignature> {
    const { curve, parties, states } = this;
    const state = states.get(party.self)!;
    const multiplication = testMultiplication(curve, parties.indexOf(party.self));
    if (party.self !== CHEAT) return presignAt(party, parties, state, multiplication);
    const { setup } = state;
    const uses = changed(setup.multiplication, cheat.setup?.(setup.multiplication) ?? {});
    return presignAt(
      cheat.party?.(party) ?? party,
      parties,
      changed(state, { setup: changed(setup, { multiplication: uses }) }),
      cheat.multiplication?.(multiplication) ?? multiplication,
    );
  }

  /** Signs with what {@link presignAs} has made. */
  signAs(
    party: TestParty,
    presignature: Presignature,
    message: Uint8Array,
    receivers: readonly PartyName[],
  ): Promise<Uint8Array | undefined> {
    return signAt(party, presignature, this.states.get(party.self)!.share, message, receivers);
  }
}

/** What a party's operations on the presigners' key work with. */
export const resourcesOf = ({ curve, states }: Presigners, party: TestParty): Resources => ({
  cluster: { security: 112 } as ClusterConfig,
  authority: '',
  curve,
  policy: states.get(party.self)!.share.sharing.policy,
  multiplication: testMultiplication(curve, 0),
  mailbox: party.mailbox,
  compute: party.compute,
  random: party.random,
  signal: new AbortController().signal,
  progress: () => {},
});
