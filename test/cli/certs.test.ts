import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { command, REPOSITORY } from '../support/command.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-certs-'));
after(() => rmSync(folder, { recursive: true }));

/** A folder with the repository's cluster file. */
function place(name: string): string {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  cpSync(join(REPOSITORY, 'cluster.json'), join(cwd, 'cluster.json'));
  return cwd;
}

const DATE = '\\d{4}-\\d\\d-\\d\\d';

test('certs makes what is missing, and tells it', async () => {
  const cwd = place('fresh');
  const made = await command(['certs'], { cwd });
  assert.deepEqual([made.status, made.stderr], [0, '']);
  assert.match(
    made.stdout,
    new RegExp(
      `^made certs/rootCA\\.pem, valid until ${DATE}\nmade certs/rootCA-key\\.pem\n` +
        `made certs/alice-cert\\.pem, valid until ${DATE}\nmade certs/alice-key\\.pem\n`,
    ),
  );
  assert.equal(readdirSync(join(cwd, 'certs')).length, 10);

  const kept = await command(['certs'], { cwd });
  assert.equal(kept.stdout, made.stdout.replaceAll('made', 'kept'));

  rmSync(join(cwd, 'certs', 'bob-key.pem'));
  rmSync(join(cwd, 'certs', 'dave-cert.pem'));
  const { stdout } = await command(['certs'], { cwd });
  assert.match(stdout, /\nnot here: certs\/bob-key\.pem\n/);
  assert.match(stdout, /\nmade certs\/dave-cert\.pem, .*\nkept certs\/dave-key\.pem\n$/);
});

test('certs --json prints one object', async () => {
  const { stdout } = await command(['--json', 'certs'], { cwd: place('json') });
  const { event, files } = JSON.parse(stdout);
  assert.equal(event, 'certs');
  assert.equal(files.length, 10);
  assert.equal(files[0].outcome, 'made');
});

test('certs --if-none leaves a cluster alone that has a CA certificate', async () => {
  const cwd = place('if-none');
  assert.match((await command(['certs', '--if-none'], { cwd })).stdout, /^made /);
  for (const name of ['rootCA-key.pem', 'bob-cert.pem', 'bob-key.pem']) rmSync(join(cwd, 'certs', name));
  assert.deepEqual(await command(['certs', '--if-none'], { cwd }), { status: 0, stdout: '', stderr: '' });
  const { status, stderr } = await command(['certs'], { cwd });
  assert.equal(status, 2);
  assert.match(
    stderr,
    /^ecdsa-mpc: certs\/bob-cert\.pem is missing, and so is the CA's key certs\/rootCA-key\.pem\n/,
  );
});
