/**
 * The arithmetic of the Paillier multiplication, as jobs for worker threads. Keys come in as numbers and bytes and
 * become key objects here; the factorisation of the party's own modulus is used wherever it helps (CRT).
 */
import { bigintToBytes, bytesToBigint, concatBytes } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { mod as reduce } from '../math/modular.js';
import { ELL_PRIME, type SecurityBits, type SecurityLevel, securityLevel } from '../math/params.js';
import { sampleSigned, sampleUnit } from '../math/sample.js';
import { add, decrypt, encrypt, isCiphertext, scale } from '../paillier/cipher.js';
import { PrivateKey, PublicKey, type VerifiedPublicKey, verifiedPublicKey } from '../paillier/keys.js';
import {
  RingPedersenOwner,
  RingPedersenPublic,
  type VerifiedRingPedersen,
  verifiedRingPedersen,
} from '../paillier/ring-pedersen.js';
import { defineJob } from '../work/job.js';
import * as aff from '../zk/aff.js';
import type { ProofContext } from '../zk/context.js';
import * as enc from '../zk/enc.js';
import * as fac from '../zk/fac.js';
import * as mod from '../zk/mod.js';
import * as prm from '../zk/prm.js';

/** A party's public parameters: its Paillier modulus N, and ring-Pedersen s, t in the same group. */
export interface Parameters {
  readonly N: bigint;
  readonly s: bigint;
  readonly t: bigint;
}

/** What the receiver sends: C = enc(χ) and its range proof. */
export interface Message1 {
  readonly C: bigint;
  readonly enc: enc.Proof;
}

/** What the sender answers: D_l and the proof that it was made from C, for l = 0, 1. */
export interface Message2 {
  readonly D: readonly bigint[];
  readonly aff: readonly aff.Proof[];
}

/** p₁ ‖ p₂ ‖ s ‖ t ‖ κ: the primes of half the modulus' length each, the others of its whole length. */
interface OwnKeySecret {
  readonly ownKey: Uint8Array;
}

interface Owner {
  readonly key: PrivateKey;
  readonly pedersen: RingPedersenOwner;
}

/** One's own keys from their secret bytes. */
function ownerOf({ ownKey }: OwnKeySecret): Owner {
  const modulusBytes = ownKey.length / 4;
  const key = PrivateKey.fromBytes(ownKey.subarray(0, modulusBytes));
  return { key, pedersen: RingPedersenOwner.fromBytes(key, ownKey.subarray(modulusBytes)) };
}

/** The bytes of {@link OwnKeySecret}; a secret that the caller wipes. */
function ownKeyBytes({ key, pedersen }: Owner): Uint8Array {
  const parts = [key.toBytes(), pedersen.toBytes()];
  const bytes = concatBytes(...parts);
  for (const part of parts) part.fill(0);
  return bytes;
}

/** A peer's parameters as keys, or `undefined` when they are not even of the right shape. */
function parseParameters({ N, s, t }: Parameters, level: SecurityLevel) {
  const key = PublicKey.parse(N, level);
  const pedersen = key && RingPedersenPublic.parse(key, s, t);
  return key && pedersen && { key, pedersen };
}

interface VerifiedPeer {
  readonly key: VerifiedPublicKey;
  readonly pedersen: VerifiedRingPedersen;
}

/** Keys of peers in use, by their parameters: all of it public, and a tenth of a job's time to make again. */
const verifiedPeers = new Map<string, VerifiedPeer>();
const MAX_VERIFIED_PEERS = 64;

/** A peer's keys, whose Π^prm, Π^mod and Π^fac this party has checked in the set-up that they come from. */
function verifiedPeer(parameters: Parameters, level: SecurityLevel): VerifiedPeer {
  const { N, s, t } = parameters;
  const name = [level.bits, N, s, t].map((part) => part.toString(16)).join();
  const known = verifiedPeers.get(name);
  if (known !== undefined) return known;
  const keys = parseParameters(parameters, level);
  invariant(keys !== undefined, 'verified parameters do not parse');
  const peer = { key: verifiedPublicKey(keys.key), pedersen: verifiedRingPedersen(keys.pedersen) };
  const [oldest = name] = verifiedPeers.keys();
  if (verifiedPeers.size === MAX_VERIFIED_PEERS) verifiedPeers.delete(oldest);
  verifiedPeers.set(name, peer);
  return peer;
}

// Set-up

/** N = p₁p₂, s and t with their Π^prm, and the secret bytes of it all. */
export const makeKeys = defineJob(
  import.meta.url,
  'paillier make keys',
  (
    input: {
      readonly level: SecurityBits;
      readonly context: ProofContext;
      readonly secret: { readonly p1: Uint8Array; readonly p2: Uint8Array };
    },
    { random },
  ) => {
    const key = PrivateKey.fromPrimes(bytesToBigint(input.secret.p1), bytesToBigint(input.secret.p2));
    const pedersen = RingPedersenOwner.generate(key, random);
    const { N, s, t } = pedersen;
    return {
      parameters: { N, s, t } satisfies Parameters,
      prm: prm.prove(input.context, { pedersen }, { kappa: pedersen.kappa, phi: key.phi }, random),
      secret: { ownKey: ownKeyBytes({ key, pedersen }) },
    };
  },
);

/** Whether a peer's parameters have the right shape and its Π^prm holds. */
export const verifyPrm = defineJob(
  import.meta.url,
  'paillier verify prm',
  (input: {
    readonly level: SecurityBits;
    readonly context: ProofContext;
    readonly parameters: Parameters;
    readonly prm: prm.Proof;
  }) => {
    const peer = parseParameters(input.parameters, securityLevel(input.level));
    return peer !== undefined && prm.verify(input.context, { pedersen: peer.pedersen }, input.prm);
  },
);

