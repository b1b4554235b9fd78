/** Audit logs of format 1 must be readable for ever, and go on. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import { readRecord, recordLine, startOf } from '#src/audit/record.js';
import { verifyLogs } from '#src/audit/verify.js';
import { opened, requestId } from '../support/audit-logs.js';
import { temporaryFolder } from '../support/stored-keys.js';

// Compiled tests run from dist/test/audit, the fixtures stay in test/.
const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../test/fixtures/audit-1/${name}.log`, import.meta.url));
const { folder, remove } = temporaryFolder();
after(remove);

const HEADS = {
  alice: { n: 19, hash: 'a8f11989354052ee4ffabc6f11b519b60a1dc1375717bf26cbdf5e8a579133e8' },
  bob: { n: 19, hash: '8b80490410f17a24af7deb6cd9acf1a775c99409fa75fd5cd2732a762d3b37b2' },
};

test('logs of format 1 verify, and have the heads that they had', async () => {
  const { logs, faults } = await verifyLogs([fixture('alice'), fixture('bob')]);
  assert.deepEqual(faults, []);
  assert.deepEqual(
    logs.map(({ party, head, requests, signatures }) => [party, head, requests, signatures]),
    Object.entries(HEADS).map(([party, head]) => [party, head, 5, 1]),
  );
});

test('a log of format 1 is written in the same bytes, and gone on with', () => {
  let head = startOf('alice');
  for (const line of readFileSync(fixture('alice'), 'utf8').split('\n').slice(0, -1)) {
    const record = readRecord(Buffer.from(line));
    assert.ok(typeof record !== 'string');
    const { n: _n, time, previous: _previous, hash: _hash, ...event } = record;
    const made = recordLine(event, head, new Date(time));
    assert.equal(Buffer.from(made.line).toString(), line);
    head = made.head;
  }
  // Git keeps no modes that matter here.
  copyFileSync(fixture('alice'), join(folder, AUDIT_FILE));
  chmodSync(join(folder, AUDIT_FILE), 0o600);
  using log = AuditLog.open(folder, 'alice');
  assert.deepEqual([log.head, [...log.begunIds()], log.unfinished().size], [HEADS.alice, [requestId(1)], 0]);
  log.append(opened('alice'));
});
