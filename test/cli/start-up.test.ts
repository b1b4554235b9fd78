/**
 * Keeps the start short without measuring it: what the program loads before it shows its help, and before its peers
 * can connect.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterFolders } from '../support/cluster-folder.js';
import { LAUNCHER, start } from '../support/command.js';
import { modulesIn, packagesIn } from '../support/loaded-packages.js';

const HOOKS = import.meta.resolve('../support/loaded-modules.js');

/** Starts the program, which then tells on standard output what it loads. */
const startTelling = (args: readonly string[], cwd?: string) =>
  start(process.execPath, ['--import', HOOKS, LAUNCHER, ...args], { ...(cwd !== undefined && { cwd }) });

const clusterFolder = clusterFolders();

test('help loads nothing but the command line', async () => {
  const { status, stdout } = await startTelling(['--help']).ended;
  assert.equal(status, 0);
  assert.match(stdout, /Usage: ecdsa-mpc/);
  assert.deepEqual(packagesIn(stdout), ['commander']);
  const others = modulesIn(stdout).filter((name) => !name.startsWith('cli/'));
  assert.deepEqual(others.sort(), ['config/duration', 'core/errors']);
});

test('a party loads no protocol before its peers can connect, and all of it while it waits for them', async () => {
  const { cwd } = await clusterFolder('start', ['alice', 'bob']);
  const party = startTelling(['--self', 'alice', '--json'], cwd);
  try {
    await party.prints(/"event":"listening"/);
    const [before = ''] = party.stdout().split(/^.*"event":"listening".*$/m);
    assert.deepEqual(packagesIn(before), ['bigint-crypto-utils', 'cborg', 'commander', 'zod']);
    const folders = new Set(modulesIn(before).map((name) => name.split('/')[0]!));
    for (const folder of ['access', 'rounds', 'transport', 'party']) assert.ok(folders.has(folder), folder);
    for (const folder of ['paillier', 'zk', 'protocol', 'keystore', 'daemon'])
      assert.ok(!folders.has(folder), `loads ${folder}`);
    // The search for primes is the first work of a party: the job that it is must be known.
    const multiplication = modulesIn(before).filter((name) => name.startsWith('multiplication/'));
    assert.deepEqual(multiplication, ['multiplication/prime-jobs']);

    await party.prints(/^loads .*\/dist\/party\/ceremony\.js$/m);
    await party.prints(/^loads .*\/dist\/multiplication\/paillier\.js$/m);
  } finally {
    party.child.kill('SIGKILL');
  }
});
