import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import { makeKeyPair } from '#src/party/recovery-key.js';
import { RECIPIENT_KEY_TYPES } from '#src/pve/recipient.js';

test('a recovery key of either kind comes with its public half', async () => {
  for (const type of RECIPIENT_KEY_TYPES) {
    const { publicPem, privatePem } = await makeKeyPair(type, new AbortController().signal);
    using secret = privatePem;
    const key = createPrivateKey(Buffer.from(secret.bytes));
    assert.equal(createPublicKey(key).export({ type: 'spki', format: 'pem' }), publicPem);
    assert.equal(key.asymmetricKeyType, type === 'p256' ? 'ec' : 'rsa');
  }
});

test('who gives up gets the reason, before or while the key is made', async () => {
  const reason = new MpcError('INTERRUPTED', 'given up');
  await assert.rejects(makeKeyPair('rsa-3072', AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  const made = makeKeyPair('rsa-3072', controller.signal);
  controller.abort(reason);
  await assert.rejects(made, reason);
});
