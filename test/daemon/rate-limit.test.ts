// What a peer may have done at a stretch, and for how long it then has to wait.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from '#src/daemon/rate-limit.js';

test('a peer may do much at a stretch, then ten a second, and no peer takes anything from another', () => {
  let now = 5_000;
  const limit = new RateLimit(() => now);
  const allowed = (peer: string) =>
    Array.from({ length: 1000 }, () => limit.allows(peer)).filter(Boolean).length;
  assert.equal(allowed('alice'), 200);
  assert.equal(allowed('alice'), 0);
  assert.equal(allowed('bob'), 200);
  now += 99;
  assert.equal(allowed('alice'), 0);
  now += 1;
  assert.equal(allowed('alice'), 1);
  now += 5_000;
  assert.equal(allowed('alice'), 50);
  now += 3_600_000;
  assert.equal(allowed('alice'), 200);
});

test('refusals cost a peer nothing', () => {
  let now = 0;
  const limit = new RateLimit(() => now);
  while (limit.allows('alice'));
  for (let i = 0; i < 99; i += 1) {
    now += 1;
    assert.equal(limit.allows('alice'), false);
  }
  now += 1;
  assert.equal(limit.allows('alice'), true);
});
