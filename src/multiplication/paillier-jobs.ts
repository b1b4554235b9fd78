/**
 * The arithmetic of the Paillier multiplication, as jobs for worker threads. Keys come in as numbers and bytes and
 * become key objects here; the factorisation of the party's own modulus is used wherever it helps (CRT).
 */
import { bigintToBytes, bytesToBigint, concatBytes, type Random } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import { mod as reduce } from '../math/modular.js';
import { ELL_PRIME, type SecurityBits, type SecurityLevel, securityLevel } from '../math/params.js';
import { sampleSigned, sampleUnit } from '../math/sample.js';
import { add, decrypt, encrypt, scale } from '../paillier/cipher.js';
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

// Work ahead of a use

/** A pair of scalars as bytes. */
type ScalarBytes = readonly [Uint8Array, Uint8Array];

interface Pair {
  readonly level: SecurityBits;
  /** Order of the curve. */
  readonly q: bigint;
  readonly peer: Parameters;
}

/**
 * What was made ahead crosses between threads, and is kept, as bytes: its integers in the order of their names, a sign
 * and a magnitude each, as wide as the largest of them, which is an element modulo N².
 */
const widthOf = (level: SecurityLevel): number => 1 + (2 * level.modulusBits) / 8;

function pack(values: readonly bigint[], level: SecurityLevel): Uint8Array {
  const width = widthOf(level);
  const bytes = new Uint8Array(values.length * width);
  values.forEach((value, i) => {
    const magnitude = bigintToBytes(value < 0n ? -value : value, width - 1);
    bytes[i * width] = value < 0n ? 1 : 0;
    bytes.set(magnitude, i * width + 1);
    magnitude.fill(0);
  });
  return bytes;
}

function unpack(bytes: Uint8Array, level: SecurityLevel): bigint[] {
  const width = widthOf(level);
  return Array.from({ length: bytes.length / width }, (_, i) => {
    const magnitude = bytesToBigint(bytes.subarray(i * width + 1, (i + 1) * width));
    return bytes[i * width] === 1 ? -magnitude : magnitude;
  });
}

const ENC_NAMES = ['alpha', 'mu', 'r', 'gamma', 'S', 'C', 'A'] as const satisfies (keyof enc.Prepared)[];
const AFF_NAMES = [
  ...['alpha', 'beta', 'r', 'gamma', 'delta', 'm', 'mu'],
  ...['B', 'E', 'M', 'F', 'T'],
] as const satisfies (keyof aff.Prepared)[];

/** The values of `names` in their order, and an object of them again. */
const valuesOf = <K extends string>(names: readonly K[], object: Readonly<Record<K, bigint>>): bigint[] =>
  names.map((name) => object[name]);
const objectOf = <K extends string>(names: readonly K[], values: readonly bigint[]): Record<K, bigint> =>
  Object.fromEntries(names.map((name, i) => [name, values[i]!])) as Record<K, bigint>;

/** C = encrypt(χ; ρ), and what Π^enc needs but its context. */
interface PreparedOpening {
  readonly rho: bigint;
  readonly C: bigint;
  readonly proof: enc.Prepared;
}

function makeOpening(key: PrivateKey, pedersen: VerifiedRingPedersen, chi: bigint, random: Random) {
  const rho = sampleUnit(key.N, random);
  const C = encrypt(key, chi, rho);
  return { rho, C, proof: enc.prepare({ key, pedersen }, chi, random) } satisfies PreparedOpening;
}

/** y and encrypt(y; ρ) for one input, and what Π^aff needs but C, the input and its context. */
interface PreparedAnswer {
  readonly y: bigint;
  readonly rho: bigint;
  readonly Y: bigint;
  readonly proof: aff.Prepared;
}

function makeAnswer({ key, pedersen }: VerifiedPeer, random: Random): PreparedAnswer {
  const y = sampleSigned(1n << BigInt(ELL_PRIME), random);
  const rho = sampleUnit(key.N, random);
  return { y, rho, Y: encrypt(key, y, rho), proof: aff.prepare({ key, pedersen }, y, random) };
}

function unpackOpening(bytes: Uint8Array, level: SecurityLevel): PreparedOpening {
  const [rho, C, ...proof] = unpack(bytes, level);
  return { rho: rho!, C: C!, proof: objectOf(ENC_NAMES, proof) };
}

