/** Every change, interrupted at every call that changes the disk: the state before it is left, or the one after it. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, truncateSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { Secret } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import type { Keystore } from '#src/keystore/keystore.js';
import { type Call, DiskFault, type Fault, interceptChanges, onFaultyDisk } from '../support/faulty-disk.js';
import {
  contents,
  openKeystore,
  temporaryFolder,
  testBackup,
  testKey,
  testSetup,
} from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);
const live = Secret.live;

const key = testKey();
const shares = { old: key.share(0), sibling: key.share(1), wanted: key.share(1), other: testKey().share(0) };
const setups = { old: testSetup(), sibling: testSetup(), wanted: testSetup(), fresh: testSetup() };
after(() => {
  for (const each of [...Object.values(shares), ...Object.values(setups)]) each[Symbol.dispose]();
  assert.equal(Secret.live, live, 'secrets are left');
});
const { keyId, shid } = shares.wanted.sharing;

/** A folder in which every change below has something to do. */
const template = join(root, 'template');
{
  using keystore = await openKeystore(template);
  keystore.addSharing(shares.old, 'keygen', setups.old);
  keystore.confirmSharing(keyId, shares.old.sharing.shid);
  keystore.addSharing(shares.sibling, 'refresh', setups.sibling);
  keystore.addSharing(shares.wanted, 'refresh', setups.wanted);
}

const CHANGES: Readonly<Record<string, (keystore: Keystore) => void>> = {
  'a sharing of a new key': (keystore) => keystore.addSharing(shares.other, 'backup'),
  'a sharing with its set-up': (keystore) => keystore.addSharing(shares.other, 'refresh', setups.fresh),
  'a confirmation': (keystore) => keystore.confirmSharing(keyId, shid),
  'a further set-up': (keystore) => keystore.addSetup(keyId, shid, setups.fresh),
  'the end of a set-up': (keystore) => keystore.eraseSetup(keyId, shid, setups.wanted.info.id),
  'the record of a backup': (keystore) => keystore.recordBackup(keyId, testBackup(shares.wanted)),
};

let count = 0;
function copyOfTemplate(): string {
  const folder = join(root, `copy-${count++}`);
  cpSync(template, folder, { recursive: true });
  return folder;
}

/** What the end of a process does to its lock, whose number another process would find unused. */
function forgetLock(folder: string): void {
  for (const name of readdirSync(folder)) if (/^lock\.\d+$/.test(name)) truncateSync(join(folder, name));
}

const secretFiles = (folder: string): string[] =>
  readdirSync(folder).filter((name) => /\.(share|setup|key|tmp)$/.test(name));

/** The state after `change` has met `fault`: by the same process, and by another that opens the folder later. */
async function stateAfter(change: (keystore: Keystore) => void, fault?: Fault) {
  const folder = copyOfTemplate();
  const keystore = await openKeystore(folder);
  const { error, calls } = onFaultyDisk(() => change(keystore), fault);
  const stillOpen = fault?.kind === 'fails' || fault === undefined ? contents(keystore) : undefined;
  const filesThen = secretFiles(folder);
  keystore[Symbol.dispose]();
  forgetLock(folder);
  using again = await openKeystore(folder, { create: false });
  return { folder, error, calls, stillOpen, filesThen, state: contents(again), files: secretFiles(folder) };
}

/** Files that a state needs: one manifest per key, one per share, one per set-up. */
const filesNeeded = (state: unknown): number =>
  (state as { sharings: { setups: unknown[] }[] }[]).reduce(
    (sum, { sharings }) => sum + 1 + sharings.reduce((files, { setups: own }) => files + 1 + own.length, 0),
    0,
  );

/** Throws unless files are synced before they get their names, and their folder after each change of names. */
function checkDurable(folder: string, calls: readonly Call[]): void {
  const unsynced = new Set<string>();
  for (const { name, args, path } of calls) {
    if (name === 'writeFileSync') unsynced.add(path);
    if (name === 'fsyncSync') unsynced.delete(path);
    if (name === 'renameSync') assert.ok(!unsynced.has(path), `${args[1]} is named before it is synced`);
    if (name === 'renameSync' || name === 'unlinkSync' || name === 'rmSync') unsynced.add(folder);
  }
  assert.deepEqual([...unsynced], [], 'not synced in the end');
}

const before = await (async () => {
  using keystore = await openKeystore(template);
  return contents(keystore);
})();

