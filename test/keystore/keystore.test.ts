import assert from 'node:assert/strict';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { equalBytes, Secret } from '#src/core/bytes.js';
import { isStateFolder } from '#src/keystore/keystore.js';
import {
  contents,
  openKeystore,
  secretOf,
  temporaryFolder,
  testBackup,
  testKey,
  testSetup,
} from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);
let live = 0;
beforeEach(() => {
  live = Secret.live;
});
afterEach(() => assert.equal(Secret.live, live, 'secrets are left'));

let count = 0;
const freshFolder = (): string => join(root, 'state', `alice-${count++}`);
test('what is stored is read back, by another opening too', async () => {
  const folder = freshFolder();
  assert.equal(isStateFolder(folder), false);
  const key = testKey();
  using share = key.share(0);
  using setup = testSetup();
  using other = testKey('secp256k1').share(3);
  const { keyId, shid } = share.sharing;
  let before: unknown;
  {
    using keystore = await openKeystore(folder);
    assert.equal(keystore.party, 'alice');
    assert.equal(keystore.folder, folder);
    assert.deepEqual(keystore.keys(), []);
    assert.equal(keystore.key(keyId), undefined);
    keystore.addSharing(share, 'keygen', setup);
    keystore.addSharing(other, 'backup');
    keystore.confirmSharing(keyId, shid);
    keystore.recordBackup(keyId, testBackup(share));
    keystore.recordBackup(keyId, testBackup(share, 'second'));
    before = contents(keystore);

    assert.deepEqual(
      keystore.key(keyId)?.backups.map(({ label }) => label),
      ['backup-alice-1', 'second'],
    );
    using loaded = keystore.loadShare(keyId, shid);
    assert.deepEqual(loaded.x.bytes, share.x.bytes);
    assert.deepEqual(loaded.sharing.parties, share.sharing.parties);
    assert.ok(loaded.sharing.publicKey.equals(share.sharing.publicKey));
    using read = keystore.loadSetup(keyId, shid, setup.info.id);
    assert.deepEqual(read.info, setup.info);
    assert.deepEqual([...read.seeds.keys()], ['charlie', 'bob']);
    for (const [peer, seed] of setup.seeds) assert.deepEqual(read.seeds.get(peer)!.bytes, seed.bytes);
    assert.deepEqual(read.state.bytes, setup.state.bytes);
  }
  assert.equal(isStateFolder(folder), true);
  using again = await openKeystore(folder, { create: false });
  assert.deepEqual(contents(again), before);
  const ids = again.keys().map((each) => Buffer.from(each.keyId).toString('hex'));
  assert.deepEqual(ids, ids.toSorted());
});

test('files can be read by their owner only, and hold no secret in the clear', async () => {
  const folder = freshFolder();
  using share = testKey().share(0);
  using setup = testSetup();
  using keystore = await openKeystore(folder);
  keystore.addSharing(share, 'keygen', setup);
  for (const path of [folder, join(root, 'state')]) assert.equal(statSync(path).mode & 0o777, 0o700);
  const names = readdirSync(folder);
  for (const name of names) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  assert.deepEqual(names.map((name) => name.replace(/^[0-9a-f.]*/, '')).sort(), [
    'key',
    'keystore.json',
    'lock.1',
    'setup',
    'share',
  ]);
});

test('sharings stand by epoch, siblings by the time they were stored', async () => {
  using keystore = await openKeystore(freshFolder());
  const key = testKey();
  using a = key.share(1);
  using b = key.share(0);
  using c = key.share(1);
  using d = key.share(2);
  for (const each of [a, b, c, d]) keystore.addSharing(each, 'refresh');
  const order = keystore.keys()[0]!.sharings.map(({ sharing }) => sharing.shid);
  assert.deepEqual(
    order,
    [d, c, a, b].map(({ sharing }) => sharing.shid),
  );
});

