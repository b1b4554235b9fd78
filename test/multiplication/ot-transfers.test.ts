// The parts of the multiplication by oblivious transfer: base transfers, extension and products, against a naive
// second implementation, and against cheats on either side.
import assert from 'node:assert/strict';
import { ECDH } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { bytesToBigint, concatBytes, randomBytes } from '#src/core/bytes.js';
import { hash } from '#src/core/transcript.js';
import { type CurveName, curveByName, POINT_BYTES, type Point } from '#src/curve/curve.js';
import { hashToCurve, suiteOf } from '#src/curve/hash-to-curve.js';
import { choose, receive, transfer } from '#src/multiplication/ot-base.js';
import type { OtContext } from '#src/multiplication/ot-context.js';
import { type Extension, extend, extendChosen } from '#src/multiplication/ot-extension.js';
import {
  type Correction,
  chosenSum,
  receiveProducts,
  sendProducts,
} from '#src/multiplication/ot-products.js';
import { bit, naiveFinish, naiveOpen, naiveRespond, type PairKeys, pairKeys } from '../support/ot.js';

const CURVES = ['P-256', 'secp256k1'] as const;

const contextOf = (curve: CurveName): OtContext => ({
  sid: randomBytes(32),
  step: 'presign',
  curve,
  receiver: 'alice',
  sender: 'bob',
});

const indices = (count: number): number[] => [...new Array(count).keys()];

/** `bytes` with one bit turned over. */
function flipped(bytes: Uint8Array, k: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[k >> 3]! ^= 1 << (k & 7);
  return changed;
}

const chosenOf = ({ delta, chosen }: PairKeys) => ({ delta, keys: chosen });

const fieldsOf = ({ sid, step, curve, receiver, sender }: OtContext) => [sid, step, curve, receiver, sender];

/** Hc(x; i, p). */
function hashed(ctx: OtContext, x: number, i: number, p: Uint8Array): Point {
  const curve = curveByName(ctx.curve);
  const tag = new TextEncoder().encode(`ecdsa-mpc/v1/base ot ${x} with ${suiteOf(curve)}`);
  const message = hash('base ot point', [...fieldsOf(ctx), BigInt(i), p]);
  return hashToCurve(curve, [{ message, dst: tag }], { secret: false })[0]!;
}

test('as many x-coordinates are decoded whatever a chooser’s Δ is', (context) => {
  const ctx = { ...contextOf('P-256'), step: 'ot' };
  for (const bits of [0x00, 0xff]) {
    // What decodes depends on the version of Node.js (curve/decoder.ts).
    const ways = [
      context.mock.method(ECDH.prototype as unknown as { setPublicKey(): void }, 'setPublicKey'),
      context.mock.method(ECDH, 'convertKey'),
    ];
    let draws = 0;
    // Δ is what is drawn first.
    choose(ctx, (length) => {
      draws += 1;
      return draws === 1 ? new Uint8Array(length).fill(bits) : randomBytes(length);
    });
    // Of each transfer one hash, of each hash two elements of the field, of each element both x-coordinates.
    const decoded = ways.reduce((sum, { mock }) => sum + mock.callCount(), 0);
    assert.equal(decoded, 128 * 2 * 2);
    for (const { mock } of ways) mock.restore();
  }
});

