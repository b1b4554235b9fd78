// A party whose ciphertexts are not what they should be: plaintexts out of range, numbers that are no ciphertexts. All
// equations of its proofs hold; what catches it are the checks of ranges and groups (docs/protocol.md §3, §7).
// What they prevent: reductions modulo N that depend on the other's secret, as in the abort attacks on Lindell17
// (CVE-2023-33242) and GG18 (Tymokhanov–Shlomovits, "Alpha-Rays", ePrint 2021/1621).
import { test } from 'node:test';
import { z } from 'zod';
import { bytesToBigint } from '#src/core/bytes.js';
import { integerField, naturalField } from '#src/core/codec.js';
import type { Multiplication } from '#src/multiplication/multiplication.js';
import type { Message1, Message2 } from '#src/multiplication/paillier-jobs.js';
import * as jobs from '#src/multiplication/paillier-jobs.js';
import { encrypt } from '#src/paillier/cipher.js';
import { PublicKey, verifiedPublicKey } from '#src/paillier/keys.js';
import { RingPedersenPublic, verifiedRingPedersen } from '#src/paillier/ring-pedersen.js';
import type { ProofContext } from '#src/zk/context.js';
import { assertNamed, CHEAT, instead, withJobs } from '../support/cheating.js';
import { forgeAff, forgeEnc } from '../support/forgeries.js';
import { valuesOf } from '../support/memory-network.js';
import { Presigners } from '../support/presigning.js';
import { testPrivateKey } from '../support/primes.js';
import { LEVEL } from '../support/proofs.js';

const presigners = await Presigners.of(['alice', CHEAT]);
const { q } = presigners.curve;
/** mallory's own. */
const key = testPrivateKey(1);

const ENC = 2n ** 486n;
const AFF = 2n ** 1078n;

function publicOf({ N, s, t }: jobs.Parameters) {
  const key = PublicKey.parse(N, LEVEL)!;
  const pedersen = verifiedRingPedersen(RingPedersenPublic.parse(key, s, t)!);
  return { key: verifiedPublicKey(key), pedersen };
}

/** The fields that {@link Multiplication.message1} has, with any integers in them. */
function wideMessage1(multiplication: Multiplication): Multiplication {
  const [natural, integer] = [naturalField(1 << 13), integerField(1 << 13)];
  const enc = { S: natural, C: natural, A: natural, z1: integer, z2: natural, z3: integer };
  return { ...multiplication, message1: z.strictObject({ C: natural, enc: z.strictObject(enc) }) };
}

type Forged1 = (context: ProofContext, alice: jobs.Parameters) => Message1;

const forged1 =
  (choice: Parameters<typeof forgeEnc>[2], change: Partial<Message1['enc']> = {}, C?: bigint): Forged1 =>
  (context, alice) => {
    const [{ K }, enc] = forgeEnc(context, { key, pedersen: publicOf(alice).pedersen }, choice);
    return { C: C ?? K, enc: { ...enc, ...change } };
  };

/** With A = z2 = 0, and S = 1 for k = 0, all equations of Π^enc hold whatever C is and whatever the challenge. */
const ANYTHING = [
  { alpha: 5n, gamma: 5n },
  { A: 0n, z2: 0n },
] as const;

const FIRST: ReadonlyMap<string, Forged1> = new Map([
  ['a plaintext of 357 bits', forged1({ k: 2n ** 357n, alpha: ENC })],
  ['a plaintext of 357 bits, negative', forged1({ k: -(2n ** 357n), alpha: -ENC })],
  ['any plaintext, with a nonce that is no unit', forged1(...ANYTHING, encrypt(key, key.N / 3n, 1n))],
  ['0 for a ciphertext', forged1(...ANYTHING, 0n)],
  ['a multiple of a prime factor of N for a ciphertext', forged1(...ANYTHING, 2n * key.p1)],
]);

for (const [what, forge] of FIRST) {
  test(`the receiver of a multiplication is named: ${what}`, async () => {
    const open = instead(jobs.open, ({ context, peer }) => forge(context, peer));
    const outcomes = await presigners.presign({ party: (party) => withJobs(party, [open]) });
    assertNamed(outcomes, /the check of multiplication, first message fails/);
  });
}

test('the receiver of a multiplication is named: a plaintext of 486 bits, whose proof fits no message', async () => {
  const forge = forged1({ k: ENC });
  const open = instead(jobs.open, ({ context, peer }) => forge(context, peer));
  const outcomes = await presigners.presign({
    party: (party) => withJobs(party, [open]),
    multiplication: wideMessage1,
  });
  assertNamed(outcomes, /undecodable message of presign round commit \(message1\.enc\.z1/);
});

interface Forged2 {
  /** What it claims for the first input a and a small y. */
  readonly choice: (a: bigint) => Parameters<typeof forgeAff>[2];
  /** What it sends instead. */
  readonly change?: Partial<Message2['aff'][number]>;
  readonly D?: bigint;
}

/** As above: with A = w = 0, S = T = 1, all equations of Π^aff hold whatever D is. */
const anyD = (D: bigint): Forged2 => ({
  choice: () => ({ alpha: 5n, beta: 5n }),
  change: { A: 0n, w: 0n },
  D,
});

const SECOND: ReadonlyMap<string, Forged2> = new Map<string, Forged2>([
  // Modulo q all is as it should be, so that the checks in the exponent hold as well.
  ['a factor of 357 bits', { choice: (a) => ({ x: a + q * 2n ** 101n, y: 7n, alpha: ENC }) }],
  ['a summand of 948 bits', { choice: (a) => ({ x: a, y: 7n + q * 2n ** 692n, beta: AFF }) }],
  ['0 for a ciphertext', anyD(0n)],
  ['N for a ciphertext', anyD(testPrivateKey(0).N)],
  ['any ciphertext, with a nonce that is no unit', anyD(12345n)],
]);

const answering = ({ choice, change, D }: Forged2) =>
  instead(jobs.respond, ({ senderContext, peer, message1, secret }) => {
    const own = { ...publicOf(peer), C: message1.C };
    const [a0, a1] = secret.a.map(bytesToBigint) as [bigint, bigint];
    const context = (l: number) => ({ ...senderContext, extra: Uint8Array.of(l) });
    const first = forgeAff(context(0), own, choice(a0));
    const second = forgeAff(context(1), own, { x: a1, y: 7n });
    return {
      D: [D ?? first[0].D, second[0].D],
      aff: [{ ...first[1], ...change }, second[1]],
      secret: [presigners.curve.scalarBytes(-7n), presigners.curve.scalarBytes(-7n)],
    };
  });

for (const [what, forged] of SECOND) {
  test(`the sender of a multiplication is named: ${what}`, async () => {
    const outcomes = await presigners.presign({ party: (party) => withJobs(party, [answering(forged)]) });
    assertNamed(outcomes, /the check of multiplication, second message fails/);
  });
}

test('the cheat of these tests is able: within the ranges it is believed', async () => {
  const open = instead(jobs.open, ({ context, peer, secret }) =>
    forged1({ k: bytesToBigint(secret.chi) })(context, peer),
  );
  const respond = answering({ choice: (a) => ({ x: a, y: 7n }) });
  valuesOf(await presigners.presign({ party: (party) => withJobs(party, [open, respond]) }));
});
