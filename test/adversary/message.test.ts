// Another message than the one agreed on: told openly, it ends the session with both hashes on every screen
// (docs/protocol.md §1); signed behind the others' backs, it gives no signature of either message. Signers hash the
// message themselves, so that nobody can slip them another (§8).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '#src/core/bytes.js';
import { messageDigest } from '#src/curve/digest.js';
import { signWith } from '#src/party/operations.js';
import { assertNobodyNamed, CHEAT } from '../support/cheating.js';
import { errorAt, runParties, type TestParty } from '../support/memory-network.js';
import { Presigners, resourcesOf } from '../support/presigning.js';

const parties = ['alice', CHEAT];
const presigners = await Presigners.of(parties);
const text = (words: string) => new TextEncoder().encode(words);
const [agreed, other] = [text('pay one'), text('pay a thousand')];

const messageOf = ({ self }: TestParty) => (self === CHEAT ? other : agreed);

test('another message, told: both parties see both hashes, and nothing is signed', async () => {
  const outcomes = await runParties(parties, async (party) => {
    const { self } = party;
    using presignature = await presigners.presignAs(party);
    const request = { message: messageOf(party), quorum: parties, receivers: parties };
    const state = presigners.states.get(self)!;
    return await signWith(resourcesOf(presigners, party), 'sign', state.share.sharing, presignature, request);
  });
  const [short, long] = [agreed, other].map((message) => toHex(messageDigest(message)).slice(-20));
  for (const name of parties) {
    const { code, culprits, message } = errorAt(outcomes, name);
    assert.deepEqual([code, culprits], ['DISAGREEMENT', []]);
    assert.match(message, /disagree: message: /);
    assert.ok(message.includes(short!) && message.includes(long!), message);
  }
});

test('another message, signed in secret: no signature comes out, and nobody is named', async () => {
  const outcomes = await runParties(parties, async (party) => {
    using presignature = await presigners.presignAs(party);
    return await presigners.signAs(party, presignature, messageOf(party), parties);
  });
  assertNobodyNamed(outcomes, /the assembled signature does not verify/);
  // Nor does mallory get one, who is a receiver too.
  assert.ok(['EQUIVOCATION', 'PEER_ABORTED'].includes(errorAt(outcomes, CHEAT).code));
});