for (const name of CURVES) {
  const curve = curveByName(name);

  test(`${name}: the chooser gets the keys that it chose, and no others`, () => {
    const ctx = { ...contextOf(name), step: 'ot' };
    const choice = choose(ctx, randomBytes);
    const { A, keys } = transfer(ctx, choice.points, randomBytes)!;
    const chosen = receive(ctx, choice.points, A, choice)!;
    const key = (bytes: Uint8Array, at: number) => bytes.subarray(16 * at, 16 * at + 16);
    for (const i of indices(128)) {
      const Δ_i = bit(choice.delta, i);
      assert.deepEqual(key(chosen, i), key(keys, Δ_i * 128 + i));
      assert.notDeepEqual(key(chosen, i), key(keys, (1 - Δ_i) * 128 + i));
    }
    assert.equal(new Set(indices(256).map((at) => key(keys, at).join())).size, 256);
    const elsewhere = receive({ ...ctx, sid: randomBytes(32) }, choice.points, A, choice)!;
    for (const i of indices(128)) assert.notDeepEqual(key(elsewhere, i), key(chosen, i));
  });

  test(`${name}: points and keys of base transfers are those of docs/protocol.md`, () => {
    const ctx = { ...contextOf(name), step: 'ot' };
    const drawn: bigint[] = [];
    const recorded = (length: number) => {
      const bytes = randomBytes(length);
      drawn.push(bytesToBigint(bytes));
      return bytes;
    };
    const choice = choose(ctx, randomBytes);
    const { A, keys } = transfer(ctx, choice.points, recorded)!;
    const a = drawn.filter((scalar) => scalar < curve.q);
    assert.equal(a.length, 128);
    for (const i of [0, 1, 64, 127]) {
      const [p0, p1] = [0, 1].map((x) => choice.points.slice(33 * (2 * i + x), 33 * (2 * i + x + 1)));
      const A_i = A.slice(33 * i, 33 * i + 33);
      assert.deepEqual(A_i, curve.multiplyBase(a[i]!).toBytes());
      // p_{i,x} + Hc(x; i, p_{i,1−x})
      const sums = [
        curve.point(p0!)!.add(hashed(ctx, 0, i, p1!)),
        curve.point(p1!)!.add(hashed(ctx, 1, i, p0!)),
      ];
      const Δ_i = bit(choice.delta, i);
      const b_i = bytesToBigint(choice.b.subarray(32 * i, 32 * i + 32));
      assert.ok(sums[Δ_i]!.equals(curve.multiplyBase(b_i)));
      for (const [x, sum] of sums.entries()) {
        const shared = sum.multiplyPublic(a[i]!).toBytes();
        const fields = [...fieldsOf(ctx), BigInt(i), Uint8Array.of(x), p0!, p1!, A_i, shared];
        const at = 16 * (128 * x + i);
        assert.deepEqual(keys.slice(at, at + 16), hash('base ot', fields, 16), `k of ${i}, ${x}`);
      }
    }
  });

  test(`${name}: what is no point, or makes the identity, is refused by either side`, () => {
    const ctx = { ...contextOf(name), step: 'ot' };
    const choice = choose(ctx, randomBytes);
    const offCurve = indices(40)
      .map((x) => Uint8Array.of(2, ...new Uint8Array(31), x))
      .find((bytes) => curve.point(bytes) === undefined)!;
    const withPoint = (points: Uint8Array, at: number, point: Uint8Array) => {
      const changed = Uint8Array.from(points);
      changed.set(point, at * POINT_BYTES);
      return changed;
    };
    for (const bad of [offCurve, new Uint8Array(33), Uint8Array.of(4, ...new Uint8Array(32))]) {
      assert.equal(transfer(ctx, withPoint(choice.points, 255, bad), randomBytes), undefined);
      const A = concatBytes(...indices(128).map(() => curve.G.toBytes()));
      assert.equal(receive(ctx, choice.points, withPoint(A, 127, bad), choice), undefined);
    }
    // p_{7,1} = −Hc(1; 7, p_{7,0}): the shared point would be the identity, whatever a_7.
    const p0 = choice.points.subarray(14 * POINT_BYTES, 15 * POINT_BYTES);
    const p1 = hashed(ctx, 1, 7, p0).negate().toBytes();
    assert.equal(transfer(ctx, withPoint(choice.points, 15, p1), randomBytes), undefined);
  });

  test(`${name}: both sides of a use agree with the naive ones`, () => {
    const ctx = contextOf(name);
    const pair = pairKeys();
    const inputs = [curve.randomScalar(randomBytes), curve.randomScalar(randomBytes)] as const;

    const opened = naiveOpen(ctx, pair.both);
    const rows = extendChosen(ctx, opened.message1, chosenOf(pair));
    const sent = sendProducts(ctx, { rows: rows!, delta: pair.delta }, inputs, randomBytes);
    const d = naiveFinish(ctx, opened, sent.correction);
    for (const l of [0, 1] as const)
      assert.equal(curve.mod(sent.c[l] + d[l]!), curve.mod(inputs[l] * opened.chi));

    const extended = extend(ctx, pair.both, randomBytes);
    const answer = naiveRespond(ctx, pair, extended.extension, inputs);
    const finished = receiveProducts(ctx, extended, answer.message2)!;
    const chi = chosenSum(ctx, extended.choice);
    for (const l of [0, 1] as const)
      assert.equal(curve.mod(answer.c[l]! + finished[l]), curve.mod(inputs[l] * chi));
  });

  test(`${name}: c + d = a·χ, for as many keys as inputs`, () => {
    const scalars = fc.oneof(
      { weight: 4, arbitrary: fc.bigInt({ min: 0n, max: curve.q - 1n }) },
      fc.constantFrom(0n, 1n, curve.q - 1n, curve.q / 2n, 2n ** 255n),
    );
    fc.assert(
      fc.property(scalars, scalars, (a_0, a_1) => {
        const ctx = contextOf(name);
        const pair = pairKeys();
        const extended = extend(ctx, pair.both, randomBytes);
        const rows = extendChosen(ctx, extended.extension, chosenOf(pair))!;
        const { correction, c } = sendProducts(ctx, { rows, delta: pair.delta }, [a_0, a_1], randomBytes);
        const d = receiveProducts(ctx, extended, correction)!;
        const chi = chosenSum(ctx, extended.choice);
        assert.equal(curve.mod(c[0] + d[0]), curve.mod(a_0 * chi));
        assert.equal(curve.mod(c[1] + d[1]), curve.mod(a_1 * chi));
      }),
      { numRuns: 250 },
    );
  });
}

