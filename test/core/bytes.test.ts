import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '#src/core/bytes.js';

test('a secret is wiped on dispose and refuses use afterwards', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const secret = Secret.own(bytes);
  secret.dispose();
  assert.deepEqual([...bytes], [0, 0, 0]);
  assert.throws(() => secret.bytes, /wiped/);
});
