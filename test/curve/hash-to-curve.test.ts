// RFC 9380: appendices J.1.1 (P256_XMD:SHA-256_SSWU_RO_) and J.8.1 (secp256k1_XMD:SHA-256_SSWU_RO_), and noble.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { p256, p256_hasher } from '@noble/curves/nist.js';
import { secp256k1, secp256k1_hasher } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import { toHex } from '#src/core/bytes.js';
import { type Curve, type CurveName, curveByName } from '#src/curve/curve.js';
import { hashToCurve, mapToCurve, suiteOf } from '#src/curve/hash-to-curve.js';

type Vector = readonly [message: string, x: string, y: string];

const VECTORS: Readonly<Record<CurveName, readonly Vector[]>> = {
  'P-256': [
    [
      '',
      '2c15230b26dbc6fc9a37051158c95b79656e17a1a920b11394ca91c44247d3e4',
      '8a7a74985cc5c776cdfe4b1f19884970453912e9d31528c060be9ab5c43e8415',
    ],
    [
      'abc',
      '0bb8b87485551aa43ed54f009230450b492fead5f1cc91658775dac4a3388a0f',
      '5c41b3d0731a27a7b14bc0bf0ccded2d8751f83493404c84a88e71ffd424212e',
    ],
    [
      'abcdef0123456789',
      '65038ac8f2b1def042a5df0b33b1f4eca6bff7cb0f9c6c1526811864e544ed80',
      'cad44d40a656e7aff4002a8de287abc8ae0482b5ae825822bb870d6df9b56ca3',
    ],
  ],
  secp256k1: [
    [
      '',
      'c1cae290e291aee617ebaef1be6d73861479c48b841eaba9b7b5852ddfeb1346',
      '64fa678e07ae116126f08b022a94af6de15985c996c3a91b64c406a960e51067',
    ],
    [
      'abc',
      '3377e01eab42db296b512293120c6cee72b6ecf9f9205760bd9ff11fb3cb2c4b',
      '7f95890f33efebd1044d382a01b1bee0900fb6116f94688d487c6c7b9c8371f6',
    ],
    [
      'abcdef0123456789',
      'bac54083f293f1fe08e4a70137260aa90783a5cb84d3f35848b324d0674b0e3a',
      '4436476085d4c3c4508b60fcf4389c40176adce756b398bdee27bca19758d828',
    ],
  ],
};

const text = new TextEncoder();

const REFERENCE = {
  'P-256': { hasher: p256_hasher, Fp: p256.Point.Fp, Z: -10n },
  secp256k1: { hasher: secp256k1_hasher, Fp: secp256k1.Point.Fp, Z: -11n },
};

for (const name of ['P-256', 'secp256k1'] as const) {
  const curve = curveByName(name);
  const { hasher, Fp, Z } = REFERENCE[name];

  test(`${name}: the vectors of RFC 9380`, () => {
    const dst = text.encode(`QUUX-V01-CS02-with-${suiteOf(curve)}`);
    const inputs = VECTORS[name].map(([message]) => ({ message: text.encode(message), dst }));
    for (const secret of [false, true]) {
      const points = hashToCurve(curve, inputs, { secret });
      assert.deepEqual(
        points.map((point) => toHex(point.toUncompressed())),
        VECTORS[name].map(([, x, y]) => `04${x}${y}`),
      );
      assert.ok(points.every((point) => point.curve === curve));
    }
    assert.deepEqual(hashToCurve(curve, [], { secret: false }), []);
  });

  test(`${name}: whatever is hashed, by whatever tag, noble hashes it to the same point`, () => {
    const input = fc.record({
      message: fc.uint8Array({ maxLength: 200 }),
      dst: fc.uint8Array({ minLength: 1, maxLength: 255 }),
    });
    const inputs = fc.array(input, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(inputs, fc.boolean(), (hashed, secret) => {
        const expected = hashed.map(({ message, dst }) =>
          hasher.hashToCurve(message, { DST: dst }).toHex(true),
        );
        assert.deepEqual(
          hashToCurve(curve, hashed, { secret }).map((point) => toHex(point.toBytes())),
          expected,
        );
      }),
      { numRuns: 40 },
    );
  });

  test(`${name}: noble maps every element of the field to the same point, the exceptions among them`, () => {
    // Those whose denominator is 0: u = 0, and Z·u² = −1 where that has a solution.
    const square = Fp.inv(Fp.create(-Z));
    const exceptional = Fp.eql(Fp.pow(square, (Fp.ORDER - 1n) / 2n), Fp.ONE) ? [Fp.sqrt(square)] : [];
    const edges = [
      0n,
      1n,
      2n,
      Fp.ORDER - 1n,
      Fp.ORDER - 2n,
      ...exceptional,
      ...exceptional.map((u) => Fp.neg(u)),
    ];
    const us = [...edges, ...fc.sample(fc.bigInt({ min: 0n, max: Fp.ORDER - 1n }), 60)];
    const expected = us.map((u) => {
      const { x, y } = hasher.mapToCurve(u as unknown as bigint[]); // typed for extension fields
      return [x, y];
    });
    for (const secret of [false, true]) {
      const points = mapToCurve(curve, us, { secret });
      assert.deepEqual(
        points.map(({ x, y }) => [x, y]),
        expected,
      );
    }
  });

  test(`${name}: of what is secret both x-coordinates are tried, whichever is a point’s`, () => {
    let tried = 0;
    const counting = Object.create(curve, {
      point: {
        value: (bytes: Uint8Array) => {
          tried += 1;
          return curve.point(bytes);
        },
      },
    }) as Curve;
    const us = Array.from({ length: 64 }, (_, i) => BigInt(i) ** 40n);
    const triedOfEach = (secret: boolean) =>
      us.map((u) => {
        tried = 0;
        mapToCurve(counting, [u], { secret });
        return tried;
      });
    assert.deepEqual([...new Set(triedOfEach(true))], [2]);
    assert.deepEqual([...new Set(triedOfEach(false))].sort(), [1, 2]);
  });

  test(`${name}: another tag gives another point`, () => {
    const inputs = ['a', 'b'].map((dst) => ({ message: text.encode('m'), dst: text.encode(dst) }));
    const [first, second] = hashToCurve(curve, inputs, { secret: false });
    assert.ok(!first!.equals(second!));
  });
}

test('a tag that the suites do not allow is refused', () => {
  const input = { message: new Uint8Array(1), dst: new Uint8Array(256) };
  assert.throws(() => hashToCurve(curveByName('P-256'), [input], { secret: false }), { code: 'BUG' });
});

test('the suites are those of random oracles, named by curve', () => {
  assert.equal(suiteOf(curveByName('P-256')), 'P256_XMD:SHA-256_SSWU_RO_');
  assert.equal(suiteOf(curveByName('secp256k1')), 'secp256k1_XMD:SHA-256_SSWU_RO_');
});
