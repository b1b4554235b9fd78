/** Keeps the start of worker threads short without measuring it: what they load before their first job. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../support/command.js';
import { packagesIn } from '../support/loaded-packages.js';

const HOOKS = import.meta.resolve('../support/loaded-modules.js');

/** The packages that a process loads with the module at `path` below src. */
async function packagesOf(path: string): Promise<string[]> {
  const module = import.meta.resolve(`#src/${path}`);
  const { status, stdout } = await start(process.execPath, ['--import', HOOKS, '--import', module, '-e', ''])
    .ended;
  assert.equal(status, 0);
  return packagesIn(stdout);
}

const CURVES = ['@noble/curves', '@noble/hashes', 'bigint-crypto-utils'];

test('a thread reads no messages or files, and loads nothing for that', async () => {
  assert.deepEqual(await packagesOf('work/worker.js'), ['piscina']);
  assert.deepEqual(await packagesOf('multiplication/prime-jobs.js'), ['bigint-crypto-utils']);
  assert.deepEqual(await packagesOf('multiplication/ot-jobs.js'), CURVES);
  assert.deepEqual(await packagesOf('pve/pve-jobs.js'), CURVES);
  // What it would load otherwise.
  const files = await packagesOf('pve/backup-file.js');
  for (const name of ['zod', 'cborg']) assert.ok(files.includes(name), name);
});
