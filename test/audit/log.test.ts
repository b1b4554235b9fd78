/** The log as a daemon writes it: what was appended is there, in its order, and nothing else is believed. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import { type AuditEvent, MAX_RECORD_BYTES, readRecord, recordLine, startOf } from '#src/audit/record.js';
import { MpcError } from '#src/core/errors.js';
import {
  approved,
  asksToSign,
  everything,
  forgedLines,
  linesIn,
  opened,
  putLog,
  requestId,
  signature,
  signed,
  signing,
  textOf,
  writeLog,
} from '../support/audit-logs.js';
import { onFaultyDisk } from '../support/faulty-disk.js';
import { temporaryFolder } from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);

let count = 0;
function newFolder(): string {
  const folder = join(root, `state-${count++}`);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

const recordsIn = (folder: string) =>
  linesIn(folder).map((line) => {
    const record = readRecord(Buffer.from(line));
    assert.ok(typeof record !== 'string', `${record}: ${line}`);
    return record;
  });

const eventsIn = (folder: string): AuditEvent[] =>
  recordsIn(folder).map(({ n: _n, time: _time, previous: _previous, hash: _hash, ...event }) => event);

/** What a log says that is opened, and closed again. */
function stateOf(folder: string) {
  using log = AuditLog.open(folder, 'alice');
  return { head: log.head, begun: [...log.begunIds()], unfinished: [...log.unfinished().keys()] };
}

function refused(folder: string, message: RegExp, party = 'alice'): void {
  const before = readFileSync(join(folder, AUDIT_FILE));
  assert.throws(
    () => AuditLog.open(folder, party)[Symbol.dispose](),
    (error) => error instanceof MpcError && error.code === 'FILE' && message.test(error.message),
  );
  assert.deepEqual(readFileSync(join(folder, AUDIT_FILE)), before);
}

test('what was appended is read back, in records that are chained', () => {
  const folder = newFolder();
  const events = everything('alice');
  const start = Date.now();
  writeLog(folder, 'alice', events);
  assert.equal(statSync(join(folder, AUDIT_FILE)).mode & 0o777, 0o600);
  assert.deepEqual(eventsIn(folder), events);
  const records = recordsIn(folder);
  let head = startOf('alice');
  for (const { n, previous, hash, time } of records) {
    assert.deepEqual([n, previous], [head.n + 1, head.hash]);
    assert.ok(Date.parse(time) >= start && Date.parse(time) <= Date.now());
    head = { n, hash };
  }
  using again = AuditLog.open(folder, 'alice');
  assert.deepEqual(again.head, head);
});

test('a log goes on where it ended, and keeps in mind what has begun and what has not ended', () => {
  const folder = newFolder();
  writeLog(folder, 'alice', [
    opened('alice'),
    ...signature(1, 'alice'),
    asksToSign(2),
    approved(2),
    signing(2),
  ]);
  assert.deepEqual(stateOf(folder).begun, [requestId(1), requestId(2)]);
  {
    using log = AuditLog.open(folder, 'alice');
    const [[id, request] = []] = [...log.unfinished()];
    assert.deepEqual([id, request?.isApproved, request?.hasBegun], [requestId(2), true, true]);
    assert.deepEqual(request?.request, { ...log.unfinished().get(requestId(2))?.request });
    log.append(opened('alice'));
    log.append(asksToSign(3));
    log.append({ event: 'failed', id: requestId(2), code: 'PEER_LEFT', reason: 'the daemon was restarted' });
    assert.deepEqual([...log.unfinished().keys()], [requestId(3)]);
    assert.deepEqual([...log.begunIds()], [requestId(1), requestId(2)]);
    assert.equal(log.unfinished().get(requestId(3))?.hasBegun, false);
    assert.equal(log.unfinished().get(requestId(3))?.request.from, 'alice');
  }
  const { head, ...rest } = stateOf(folder);
  assert.deepEqual(rest, { begun: [requestId(1), requestId(2)], unfinished: [requestId(3)] });
  assert.equal(head.n, 11);
});