test('confirming a sharing erases all others but newer ones, with all that belongs to them', async () => {
  const folder = freshFolder();
  using keystore = await openKeystore(folder);
  const key = testKey();
  using old = key.share(0);
  using sibling = key.share(1);
  using wanted = key.share(1);
  using newer = key.share(2);
  using stranger = testKey().share(0);
  for (const each of [old, sibling, wanted, newer, stranger]) {
    using setup = testSetup();
    keystore.addSharing(each, 'refresh', setup);
  }
  const { keyId, shid } = wanted.sharing;
  keystore.confirmSharing(keyId, shid);
  const once = contents(keystore);
  keystore.confirmSharing(keyId, shid);
  assert.deepEqual(contents(keystore), once);
  const kept = keystore.key(keyId)!.sharings;
  assert.deepEqual(
    kept.map((each) => [each.sharing.shid, each.confirmed]),
    [
      [newer.sharing.shid, false],
      [shid, true],
    ],
  );
  assert.equal(keystore.keys().length, 2);
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.share')).length, 3);
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.setup')).length, 3);
  assert.throws(() => keystore.loadShare(keyId, old.sharing.shid), {
    code: 'FILE',
    message: /holds no sharing/,
  });
});

test('a set-up that is kept takes the place of the older ones that cover a pair of its own', async () => {
  const folder = freshFolder();
  using keystore = await openKeystore(folder);
  using share = testKey().share(0);
  const { keyId, shid } = share.sharing;
  keystore.addSharing(share, 'keygen');
  const add = (parties?: readonly string[]): Uint8Array => {
    using setup = testSetup(parties);
    keystore.addSetup(keyId, shid, setup);
    return setup.info.id;
  };
  const all = add();
  const withBob = add(['alice', 'bob']);
  const withCharlie = add(['charlie', 'alice']);
  const newest = add(['bob', 'alice']);
  const ids = () => keystore.key(keyId)!.sharings[0]!.setups.map(({ id }) => id);
  assert.deepEqual(ids(), [newest, withCharlie, withBob, all]);
  keystore.keepSetup(keyId, shid, withCharlie);
  assert.deepEqual(ids(), [newest, withCharlie, withBob]);
  keystore.keepSetup(keyId, shid, newest);
  assert.deepEqual(ids(), [newest, withCharlie]);
  keystore.eraseSetup(keyId, shid, newest);
  keystore.eraseSetup(keyId, shid, newest);
  keystore.eraseSetup(keyId, new Uint8Array(32), newest);
  keystore.eraseSetup(new Uint8Array(16), shid, newest);
  assert.deepEqual(ids(), [withCharlie]);
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.setup')).length, 1);
  assert.throws(() => keystore.loadSetup(keyId, shid, newest), { code: 'FILE', message: /holds no set-up/ });
  assert.throws(() => keystore.keepSetup(keyId, shid, newest), { code: 'FILE' });
});

test('nothing is stored twice', async () => {
  using keystore = await openKeystore(freshFolder());
  using share = testKey().share(0);
  using setup = testSetup();
  const { keyId, shid } = share.sharing;
  keystore.addSharing(share, 'keygen', setup);
  const before = contents(keystore);
  assert.throws(() => keystore.addSharing(share, 'keygen'), {
    code: 'FILE',
    message: /stored in .* already$/,
  });
  assert.throws(() => keystore.addSetup(keyId, shid, setup), {
    code: 'FILE',
    message: /stored in .* already$/,
  });
  assert.deepEqual(contents(keystore), before);
});

test('what is not there is an error that says so', async () => {
  using keystore = await openKeystore(freshFolder());
  using share = testKey().share(0);
  const { keyId, shid } = share.sharing;
  using setup = testSetup();
  const missing: readonly (() => unknown)[] = [
    () => keystore.loadShare(keyId, shid),
    () => keystore.confirmSharing(keyId, shid),
    () => keystore.addSetup(keyId, shid, setup),
    () => keystore.loadSetup(keyId, shid, setup.info.id),
    () => keystore.keepSetup(keyId, shid, setup.info.id),
    () => keystore.recordBackup(keyId, testBackup(share)),
  ];
  for (const call of missing) assert.throws(call, { code: 'FILE', message: /holds no key/ });
});

