/**
 * The message of every round of every protocol, spoiled in its bytes and in its shape: it is undecodable, or a value of
 * the round's schema that encodes to the same bytes. The honest messages are those of a real key, made, refreshed and
 * used.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { type Policy, parsePolicy } from '#src/access/policy.js';
import { decode, decodeAs, encode, encodeAs, type Plain, UndecodableError } from '#src/core/codec.js';
import { curveByName } from '#src/curve/curve.js';
import { dkgRounds } from '#src/protocol/dkg.js';
import { completePending, pendingRounds } from '#src/protocol/pending.js';
import { presignRounds } from '#src/protocol/presign.js';
import { refresh, refreshRounds } from '#src/protocol/refresh.js';
import { settle, settleRounds } from '#src/protocol/settle.js';
import { setupRounds } from '#src/protocol/setup.js';
import { signRounds } from '#src/protocol/sign.js';
import { decodeFrame } from '#src/rounds/frames.js';
import type { AnyRound } from '#src/rounds/run.js';
import { allocatedBy, anythingFor, cases, plainData, spoiledData, unlessRefused } from '../support/fuzz.js';
import { type Intercept, runParties, valuesOf } from '../support/memory-network.js';
import { presignAt, quickKey, signAt, testMultiplication } from '../support/protocols.js';

const curve = curveByName('secp256k1');
const PARTIES = ['alice', 'bob'];
const POLICY: Policy = parsePolicy({ and: PARTIES }, PARTIES);
const MULTIPLICATION = testMultiplication(curve, 0);

/** What alice sent in each round: its parts, encoded. */
const sent = new Map<string, { broadcast?: Uint8Array; direct?: Uint8Array }>();

const placeOf = (round: { readonly step: string; readonly name: string }) => `${round.step}/${round.name}`;

const listen: Intercept = (from, _to, bytes) => {
  const frame = decodeFrame(bytes);
  if (from !== 'alice' || frame.kind !== 'round') return undefined;
  const { broadcast, direct } = frame;
  sent.set(placeOf({ step: frame.step, name: frame.round }), {
    ...(broadcast && { broadcast }),
    ...(direct && { direct }),
  });
  return undefined;
};

before(async () => {
  const states = await quickKey(curve, POLICY, PARTIES, { intercept: listen });
  const act = async (party: Parameters<typeof presignAt>[0]) => {
    const multiplication = testMultiplication(curve, PARTIES.indexOf(party.self));
    const { share } = states.get(party.self)!;
    using refreshed = await party.session({ rounds: refreshRounds(share.sharing, multiplication) }, (run) =>
      refresh(run, share, multiplication),
    );
    using presignature = await presignAt(party, PARTIES, refreshed, multiplication);
    await signAt(party, presignature, refreshed.share, new Uint8Array(8), PARTIES);
    const { epoch, shid } = share.sharing;
    const setups = [new Uint8Array(32)];
    const stored = { epoch, shid, parties: PARTIES, confirmed: false, pending: true, setups };
    await party.session({ operation: 'settle', rounds: settleRounds, sharings: [stored] }, (run) =>
      settle(run, [stored]),
    );
    await party.session({ operation: 'pending', rounds: pendingRounds }, (run) =>
      completePending(run, { pending: [shid], holds: () => true }),
    );
    return share.sharing;
  };
  const sharings = valuesOf(await runParties(PARTIES, act, { intercept: listen }));
  for (const state of states.values()) state[Symbol.dispose]();
  assert.deepEqual(
    refreshRounds(sharings[0]!, MULTIPLICATION)
      .map(placeOf)
      .filter((place) => !sent.has(place)),
    [],
  );
});

const SHARING = { curve, policy: POLICY } as Parameters<typeof refreshRounds>[0];

const ROUNDS: readonly AnyRound[] = [
  ...dkgRounds({ curve, policy: POLICY }),
  ...setupRounds(MULTIPLICATION),
  ...Object.values(presignRounds(MULTIPLICATION)),
  ...signRounds(curve),
  ...settleRounds,
  ...pendingRounds,
  ...refreshRounds(SHARING, MULTIPLICATION).filter(({ step }) => step === 'refresh'),
];

const isRefusal = (error: unknown): boolean => error instanceof UndecodableError;

for (const round of ROUNDS) {
  for (const part of ['broadcast', 'direct'] as const) {
    const schema = round[part];
    if (schema === undefined) continue;

    test(`${placeOf(round)}, ${part} part`, () => {
      const honest = sent.get(placeOf(round))?.[part];
      assert.ok(honest, 'it was sent');
      assert.deepEqual(encodeAs(schema, decodeAs(schema, honest, round.maxBytes)), honest);
      const shapes = spoiledData(fc.constant(decode(honest, round.maxBytes)), plainData);
      const bytes = fc.oneof(anythingFor(fc.constant(honest)), shapes.map(encodeOrNothing));
      fc.assert(
        fc.property(bytes, (message) => {
          const value = unlessRefused(() => decodeAs(schema, message, round.maxBytes), isRefusal);
          if (value !== undefined) assert.deepEqual(encodeAs(schema, value), message);
        }),
        cases(100),
      );
    });
  }
}

/** Spoiled data may hold what has no encoding: fractions, say. */
function encodeOrNothing(plain: Plain): Uint8Array {
  try {
    return encode(plain);
  } catch {
    return new Uint8Array();
  }
}

test('a message longer than its round allows is refused before anything of it is read', () => {
  for (const round of ROUNDS) {
    for (const schema of [round.broadcast, round.direct]) {
      if (schema === undefined) continue;
      const long = encode(new Uint8Array(4 * 1024 * 1024 - 100));
      const allocated = allocatedBy(() =>
        assert.throws(() => decodeAs(schema, long, round.maxBytes), isRefusal),
      );
      assert.ok(allocated < 1024, `${placeOf(round)}: ${allocated} bytes`);
    }
  }
});
