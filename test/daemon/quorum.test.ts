// The quorum that signs when the user of a daemon does not say which.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { chooseQuorum } from '#src/daemon/quorum.js';
import type { Sharing } from '#src/protocol/key-share.js';

const PARTIES = ['alice', 'bob', 'charlie', 'dave'];
const keyOf = (policy: unknown) =>
  ({ parties: PARTIES, policy: parsePolicy(policy, PARTIES) }) as unknown as Sharing;
const twoOf = keyOf({ threshold: 2, of: PARTIES });
const up =
  (...peers: PartyName[]) =>
  (peer: PartyName): boolean =>
    peers.includes(peer);
const refusal = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof MpcError && error.code === code && message.test(error.message);

test('this party and the first of those that are there', () => {
  assert.deepEqual(chooseQuorum(twoOf, 'dave', up(...PARTIES), {}), {
    quorum: ['alice', 'dave'],
    receivers: ['dave'],
  });
  assert.deepEqual(chooseQuorum(twoOf, 'dave', up('charlie'), {}).quorum, ['charlie', 'dave']);
  assert.deepEqual(chooseQuorum(twoOf, 'alice', up('bob', 'dave'), {}).quorum, ['alice', 'bob']);
});

test('never more than are needed, whatever the policy', () => {
  const nested = keyOf({ or: [{ and: ['alice', 'bob'] }, { and: ['charlie', 'dave'] }] });
  assert.deepEqual(chooseQuorum(nested, 'charlie', up(...PARTIES), {}).quorum, ['charlie', 'dave']);
  assert.throws(
    () => chooseQuorum(nested, 'alice', up('charlie', 'dave'), {}),
    refusal('USAGE', /not needed/),
  );
});

test('too few are there', () => {
  assert.throws(
    () => chooseQuorum(twoOf, 'alice', up(), {}),
    (error: MpcError) => {
      assert.equal(error.code, 'UNREACHABLE');
      assert.match(error.message, /only alice can be reached/);
      assert.deepEqual(error.culprits, ['bob', 'charlie', 'dave']);
      return true;
    },
  );
});

test('a quorum that is named need not be there, and has to have this party in it', () => {
  assert.deepEqual(chooseQuorum(twoOf, 'bob', up(), { quorum: ['bob', 'dave'], receiver: 'all' }), {
    quorum: ['bob', 'dave'],
    receivers: ['bob', 'dave'],
  });
  assert.throws(() => chooseQuorum(twoOf, 'bob', up(), { quorum: ['alice', 'dave'] }), MpcError);
  assert.throws(() => chooseQuorum(twoOf, 'dave', up(), { quorum: ['alice', 'bob', 'dave'] }), MpcError);
});
