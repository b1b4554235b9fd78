// Where OpenSSL does not compute powers, a party says so and goes on with BigInt.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { command } from '../support/command.js';
import { freePort, HOST } from '../transport/node.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-engine-'));
after(() => rmSync(folder, { recursive: true }));

/** What a runtime without the class, or one in FIPS mode, does. */
const WITHOUT_ENGINE = `
  require('node:crypto').createDiffieHellman = () => { throw new Error('unsupported'); };
  require('node:module').syncBuiltinESMExports();`;

before(async () => {
  writeFileSync(join(folder, 'without.cjs'), WITHOUT_ENGINE);
  const parties = await Promise.all(
    ['alice', 'bob'].map(async (name) => ({
      name,
      address: `${HOST}:${await freePort()}`,
      cert: `${name}-cert.pem`,
      key: `${name}-key.pem`,
    })),
  );
  writeFileSync(join(folder, 'cluster.json'), JSON.stringify({ ca_cert: 'rootCA.pem', parties }));
  assert.equal((await command(['certs'], { cwd: folder })).status, 0);
});

for (const missing of [true, false]) {
  test(`the fallback is ${missing ? '' : 'not '}announced with ${missing ? 'no' : 'an'} engine`, async () => {
    const preload = missing ? { NODE_OPTIONS: '--require ./without.cjs' } : {};
    const { status, stderr } = await command(['--self', 'alice', '--connect-timeout', '500ms'], {
      cwd: folder,
      env: { ...process.env, ...preload },
    });
    assert.equal(status, 3, stderr);
    const warnings = stderr.split('\n').filter((line) => line.includes('falls back to BigInt'));
    assert.equal(warnings.length, missing ? 1 : 0, stderr);
  });
}
