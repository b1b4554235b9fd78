// What a store says of its keys at every stage of their lives, and which backups it takes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ClusterConfig } from '#src/config/cluster.js';
import { toHex } from '#src/core/bytes.js';
import { type ErrorCode, MpcError } from '#src/core/errors.js';
import type { Keystore, SharingInfo } from '#src/keystore/keystore.js';
import { checkComplete } from '#src/party/choose-key.js';
import { describeKey, type KeyDescription } from '#src/party/describe-key.js';
import { confirmedOf, storeRecovered } from '#src/party/stored-backup.js';
import type { KeyShare } from '#src/protocol/key-share.js';
import type { BackupSubject } from '#src/pve/backup-file.js';
import { openKeystore, PARTIES, testBackup, testKey } from '../support/stored-keys.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-stored-'));
after(() => rmSync(folder, { recursive: true }));
let stores = 0;
const newStore = (): Promise<Keystore> => openKeystore(join(folder, String(stores++)));

const clusterOf = (parties: readonly string[]): ClusterConfig =>
  ({ path: 'cluster.json', parties: parties.map((name) => ({ name })) }) as unknown as ClusterConfig;

/** What a backup of the share says of it. */
const subjectOf = ({ sharing, self }: KeyShare): BackupSubject => ({ ...sharing, party: self, label: 'x' });

/** Stores a share, and confirms it unless told otherwise. */
function store(
  keystore: Keystore,
  share: KeyShare,
  origin: SharingInfo['origin'],
  { confirm = true } = {},
): void {
  keystore.addSharing(share, origin);
  if (confirm) keystore.confirmSharing(share.sharing.keyId, share.sharing.shid);
}

const recover = (keystore: Keystore, share: KeyShare, parties = PARTIES): void =>
  storeRecovered(keystore, clusterOf(parties), subjectOf(share), share.x);

function refuses(act: () => unknown, code: ErrorCode, message: RegExp): void {
  assert.throws(act, (error: Error) => {
    assert.ok(error instanceof MpcError);
    assert.match(error.message, message);
    assert.equal(error.code, code);
    return true;
  });
}

const described = (keystore: Keystore): KeyDescription => describeKey(keystore.keys()[0]!);

test('a pending key shows no public key, and is neither exported nor backed up', async () => {
  using keystore = await newStore();
  using share = testKey().share(0);
  store(keystore, share, 'keygen', { confirm: false });
  const [key] = keystore.keys();
  const { publicKey, state } = described(keystore);
  assert.deepEqual([publicKey, state], [undefined, 'pending']);
  refuses(() => checkComplete(key!), 'USAGE', /is pending/);
  refuses(() => confirmedOf(key!), 'USAGE', /is pending/);

  keystore.confirmSharing(share.sharing.keyId, share.sharing.shid);
  const complete = described(keystore);
  assert.deepEqual(
    [complete.state, complete.publicKey],
    ['complete', toHex(share.sharing.publicKey.toUncompressed())],
  );
  checkComplete(keystore.keys()[0]!);
});

test('while a refresh is unfinished the share in force is shown and backed up; then older backups are void', async () => {
  using keystore = await newStore();
  const key = testKey();
  using old = key.share(0);
  using candidate = key.share(1);
  store(keystore, old, 'keygen');
  keystore.recordBackup(old.sharing.keyId, testBackup(old));
  store(keystore, candidate, 'refresh', { confirm: false });
  assert.deepEqual([described(keystore).epoch, described(keystore).unfinished], [0, 1]);
  assert.equal(confirmedOf(keystore.keys()[0]!).epoch, 0);
  assert.equal(described(keystore).backups[0]?.void, false);

  keystore.confirmSharing(candidate.sharing.keyId, candidate.sharing.shid);
  assert.deepEqual([described(keystore).epoch, described(keystore).unfinished], [1, undefined]);
  assert.equal(described(keystore).backups[0]?.void, true);
});

test('a recovered share is stored with the parties in the order of the cluster, and not backed up before a refresh', async () => {
  using keystore = await newStore();
  using share = testKey().share(2);
  recover(keystore, share, ['dave', ...PARTIES]);
  const [key] = keystore.keys();
  const [{ sharing, origin, confirmed }] = key!.sharings as [SharingInfo];
  assert.deepEqual([sharing.parties, origin, confirmed], [PARTIES, 'backup', false]);
  assert.equal(described(keystore).state, 'recovered');
  refuses(() => confirmedOf(key!), 'USAGE', /was recovered from a backup/);
  refuses(() => recover(keystore, share), 'BACKUP', /is in .* already/);
});

test('a backup is refused when it is void, another party’s, of other parties, or forged', async () => {
  using keystore = await newStore();
  const key = testKey();
  using inForce = key.share(1);
  store(keystore, inForce, 'refresh');
  using older = key.share(0);
  using sibling = key.share(1);
  for (const share of [older, sibling])
    refuses(() => recover(keystore, share), 'BACKUP', /which a refresh has made void/);

  using newer = key.share(2);
  const subject = subjectOf(newer);
  const take = (changed: Partial<BackupSubject>, parties = PARTIES) =>
    storeRecovered(keystore, clusterOf(parties), { ...subject, ...changed }, newer.x);
  refuses(() => take({ party: 'bob' }), 'BACKUP', /of the share of bob, not alice/);
  refuses(() => take({}, ['alice', 'bob']), 'CONFIG', /lists alice, bob/);
  const publicShares = new Map(subject.publicShares).set('bob', subject.publicKey);
  refuses(() => take({ publicShares }), 'BACKUP', /do not add up/);
  assert.equal(keystore.keys()[0]!.sharings.length, 1);
});

test('a share is recovered beside one that was never confirmed: nobody knows which of them the others hold', async () => {
  using keystore = await newStore();
  const key = testKey();
  using candidate = key.share(3);
  using earlier = key.share(2);
  recover(keystore, candidate);
  recover(keystore, earlier);
  assert.equal(keystore.keys()[0]!.sharings.length, 2);
});
