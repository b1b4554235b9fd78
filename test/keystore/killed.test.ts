import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { contents, openKeystore, temporaryFolder } from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);

test('whatever a process was doing when it was killed, the next one finds whole keys', async (t) => {
  for (let round = 0; round < 4; round++) {
    const folder = join(root, String(round));
    const child = fork(new URL('./changing-party.js', import.meta.url), [folder]);
    t.after(() => child.kill('SIGKILL'));
    await once(child, 'message');
    await sleep(Math.random() * 50);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    using keystore = await openKeystore(folder, { create: false });
    const state = contents(keystore) as {
      sharings: { epoch: number; confirmed: boolean; setups: unknown[] }[];
    }[];
    const { sharings } = state[0]!;
    assert.equal(state.length, 1);
    const latest = sharings[0]!;
    assert.ok(latest.epoch >= 2);
    // One confirmed sharing, and perhaps its successor that is not confirmed yet.
    assert.deepEqual(
      sharings.map(({ epoch, confirmed }) => [epoch, confirmed]),
      latest.confirmed
        ? [[latest.epoch, true]]
        : [
            [latest.epoch, false],
            [latest.epoch - 1, true],
          ],
    );
    const files = readdirSync(folder).filter((name) => !/^lock\.\d+$|^keystore\.json$/.test(name));
    assert.equal(files.length, 1 + sharings.reduce((sum, { setups }) => sum + 1 + setups.length, 0));
  }
});