test('a caller who mixes parties up is told of a bug', async () => {
  using keystore = await openKeystore(freshFolder());
  using bobs = testKey().share(0, 'bob');
  assert.throws(() => keystore.addSharing(bobs, 'keygen'), { code: 'BUG' });
  using share = testKey().share(0);
  for (const parties of [['bob', 'charlie'], ['alice', 'dave'], ['alice']]) {
    using setup = testSetup(parties);
    assert.throws(() => keystore.addSharing(share, 'keygen', setup), { code: 'BUG' }, parties.join());
  }
  using setup = testSetup();
  using short = Secret.random(31);
  for (const wrong of [
    { ...setup, seeds: new Map([...setup.seeds].slice(1)) },
    { ...setup, seeds: new Map([...setup.seeds, ['dave', short]]) },
    { ...setup, seeds: new Map([...setup.seeds, ['bob', short]]) },
  ])
    assert.throws(() => keystore.addSharing(share, 'keygen', wrong), { code: 'BUG' });
  assert.deepEqual(keystore.keys(), []);
});

test('whose lock another process has got, or a user deleted, changes nothing any more', async () => {
  const folder = freshFolder();
  using share = testKey().share(0);
  using keystore = await openKeystore(folder);
  keystore.addSharing(share, 'keygen');
  const state = contents(keystore);
  const { keyId, shid } = share.sharing;
  const next = join(folder, 'lock.2');
  writeFileSync(next, '', { mode: 0o600 });
  assert.throws(() => keystore.confirmSharing(keyId, shid), /has been taken over by another process/);
  rmSync(next);
  rmSync(join(folder, 'lock.1'));
  assert.throws(() => keystore.confirmSharing(keyId, shid), /or its lock deleted/);
  assert.deepEqual(contents(keystore), state);
});

test('a closed keystore is of no use', async () => {
  const keystore = await openKeystore(freshFolder());
  using share = testKey().share(0);
  keystore[Symbol.dispose]();
  keystore[Symbol.dispose]();
  assert.throws(() => keystore.keys(), { code: 'BUG' });
  assert.throws(() => keystore.addSharing(share, 'keygen'), { code: 'BUG' });
});

test('a wrong passphrase is refused as such', async () => {
  const folder = freshFolder();
  (await openKeystore(folder))[Symbol.dispose]();
  using wrong = secretOf('correct horse battery stable');
  await assert.rejects(openKeystore(folder, { passphrase: wrong }), {
    code: 'FILE',
    exitStatus: 2,
    message: `wrong passphrase for ${folder}`,
  });
  (await openKeystore(folder))[Symbol.dispose]();
});

test('all policies and many parties can be stored', async () => {
  using keystore = await openKeystore(freshFolder());
  const names = Array.from({ length: 64 }, (_, i) =>
    `party-${i}-with-a-name-of-32-letters`.slice(0, 32).replace(/-$/, 'x'),
  );
  const nested = names
    .slice(2)
    .reduce<unknown>((policy, name, i) => (i < 5 ? { and: [name, policy] } : policy), {
      threshold: 2,
      of: [...names.slice(0, 2), ...names.slice(7)],
    });
  const { parsePolicy } = await import('#src/access/policy.js');
  const policy = parsePolicy(nested, names);
  using share = testKey('secp256k1', policy, names).share(0, names[0]!);
  assert.throws(() => keystore.addSharing(share, 'keygen'), { code: 'BUG' });
  using own = await openKeystore(freshFolder(), { party: names[0]! });
  own.addSharing(share, 'keygen');
  assert.ok(equalBytes(own.keys()[0]!.keyId, share.sharing.keyId));
});