export const proveMod = defineJob(
  import.meta.url,
  'paillier prove mod',
  (
    input: { readonly level: SecurityBits; readonly context: ProofContext; readonly secret: OwnKeySecret },
    { random },
  ): mod.Proof => {
    const { key } = ownerOf(input.secret);
    return mod.prove(input.context, { level: securityLevel(input.level), key }, key, random);
  },
);

/** Π^fac under the parameters of a verifier whose Π^prm holds. */
export const proveFac = defineJob(
  import.meta.url,
  'paillier prove fac',
  (
    input: {
      readonly level: SecurityBits;
      readonly context: ProofContext;
      readonly verifier: Parameters;
      readonly secret: OwnKeySecret;
    },
    { random },
  ): fac.Proof => {
    const { key } = ownerOf(input.secret);
    const verifier = parseParameters(input.verifier, securityLevel(input.level));
    invariant(verifier !== undefined, 'parameters checked by prm do not parse');
    return fac.prove(input.context, { key, pedersen: verifier.pedersen }, key, random);
  },
);

/** Whether a peer's Π^mod and its Π^fac towards this party hold. */
export const verifyModulus = defineJob(
  import.meta.url,
  'paillier verify modulus',
  (input: {
    readonly level: SecurityBits;
    readonly modContext: ProofContext;
    readonly facContext: ProofContext;
    readonly parameters: Parameters;
    readonly mod: mod.Proof;
    readonly fac: fac.Proof;
    readonly secret: OwnKeySecret;
  }) => {
    const level = securityLevel(input.level);
    const key = PublicKey.parse(input.parameters.N, level);
    if (key === undefined) return false;
    const { pedersen } = ownerOf(input.secret);
    return (
      fac.verify(input.facContext, { key, pedersen }, input.fac) &&
      mod.verify(input.modContext, { level, key }, input.mod)
    );
  },
);

// Use

/** A pair of scalars as bytes. */
type ScalarBytes = readonly [Uint8Array, Uint8Array];

interface Pair {
  readonly level: SecurityBits;
  /** Order of the curve. */
  readonly q: bigint;
  readonly peer: Parameters;
}

/** The context of the proof about the l-th input. */
const inputContext = (context: ProofContext, l: number): ProofContext => ({
  ...context,
  extra: Uint8Array.of(l),
});

/** Receiver: C = encrypt(χ; ρ) under one's own key, with Π^enc towards the sender. */
export const open = defineJob(
  import.meta.url,
  'paillier open',
  (
    input: Pair & {
      readonly context: ProofContext;
      readonly secret: OwnKeySecret & { readonly chi: Uint8Array };
    },
    { random },
  ): Message1 => {
    const { key } = ownerOf(input.secret);
    const { pedersen } = verifiedPeer(input.peer, securityLevel(input.level));
    const chi = bytesToBigint(input.secret.chi);
    const rho = sampleUnit(key.N, random);
    const C = encrypt(key, chi, rho);
    return { C, enc: enc.prove(input.context, { key, pedersen, K: C }, { k: chi, rho }, random) };
  },
);

/** Sender: checks Π^enc, then D_l = C^{a_l}·encrypt(y_l; ρ_l) with Π^aff; c_l = −y_l. `undefined`: refused. */
export const respond = defineJob(
  import.meta.url,
  'paillier respond',
  (
    input: Pair & {
      readonly receiverContext: ProofContext;
      readonly senderContext: ProofContext;
      readonly message1: Message1;
      readonly secret: OwnKeySecret & { readonly a: ScalarBytes };
    },
    { random },
  ): (Message2 & { readonly secret: ScalarBytes }) | undefined => {
    const own = ownerOf(input.secret);
    const { key, pedersen } = verifiedPeer(input.peer, securityLevel(input.level));
    const { C, enc: proof } = input.message1;
    if (!enc.verify(input.receiverContext, { key, pedersen: own.pedersen, K: C }, proof)) return undefined;

    const answer = (l: 0 | 1) => {
      const a = bytesToBigint(input.secret.a[l]);
      const y = sampleSigned(1n << BigInt(ELL_PRIME), random);
      const rho = sampleUnit(key.N, random);
      const D = add(key, scale(key, C, a), encrypt(key, y, rho));
      const statement = { key, pedersen, C, D };
      return {
        D,
        aff: aff.prove(inputContext(input.senderContext, l), statement, { x: a, y, rho }, random),
        c: bigintToBytes(reduce(-y, input.q), 32),
      };
    };
    const answers = [answer(0), answer(1)] as const;
    return {
      D: answers.map(({ D }) => D),
      aff: answers.map(({ aff }) => aff),
      secret: [answers[0].c, answers[1].c],
    };
  },
);

/** Receiver: checks both Π^aff; d_l = decrypt(D_l) mod q. `undefined`: refused. */
export const finish = defineJob(
  import.meta.url,
  'paillier finish',
  (
    input: Pair & {
      readonly context: ProofContext;
      readonly C: bigint;
      readonly message2: Message2;
      readonly secret: OwnKeySecret;
    },
  ): { readonly secret: ScalarBytes } | undefined => {
    const { key, pedersen } = ownerOf(input.secret);
    const { C, message2, context } = input;
    const holds = [0, 1].every((l) => {
      const D = message2.D[l]!;
      return (
        isCiphertext(key, D) &&
        aff.verify(inputContext(context, l), { key, pedersen, C, D }, message2.aff[l]!)
      );
    });
    if (!holds) return undefined;
    const d = message2.D.map((D) => bigintToBytes(reduce(decrypt(key, D), input.q), 32));
    return { secret: [d[0]!, d[1]!] };
  },
);
