// Backups that each party's daemon makes of its refreshed share, whoever has asked for the refresh.
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import type { Sharing } from '#src/protocol/key-share.js';
import { parseBackup, recoverShare } from '#src/pve/backup-file.js';
import { newRecoveryKey } from '../support/backups.js';
import { ask, assertSigned, type Daemons, DaemonsWithKey, failure, nobody } from '../support/daemons.js';

const shared = new DaemonsWithKey(['alice', 'bob', 'charlie'], 2);
after(() => shared[Symbol.dispose]());
const folder = mkdtempSync(join(tmpdir(), 'mpc-daemon-backups-'));
after(() => rmSync(folder, { recursive: true }));

const to = join(folder, 'recovery.pub.pem');
const { recipient, privateKey } = await newRecoveryKey('hpke-p256');
const publicKey = createPublicKey({ key: Buffer.from(recipient.spki), format: 'der', type: 'spki' });
writeFileSync(to, publicKey.export({ type: 'spki', format: 'pem' }));

const refresh = (daemons: Daemons, { keyId }: Sharing) =>
  daemons.at('alice').daemon.ask({ operation: 'refresh', nonce: randomBytes(16), key: keyId }, nobody());

test('a backup is made where the settings say, and opens to the new share', async () => {
  const { daemons, sharing } = await shared.make();
  await daemons.start('alice');
  await daemons.start('charlie');
  const { keystore, events } = await daemons.start('bob', { backup: { to, folder } });
  const { sharing: refreshed } = await refresh(daemons, sharing);
  const [record] = keystore.key(sharing.keyId)!.backups;
  assert.equal(record?.epoch, 1);
  assert.deepEqual(record.shid, refreshed.shid);
  using x = recoverShare(parseBackup(readFileSync(record.file, 'utf8')), privateKey);
  using share = keystore.loadShare(sharing.keyId, refreshed.shid);
  assert.deepEqual(x.bytes, share.x.bytes);
  assert.ok(events.some(({ event }) => event === 'backup-verified'));
});

test('a backup that fails ends the refresh, and the old shares stay in force', async () => {
  const { daemons, sharing } = await shared.make();
  await daemons.start('alice');
  await daemons.start('charlie');
  const place = join(folder, 'of-bob');
  mkdirSync(place);
  const { keystore } = await daemons.start('bob', { backup: { to, folder: place } });
  rmSync(place, { recursive: true });
  assert.equal((await failure(refresh(daemons, sharing))).code, 'PEER_ABORTED');
  const epochs = keystore.key(sharing.keyId)!.sharings.map(({ sharing: { epoch } }) => epoch);
  assert.deepEqual(epochs, [0]);
  assertSigned(sharing, await ask(daemons, 'alice', sharing));
});

test('without its place and its key there is no daemon', async () => {
  const { daemons } = await shared.make();
  const nowhere = join(folder, 'none');
  await assert.rejects(daemons.start('alice', { backup: { to, folder: nowhere } }), { code: 'FILE' });
  await assert.rejects(daemons.start('bob', { backup: { to: nowhere, folder } }), { code: 'FILE' });
});
