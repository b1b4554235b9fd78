// `make bench-compare`: the arithmetic of this program against what one would pick instead on npm, paillier-bigint and
// noble, in turns in one run: how many times as long those take. Plain JavaScript with packages of its own, so that
// neither the program nor its build and tests need any of them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { normalizeZ, pippenger } from '@noble/curves/abstract/curve.js';
import { p256, p256_hasher } from '@noble/curves/nist.js';
import { secp256k1, secp256k1_hasher } from '@noble/curves/secp256k1.js';
import { lcm, modInv, modPow } from 'bigint-crypto-utils';
import * as other from 'paillier-bigint';
import { printTable } from '../../../dist/bench/measure.js';
import { randomBytes } from '../../../dist/core/bytes.js';
import { curveByName } from '../../../dist/curve/curve.js';
import { verifyMessage } from '../../../dist/curve/ecdsa.js';
import { hashToCurve } from '../../../dist/curve/hash-to-curve.js';
import { securityLevel } from '../../../dist/math/params.js';
import { sampleUnit } from '../../../dist/math/sample.js';
import { add, decrypt, encrypt, scale } from '../../../dist/paillier/cipher.js';
import { PrivateKey, PublicKey } from '../../../dist/paillier/keys.js';

const SAMPLES = 15;
/** CPU that a sample takes at least, in microseconds: the clock of the system is no finer than some of these. */
const SAMPLE_MICROS = 20_000;

