/** What the tests of the proofs share: keys, a context and its variations, every way of altering one value. */
import assert from 'node:assert/strict';
import type { z } from 'zod';
import { bigintToBytes, type Random } from '#src/core/bytes.js';
import { encodeAs } from '#src/core/codec.js';
import { Point } from '#src/curve/curve.js';
import { securityLevel } from '#src/math/params.js';
import { type PrivateKey, PublicKey, type VerifiedPublicKey, verifiedPublicKey } from '#src/paillier/keys.js';
import {
  type RingPedersenOwner,
  RingPedersenPublic,
  type VerifiedRingPedersen,
  verifiedRingPedersen,
} from '#src/paillier/ring-pedersen.js';
import type { ProofContext } from '#src/zk/context.js';
import { testRingPedersen } from './primes.js';

export const LEVEL = securityLevel(112);

/** A party's keys, as it holds them itself and as its peers see them. */
export interface TestParty {
  readonly key: PrivateKey;
  readonly publicKey: VerifiedPublicKey;
  readonly pedersen: RingPedersenOwner;
  readonly publicPedersen: VerifiedRingPedersen;
}

/** The i-th party, of keys of the given size. */
export function testParty(i: number, level = LEVEL): TestParty {
  const pedersen = testRingPedersen(i, level.modulusBits);
  const publicKey = PublicKey.parse(pedersen.N, level);
  assert.ok(publicKey);
  return {
    key: pedersen.key,
    publicKey: verifiedPublicKey(publicKey),
    pedersen,
    publicPedersen: parsePedersen(publicKey, pedersen.s, pedersen.t),
  };
}

function parsePedersen(key: PublicKey, s: bigint, t: bigint): VerifiedRingPedersen {
  const parameters = RingPedersenPublic.parse(key, s, t);
  assert.ok(parameters);
  return verifiedRingPedersen(parameters);
}

export const prover = testParty(0);
export const verifier = testParty(1);

/** Parameters that differ from those of `owner` in N, s or t. */
export function* otherPedersens(owner = verifier): Generator<[string, VerifiedRingPedersen]> {
  const { N, s, t } = owner.pedersen;
  const key = PublicKey.parse(N, LEVEL)!;
  yield ['N, s and t', testParty(2).pedersen];
  yield ['s', parsePedersen(key, (s * t) % N, t)];
  yield ['−s', parsePedersen(key, N - s, t)];
  yield ['t', parsePedersen(key, s, (t * t) % N)];
  yield ['s and t swapped', parsePedersen(key, t, s)];
}

export const CONTEXT = {
  sid: new Uint8Array(32).fill(1),
  step: 'test',
  curve: 'P-256',
  prover: 'alice',
  verifier: 'bob',
  extra: Uint8Array.of(7),
} as const satisfies ProofContext;

/** {@link CONTEXT} with one thing altered in each. */
export const ALTERED_CONTEXTS: ReadonlyMap<string, ProofContext> = new Map<string, ProofContext>([
  ['sid', { ...CONTEXT, sid: new Uint8Array(32).fill(2) }],
  ['step', { ...CONTEXT, step: 'test2' }],
  ['curve', { ...CONTEXT, curve: 'secp256k1' }],
  ['prover', { ...CONTEXT, prover: 'charlie' }],
  ['verifier', { ...CONTEXT, verifier: 'charlie' }],
  ['verifier *', { ...CONTEXT, verifier: '*' }],
  ['prover and verifier swapped', { ...CONTEXT, prover: 'bob', verifier: 'alice' }],
  ['extra', { ...CONTEXT, extra: Uint8Array.of(8) }],
  ['extra empty', { ...CONTEXT, extra: new Uint8Array() }],
  ['extra absent', withoutExtra(CONTEXT)],
]);

function withoutExtra({ sid, step, curve, prover, verifier }: ProofContext): ProofContext {
  return { sid, step, curve, prover, verifier };
}

/** `value` with exactly one thing altered in it, and what that is. */
interface Alteration {
  readonly what: string;
  readonly value: unknown;
}

/**
 * Everything that can be altered in `value`, found in the value itself, so that a field added to a proof is
 * covered without a change here. Integers also get each of `moduli` added and taken away: another representative of the same
 * residue, or the same power of an element.
 */
