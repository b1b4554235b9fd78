import assert from 'node:assert/strict';
import { ECDH } from 'node:crypto';
import { test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import { bytesToBigint, fromHex, randomBytes, toHex } from '#src/core/bytes.js';
import { decodeAs, encodeAs, UndecodableError } from '#src/core/codec.js';
import { curveByName, Point } from '#src/curve/curve.js';
import { pointField, scalarField } from '#src/curve/fields.js';

const REFERENCE = { 'P-256': p256.Point, secp256k1: secp256k1.Point };

/** G and 2G, compressed: SEC 2 §2.4, and the NIST point-multiplication samples of P-256 / Bitcoin's of secp256k1. */
const MULTIPLES = {
  'P-256': [
    '036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
    '037cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978',
  ],
  secp256k1: [
    '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
    '02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5',
  ],
} as const;

for (const name of ['P-256', 'secp256k1'] as const) {
  const curve = curveByName(name);
  const other = curveByName(name === 'P-256' ? 'secp256k1' : 'P-256');
  const reference = REFERENCE[name];
  const { q, G, identity } = curve;
  /** Scalars of every size and sign, the edges among them. */
  const integers = fc.oneof(
    fc.bigInt({ min: -3n * q, max: 3n * q }),
    fc.constantFrom(0n, 1n, 2n, -1n, q - 1n, q, q + 1n, 2n * q, -q, q / 2n),
    fc.bigInt({ min: -20n, max: 20n }),
  );
  const points = integers.map((k) => G.multiply(k));

  test(`${name}: known multiples of G`, () => {
    assert.equal(toHex(G.toBytes()), MULTIPLES[name][0]);
    assert.equal(toHex(curve.multiplyBase(2n).toBytes()), MULTIPLES[name][1]);
    assert.ok(curve.multiplyBase(q - 1n).equals(G.negate()));
    assert.ok(curve.multiplyBase(q).isIdentity);
    assert.ok(curve.multiplyBase(0n).equals(identity));
  });

  test(`${name}: all multiplications agree with noble, for every integer`, () => {
    fc.assert(
      fc.property(integers, (k) => {
        const scalar = curve.mod(k);
        assert.ok(scalar >= 0n && scalar < q && (k - scalar) % q === 0n);
        const expected = scalar === 0n ? undefined : toHex(reference.BASE.multiply(scalar).toBytes(true));
        const [ofBase] = curve.multiplyBasePublic([k]);
        for (const point of [curve.multiplyBase(k), ofBase!, G.multiply(k), G.multiplyPublic(k)]) {
          assert.equal(point.isIdentity ? undefined : toHex(point.toBytes()), expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: group laws, the identity included`, () => {
    fc.assert(
      fc.property(points, points, integers, (P, Q, k) => {
        assert.ok(P.add(Q).equals(Q.add(P)));
        assert.ok(P.add(Q).subtract(Q).equals(P));
        assert.ok(P.add(P.negate()).isIdentity);
        assert.ok(P.add(identity).equals(P));
        assert.ok(
          P.add(Q)
            .multiply(k)
            .equals(P.multiplyPublic(k).add(Q.multiply(k))),
        );
        assert.ok(curve.sum([P, Q, P]).equals(P.multiply(2n).add(Q)));
        assert.equal(P.equals(Q), P.subtract(Q).isIdentity);
      }),
      { numRuns: 25 },
    );
    assert.ok(curve.sum([]).isIdentity);
    assert.ok(identity.multiply(5n).isIdentity && identity.multiplyPublic(5n).isIdentity);
  });

  test(`${name}: many at once are what they are one by one`, () => {
    const [P, Q] = [G.multiply(5n), G.multiply(7n).add(G)];
    const all = [P, identity, Q, P, Q, G, Q];
    const scalars = [3n, 5n, 0n, q - 1n, q + 2n, -1n, q - 2n];
    const multiples = curve.multiplyAll(all, scalars);
    assert.equal(multiples.length, all.length);
    for (const [i, point] of all.entries()) {
      assert.ok(multiples[i]!.equals(point.multiplyPublic(scalars[i]!)), `${i}`);
      assert.ok(curve.normalized(all)[i]!.equals(point), `${i}`);
    }
    assert.deepEqual(curve.multiplyAll([], []), []);
    assert.deepEqual(curve.multiplyBasePublic([]), []);
    const ofBase = curve.multiplyBasePublic(scalars);
    for (const [i, k] of scalars.entries()) assert.ok(ofBase[i]!.equals(curve.multiplyBase(k)), `${i}`);
    assert.throws(() => curve.multiplyAll([other.G], [1n]), { code: 'BUG' });
    for (const [i, kG] of curve.multiplyBaseAll(scalars).entries())
      assert.ok(kG.equals(curve.multiplyBase(scalars[i]!)), `${i}`);
    const others = [Q, P, identity, P.negate(), P, Q, G];
    const pairs = all.map((point, i) => [point, others[i]!] as const);
    for (const [i, multiples] of curve.multiplyPairs(pairs, scalars).entries())
      for (const [l, point] of [G, ...pairs[i]!].entries())
        assert.ok(multiples[l]!.equals(point.multiplyPublic(scalars[i]!)), `${i}, ${l}`);
    for (const [i, sum] of curve.addAll(all, others).entries())
      assert.ok(sum.equals(all[i]!.add(others[i]!)), `${i}`);
    for (const many of [curve.multiplyBaseAll([]), curve.multiplyPairs([], []), curve.addAll([], [])])
      assert.deepEqual(many, []);
    assert.throws(() => curve.multiplyPairs([[G, other.G]], [1n]), { code: 'BUG' });
    assert.throws(() => curve.addAll([G], [other.G]), { code: 'BUG' });
  });

  test(`${name}: encodings`, () => {
    fc.assert(
      fc.property(
        points.filter((P) => !P.isIdentity),
        (P) => {
          assert.ok(curve.point(P.toBytes())?.equals(P));
          const uncompressed = P.toUncompressed();
          assert.equal(uncompressed.length, 65);
          assert.equal(uncompressed[0], 4);
          assert.equal(bytesToBigint(uncompressed.subarray(1, 33)), P.x);
          assert.equal(P.toBytes()[0], 2 + (uncompressed[64]! & 1));
        },
      ),
      { numRuns: 25 },
    );
  });

  test(`${name}: what is not the compressed encoding of a point is refused`, () => {
    const good = G.toBytes();
    const p = reference.Fp.ORDER;
    const withX = (x: bigint) => fromHex(`02${x.toString(16).padStart(64, '0')}`)!;
    const offCurve = [...Array(40).keys()].map((x) => withX(BigInt(x))).filter((bytes) => !onCurve(bytes));
    assert.ok(offCurve.length > 5);
    const cases: readonly Uint8Array[] = [
      new Uint8Array(0),
      Uint8Array.of(0), // SEC 1's identity
      new Uint8Array(33), // an all-zero block
      G.toUncompressed(),
      Uint8Array.from(G.toUncompressed()).fill(6, 0, 1), // hybrid form
      good.subarray(0, 32),
      Uint8Array.of(...good, 0),
      good.subarray(1),
      ...[0, 1, 4, 5, 6, 0x82].map((tag) => Uint8Array.of(tag, ...good.subarray(1))),
      withX(p),
      withX(p + 1n),
      withX(2n ** 256n - 1n),
      ...offCurve,
    ];
    for (const bytes of cases) assert.equal(curve.point(bytes), undefined, toHex(bytes));
    function onCurve(bytes: Uint8Array): boolean {
      const { Fp } = reference;
      const { a, b } = reference.CURVE();
      const x = bytesToBigint(bytes.subarray(1));
      const yy = Fp.create(x * x * x + a * x + b);
      return yy === 0n || Fp.pow(yy, (p - 1n) / 2n) === 1n;
    }
  });

  test(`${name}: the identity has neither encoding nor coordinate`, () => {
    assert.throws(() => identity.toBytes(), { code: 'BUG' });
    assert.throws(() => identity.toUncompressed(), { code: 'BUG' });
    assert.throws(() => identity.x, { code: 'BUG' });
  });

  test(`${name}: points of two curves do not mix`, () => {
    assert.throws(() => G.add(other.G), { code: 'BUG' });
    assert.throws(() => G.subtract(other.G), { code: 'BUG' });
    assert.throws(() => G.equals(other.G), { code: 'BUG' });
    assert.throws(() => curve.sum([other.G]), { code: 'BUG' });
  });

  test(`${name}: scalars`, () => {
    fc.assert(
      fc.property(integers, (k) => {
        assert.equal(bytesToBigint(curve.scalarBytes(k)), curve.mod(k));
        assert.equal(curve.scalarBytes(k).length, 32);
        if (curve.mod(k) === 0n) assert.throws(() => curve.invert(k), { code: 'BUG' });
        else assert.equal(curve.mod(curve.invert(k) * k), 1n);
      }),
    );
  });

  test(`${name}: random scalars are rejected, not reduced, and wiped`, () => {
    const q32 = curve.scalarBytes(q - 1n);
    q32[31]! += 1; // q itself, which has no carry into the next byte
    const supply = [new Uint8Array(32).fill(0xff), q32, curve.scalarBytes(q - 1n)];
    const given: Uint8Array[] = [];
    const k = curve.randomScalar((length) => {
      assert.equal(length, 32);
      given.push(supply.shift()!);
      return given.at(-1)!;
    });
    assert.equal(k, q - 1n);
    assert.equal(given.length, 3);
    for (const bytes of given) assert.ok(bytes.every((byte) => byte === 0));
    assert.equal(
      curve.randomScalar(() => new Uint8Array(32)),
      0n,
    );
    assert.notEqual(curve.randomScalar(randomBytes), curve.randomScalar(randomBytes));
  });

  test(`${name}: random points are any points, but never the identity`, () => {
    const drawn = curve.randomPoints(64, randomBytes);
    assert.ok(drawn.every((point) => point.curve === curve && !point.isIdentity));
    const encoded = drawn.map((point) => toHex(point.toBytes()));
    assert.equal(new Set(encoded).size, drawn.length);
    assert.deepEqual([...new Set(encoded.map((hex) => hex.slice(0, 2)))].sort(), ['02', '03']);
    // From nothing but zeros comes the smallest scalar, which is 1.
    const zeros = (length: number) => new Uint8Array(length);
    if (name === 'P-256') assert.ok(curve.randomPoints(1, zeros)[0]!.equals(G));
  });

  test(`${name}: message fields`, () => {
    const point = pointField(curve);
    const P = curve.multiplyBase(77n);
    assert.ok(decodeAs(point, encodeAs(point, P), 40).equals(P));
    assert.throws(() => encodeAs(point, identity));
    assert.throws(() => encodeAs(point, other.G));
    const scalar = scalarField(curve);
    for (const k of [0n, 1n, q - 1n]) {
      assert.equal(encodeAs(scalar, k).length, 34);
      assert.equal(decodeAs(scalar, encodeAs(scalar, k), 40), k);
    }
    for (const k of [q, -1n]) assert.throws(() => encodeAs(scalar, k));
  });

  test(`${name}: message fields refuse everything else`, () => {
    const refused = (field: typeof point | typeof scalar, bytes: Uint8Array): void => {
      const message = Uint8Array.of(0x58, bytes.length, ...bytes); // CBOR byte string
      assert.throws(() => decodeAs(field, message, 100), UndecodableError, toHex(bytes));
    };
    const point = pointField(curve);
    refused(point, G.toUncompressed());
    refused(point, new Uint8Array(33));
    refused(point, withTag(5));
    const scalar = scalarField(curve);
    refused(scalar, new Uint8Array(32).fill(0xff));
    refused(scalar, fromHex(q.toString(16))!);
    refused(scalar, new Uint8Array(31).fill(1));
    refused(scalar, new Uint8Array(33).fill(1));
    function withTag(tag: number): Uint8Array {
      return Uint8Array.of(tag, ...G.toBytes().subarray(1));
    }
  });
}

test('what multiplies points of P-256 keeps no scalar, not even when it fails', (context) => {
  const curve = curveByName('P-256');
  const points = [5n, 7n, 11n].map((k) => curve.multiplyBase(k));
  const scalars = points.map(() => curve.randomScalar(randomBytes));
  const { mock: given } = context.mock.method(ECDH.prototype, 'setPrivateKey');
  const lastKeys = () => {
    const objects = new Set(given.calls.map((call) => call.this as ECDH));
    return [...objects].map((ecdh) => bytesToBigint(ecdh.getPrivateKey()));
  };
  curve.multiplyAll(points, scalars);
  assert.equal(given.callCount(), 2 * points.length + 1);
  assert.deepEqual(lastKeys(), [1n]);

  given.resetCalls();
  const { mock: computed } = context.mock.method(ECDH.prototype, 'computeSecret');
  computed.mockImplementationOnce(() => {
    throw new Error('out of memory');
  }, 3);
  assert.throws(() => curve.multiplyAll(points, scalars), /out of memory/);
  assert.equal(given.callCount(), 5);
  assert.deepEqual(lastKeys(), [1n]);
});

test('a point tells its curve', () => {
  assert.equal(curveByName('secp256k1').G.curve.name, 'secp256k1');
  assert.ok(curveByName('P-256').G instanceof Point);
});