/** Microseconds of CPU of `count` runs. */
function microsOf(run, count) {
  const before = process.cpuUsage();
  for (let k = 0; k < count; k += 1) run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** How many runs fill a sample; warms up as well. */
function countOf(run) {
  let count = 1;
  while (microsOf(run, count) < SAMPLE_MICROS) count *= 2;
  return count;
}

const middle = (samples) => samples.sort((a, b) => a - b)[Math.floor(samples.length / 2)];

/** How many times as long `theirs` takes as `ours`, the two by turns. */
function ratio(theirs, ours) {
  const counts = [countOf(theirs), countOf(ours)];
  const ratios = Array.from({ length: SAMPLES }, () => {
    const [slow, fast] = [microsOf(theirs, counts[0]) / counts[0], microsOf(ours, counts[1]) / counts[1]];
    return slow / fast;
  });
  return `${Number(middle(ratios).toPrecision(2))}×`;
}

/** Two keys of stored primes: as this program has them, and as paillier-bigint makes them of the same primes. */
function keysOf(primeBits) {
  const file = new URL('../../../test/fixtures/safe-primes.json', import.meta.url);
  const [p, q] = JSON.parse(readFileSync(file, 'utf8'))[`bits${primeBits}`].map((hex) => BigInt(`0x${hex}`));
  const owner = PrivateKey.fromPrimes(p, q);
  const stranger = PublicKey.parse(owner.N, securityLevel(primeBits === 1024 ? 112 : 128));
  // As its generateRandomKeys does, of which the variant with g = N + 1 is the faster one.
  const { N: n, NN: nn } = owner;
  const random =
    (((sampleUnit(n, randomBytes) * n + 1n) % nn) * modPow(sampleUnit(n, randomBytes), n, nn)) % nn;
  const lambda = lcm(p - 1n, q - 1n);
  const theirs = (g) => {
    const mu = modInv((modPow(g, lambda, nn) - 1n) / n, n);
    return new other.PrivateKey(lambda, mu, new other.PublicKey(n, g), p, q);
  };
  return { owner, stranger, usual: theirs(random), simple: theirs(n + 1n) };
}

function paillierRows(primeBits) {
  const { owner, stranger, usual, simple } = keysOf(primeBits);
  const [x, k] = [2n ** 255n - 19n, 2n ** 255n + 95n];
  const rho = sampleUnit(owner.N, randomBytes);
  const [c, d] = [encrypt(stranger, x, rho), encrypt(stranger, k, rho)];
  assert.equal(simple.decrypt(c), x);
  assert.equal(decrypt(owner, simple.publicKey.encrypt(x, rho)), x);
  assert.equal(simple.decrypt(scale(owner, c, k)), (k * x) % owner.N);
  const bits = 2 * primeBits;
  const theirs = usual.publicKey;
  const own = usual.decrypt.bind(usual, theirs.encrypt(x, rho));
  const cases = [
    ['encrypt', () => theirs.encrypt(x, rho), (key) => encrypt(key, x, rho)],
    ['encrypt, g = N + 1', () => simple.publicKey.encrypt(x, rho), (key) => encrypt(key, x, rho)],
    ['decrypt', own, (key) => decrypt(key, c)],
    ['add', () => theirs.addition(c, d), (key) => add(key, c, d)],
    ['multiply by 256 bits', () => theirs.multiply(c, k), (key) => scale(key, c, k)],
  ];
  return cases.map(([name, act, ours]) => [
    `${name}, ${bits} bits`,
    name === 'decrypt' ? '–' : ratio(act, () => ours(stranger)),
    ratio(act, () => ours(owner)),
  ]);
}

const NOBLE = { 'P-256': [p256, p256_hasher], secp256k1: [secp256k1, secp256k1_hasher] };
const MANY = 64;

function curveRatios(name) {
  const curve = curveByName(name);
  const [scheme, hasher] = NOBLE[name];
  const { Point } = scheme;
  const scalars = Array.from({ length: MANY }, () => curve.randomScalar(randomBytes));
  const [k] = scalars;
  const points = scalars.map((scalar) => Point.BASE.multiply(scalar));
  const ourPoints = points.map((point) => curve.point(point.toBytes()));
  const [P, ours] = [points[1], ourPoints[1]];
  const encoded = P.toBytes();

  const signed = randomBytes(64);
  const secret = curve.scalarBytes(k);
  const signature = scheme.sign(signed, secret, { format: 'der' });
  const X = scheme.getPublicKey(secret);
  const ourX = curve.point(X);
  assert.ok(verifyMessage(curve, ourX, signed, signature));
  const DST = new TextEncoder().encode('bench');
  const messages = scalars.map(() => randomBytes(64));
  const inputs = messages.map((message) => ({ message, dst: DST }));
  assert.deepEqual(
    hashToCurve(curve, inputs, { secret: true }).map((point) => point.toBytes()),
    messages.map((message) => hasher.hashToCurve(message, { DST }).toBytes()),
  );
  assert.deepEqual(curve.multiplyBase(k).toBytes(), Point.BASE.multiply(k).toBytes());

  return [
    ['k·G, secret k', () => Point.BASE.multiply(k), () => curve.multiplyBase(k)],
    ['k·P, secret k', () => P.multiply(k), () => ours.multiply(k)],
    [
      `${MANY} different k·P, secret k`,
      () =>
        normalizeZ(
          Point,
          points.map((point, i) => point.multiply(scalars[i])),
        ),
      () => curve.multiplyAll(ourPoints, scalars),
    ],
    ['k·P, public k', () => P.multiplyUnsafe(k), () => ours.multiplyPublic(k)],
    [
      `sum of ${MANY} k·P, public k`,
      () => pippenger(Point, points, scalars),
      () => curve.sum(ourPoints.map((point, i) => point.multiplyPublic(scalars[i]))),
    ],
    ['read a point', () => Point.fromBytes(encoded), () => curve.point(encoded)],
    [
      'verify a signature',
      () => scheme.verify(signature, signed, X, { format: 'der' }),
      () => verifyMessage(curve, ourX, signed, signature),
    ],
    [
      `hash ${MANY} secrets to the curve`,
      () => messages.map((message) => hasher.hashToCurve(message, { DST })),
      () => hashToCurve(curve, inputs, { secret: true }),
    ],
  ].map(([what, theirs, own]) => [what, ratio(theirs, own)]);
}

console.log(`Node ${process.version}, OpenSSL ${process.versions.openssl}`);
printTable('paillier-bigint takes so many times as long as this program', [
  ['', 'that knows N only', 'that knows its factors'],
  ...paillierRows(1024),
  ...paillierRows(1536),
]);
const [nist, koblitz] = [curveRatios('P-256'), curveRatios('secp256k1')];
printTable('noble takes so many times as long as this program', [
  ['', 'P-256', 'secp256k1'],
  ...nist.map(([what, value], i) => [what, value, koblitz[i][1]]),
]);
