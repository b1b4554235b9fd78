import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { saveBackup } from '#src/cli/commands/run.js';
import { Secret } from '#src/core/bytes.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-run-'));
before(() => process.chdir(folder));
after(() => rmSync(folder, { recursive: true }));

const secret = (text: string): Secret => Secret.own(new TextEncoder().encode(text));

test('a backup is saved beside the key that opens it, and an earlier pair is kept', async () => {
  using first = secret('first key');
  assert.deepEqual(await saveBackup('alice', { backupHex: 'first\n', recoveryKeyPem: first }), {
    event: 'saved',
    party: 'alice',
    backup: 'backup-alice.hex',
    recoveryKey: 'backup-alice.key.pem',
  });
  assert.equal(readFileSync('backup-alice.hex', 'utf8'), 'first\n');
  assert.equal(readFileSync('backup-alice.key.pem', 'utf8'), 'first key');
  assert.equal(statSync('backup-alice.key.pem').mode & 0o777, 0o600);

  // To somebody else's key: no private key exists here, and the old one does not stay beside the new backup.
  const { kept = [], ...saved } = await saveBackup('alice', { backupHex: 'second\n' });
  assert.deepEqual(saved, { event: 'saved', party: 'alice', backup: 'backup-alice.hex' });
  assert.equal(readFileSync('backup-alice.hex', 'utf8'), 'second\n');
  assert.deepEqual(readdirSync('.').sort(), [...kept, 'backup-alice.hex'].sort());
  assert.match(
    kept.join(' '),
    /^backup-alice-until-\d{8}T\d{6}Z\.hex backup-alice-until-\d{8}T\d{6}Z\.key\.pem$/,
  );
  assert.deepEqual(
    kept.map((name) => readFileSync(name, 'utf8')),
    ['first\n', 'first key'],
  );
  assert.equal(statSync(kept[1]!).mode & 0o777, 0o600);
});

/** What a process does that is killed between the writing of a file and its naming. */
const KILLED = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  fs.linkSync = () => process.kill(process.pid, 'SIGKILL');
  syncBuiltinESMExports();
  const { saveBackup } = await import(${JSON.stringify(import.meta.resolve('#src/cli/commands/run.js'))});
  const { Secret } = await import(${JSON.stringify(import.meta.resolve('#src/core/bytes.js'))});
  const recoveryKeyPem = Secret.own(new TextEncoder().encode('killed'));
  await saveBackup('bob', { backupHex: 'killed', recoveryKeyPem });
`;

test('what a killed process has left of its files goes with the next run, and nothing else does', async () => {
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', KILLED]);
  assert.equal(signal, 'SIGKILL');
  const [left, ...more] = readdirSync('.').filter((name) => name.endsWith('.tmp'));
  assert.match(left ?? '', /^\.backup-bob\.key\.pem\.[0-9a-f-]{36}\.tmp$/);
  assert.deepEqual([more, readFileSync(left!, 'utf8'), statSync(left!).mode & 0o777], [[], 'killed', 0o600]);
  const other = `.backup-bob.hex.old.${randomUUID()}.tmp`;
  writeFileSync(other, '');

  using key = secret('another key');
  await saveBackup('charlie', { backupHex: 'another\n', recoveryKeyPem: key });
  assert.ok(readdirSync('.').includes(left!), "another party's stays");
  await saveBackup('bob', { backupHex: 'another\n', recoveryKeyPem: key });
  assert.deepEqual(
    readdirSync('.').filter((name) => name.endsWith('.tmp')),
    [other],
  );
});