const curve = curveByName('P-256');
const ctx = contextOf('P-256');
const pair = pairKeys();
const inputs = [curve.randomScalar(randomBytes), curve.randomScalar(randomBytes)] as const;
const extended = extend(ctx, pair.both, randomBytes);
const honestRows = extendChosen(ctx, extended.extension, chosenOf(pair))!;
const sent = sendProducts(ctx, { rows: honestRows, delta: pair.delta }, inputs, randomBytes);

test('rows are t_j and t_j ⊕ x_j·Δ', () => {
  for (const j of indices(416)) {
    const t_j = extended.rows.subarray(16 * j, 16 * j + 16);
    const expected = t_j.map((byte, k) => byte ^ (bit(extended.choice, j) * pair.delta[k]!));
    assert.deepEqual(honestRows.subarray(16 * j, 16 * j + 16), expected);
  }
});

test('a column made with another x is noticed if and only if Δ chose its other key', () => {
  const errors = [1n, 1n << 415n, 1n << 416n, 1n << 511n, 1n << 512n, 1n << 639n];
  for (const i of indices(128)) {
    const error = errors[i % errors.length]!;
    const { message1 } = naiveOpen(ctx, pair.both, (column) => (column === i ? error : 0n));
    const rows = extendChosen(ctx, message1, chosenOf(pair));
    assert.equal(rows === undefined, bit(pair.delta, i) === 1, `column ${i}`);
  }
});

test('the sender refuses a first message in which any bit has changed', () => {
  const { extension } = extended;
  const refuses = (message: Extension, what: string) =>
    assert.equal(extendChosen(ctx, message, chosenOf(pair)), undefined, what);
  for (const k of indices(128)) {
    // A bit of each column, and of every block.
    const at = 640 * k + ((k * 97) % 640);
    refuses({ ...extension, u: flipped(extension.u, at) }, `bit ${at} of u`);
    refuses({ ...extension, x: flipped(extension.x, k) }, `bit ${k} of x̂`);
    refuses({ ...extension, t: flipped(extension.t, 128 * k + ((k * 31) % 128)) }, `t̂ of column ${k}`);
  }
});

test('the sender refuses a first message made in another session, step, curve or pair', () => {
  const others: Partial<OtContext>[] = [
    { sid: randomBytes(32) },
    { step: 'sign' },
    { curve: 'secp256k1' },
    { receiver: 'charlie' },
    { sender: 'charlie' },
    { receiver: 'bob', sender: 'alice' },
  ];
  for (const other of others) {
    const elsewhere = { ...ctx, ...other };
    assert.equal(extendChosen(elsewhere, extended.extension, chosenOf(pair)), undefined);
    assert.equal(receiveProducts(elsewhere, extended, sent.correction), undefined);
  }
  assert.equal(extendChosen(ctx, extended.extension, chosenOf(pairKeys())), undefined);
});

test('another input in one row is noticed if and only if β chose that row', () => {
  const rows = [0, 1].flatMap((β_j) =>
    indices(416)
      .filter((j) => bit(extended.choice, j) === β_j)
      .slice(-4),
  );
  for (const j of rows) {
    const cheat = (row: number) =>
      inputs.map((a, l) => (row === j && l === j % 2 ? curve.mod(a + 1n) : a)) as [bigint, bigint];
    const { message2 } = naiveRespond(ctx, pair, extended.extension, inputs, cheat);
    const d = receiveProducts(ctx, extended, message2);
    assert.equal(d === undefined, bit(extended.choice, j) === 1, `row ${j}`);
  }
});

test('another input in all rows but a few is noticed', () => {
  const other = [curve.randomScalar(randomBytes), inputs[1]] as const;
  const { message2 } = naiveRespond(ctx, pair, extended.extension, inputs, (j) => (j < 64 ? inputs : other));
  assert.equal(receiveProducts(ctx, extended, message2), undefined);
});

test('the receiver refuses a second message in which anything has changed', () => {
  const { correction } = sent;
  const refuses = (message: Correction, what: string) =>
    assert.equal(receiveProducts(ctx, extended, message), undefined, what);
  for (const k of indices(60)) {
    const at = (256 * 3 * 7 * k + 255) % (8 * correction.a.length);
    refuses({ ...correction, a: flipped(correction.a, at) }, `bit ${at} of ã`);
  }
  refuses({ ...correction, eta: curve.mod(correction.eta + 1n) }, 'η');
  refuses({ ...correction, eta: 0n }, 'η = 0');
  for (const k of [0, 100, 255]) refuses({ ...correction, mu: flipped(correction.mu, k) }, 'μ');
});

test('the receiver refuses an answer to another first message', () => {
  const again = extend(ctx, pair.both, randomBytes);
  assert.equal(receiveProducts(ctx, again, sent.correction), undefined);
});
