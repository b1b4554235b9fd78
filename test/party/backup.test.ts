import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes, Secret } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { BackupMaker } from '#src/party/backup.js';
import { inlineCompute } from '#src/work/inline.js';
import { newRecoveryKey, sharedKey } from '../support/backups.js';

test('backups are not made or verified any more once the party gives up', async () => {
  const { subject, x } = sharedKey('P-256');
  using share = Secret.own(x);
  const { recipient } = await newRecoveryKey('hpke-p256');
  const controller = new AbortController();
  const backups = new BackupMaker({
    key: Promise.resolve({ recipient }),
    compute: inlineCompute(randomBytes),
    label: () => 'label',
    signal: controller.signal,
  });
  const sharing = { ...subject, parties: [...subject.publicShares.keys()] };
  const keyShare = { sharing, self: subject.party, x: share, [Symbol.dispose]: () => {} };
  const made = await backups.create(keyShare);
  await backups.verify(made, subject.party, sharing);

  const reason = new MpcError('TIMEOUT', 'too long');
  controller.abort(reason);
  await assert.rejects(backups.create(keyShare), reason);
  await assert.rejects(backups.verify(made, subject.party, sharing), reason);
});