test('what `audit verify` would find fault with is not written', () => {
  const folder = newFolder();
  using log = AuditLog.open(folder, 'alice');
  const isRefused = (event: AuditEvent, message: RegExp): void => {
    const { head } = log;
    assert.throws(() => log.append(event), { code: 'BUG', message });
    assert.deepEqual(log.head, head);
  };
  isRefused(asksToSign(1), /while no daemon runs/);
  isRefused(opened('bob'), /of another party/);
  log.append(opened('alice'));
  isRefused(approved(1), /nobody has asked/);
  isRefused(signing(1), /nobody has asked/);
  log.append(asksToSign(1));
  isRefused(asksToSign(1), /a second time/);
  isRefused(signing(1), /is not approved/);
  log.append(approved(1));
  isRefused(approved(1), /decides on .* a second time/);
  isRefused(signed(1, 'alice'), /has not begun/);
  isRefused({ event: 'refreshed', id: requestId(1), key: signing(1).key, epoch: 2 }, /asks for sign/);
  isRefused({ ...signing(1), quorum: ['alice', 'charlie'] }, /quorum alice,charlie, and not alice,bob/);
  log.append(signing(1));
  isRefused(signing(1), /a second time/);
  log.append(signed(1, 'alice'));
  isRefused({ event: 'failed', id: requestId(1), code: 'TIMEOUT', reason: '' }, /after the end/);
  isRefused(signing(1), /after the end/);
  isRefused(asksToSign(1), /a second time/);
  log.append(asksToSign(2));
  log.append(approved(2));
  isRefused(
    { ...signing(2), presignature: signing(1).presignature },
    /uses the presignature .* a second time/,
  );
  isRefused({ ...signing(2), messageHash: signing(1).messageHash }, /message hash/);
  for (const wrong of [
    { ...asksToSign(3), id: 'x' },
    { ...asksToSign(3), quorum: ['alice', 'alice'] },
    { ...asksToSign(3), from: 'Alice' },
    { ...asksToSign(3), more: 1 },
    { event: 'presigned' } as unknown as AuditEvent,
  ])
    isRefused(wrong as AuditEvent, /not an event of the audit log/);
  log.append({ event: 'closed' });
  isRefused(asksToSign(4), /while no daemon runs/);
  assert.equal(linesIn(folder).length, log.head.n);
});

test('reasons are made printable, and bounded', () => {
  const folder = newFolder();
  const reason = `a\nb\u202e\ud800“c” 😀 ${'x'.repeat(1000)}`;
  writeLog(folder, 'alice', [
    opened('alice'),
    asksToSign(1),
    { event: 'failed', id: requestId(1), code: 'BUG', reason },
  ]);
  const last = eventsIn(folder).at(-1);
  assert.ok(last?.event === 'failed');
  assert.match(last.reason, /^a\?b\?\?“c” 😀 x+$/u);
  assert.equal(last.reason.length, 500);
  stateOf(folder);
});

test('the longest record fits into a line', () => {
  const folder = newFolder();
  const names = Array.from({ length: 64 }, (_, index) => `n${index}-`.padEnd(32, 'x'));
  const all = { quorum: names, receivers: names };
  writeLog(folder, 'alice', [
    opened('alice'),
    { ...asksToSign(1), ...all, id: 'f'.repeat(64), from: names[0]! },
    { event: 'failed', id: 'f'.repeat(64), code: 'X'.repeat(32), reason: '“'.repeat(1000) },
  ]);
  for (const line of linesIn(folder)) assert.ok(Buffer.byteLength(line) < MAX_RECORD_BYTES);
  assert.equal(stateOf(folder).head.n, 3);
});

test('a log that was changed in any line is refused, and stays as it is', () => {
  const folder = newFolder();
  const lines = writeLog(folder, 'alice', everything('alice'));
  const bytes = Buffer.from(textOf(lines));
  // Every byte of a shorter log: verify.test.ts. The last newline's loss makes a line that was being written.
  for (let at = 0; at < bytes.length - 1; at += 101) {
    writeFileSync(join(folder, AUDIT_FILE), bytes.with(at, bytes[at]! ^ 1));
    refused(folder, /: line \d+ /);
  }
});

test('lines dropped, repeated, swapped, put in or of another log are refused', () => {
  const folder = newFolder();
  const lines = writeLog(folder, 'alice', everything('alice'));
  const others = forgedLines('alice', everything('alice'));
  const last = lines.length - 1;
  for (const [at, line] of lines.entries()) {
    const next = lines[at + 1];
    const changed = [
      ...[lines.toSpliced(at, 0, line), lines.toSpliced(at, 1, others[at]!), lines.toSpliced(at, 0, '')],
      // Without its last records a log is an earlier one, which a chain cannot show.
      ...(at < last ? [lines.toSpliced(at, 1), lines.toSpliced(at, 2, next!, line)] : []),
    ];
    for (const each of changed) {
      putLog(folder, each);
      refused(folder, new RegExp(`: line (${at + 1}|${at + 2}) `));
    }
  }
});

