// What is no point of the curve's group, in every field that holds one: the identity, points off the curve, other
// encodings. Biehl–Meyer–Müller, CRYPTO 2000, and Biham–Neumann, SAC 2019 (ePrint 2019/1043): points of weak curves;
// the identity as a public key or nonce makes what is computed from it known. Points in backups and PEM files are
// tested in test/pve and test/curve.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { decode, type Plain } from '#src/core/codec.js';
import { type Curve, curveByName } from '#src/curve/curve.js';
import { refresh, refreshRounds } from '#src/protocol/refresh.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { assertNamed, CHEAT } from '../support/cheating.js';
import { type Intercept, runParties, type TestParty, valuesOf } from '../support/memory-network.js';
import { Presigners } from '../support/presigning.js';
import { keygenAt, testMultiplication } from '../support/protocols.js';
import { setField, tamper } from '../support/tamper.js';

const parties = ['alice', CHEAT];
const policy = parsePolicy({ and: parties }, parties);
const presigners = await Presigners.of(parties);
const curve = curveByName('P-256');

/** 02 ‖ x for the least x that no point has. */
function offCurve(curve: Curve): Uint8Array {
  for (let x = 1; ; x += 1) {
    const bytes = Uint8Array.of(2, ...new Uint8Array(31), x);
    if (curve.point(bytes) === undefined) return bytes;
  }
}

const { G } = curve;
const BAD: ReadonlyMap<string, Uint8Array> = new Map([
  ['the identity, as zeros', new Uint8Array(33)],
  ['the identity, as SEC 1 has it', Uint8Array.of(0)],
  ['a point off the curve', offCurve(curve)],
  ['a coordinate that is not reduced', new Uint8Array(33).fill(0xff).fill(2, 0, 1)],
  ['an encoding that is not compressed', G.toUncompressed()],
  ['a point of another curve', curveByName('secp256k1').G.toBytes()],
]);

interface Place {
  readonly step: string;
  readonly round: string;
  readonly path: string;
}

const KEYGEN: readonly Place[] = ['F.0', 'F.1', 'proof.0.A'].map((path) => ({
  step: 'keygen',
  round: 'open',
  path: `broadcast.${path}`,
}));
const PRESIGN: readonly Place[] = ['R', 'pk', 'GammaU', 'GammaV'].map((path) => ({
  step: 'presign',
  round: 'open',
  path: `direct.${path}`,
}));

/** Of a refresh only what its set-up, which has no points, need not come before. */
const REFRESH: Place = { step: 'refresh', round: 'open', path: 'broadcast.F.0' };

const keygen = (party: TestParty) => keygenAt(party, curve, policy);
const presign = (party: TestParty) => presigners.presignAs(party);
const refreshed = (party: TestParty) => {
  const { share } = presigners.states.get(party.self)!;
  const multiplication = testMultiplication(curve, parties.indexOf(party.self));
  const rounds = refreshRounds(share.sharing, multiplication);
  return party.session({ operation: 'refresh', rounds }, (run) => refresh(run, share, multiplication));
};

/** Where in plain data the points are. */
function pointsIn(value: Plain, path: string): string[] {
  if (value instanceof Uint8Array) return curve.point(value) === undefined ? [] : [path];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, item]) => pointsIn(item, `${path}.${key}`));
}

test('these are all points of key generation and presigning', async () => {
  const seen = new Set<string>();
  const intercept: Intercept = (_from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind !== 'round') return undefined;
    for (const part of ['broadcast', 'direct'] as const) {
      const body = frame[part];
      const paths = body === null ? [] : pointsIn(decode(body, 1 << 20), part);
      for (const path of paths) seen.add(`${frame.step}/${frame.round} ${path}`);
    }
    return undefined;
  };
  valuesOf(await runParties(parties, keygen, { intercept }));
  valuesOf(await runParties(parties, presign, { intercept }));
  const listed = [...KEYGEN, ...PRESIGN].map(({ step, round, path }) => `${step}/${round} ${path}`);
  assert.deepEqual([...seen].sort(), listed.sort());
});

async function assertRefused(act: (party: TestParty) => Promise<unknown>, place: Place, bytes: Uint8Array) {
  const { path, ...at } = place;
  const cheat = tamper({ from: CHEAT, to: 'alice', ...at }, setField(path, bytes));
  const outcomes = await runParties(parties, act, { intercept: cheat.intercept });
  assert.ok(cheat.hits > 0);
  const [, field = ''] = path.split(/\.(.*)/);
  assertNamed(outcomes, new RegExp(`an undecodable message of ${at.step} round ${at.round} \\(${field}: `));
}

for (const place of [...KEYGEN, REFRESH]) {
  for (const [what, bytes] of BAD) {
    test(`the sender is named: ${what} in ${place.step} ${place.path}`, () =>
      assertRefused(place === REFRESH ? refreshed : keygen, place, bytes));
  }
}

// One each is enough where every run takes half a second: all are read by one and the same field.
for (const [index, place] of PRESIGN.entries()) {
  const [what, bytes] = [...BAD][index % 2 === 0 ? 0 : 2]!;
  test(`the sender is named: ${what} in ${place.step} ${place.path}`, () =>
    assertRefused(presign, place, bytes));
}
