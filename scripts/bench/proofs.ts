/** Each zero-knowledge proof: CPU time to prove and to verify, in the roles the protocol gives them, and its size. */
import { readFileSync } from 'node:fs';
import { randomBytes } from '#src/core/bytes.js';
import { encodeAs } from '#src/core/codec.js';
import { type CurveName, curveByName } from '#src/curve/curve.js';
import { type SecurityBits, securityLevel } from '#src/math/params.js';
import { sampleUnit } from '#src/math/sample.js';
import { add, encrypt, scale } from '#src/paillier/cipher.js';
import { PrivateKey, PublicKey, verifiedPublicKey } from '#src/paillier/keys.js';
import { RingPedersenOwner, RingPedersenPublic, verifiedRingPedersen } from '#src/paillier/ring-pedersen.js';
import * as aff from '#src/zk/aff.js';
import type { ProofContext } from '#src/zk/context.js';
import * as dlog from '#src/zk/dlog.js';
import * as enc from '#src/zk/enc.js';
import * as fac from '#src/zk/fac.js';
import * as mod from '#src/zk/mod.js';
import * as prm from '#src/zk/prm.js';
import { cpuMillis, millis, printTable } from './measure.js';

const context = (curve: CurveName): ProofContext => ({
  sid: randomBytes(32),
  step: 'bench',
  curve,
  prover: 'alice',
  verifier: 'bob',
});
const ctx = context('P-256');

/** The i-th key of the tests' stored safe primes: searching for some would take longer than the benchmark. */
function storedKey(i: number, primeBits: 1024 | 1536): PrivateKey {
  const file = new URL('../../test/fixtures/safe-primes.json', import.meta.url);
  const primes = JSON.parse(readFileSync(file, 'utf8'))[`bits${primeBits}`] as string[];
  return PrivateKey.fromPrimes(BigInt(`0x${primes[2 * i]}`), BigInt(`0x${primes[2 * i + 1]}`));
}

/** A party's key and parameters as itself and as its peers have them. */
function party(i: number, bits: SecurityBits) {
  const level = securityLevel(bits);
  const key = storedKey(i, level.primeBits);
  const pedersen = RingPedersenOwner.generate(key, randomBytes);
  const publicKey = PublicKey.parse(key.N, level);
  const publicPedersen = publicKey && RingPedersenPublic.parse(publicKey, pedersen.s, pedersen.t);
  if (publicKey === undefined || publicPedersen === undefined) throw new Error('the stored primes are unfit');
  return {
    key,
    publicKey: verifiedPublicKey(publicKey),
    pedersen,
    publicPedersen: verifiedRingPedersen(publicPedersen),
  };
}

/** One row: proves `times` over, then verifies the last proof as often. */
function row<P>(
  name: string,
  times: number,
  prove: () => P,
  verify: (proof: P) => boolean,
  encode: (proof: P) => Uint8Array,
): readonly string[] {
  let proof = prove();
  const proving = cpuMillis(() => {
    proof = prove();
  }, times);
  if (!verify(proof)) throw new Error(`${name} does not verify`);
  const verifying = cpuMillis(() => verify(proof), times);
  return [name, millis(proving), millis(verifying), `${encode(proof).length}`];
}

/** The proofs about Paillier keys and ciphertexts, from a prover to a verifier. */
function paillierRows(bits: SecurityBits): readonly (readonly string[])[] {
  const level = securityLevel(bits);
  const [prover, verifier] = [party(0, bits), party(1, bits)];
  const { key, publicKey } = prover;

  const rho = sampleUnit(key.N, randomBytes);
  const k = 2n ** 255n - 19n;
  const K = encrypt(key, k, rho);

  const { q } = curveByName(ctx.curve);
  const [x, y, nonce] = [q / 3n, 2n ** 847n - 1n, sampleUnit(verifier.key.N, randomBytes)];
  const C = encrypt(verifier.key, q / 5n, nonce);
  const D = add(verifier.key, scale(verifier.key, C, x), encrypt(verifier.key, y, nonce));

  const proverSide = { pedersen: verifier.publicPedersen };
  const verifierSide = { pedersen: verifier.pedersen };
  return [
    row(
      'Π^mod',
      3,
      () => mod.prove(ctx, { level, key }, key, randomBytes),
      (proof) => mod.verify(ctx, { level, key: publicKey }, proof),
      (proof) => encodeAs(mod.proofSchema(level), proof),
    ),
    row(
      'Π^prm',
      3,
      () => prm.prove(ctx, prover, { kappa: prover.pedersen.kappa, phi: key.phi }, randomBytes),
      (proof) => prm.verify(ctx, { pedersen: prover.publicPedersen }, proof),
      (proof) => encodeAs(prm.proofSchema(level), proof),
    ),
    row(
      'Π^fac',
      9,
      () => fac.prove(ctx, { ...proverSide, key }, key, randomBytes),
      (proof) => fac.verify(ctx, { ...verifierSide, key: publicKey }, proof),
      (proof) => encodeAs(fac.proofSchema(level), proof),
    ),
    row(
      'Π^enc',
      9,
      () => enc.prove(ctx, { ...proverSide, key, K }, { k, rho }, randomBytes),
      (proof) => enc.verify(ctx, { ...verifierSide, key: publicKey, K }, proof),
      (proof) => encodeAs(enc.proofSchema(level), proof),
    ),
    row(
      'Π^aff',
      9,
      () =>
        aff.prove(ctx, { ...proverSide, key: verifier.publicKey, C, D }, { x, y, rho: nonce }, randomBytes),
      (proof) => aff.verify(ctx, { ...verifierSide, key: verifier.key, C, D }, proof),
      (proof) => encodeAs(aff.proofSchema(level), proof),
    ),
  ];
}

function dlogRow(name: CurveName): readonly string[] {
  const curve = curveByName(name);
  const x = curve.q / 3n;
  const statement = { X: curve.multiplyBase(x) };
  const where = context(name);
  return row(
    name,
    25,
    () => dlog.prove(where, statement, { x }, randomBytes),
    (proof) => dlog.verify(where, statement, proof),
    (proof) => encodeAs(dlog.proofSchema(curve), proof),
  );
}

/** Prints the section of the proofs; about ten seconds. */
export function benchProofs(): void {
  const heading = ['', 'prove', 'verify', 'bytes'];
  for (const bits of [112, 128] as const)
    printTable(`Proofs at level ${bits} (CPU)`, [heading, ...paillierRows(bits)]);
  printTable('Π^dlog (CPU)', [heading, dlogRow('P-256'), dlogRow('secp256k1')]);
}
