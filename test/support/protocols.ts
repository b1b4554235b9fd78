/**
 * Keys, set-ups and signatures among parties in memory. Paillier keys come from the stored test primes; a set-up
 * made here directly, without its proofs or base transfers, is only for tests of what comes after it.
 */
import type { Policy } from '#src/access/policy.js';
import { bigintToBytes, concatBytes, randomBytes, Secret } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import type { Curve } from '#src/curve/curve.js';
import { securityLevel } from '#src/math/params.js';
import type { Multiplication, MultiplicationSetup } from '#src/multiplication/multiplication.js';
import { otMultiplication } from '#src/multiplication/ot.js';
import { PaillierSetup, type PrimeSource, paillierMultiplication } from '#src/multiplication/paillier.js';
import { dkg, dkgRounds } from '#src/protocol/dkg.js';
import type { KeyShare } from '#src/protocol/key-share.js';
import { type Presignature, presign, presignRounds } from '#src/protocol/presign.js';
import type { SharingState } from '#src/protocol/refresh.js';
import { sharingState } from '#src/protocol/refresh.js';
import { type PairwiseSetup, setup, setupRounds } from '#src/protocol/setup.js';
import { sign, signRounds } from '#src/protocol/sign.js';
import { runParties, type TestOptions, type TestParty, valuesOf } from './memory-network.js';
import { otSetups } from './ot.js';
import { testPrivateKey, testRingPedersen, testSafePrimes } from './primes.js';

const LEVEL = securityLevel(112);

/** The stored primes of the i-th test key. */
export const storedPrimes =
  (i: number): PrimeSource =>
  async () => {
    const prime = (k: number) => Secret.own(bigintToBytes(testSafePrimes[1024][k]!, 128));
    return [prime(2 * i), prime(2 * i + 1)];
  };

export type MultiplicationName = Multiplication['name'];

/** The multiplication of the party at `index`. */
export const testMultiplication = (
  curve: Curve,
  index: number,
  name: MultiplicationName = 'paillier',
): Multiplication =>
  name === 'ot' ? otMultiplication(curve) : paillierMultiplication(curve, LEVEL, storedPrimes(index));

/** The multiplication's part of a set-up, by party. */
function quickMultiplications(
  curve: Curve,
  parties: readonly PartyName[],
  name: MultiplicationName,
): ReadonlyMap<PartyName, MultiplicationSetup> {
  if (name === 'ot') return otSetups(curve, parties).setups;
  const owners = parties.map((_, i) => ({ key: testPrivateKey(i), pedersen: testRingPedersen(i) }));
  return new Map(
    parties.map((self, i) => {
      const { key, pedersen } = owners[i]!;
      const ownKey = Secret.own(concatBytes(key.toBytes(), pedersen.toBytes()));
      const peers = parties.filter((peer) => peer !== self);
      const parameters = peers.map((peer) => {
        const { N, s, t } = owners[parties.indexOf(peer)]!.pedersen;
        return [peer, { N, s, t }] as const;
      });
      return [self, new PaillierSetup(curve, LEVEL, ownKey, new Map(parameters))];
    }),
  );
}

/** A set-up for each party, as honest ones would end with it. */
export function quickSetups(
  curve: Curve,
  parties: readonly PartyName[],
  name: MultiplicationName = 'paillier',
): ReadonlyMap<PartyName, PairwiseSetup> {
  const multiplications = quickMultiplications(curve, parties, name);
  const sid = randomBytes(32);
  const seedOf = new Map<string, Uint8Array>();
  const seed = (a: PartyName, b: PartyName): Secret => {
    const pair = [a, b].sort().join();
    const bytes = seedOf.get(pair) ?? randomBytes(32);
    seedOf.set(pair, bytes);
    return Secret.own(Uint8Array.from(bytes));
  };
  return new Map(
    parties.map((self) => {
      const peers = parties.filter((peer) => peer !== self);
      const multiplication = multiplications.get(self)!;
      const seeds = new Map(peers.map((peer) => [peer, seed(self, peer)]));
      const dispose = () => {
        for (const secret of seeds.values()) secret.dispose();
        multiplication[Symbol.dispose]();
      };
      return [self, { sid, parties, seeds, multiplication, [Symbol.dispose]: dispose }];
    }),
  );
}

export const keygenAt = (party: TestParty, curve: Curve, policy: Policy): Promise<KeyShare> =>
  party.session({ operation: 'keygen', rounds: dkgRounds({ curve, policy }) }, (run) =>
    dkg(run, { curve, policy }),
  );

export const setUpAt = (party: TestParty, multiplication: Multiplication): Promise<PairwiseSetup> =>
  party.session({ operation: 'setup', rounds: setupRounds(multiplication) }, (run) =>
    setup(run, multiplication),
  );

export const presignAt = (
  party: TestParty,
  quorum: readonly PartyName[],
  state: SharingState,
  multiplication: Multiplication,
  operation = 'presign',
): Promise<Presignature> =>
  party.session({ operation, parties: quorum, rounds: Object.values(presignRounds(multiplication)) }, (run) =>
    presign(run, { ...state, multiplication }),
  );

export const signAt = async (
  party: TestParty,
  presignature: Presignature,
  share: KeyShare,
  message: Uint8Array,
  receivers: readonly PartyName[],
  operation = 'sign',
): Promise<Uint8Array | undefined> => {
  using reserved = presignature.reserve();
  const { curve, publicKey } = share.sharing;
  const { quorum } = presignature.binding;
  return await party.session({ operation, parties: quorum, rounds: signRounds(curve) }, (run) =>
    sign(run, { presignature: reserved, publicKey, message, receivers }),
  );
};

/** A key of all parties of the policy, with quick set-ups. */
export async function quickKey(
  curve: Curve,
  policy: Policy,
  parties: readonly PartyName[],
  options: TestOptions & { readonly multiplication?: MultiplicationName } = {},
): Promise<ReadonlyMap<PartyName, SharingState>> {
  const setups = quickSetups(curve, parties, options.multiplication);
  const shares = await runParties(parties, (party) => keygenAt(party, curve, policy), options);
  return new Map(valuesOf(shares).map((share) => [share.self, sharingState(share, setups.get(share.self)!)]));
}