function* alterations(value: unknown, moduli: readonly bigint[]): Generator<Alteration> {
  if (typeof value === 'bigint') {
    const others = new Set([value + 1n, -value, 0n, ...moduli.flatMap((m) => [value + m, value - m])]);
    others.delete(value);
    for (const other of others) yield { what: `${value} → ${other}`, value: other };
  } else if (typeof value === 'number') {
    yield { what: `${value} → ${1 - value}`, value: 1 - value };
  } else if (value instanceof Point) {
    yield { what: 'another point', value: value.add(value.curve.G) };
    yield { what: 'negated', value: value.negate() };
    yield { what: 'identity', value: value.curve.identity };
  } else if (Array.isArray(value)) {
    yield* alterationsOfList(value, moduli);
  } else {
    assert.ok(typeof value === 'object' && value !== null, 'a kind of field that this table does not know');
    for (const [key, inner] of Object.entries(value)) {
      for (const { what, value: other } of alterations(inner, moduli))
        yield { what: `${key}: ${what}`, value: { ...value, [key]: other } };
    }
  }
}

function* alterationsOfList(list: readonly unknown[], moduli: readonly bigint[]): Generator<Alteration> {
  const last = list.length - 1;
  for (const index of new Set([0, Math.floor(list.length / 2), last])) {
    for (const { what, value } of alterations(list[index], moduli))
      yield { what: `[${index}] ${what}`, value: list.with(index, value) };
  }
  const other = list.findIndex((item) => item !== list[0]);
  yield { what: 'two items swapped', value: list.with(0, list[other]).with(other, list[0]) };
  yield { what: 'last item missing', value: list.slice(0, last) };
  yield { what: 'an item too many', value: [...list, list[last]] };
  yield { what: 'empty', value: [] };
}

/** Asserts that `verify` accepts `proof` and refuses it with any one thing altered; returns how many there were. */
export function assertEveryAlterationRefused<P>(
  proof: P,
  moduli: readonly bigint[],
  verify: (proof: P) => boolean,
): number {
  assert.ok(verify(proof), 'the unaltered proof');
  let count = 0;
  for (const { what, value } of alterations(proof, moduli)) {
    assert.equal(verify(value as P), false, what);
    count += 1;
  }
  return count;
}

/**
 * For each name a bound and whether a proof is accepted whose value of that name is v: asserts that ±bound is and
 * that nothing beyond is.
 */
export function assertBoundaries(
  values: Readonly<Record<string, readonly [bound: bigint, accepts: (v: bigint) => boolean]>>,
): void {
  for (const [name, [bound, accepts]] of Object.entries(values)) {
    for (const sign of [1n, -1n]) {
      assert.equal(accepts(sign * bound), true, `${name} at ${sign} times its bound`);
      assert.equal(accepts(sign * (bound + 1n)), false, `${name} beyond ${sign} times its bound`);
    }
  }
}

/**
 * Asserts that `schema` bounds the integers of `proof`: each field takes 2^bits − 1 and not 2^bits. Lists are tried
 * in their first item. No field may be missing from `bits`, none from a message, and no other may be in one.
 */
export function assertSchemaBounds<P extends object>(
  schema: z.ZodType<P>,
  proof: P,
  bits: Readonly<Record<keyof P, number>>,
): void {
  assert.deepEqual(Object.keys(bits).sort(), Object.keys(proof).sort());
  for (const [name, value] of Object.entries(proof)) {
    const place = (v: unknown) => ({ ...proof, [name]: Array.isArray(value) ? value.with(0, v) : v }) as P;
    const first: unknown = Array.isArray(value) ? value[0] : value;
    const power = 2n ** BigInt(bits[name as keyof P]);
    const [largest, tooLarge] = typeof first === 'number' ? [1, 2] : [power - 1n, power];
    assert.doesNotThrow(() => encodeAs(schema, place(largest)), `${name} of ${bits[name as keyof P]} bits`);
    assert.throws(() => encodeAs(schema, place(tooLarge)), `${name} too long`);
    const { [name as keyof P]: _, ...rest } = proof;
    assert.throws(() => encodeAs(schema, rest as P), `${name} missing`);
  }
  assert.throws(() => encodeAs(schema, { ...proof, more: 0n }), 'a field too many');
}

/** What {@link leastDraws} gives for a unit. */
export const DRAWN_UNIT = 12345n;

/**
 * A generator with which the k-th value drawn from a range ±bound is −bound + k, k = 0, 1, …, and every unit is
 * {@link DRAWN_UNIT}: what a prover makes of it shows the bounds of its masks, and that no mask is used twice.
 */
export function leastDraws({ modulusBits } = LEVEL): Random {
  let count = 0n;
  return (length) => {
    if (8 * length === modulusBits) return bigintToBytes(DRAWN_UNIT, length);
    count += 1n;
    return bigintToBytes(count - 1n, length);
  };
}

/** Asserts that `verify` accepts under {@link CONTEXT} and under no other. */
export function assertBoundToContext(verify: (ctx: ProofContext) => boolean): void {
  assert.ok(verify(CONTEXT), 'the context itself');
  for (const [what, ctx] of ALTERED_CONTEXTS) assert.equal(verify(ctx), false, what);
}
