import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flipEveryByte } from '../support/backup-flips.js';
import { backupOf, newRecoveryKey, sharedKey } from '../support/backups.js';

test('rsa-oaep: a backup altered in any byte is refused', async () => {
  const { recipient } = await newRecoveryKey('rsa-oaep');
  const file = backupOf(sharedKey('P-256'), recipient);
  assert.equal(flipEveryByte(file), file.length);
});
