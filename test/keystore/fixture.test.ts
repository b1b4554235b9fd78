/** A state folder of format 1 must be readable for ever. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromHex, Secret } from '#src/core/bytes.js';
import { Keystore } from '#src/keystore/keystore.js';
import { contents, secretOf, temporaryFolder } from '../support/stored-keys.js';

// Compiled tests run from dist/test/keystore, the fixtures stay in test/.
const fixture = fileURLToPath(new URL('../../../test/fixtures/keystore-1', import.meta.url));
const { folder: root, remove } = temporaryFolder();
after(remove);
const live = Secret.live;
after(() => assert.equal(Secret.live, live, 'secrets are left'));

/** Git keeps no modes that matter here. */
function copyOfFixture(): string {
  const folder = join(root, 'alice');
  mkdirSync(folder, { mode: 0o700 });
  for (const name of readdirSync(fixture)) {
    if (name === 'README.md' || name === 'contents.json') continue;
    copyFileSync(join(fixture, name), join(folder, name));
    chmodSync(join(folder, name), 0o600);
  }
  return folder;
}

test('a state folder of format 1 is read, and changed', async () => {
  const folder = copyOfFixture();
  const expected = JSON.parse(readFileSync(join(fixture, 'contents.json'), 'utf8'));
  using passphrase = secretOf('correct horse battery staple');
  {
    using keystore = await Keystore.open({ folder, party: 'alice', passphrase, create: false });
    assert.deepEqual(JSON.parse(JSON.stringify(contents(keystore))), expected);
    const [{ keyId, sharings }] = expected;
    keystore.confirmSharing(fromHex(keyId)!, fromHex(sharings[0].shid)!);
  }
  using keystore = await Keystore.open({ folder, party: 'alice', passphrase, create: false });
  const [first, ...others] = expected;
  const confirmed = { ...first, sharings: [{ ...first.sharings[0], confirmed: true }] };
  assert.deepEqual(JSON.parse(JSON.stringify(contents(keystore))), [confirmed, ...others]);
});
