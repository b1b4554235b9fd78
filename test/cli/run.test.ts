import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
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