test('the log of another party, and what is no log, is refused', () => {
  const folder = newFolder();
  writeLog(folder, 'bob', [opened('bob')]);
  refused(folder, /line 1 is of the log of bob, not of alice/);
  for (const [lines, message] of [
    [['x'], /line 1 is no record: not JSON/],
    [['{}'], /line 1 is no record: event/],
    [['x'.repeat(MAX_RECORD_BYTES + 1)], /line 1 is longer than 16384 bytes/],
    [forgedLines('alice', [asksToSign(1)]), /line 1 is not the start of a daemon/],
    [forgedLines('alice', [opened('bob')]), /line 1 is of the log of bob/],
    [forgedLines('bob', [opened('alice')]), /line 1 does not follow/],
  ] as const) {
    putLog(folder, lines);
    refused(folder, message);
  }
  writeFileSync(join(folder, AUDIT_FILE), 'x'.repeat(3 * MAX_RECORD_BYTES));
  refused(folder, /line 1 has no end/);
});

test('a record in another text than its own is refused', () => {
  const folder = newFolder();
  const [first = ''] = writeLog(folder, 'alice', [opened('alice')]);
  const { n, ...rest } = JSON.parse(first);
  for (const text of [
    JSON.stringify({ ...rest, n }),
    JSON.stringify({ n, ...rest, more: 1 }),
    first.replace('"n":1', '"n":1.0'),
    first.replace('"n":1', '"n": 1'),
    first.replace('"n":1', '"n":1,"n":1'),
    first.replace('alice', '\\u0061lice'),
    `${first} `,
    `\ufeff${first}`,
  ]) {
    putLog(folder, [text]);
    refused(folder, /line 1 is no record/);
  }
});

test('a record whose bytes are no text is refused, though they are read as what it says', () => {
  const folder = newFolder();
  const failed: AuditEvent = { event: 'failed', id: requestId(1), code: 'BUG', reason: 'a\ufffdb' };
  const bytes = Buffer.from(textOf(writeLog(folder, 'alice', [opened('alice'), asksToSign(1), failed])));
  const at = bytes.indexOf('\ufffd');
  writeFileSync(
    join(folder, AUDIT_FILE),
    Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at + 3)]),
  );
  refused(folder, /line 3 is no record/);
});

test('a record with a number left out is refused', () => {
  const folder = newFolder();
  const lines = writeLog(folder, 'alice', [opened('alice')]);
  const { hash } = JSON.parse(lines[0]!);
  const { line } = recordLine(asksToSign(1), { n: 2, hash }, new Date());
  putLog(folder, [...lines, Buffer.from(line).toString()]);
  refused(folder, /line 2 has number 3, and should have 2/);
});

test('a log that others can read, or that is a link or a folder, is refused', () => {
  const folder = newFolder();
  const path = join(folder, AUDIT_FILE);
  writeLog(folder, 'alice', [opened('alice')]);
  chmodSync(path, 0o640);
  refused(folder, /is open to other users/);
  chmodSync(path, 0o600);
  const other = newFolder();
  symlinkSync(path, join(other, AUDIT_FILE));
  refused(other, /is a symbolic link/);
  const third = newFolder();
  mkdirSync(join(third, AUDIT_FILE));
  assert.throws(() => AuditLog.open(third, 'alice'), { code: 'FILE', message: /is a folder/ });
  assert.throws(() => AuditLog.open(join(root, 'nowhere'), 'alice'), {
    code: 'FILE',
    message: /does not exist/,
  });
});

test('what a crash left of a last line is cut off, and recorded', () => {
  const folder = newFolder();
  const lines = writeLog(folder, 'alice', [opened('alice'), asksToSign(1)]);
  const whole = textOf(lines);
  const next = Buffer.from(`${forgedLines('alice', [opened('alice'), approved(1)])[1]}`);
  for (const left of [next.subarray(0, 1), next.subarray(0, 50), next, Buffer.from([0xff, 0])]) {
    putLog(folder, lines);
    appendFileSync(join(folder, AUDIT_FILE), left);
    assert.equal(stateOf(folder).head.n, 3);
    assert.deepEqual(eventsIn(folder), [
      opened('alice'),
      asksToSign(1),
      { event: 'repaired', bytes: left.length },
    ]);
    assert.ok(readFileSync(join(folder, AUDIT_FILE), 'utf8').startsWith(whole));
    assert.deepEqual(stateOf(folder).unfinished, [requestId(1)]);
  }
  // Of a log that had not begun there is nothing to record it after.
  writeFileSync(join(folder, AUDIT_FILE), next.subarray(0, 50));
  assert.deepEqual(stateOf(folder), { head: startOf('alice'), begun: [], unfinished: [] });
  writeLog(folder, 'alice', [opened('alice')]);
  assert.deepEqual(eventsIn(folder), [opened('alice')]);
});

