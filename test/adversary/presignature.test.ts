// Signing from a presignature: it signs once, also when several requests want it, and a partial signature that is wrong
// makes none. Two messages under one presignature give the key away: the PlayStation 3's key (fail0verflow, 27C3,
// 2010); backups that brought presignatures back (Blockdaemon's Builder Vault documentation). What one presignature
// and several sessions could give: Groth–Shoup, "On the security of ECDSA with additive key derivation and
// presignatures" (ePrint 2021/1330). The rest of its single use is in test/protocol/presignature.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { decodeAs } from '#src/core/codec.js';
import { MpcError } from '#src/core/errors.js';
import { hashToScalar } from '#src/core/transcript.js';
import type { Point } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import { decodeDer, verify } from '#src/curve/ecdsa.js';
import { scalarField } from '#src/curve/fields.js';
import { signWith } from '#src/party/operations.js';
import { decodeFrame } from '#src/rounds/frames.js';
import type { Run } from '#src/rounds/run.js';
import { assertNobodyNamed, CHEAT, cheatingAs, withRun } from '../support/cheating.js';
import { outcomeOf, runParties, type TestParty, valuesOf } from '../support/memory-network.js';
import { Presigners, resourcesOf } from '../support/presigning.js';

const parties = ['alice', CHEAT];
const presigners = await Presigners.of(parties);
const { curve, publicKey } = presigners;
const text = (words: string) => new TextEncoder().encode(words);
const [first, second] = [text('pay one'), text('pay another')];

/** Both parties get two requests at once for one presignature, in the orders given; what came of each. */
async function race(
  orders: Readonly<Record<string, readonly [Uint8Array, Uint8Array]>>,
  { stuck = false } = {},
) {
  const over = new AbortController();
  const partials: string[] = [];
  const outcomes = await runParties(
    parties,
    async (party) => {
      const state = presigners.states.get(party.self)!;
      using presignature = await presigners.presignAs(party);
      const signed = orders[party.self]!.map((message) => {
        const id = `sign ${Buffer.from(message)}`;
        const request = { message, quorum: parties, receivers: parties };
        const resources = { ...resourcesOf(presigners, party), signal: over.signal };
        return outcomeOf(signWith(resources, id, state.share.sharing, presignature, request));
      });
      // Where the parties serve different requests, both wait for the other until they give up.
      if (stuck) setTimeout(() => over.abort(new MpcError('INTERRUPTED', 'waited long enough')), 200);
      return await Promise.all(signed);
    },
    {
      intercept: (_from, _to, bytes) => {
        const frame = decodeFrame(bytes);
        if (frame.kind === 'round' && frame.round === 'partial signature') partials.push(frame.operation);
        return undefined;
      },
    },
  );
  const results = [...outcomes.values()].map((outcome) => ('value' in outcome ? outcome.value : []));
  return { results, partials: [...new Set(partials)] };
}

test('two requests race for one presignature: one is signed, the other refused before anything is sent', async () => {
  const { results, partials } = await race({ alice: [first, second], [CHEAT]: [first, second] });
  assert.deepEqual(partials, ['sign pay one']);
  for (const [winner, loser] of results) {
    assert.ok(winner && 'value' in winner && winner.value);
    assert.ok(verify(curve, publicKey, messageDigest(first), winner.value));
    assert.ok(loser && 'error' in loser);
    assert.equal(loser.error.message, 'a presignature was used twice');
  }
});

test('two requests race for one presignature, served in different orders: nothing is signed', async () => {
  const { results, partials } = await race(
    { alice: [first, second], [CHEAT]: [second, first] },
    { stuck: true },
  );
  assert.deepEqual(partials, []);
  assert.equal(results.flat().length, 4);
  for (const outcome of results.flat()) assert.ok('error' in outcome);
});

test('the nonce that signs is fixed after the message: R is moved by a hash of the session', async () => {
  const sids: Uint8Array[] = [];
  const outcomes = await runParties(
    parties,
    async (party) => {
      using presignature = await presigners.presignAs(party);
      const { reserve } = presignature;
      let R: Point | undefined;
      presignature.reserve = () => {
        const reserved = reserve.call(presignature);
        R = reserved.R;
        return reserved;
      };
      const der = await presigners.signAs(party, presignature, first, parties);
      return { R: R!, der: der! };
    },
    {
      intercept: (_from, _to, bytes) => {
        const frame = decodeFrame(bytes);
        if (frame.kind === 'round' && frame.step === 'sign') sids.push(frame.sid);
        return undefined;
      },
    },
  );
  const { keyId } = presigners.states.get('alice')!.share.sharing;
  for (const { R, der } of valuesOf(outcomes)) {
    const delta = hashToScalar('rerandomise', [sids[0]!, keyId, R.toBytes()], curve.q);
    assert.equal(decodeDer(der)!.r, curve.mod(R.add(curve.multiplyBase(delta)).x));
  }
});

interface Partial {
  readonly w: bigint;
  readonly u: bigint;
}

/** Both sign `first`, of which mallory changes her part, knowing alice's. */
async function signAltered(change: (own: Partial, alices: Partial) => Partial) {
  let tell: (partial: Partial) => void;
  const alices = new Promise<Partial>((resolve) => {
    tell = resolve;
  });
  const altering = (run: Run): ReturnType<Parameters<typeof withRun>[1]> => ({
    exchange: async (round, messages, from) => {
      if (round.name !== 'partial signature') return run.exchange(round, messages, from);
      const own = messages.get('alice') as Partial;
      return run.exchange(round, new Map([['alice', change(own, await alices) as never]]), from);
    },
  });
  const act = async (party: TestParty) => {
    using presignature = await presigners.presignAs(party);
    return await presigners.signAs(party, presignature, first, parties);
  };
  return runParties(
    parties,
    cheatingAs(act, (party) => withRun(party, altering)),
    {
      intercept: (from, _to, bytes) => {
        const frame = decodeFrame(bytes);
        if (from === 'alice' && frame.kind === 'round' && frame.round === 'partial signature')
          tell(decodeAs(partialSchema, frame.direct!, 128));
        return undefined;
      },
    },
  );
}

const partialSchema = z.strictObject({ w: scalarField(curve), u: scalarField(curve) });
const INVALID = /the assembled signature does not verify: someone among alice, mallory cheated/;

const ALTERED: ReadonlyMap<string, readonly [(own: Partial, alices: Partial) => Partial, RegExp]> = new Map([
  ['w_i', [({ w, u }: Partial) => ({ w: curve.mod(w + 1n), u }), INVALID]],
  ['u_i', [({ w, u }: Partial) => ({ w, u: curve.mod(u + 1n) }), INVALID]],
  ['w_i and u_i doubled', [({ w, u }: Partial) => ({ w: curve.mod(2n * w), u: curve.mod(2n * u) }), INVALID]],
  [
    'w_i and u_i that cancel those of the other',
    [
      (_: Partial, { w, u }: Partial) => ({ w: curve.mod(-w), u: curve.mod(-u) }),
      /the partial signatures add up to 0: someone among/,
    ],
  ],
]);

for (const [what, [change, reason]] of ALTERED) {
  test(`altered: ${what}: no signature comes out, and nobody is named`, async () => {
    assertNobodyNamed(await signAltered(change), reason);
  });
}
