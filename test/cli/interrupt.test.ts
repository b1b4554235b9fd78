// A party that is interrupted ends within a second, also while OpenSSL makes its recovery key.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { clusterFolders } from '../support/cluster-folder.js';
import { startCommand } from '../support/command.js';

const makeFolder = clusterFolders();

test('an interruption ends a party within a second while it waits for the others', async () => {
  const { cwd } = await makeFolder('interrupted', ['alice', 'bob']);
  for (const afterMillis of [0, 50, 100, 200, 400]) {
    const party = startCommand(['--self=alice', '--json'], { cwd });
    await party.prints(/"listening"/);
    await sleep(afterMillis);
    const start = performance.now();
    party.child.kill('SIGINT');
    const { status, stderr } = await party.ended;
    const millis = Math.round(performance.now() - start);
    assert.equal(status, 130, stderr);
    assert.ok(millis < 1000, `it took ${millis} ms, interrupted ${afterMillis} ms after it began to listen`);
  }
});
