// Parties that were started with different intentions, as processes over TLS on loopback.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startParty } from '../support/ceremonies.js';
import { clusterFolders, clusterJson } from '../support/cluster-folder.js';

const makeFolder = clusterFolders();

test('parties that were started with different intentions all end with status 4 and say what differs', async () => {
  const parties = ['alice', 'bob', 'charlie'];
  const { cwd, ports } = await makeFolder('different', parties);
  const cases = [
    { args: ['--message=another'], field: 'message' },
    { args: ['--quorum=alice,bob'], field: 'quorum' },
    { args: ['--multiplication=ot'], field: 'multiplication' },
    { fields: { curve: 'secp256k1' }, field: 'curve' },
    { fields: { policy: { and: ['charlie', { or: ['alice', 'bob'] }] } }, field: 'policy' },
  ];
  for (const { args = [], fields = {}, field } of cases) {
    writeFileSync(
      join(cwd, 'cluster.json'),
      clusterJson(parties, ports, { policy: { threshold: 2, of: parties } }),
    );
    writeFileSync(
      join(cwd, 'other.json'),
      clusterJson(parties, ports, { policy: { threshold: 2, of: parties }, ...fields }),
    );
    const quorum = '--quorum=bob,charlie';
    const ended = await Promise.all([
      startParty(cwd, 'alice', [quorum]).ended,
      startParty(cwd, 'bob', [quorum]).ended,
      startParty(cwd, 'charlie', [quorum, '--config=other.json', ...args]).ended,
    ]);
    for (const [index, { status, stderr }] of ended.entries()) {
      const context = `${field}, ${parties[index]}: ${stderr}`;
      assert.equal(status, 4, context);
      assert.match(stderr, new RegExp(field), context);
      assert.match(stderr, index === 2 ? /alice|bob/ : /charlie/, context);
    }
  }
});
