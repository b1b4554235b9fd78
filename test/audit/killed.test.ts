/** A process that is killed while it appends leaves all that it had appended, in a log that goes on. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import { verifyLogs } from '#src/audit/verify.js';
import { linesIn, opened } from '../support/audit-logs.js';
import { start } from '../support/command.js';
import { KILLED_AT, type Moment } from '../support/killed-at-call.js';
import { temporaryFolder } from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);

const KILLED_AT_CALL = new URL('../support/killed-at-call.js', import.meta.url).href;
const APPENDING = fileURLToPath(new URL('./appending-process.js', import.meta.url));

/** Calls that change the log: it is opened, its folder synced; then each record is written and synced. */
const KILLS: readonly (readonly [call: number, moment: Moment, records: number, repairs: number])[] = [
  [0, 'after', 0, 0],
  [2, 'writing', 0, 0],
  [2, 'after', 1, 0],
  [6, 'before', 2, 0],
  [6, 'writing', 2, 1],
  [7, 'before', 3, 0],
  [10, 'writing', 4, 1],
];

for (const [call, moment, records, repairs] of KILLS) {
  test(`killed at call ${call}, ${moment}`, async () => {
    const cwd = join(root, `${call}-${moment}`);
    const folder = join(cwd, 'state', 'alice');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const env = { ...process.env, [KILLED_AT]: `${call} ${moment}` };
    const { child, ended } = start(process.execPath, ['--import', KILLED_AT_CALL, APPENDING], { cwd, env });
    const { stdout, stderr } = await ended;
    assert.equal(child.signalCode, 'SIGKILL', stderr);
    const path = join(folder, AUDIT_FILE);
    // As it was left, too: what is being written is no fault.
    cpSync(path, join(cwd, 'left.log'));
    const heads = stdout.split('\n').slice(0, -1);
    assert.deepEqual((await verifyLogs([join(cwd, 'left.log')], { heads })).faults, []);
    using log = AuditLog.open(folder, 'alice');
    assert.equal(log.head.n, records + repairs);
    assert.ok(records - heads.length === 0 || records - heads.length === 1, 'more or less than was said');
    log.append(opened('alice'));
    assert.equal(linesIn(folder).length, log.head.n);
    assert.deepEqual((await verifyLogs([path], { heads })).faults, []);
  });
}
