// --quorum and --receiver against the policy, and the sentence that explains a policy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { MpcError } from '#src/core/errors.js';
import { explainPolicy, resolveQuorum } from '#src/party/quorum.js';

const parties = ['alice', 'bob', 'charlie', 'dave'];
const twoOfThree = parsePolicy({ threshold: 2, of: ['dave', 'alice', { and: ['bob', 'charlie'] }] }, parties);

const usage = (pattern: RegExp) => (error: unknown) =>
  error instanceof MpcError && error.code === 'USAGE' && pattern.test(error.message);

test('the quorum is reduced to who is needed, in canonical order', () => {
  assert.deepEqual(resolveQuorum(parties, twoOfThree), { quorum: ['alice', 'dave'], receivers: ['alice'] });
  assert.deepEqual(resolveQuorum(parties, twoOfThree, ['charlie', 'bob', 'dave']), {
    quorum: ['bob', 'charlie', 'dave'],
    receivers: ['bob'],
  });
});

test('the receiver is a member of the quorum, or all of it', () => {
  assert.deepEqual(resolveQuorum(parties, twoOfThree, undefined, 'dave').receivers, ['dave']);
  assert.deepEqual(resolveQuorum(parties, twoOfThree, undefined, 'all').receivers, ['alice', 'dave']);
  assert.throws(
    () => resolveQuorum(parties, twoOfThree, undefined, 'bob'),
    usage(/--receiver bob does not sign/),
  );
});

test('a stranger, or too few parties, cannot be the quorum', () => {
  assert.throws(() => resolveQuorum(parties, twoOfThree, ['alice', 'mallory']), usage(/names mallory/));
  assert.throws(() => resolveQuorum(parties, twoOfThree, ['alice', 'bob']), usage(/alice, bob cannot sign/));
});

test('a policy is explained in one sentence', () => {
  const explain = (json: unknown) => explainPolicy(parsePolicy(json, parties));
  assert.equal(explain({ and: parties }), 'all 4 of alice, bob, charlie, dave must sign together');
  assert.equal(
    explain({ threshold: 2, of: parties }),
    'any 2 of alice, bob, charlie, dave must sign together',
  );
  assert.equal(
    explain({ or: [{ and: ['alice', 'bob'] }, { and: ['charlie', 'dave'] }] }),
    '(alice and bob) or (charlie and dave) must sign together',
  );
});