function unpackAnswer(bytes: Uint8Array, level: SecurityLevel): PreparedAnswer {
  const [y, rho, Y, ...proof] = unpack(bytes, level);
  return { y: y!, rho: rho!, Y: Y!, proof: objectOf(AFF_NAMES, proof) };
}

/** For {@link open}: χ encrypted, and the first message of Π^enc towards the sender. */
export const prepareOpening = defineJob(
  import.meta.url,
  'paillier prepare opening',
  (input: Pair & { readonly secret: OwnKeySecret & { readonly chi: Uint8Array } }, { random }) => {
    const level = securityLevel(input.level);
    const { pedersen } = verifiedPeer(input.peer, level);
    const { key } = ownerOf(input.secret);
    const { rho, C, proof } = makeOpening(key, pedersen, bytesToBigint(input.secret.chi), random);
    return { secret: pack([rho, C, ...valuesOf(ENC_NAMES, proof)], level) };
  },
);

/** For {@link respond}: a mask for each input, encrypted, and most of the first message of its Π^aff. */
export const prepareAnswer = defineJob(
  import.meta.url,
  'paillier prepare answer',
  (input: Pair, { random }): { readonly secret: readonly [Uint8Array, Uint8Array] } => {
    const level = securityLevel(input.level);
    const peer = verifiedPeer(input.peer, level);
    const packed = () => {
      const { y, rho, Y, proof } = makeAnswer(peer, random);
      return pack([y, rho, Y, ...valuesOf(AFF_NAMES, proof)], level);
    };
    return { secret: [packed(), packed()] };
  },
);

// Use

/** The context of the proof about the l-th input. */
const inputContext = (context: ProofContext, l: number): ProofContext => ({
  ...context,
  extra: Uint8Array.of(l),
});

/** Receiver: C = encrypt(χ; ρ) under one's own key, with Π^enc towards the sender; `prepared` for that very χ. */
export const open = defineJob(
  import.meta.url,
  'paillier open',
  (
    input: Pair & {
      readonly context: ProofContext;
      readonly secret: OwnKeySecret & {
        readonly chi: Uint8Array;
        readonly prepared?: Uint8Array | undefined;
      };
    },
    { random },
  ): Message1 => {
    const level = securityLevel(input.level);
    const { key } = ownerOf(input.secret);
    const { pedersen } = verifiedPeer(input.peer, level);
    const { prepared } = input.secret;
    const chi = bytesToBigint(input.secret.chi);
    const { rho, C, proof } = prepared
      ? unpackOpening(prepared, level)
      : makeOpening(key, pedersen, chi, random);
    return { C, enc: enc.complete(input.context, { key, pedersen, K: C }, { k: chi, rho }, proof) };
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
      readonly secret: OwnKeySecret & {
        readonly a: ScalarBytes;
        readonly prepared?: readonly [Uint8Array, Uint8Array] | undefined;
      };
    },
    { random },
  ): (Message2 & { readonly secret: ScalarBytes }) | undefined => {
    const level = securityLevel(input.level);
    const own = ownerOf(input.secret);
    const peer = verifiedPeer(input.peer, level);
    const { key, pedersen } = peer;
    const { prepared } = input.secret;
    const { C, enc: proof } = input.message1;
    if (!enc.verify(input.receiverContext, { key, pedersen: own.pedersen, K: C }, proof)) return undefined;

    const answer = (l: 0 | 1) => {
      const a = bytesToBigint(input.secret.a[l]);
      const { y, rho, Y, proof } = prepared ? unpackAnswer(prepared[l], level) : makeAnswer(peer, random);
      const D = add(key, scale(key, C, a), Y);
      const statement = { key, pedersen, C, D };
      return {
        D,
        aff: aff.complete(inputContext(input.senderContext, l), statement, { x: a, y, rho }, proof),
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
      return aff.verify(inputContext(context, l), { key, pedersen, C, D }, message2.aff[l]!);
    });
    if (!holds) return undefined;
    const d = message2.D.map((D) => bigintToBytes(reduce(decrypt(key, D), input.q), 32));
    return { secret: [d[0]!, d[1]!] };
  },
);
