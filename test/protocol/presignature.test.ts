// A presignature signs one message: whatever is tried with it after that finds nothing, and sends nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes, Secret } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import { verify } from '#src/curve/ecdsa.js';
import { type Resources, signWith } from '#src/party/operations.js';
import { makeKeyShare, makeSharing } from '#src/protocol/key-share.js';
import { Presignature, type ReservedPresignature } from '#src/protocol/presign.js';
import { sign, signRounds } from '#src/protocol/sign.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { runParties, type TestParty, valueAt } from '../support/memory-network.js';

const quorum: readonly PartyName[] = ['alice', 'bob'];
const curve = curveByName('P-256');
const message = new TextEncoder().encode('once');
const scalar = () => curve.randomScalar(randomBytes);

/** A key and, as presigning would have made it, each party's part of one presignature. */
function presigned() {
  const [x, r, phi] = [scalar(), scalar(), scalar()];
  const binding = { keyId: randomBytes(16), shid: randomBytes(32), quorum, sid: randomBytes(32) };
  const [phi_a, u_a, v_a] = [scalar(), scalar(), scalar()];
  const values = [
    { phi: phi_a, u: u_a, v: v_a },
    { phi: curve.mod(phi - phi_a), u: curve.mod(r * phi - u_a), v: curve.mod(x * phi - v_a) },
  ];
  const R = curve.multiplyBase(r);
  return {
    publicKey: curve.multiplyBase(x),
    presignatures: values.map((parts) => new Presignature(curve, binding, R, parts)),
  };
}

const used = { code: 'BUG', message: 'a presignature was used twice' };

test('a presignature is reserved once, and not at all after it has been disposed', () => {
  const secretsBefore = Secret.live;
  const [first, second] = presigned().presignatures;
  using _reserved = first!.reserve();
  assert.throws(() => first!.reserve(), used);
  second![Symbol.dispose]();
  assert.throws(() => second!.reserve(), used);
  assert.equal(Secret.live, secretsBefore + 3);
});

test('what has been reserved signs once: a second message is refused before anything is sent', async () => {
  const { publicKey, presignatures } = presigned();
  const partials: string[] = [];
  const signAs = (party: TestParty, presignature: ReservedPresignature, operation: string) =>
    party.session({ operation, rounds: signRounds(curve) }, (run) =>
      sign(run, { presignature, publicKey, message, receivers: quorum }),
    );
  const outcomes = await runParties(
    quorum,
    async (party) => {
      using reserved = presignatures[quorum.indexOf(party.self)]!.reserve();
      const der = await signAs(party, reserved, 'first');
      await assert.rejects(signAs(party, reserved, 'second'), { code: /^(BUG|PEER_ABORTED)$/ });
      return der;
    },
    {
      intercept: (_from, _to, bytes) => {
        const frame = decodeFrame(bytes);
        if (frame.kind === 'round' && frame.round === 'partial signature') partials.push(frame.operation);
        return undefined;
      },
    },
  );
  for (const self of quorum)
    assert.ok(verify(curve, publicKey, messageDigest(message), valueAt(outcomes, self)!));
  assert.deepEqual(partials, ['first', 'first']);
});

test('a signature takes one message after the opening, and nothing heavy: no job runs', async () => {
  const { publicKey, presignatures } = presigned();
  const sent = new Map<PartyName, string[]>(quorum.map((self) => [self, []]));
  const outcomes = await runParties(
    quorum,
    async (party) => {
      using presignature = presignatures[quorum.indexOf(party.self)]!.reserve();
      return await party.session({ rounds: signRounds(curve) }, (run) =>
        sign(run, { presignature, publicKey, message, receivers: ['alice'] }),
      );
    },
    {
      compute: async (job) => assert.fail(`${job.name} runs`),
      intercept: (from, _to, bytes) => {
        const frame = decodeFrame(bytes);
        sent.get(from)!.push(frame.kind === 'round' ? frame.round : frame.kind);
        return undefined;
      },
    },
  );
  assert.ok(verify(curve, publicKey, messageDigest(message), valueAt(outcomes, 'alice')!));
  assert.equal(valueAt(outcomes, 'bob'), undefined);
  assert.deepEqual(sent.get('alice'), ['hello', 'hello echo', 'answer']);
  assert.deepEqual(sent.get('bob'), ['hello', 'hello echo', 'partial signature']);
});

test('a presignature dies with the sharing that it was made from', async () => {
  const secretsBefore = Secret.live;
  const { presignatures } = presigned();
  for (const presignature of presignatures) {
    using share = anotherShare();
    const request = { message, quorum, receivers: quorum };
    const signed = signWith({} as Resources, 'sign', share.sharing, presignature, request);
    await assert.rejects(signed, { code: 'BUG', message: 'a presignature was used with another sharing' });
  }
  assert.equal(Secret.live, secretsBefore);
});

function anotherShare() {
  const x = scalar();
  const X = curve.multiplyBase(x);
  const publicShares = new Map(quorum.map((party) => [party, X]));
  const policy = parsePolicy({ and: quorum }, quorum);
  const parts = { curve, policy, parties: quorum, epoch: 1, publicKey: X, publicShares };
  return makeKeyShare(makeSharing(parts, randomBytes(32)), 'alice', Secret.fromBigint(x, 32));
}
