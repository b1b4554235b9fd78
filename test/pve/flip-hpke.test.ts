import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flipEveryByte } from '../support/backup-flips.js';
import { backupOf, newRecoveryKey, sharedKey } from '../support/backups.js';

test('hpke-p256: a backup altered in any byte is refused', async () => {
  const { recipient } = await newRecoveryKey('hpke-p256');
  const file = backupOf(sharedKey('P-256'), recipient);
  assert.equal(flipEveryByte(file), file.length);
});