for (const [what, change] of Object.entries(CHANGES)) {
  test(`${what}: whole or not at all`, async (t) => {
    const whole = await stateAfter(change);
    assert.equal(whole.error, undefined);
    assert.notDeepEqual(whole.state, before);
    assert.deepEqual(whole.stillOpen, whole.state);
    checkDurable(whole.folder, whole.calls);

    const seen = { before: 0, after: 0 };
    const check = (state: unknown, place: string): void => {
      const side = JSON.stringify(state) === JSON.stringify(before) ? 'before' : 'after';
      if (side === 'after') assert.deepEqual(state, whole.state, place);
      seen[side] += 1;
    };
    for (const [at, { name }] of whole.calls.entries()) {
      const kinds: Fault['kind'][] = ['fails'];
      if (name === 'writeFileSync') kinds.push('dies writing');
      // Syncing changes nothing that another process could see.
      else if (name !== 'fsyncSync') kinds.push('dies');
      for (const kind of kinds) {
        const place = `${kind} at ${at}, ${name}`;
        const { error, stillOpen, filesThen, state, files } = await stateAfter(change, { at, kind });
        // Overwriting before a file is removed is done as well as can be: that it fails is no error.
        if (error !== undefined) assert.ok(error instanceof MpcError && error.code === 'FILE', place);
        check(state, place);
        if (stillOpen !== undefined) {
          assert.deepEqual(stillOpen, state, place);
          // What a change that failed has written goes at once.
          if (JSON.stringify(state) === JSON.stringify(before))
            assert.equal(filesThen.length, filesNeeded(state), `${place}: ${filesThen.join(' ')}`);
        }
        assert.equal(files.length, filesNeeded(state), `${place}: ${files.join(' ')}`);
      }
    }
    t.diagnostic(`${whole.calls.length} calls; left before ${seen.before} times, after ${seen.after}`);
    assert.ok(seen.before > 0 && (seen.after > 0 || what !== 'a confirmation'));
  });
}

test('what is erased is overwritten first, and on disk, before its name goes', async () => {
  for (const what of ['a confirmation', 'the end of a set-up']) {
    const { calls } = await stateAfter(CHANGES[what]!);
    const erased = calls.filter(({ name }) => name === 'unlinkSync').map(({ path }) => path);
    assert.equal(erased.length, what === 'a confirmation' ? 4 : 1);
    for (const path of erased) {
      const own = calls.filter((call) => call.path === path);
      assert.deepEqual(
        own.map(({ name }) => name),
        ['openSync', 'writeFileSync', 'fsyncSync', 'unlinkSync'],
      );
      const zeros = own[1]!.args[1] as Uint8Array;
      assert.ok(zeros.length > 100 && zeros.every((byte) => byte === 0));
    }
  }
});

/** Whether opening the folder syncs it. */
async function isSyncedByOpening(folder: string): Promise<boolean> {
  const fs = createRequire(import.meta.url)('node:fs') as typeof import('node:fs');
  const { openSync, fsyncSync } = fs;
  let handle = -1;
  let synced = false;
  fs.openSync = (path, ...rest) => {
    const opened = openSync(path, ...rest);
    if (path === folder) handle = opened;
    return opened;
  };
  fs.fsyncSync = (which) => {
    fsyncSync(which);
    synced ||= which === handle;
  };
  syncBuiltinESMExports();
  try {
    using _keystore = await openKeystore(folder, { create: false });
    return synced;
  } finally {
    Object.assign(fs, { openSync, fsyncSync });
    syncBuiltinESMExports();
  }
}

test('what is found in a folder is made durable before it counts: its writer may have died before it was', async () => {
  const folder = copyOfTemplate();
  forgetLock(folder);
  assert.ok(await isSyncedByOpening(folder));
  // By the same process, after a change that took effect and could not be made durable.
  using keystore = await openKeystore(folder, { create: false });
  const change = () => keystore.recordBackup(keyId, testBackup(shares.wanted));
  const last = onFaultyDisk(change).calls.findLastIndex(({ name }) => name === 'fsyncSync');
  const { error } = onFaultyDisk(change, { at: last, kind: 'fails' });
  assert.ok(error instanceof MpcError);
  const { calls } = onFaultyDisk(() => assert.equal(keystore.key(keyId)!.backups.length, 2));
  assert.deepEqual(
    calls.map(({ name, path }) => [name, path]),
    [['fsyncSync', folder]],
  );
});

test('the opening of a folder, interrupted while it clears up, is finished by the next', async () => {
  // A confirmation that dies as soon as its mark is on disk leaves three sharings' worth of files to erase.
  const interrupted = copyOfTemplate();
  const keystore = await openKeystore(interrupted);
  onFaultyDisk(() => CHANGES['a confirmation']!(keystore), { at: 4, kind: 'dies' });
  keystore[Symbol.dispose]();
  forgetLock(interrupted);
  const left = secretFiles(interrupted).length;
  const whole = await stateAfter(CHANGES['a confirmation']!);
  assert.equal(left, 7);
  {
    const copy = join(dirname(interrupted), 'partly-erased');
    cpSync(interrupted, copy, { recursive: true });
    using opened = await openKeystore(copy);
    assert.deepEqual(contents(opened), whole.state);
    assert.equal(secretFiles(copy).length, filesNeeded(whole.state));
  }
});

test('a folder whose making was interrupted, at any call, is made by the next opening', async () => {
  let calls = 1;
  for (let at = 0; at < calls; at += 1) {
    const folder = join(root, `made-${at}`);
    let count = 0;
    const restore = interceptChanges(({ args }, perform) => {
      count += 1;
      if (count > at) throw new DiskFault(`call ${at}`);
      return perform(...args);
    });
    await openKeystore(folder).then(
      (keystore) => keystore[Symbol.dispose](),
      (error) => assert.ok(error instanceof MpcError || error instanceof DiskFault, String(error)),
    );
    restore();
    if (count > at) calls = at + 2;
    if (existsSync(folder)) forgetLock(folder);
    using keystore = await openKeystore(folder);
    assert.deepEqual(keystore.keys(), []);
  }
  assert.ok(calls > 5, `only ${calls} calls were interrupted`);
});