test('on a disk that fails at any call, what was appended is there, and nothing that was not', () => {
  const events = [opened('alice'), ...signature(1, 'alice')];
  const more = asksToSign(2);
  const appendAll = (folder: string, done: AuditEvent[]): void => {
    using log = AuditLog.open(folder, 'alice');
    for (const event of events) {
      log.append(event);
      done.push(event);
    }
  };
  const sound = newFolder();
  const { calls } = onFaultyDisk(() => appendAll(sound, []));
  assert.deepEqual(
    calls.map(({ name }) => name),
    ['openSync', 'fsyncSync', ...events.flatMap(() => ['writeFileSync', 'fdatasyncSync'])],
  );
  for (const [at, { name }] of calls.entries()) {
    for (const kind of ['dies', 'dies writing', 'fails', 'fails writing'] as const) {
      const folder = newFolder();
      const done: AuditEvent[] = [];
      const { error } = onFaultyDisk(() => appendAll(folder, done), { at, kind });
      assert.ok(error instanceof MpcError && error.code === 'FILE', `${kind} at ${at}, ${name}`);
      if (at === 0) continue;
      stateOf(folder);
      const left = eventsIn(folder).filter(({ event }) => event !== 'repaired');
      // What could not be synced may be there all the same.
      const pending = name === 'fdatasyncSync' ? events.slice(0, done.length + 1) : done;
      assert.deepEqual(left, pending, `${kind} at ${at}, ${name}`);
      const isHalf = kind.endsWith('writing') && name === 'writeFileSync';
      assert.equal(eventsIn(folder).length - left.length, isHalf && done.length > 0 ? 1 : 0);
      if (left.length > 0) writeLog(folder, 'alice', [opened('alice'), more]);
    }
  }
});

test('a repair that is cut off at any call is made by the next opening', () => {
  const lines = writeLog(newFolder(), 'alice', [opened('alice'), asksToSign(1)]);
  const torn = (): string => {
    const folder = newFolder();
    putLog(folder, lines);
    appendFileSync(join(folder, AUDIT_FILE), '{"n":3,');
    return folder;
  };
  const sound = torn();
  const { calls } = onFaultyDisk(() => stateOf(sound));
  assert.deepEqual(
    calls.map(({ name }) => name),
    ['openSync', 'fsyncSync', 'ftruncateSync', 'fdatasyncSync', 'writeFileSync', 'fdatasyncSync'],
  );
  for (const at of calls.keys()) {
    for (const kind of ['dies', 'dies writing', 'fails', 'fails writing'] as const) {
      const folder = torn();
      assert.ok(onFaultyDisk(() => stateOf(folder), { at, kind }).error instanceof MpcError);
      assert.deepEqual(stateOf(folder).unfinished, [requestId(1)]);
      assert.deepEqual(eventsIn(folder).slice(0, 2), [opened('alice'), asksToSign(1)]);
      assert.ok(eventsIn(folder).length <= 3);
    }
  }
});

test('after a failure nothing more is appended until the log is opened again', () => {
  const folder = newFolder();
  using log = AuditLog.open(folder, 'alice');
  log.append(opened('alice'));
  const { head } = log;
  const { error } = onFaultyDisk(() => log.append(asksToSign(1)), { at: 0, kind: 'fails writing' });
  assert.ok(error instanceof MpcError && error.code === 'FILE');
  assert.throws(() => log.append(asksToSign(1)), { code: 'FILE', message: /could not be written before/ });
  assert.deepEqual([log.head, [...log.unfinished()]], [head, []]);
  assert.equal(stateOf(folder).head.n, 2);
});

test('a log to which somebody else appends is not appended to', () => {
  const folder = newFolder();
  using log = AuditLog.open(folder, 'alice');
  log.append(opened('alice'));
  writeLog(folder, 'alice', [opened('alice')]);
  assert.throws(() => log.append(asksToSign(1)), { code: 'FILE', message: /changed by another process/ });
  assert.deepEqual(eventsIn(folder), [opened('alice'), opened('alice')]);
});
