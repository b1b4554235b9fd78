/** Audit logs, spoiled: what is read as a record is one in its only text, and all else is refused or told as a fault. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import { type AuditRecord, readRecord, recordLine } from '#src/audit/record.js';
import { verifyLogs } from '#src/audit/verify.js';
import { fromHex, toHex } from '#src/core/bytes.js';
import { hash } from '#src/core/transcript.js';
import { everything, forgedLines, textOf } from '../support/audit-logs.js';
import { anythingFor, cases, refusalWith, spoiledData, spoiledText, unlessRefused } from '../support/fuzz.js';
import { temporaryFolder } from '../support/stored-keys.js';

const { folder, remove } = temporaryFolder();
after(remove);

const lines = forgedLines('alice', everything('alice'));
const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);

/** The line of a record whose hash is right, whatever else it says. */
function lineOf(record: unknown): string {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return JSON.stringify(record);
  const { hash: _hash, ...rest } = record as Record<string, unknown>;
  const text = JSON.stringify(rest);
  const previous = typeof rest.previous === 'string' ? fromHex(rest.previous) : undefined;
  const own = toHex(hash('audit', [previous ?? new Uint8Array(), text]));
  return JSON.stringify({ ...rest, hash: own });
}

/** Throws unless that is the one text of the record. */
function isItsText(record: AuditRecord, line: Uint8Array): void {
  const { n, time, previous, hash: own, ...event } = record;
  const made = recordLine(event, { n: n - 1, hash: previous }, new Date(time));
  assert.deepEqual([Buffer.from(made.line), made.head], [Buffer.from(line), { n, hash: own }]);
}

test('a line', () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom<unknown>('alice', 'f'.repeat(64), 0, -0, 1e15),
  );
  const shapes = spoiledData<unknown>(fc.constantFrom(...records), value).map(lineOf);
  const texts = fc.oneof(shapes, spoiledText(fc.constantFrom(...lines)));
  const bytes = fc.oneof(
    texts.map((text) => Buffer.from(text)),
    anythingFor(fc.constantFrom(...lines).map((line) => Buffer.from(line))),
  );
  let read = 0;
  fc.assert(
    fc.property(bytes, (line) => {
      const record = readRecord(line);
      if (typeof record === 'string')
        return assert.ok(record.length < 300 && !/\p{Cc}/u.test(record), record);
      isItsText(record, line);
      read += 1;
    }),
    cases(),
  );
  assert.ok(read > 0);
});

test('a log', async () => {
  const path = join(folder, AUDIT_FILE);
  const honest = fc.nat(lines.length).map((length) => Buffer.from(textOf(lines.slice(0, length))));
  let opened = 0;
  await fc.assert(
    fc.asyncProperty(anythingFor(honest), async (bytes) => {
      writeFileSync(path, bytes, { mode: 0o600 });
      const { logs, faults } = await verifyLogs([path]);
      for (const { fault } of faults) assert.ok(fault.length < 300 && !/\p{Cc}/u.test(fault), fault);
      using log = unlessRefused(() => AuditLog.open(folder, 'alice'), refusalWith('FILE'));
      if (log === undefined) {
        assert.ok(faults.length > 0 || logs[0]?.party !== 'alice');
        return assert.deepEqual(readFileSync(path), Buffer.from(bytes));
      }
      opened += 1;
      // All that is left out is what has no newline.
      const whole = bytes.subarray(0, bytes.lastIndexOf(10) + 1);
      assert.deepEqual(readFileSync(path).subarray(0, whole.length), Buffer.from(whole));
      assert.deepEqual((await verifyLogs([path])).faults, faults);
    }),
    cases(150),
  );
  assert.ok(opened > 0);
});
