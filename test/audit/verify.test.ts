/** Logs are sound or have faults, which are told by file and line: one by itself, and those of several parties together. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Chain } from '#src/audit/chain.js';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import type { AuditEvent } from '#src/audit/record.js';
import { MAX_FAULTS, verifyLogs } from '#src/audit/verify.js';
import {
  approved,
  asksToSign,
  everything,
  forgedLines,
  KEY,
  opened,
  putLog,
  requestId,
  sessionId,
  signature,
  signed,
  signing,
  textOf,
  writeLog,
} from '../support/audit-logs.js';
import { temporaryFolder } from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);

let count = 0;
const newPath = (): string => join(root, `log-${count++}`);

/** The faults of logs with those lines, as `number of the log:line fault`. */
async function faultsOf(logs: readonly (readonly string[])[], heads: readonly string[] = []) {
  const paths = logs.map((lines) => putLog(root, lines, `log-${count++}`));
  const { faults } = await verifyLogs(paths, { heads });
  return faults.map(({ file, line, fault }) => `${paths.indexOf(file!)}:${line ?? ''} ${fault}`);
}

/** The faults of one log, whose chain is sound. */
const faultsIn = (...events: readonly AuditEvent[]) =>
  faultsOf([forgedLines('alice', [opened('alice'), ...events])]);

async function isFaulty(events: readonly AuditEvent[], ...expected: readonly RegExp[]): Promise<void> {
  const faults = await faultsIn(...events);
  assert.equal(faults.length, expected.length, faults.join('\n'));
  for (const [at, pattern] of expected.entries()) assert.match(faults[at]!, pattern);
}

test('a sound log is told in figures', async () => {
  const folder = join(root, 'sound');
  mkdirSync(folder, { mode: 0o700 });
  const lines = writeLog(folder, 'alice', everything('alice'));
  const path = join(folder, AUDIT_FILE);
  const { hash } = JSON.parse(lines.at(-1)!);
  const report = {
    ...{ file: path, party: 'alice', records: lines.length, requests: 5, signatures: 1 },
    ...{ head: { n: lines.length, hash }, unfinishedBytes: 0 },
  };
  assert.deepEqual(await verifyLogs([path]), { logs: [report], faults: [] });
  using log = AuditLog.open(folder, 'alice');
  assert.deepEqual(report.head, log.head);
  // While a daemon appends.
  appendFileSync(path, '{"n":');
  assert.deepEqual(await verifyLogs([path]), { logs: [{ ...report, unfinishedBytes: 5 }], faults: [] });
});

test('a log without records is sound, and one that is not there is none', async () => {
  const path = newPath();
  writeFileSync(path, '');
  const { logs, faults } = await verifyLogs([path]);
  assert.deepEqual([logs[0]?.records, logs[0]?.head, faults], [0, undefined, []]);
  await assert.rejects(verifyLogs([newPath()]), { code: 'FILE', message: /does not exist/ });
  await assert.rejects(verifyLogs([root]), { code: 'FILE', message: /is a folder/ });
});

test('every bit of a log counts', () => {
  const bytes = Buffer.from(
    textOf(forgedLines('alice', [opened('alice'), ...signature(1, 'alice').slice(0, 2)])),
  );
  const faultsOfBytes = (changed: Uint8Array): string[] => {
    const chain = new Chain();
    const lines = Buffer.from(changed).toString('latin1').split('\n').slice(0, -1);
    return lines.flatMap((line) => chain.read({ bytes: Buffer.from(line, 'latin1') }).fault ?? []);
  };
  assert.deepEqual(faultsOfBytes(bytes), []);
  // Without its newline the last line is one that is being written.
  for (const [at, byte] of bytes.subarray(0, -1).entries())
    for (let bit = 1; bit < 256; bit *= 2)
      assert.ok(faultsOfBytes(bytes.with(at, byte ^ bit)).length > 0, `${bit} in byte ${at}`);
});

test('lines dropped, repeated, swapped or forged show where they are', async () => {
  const lines = forgedLines('alice', everything('alice'));
  const forged = forgedLines(
    'alice',
    everything('alice').with(1, { ...everything('bob')[1]!, count: 5 } as AuditEvent),
  );
  for (const [at, line] of lines.entries()) {
    const next = lines[at + 1];
    const places = async (changed: readonly string[]) =>
      (await faultsOf([changed])).map((fault) => Number(/^0:(\d+) /.exec(fault)![1]));
    assert.equal((await places(lines.toSpliced(at, 0, line)))[0], at + 2);
    if (next === undefined) continue;
    assert.equal((await places(lines.toSpliced(at, 1)))[0], at + 1);
    assert.equal((await places(lines.toSpliced(at, 2, next, line)))[0], at + 1);
    // A record changed, with its own hash set right: the next one does not follow it.
    if (at > 0)
      assert.deepEqual(await places(lines.toSpliced(at, 1, forged[at]!)), at === 1 ? [3] : [at + 1, at + 2]);
  }
});

test('an end that was cut off shows by a head that was noted before', async () => {
  const lines = forgedLines('alice', everything('alice'));
  const heads = lines.map((line): string => JSON.parse(line).hash);
  assert.deepEqual(await faultsOf([lines], heads), []);
  for (let length = 1; length < lines.length; length++) {
    const cut = lines.slice(0, length);
    assert.deepEqual(await faultsOf([cut]), []);
    assert.deepEqual(await faultsOf([cut], [heads[length - 1]!]), []);
    const [fault, ...more] = await faultsOf([cut], [heads[length]!]);
    assert.match(fault!, new RegExp(`^0: there is no record with the hash ${heads[length]}`));
    assert.deepEqual(more, []);
  }
  // Written anew, from any record on.
  const anew = forgedLines('alice', [...everything('alice').slice(0, -1), opened('alice')]);
  assert.deepEqual(await faultsOf([anew]), []);
  assert.equal((await faultsOf([anew], [heads.at(-1)!])).length, 1);
  // One of several logs has to contain it.
  assert.deepEqual(await faultsOf([lines, forgedLines('bob', everything('bob'))], heads), []);
});

test('a file that is no log is not read to its end', async () => {
  const lines = Array.from({ length: 3 * MAX_FAULTS }, () => 'x');
  const faults = await faultsOf([lines]);
  assert.equal(faults.length, MAX_FAULTS + 1);
  assert.match(faults.at(-1)!, /too many faults/);
});

test('a request that does not go its way is a fault', async () => {
  const sign = signature(1, 'alice');
  await isFaulty(sign);
  await isFaulty(
    sign.slice(1),
    /:2 is decided, and nobody/,
    /:3 is signing, after the end|:3 .*nobody/,
    /:4 /,
  );
  await isFaulty(
    [asksToSign(1), signing(1), signed(1, 'alice')],
    /:3 is signing, .* not approved/,
    /:4 .*not approved/,
  );
  await isFaulty(
    [asksToSign(1), approved(1), signed(1, 'alice')],
    /:4 is signed, and the signing .* has not begun/,
  );
  await isFaulty(
    sign.toSpliced(3, 0, { ...signing(1), presignature: sessionId(7) }),
    /:5 says of .*: presignature/,
  );
  await isFaulty(sign.toSpliced(3, 0, signing(1)), /:5 begins the signing .* a second time/);
  await isFaulty([...sign, signed(1, 'alice')], /:6 is signed, after the end/);
  await isFaulty(
    [...sign, { event: 'failed', id: requestId(1), code: 'BUG', reason: '' }],
    /:6 .*after the end/,
  );
  await isFaulty([...sign, asksToSign(1)], /:6 asks for .* a second time/);
  await isFaulty([asksToSign(1), asksToSign(1)], /:3 asks for .* a second time/);
  await isFaulty([asksToSign(1), approved(1), approved(1)], /:4 decides on .* a second time/);
  const rejected: AuditEvent = { event: 'decided', id: requestId(1), decision: 'rejected', by: 'user' };
  await isFaulty([asksToSign(1), rejected, signing(1)], /:4 is signing, after the end/);
  await isFaulty([asksToSign(1), approved(1), rejected], /:4 decides on .* a second time/);
  await isFaulty(
    [asksToSign(1), approved(1), { event: 'generated', id: requestId(1), key: KEY }],
    /:4 .*asks for sign/,
  );
  await isFaulty([{ event: 'closed' }, asksToSign(1)], /:3 is requested, while no daemon runs/);
  await isFaulty([{ event: 'closed' }, { event: 'closed' }], /:3 is closed, while no daemon runs/);
  await isFaulty([opened('bob')], /:2 is of the log of bob, not of alice/);
  const [, ask, approval, use, end] = [0, ...signature(2, 'alice')] as [0, ...AuditEvent[]];
  const again = { ...use, presignature: signing(1).presignature } as AuditEvent;
  await isFaulty([...sign, ask!, approval!, again, end!], /:8 uses the presignature .* a second time/);
});

test('a log tells one thing of a request', async () => {
  for (const [name, other] of Object.entries(OTHERS)) {
    if (name in signing(1) && name in asksToSign(1))
      await isFaulty(
        [asksToSign(1), approved(1), { ...signing(1), [name]: other } as AuditEvent],
        /:4 says of .* and not /,
      );
  }
});

/** Another value of each field that all logs must have the same. */
const OTHERS = {
  from: 'bob',
  operation: 'refresh',
  key: 'f'.repeat(32),
  epoch: 2,
  quorum: ['alice', 'charlie'],
  receivers: ['alice', 'bob'],
  messageHash: sessionId(77),
  presignature: sessionId(78),
};

const logOf = (party: string, ...events: readonly AuditEvent[]) =>
  forgedLines(party, [opened(party), ...events]);

test('logs of several parties agree, or differ in a field of a request', async () => {
  const alice = logOf('alice', ...signature(1, 'alice'), ...signature(2, 'alice'));
  const bob = logOf('bob', ...signature(2, 'bob'), ...signature(1, 'bob'));
  const charlie = logOf('charlie', asksToSign(1));
  assert.deepEqual(await faultsOf([alice, bob, charlie]), []);
  for (const [name, other] of Object.entries(OTHERS)) {
    // Each log is sound by itself.
    const changed = [asksToSign(1), approved(1), signing(1)].map((event) =>
      name in event ? ({ ...event, [name]: other } as AuditEvent) : event,
    );
    const events = name === 'operation' ? changed.slice(0, 1) : changed;
    const theirs = logOf('bob', ...signature(2, 'bob'), ...events);
    assert.deepEqual(await faultsOf([theirs]), [], name);
    const [fault = '', ...more] = await faultsOf([alice, theirs]);
    assert.match(fault, /^1:\d+ says of 0+1: .*, and not .*, as is told from line 2 of .*log-\d+ on$/, name);
    assert.ok(more.length <= 1, more.join('\n'));
    assert.notDeepEqual(await faultsOf([theirs, alice]), []);
  }
});

test('other results of one request do not agree', async () => {
  const ask = (operation: 'refresh' | 'keygen'): AuditEvent[] => [
    { event: 'requested', id: requestId(1), from: 'alice', operation },
    approved(1),
  ];
  const refreshed = (party: string, epoch: number) =>
    logOf(party, ...ask('refresh'), { event: 'refreshed', id: requestId(1), key: KEY, epoch });
  assert.deepEqual(await faultsOf([refreshed('alice', 2), refreshed('bob', 2)]), []);
  assert.match(
    (await faultsOf([refreshed('alice', 2), refreshed('bob', 3)])).join(),
    /^1:4 .*epoch 3, and not 2/,
  );
  const generated = (party: string, key: string) =>
    logOf(party, ...ask('keygen'), { event: 'generated', id: requestId(1), key });
  assert.deepEqual(await faultsOf([generated('alice', KEY), generated('bob', KEY)]), []);
  const other = generated('bob', 'f'.repeat(32));
  assert.match((await faultsOf([generated('alice', KEY), other])).join(), /^1:4 .*key f+, and not/);
});

test('a signature that a signer knows nothing of is a fault', async () => {
  const alice = logOf('alice', ...signature(1, 'alice'));
  for (const events of [[], signature(1, 'bob').slice(0, 1), signature(1, 'bob').slice(0, 2)])
    assert.deepEqual(await faultsOf([alice, logOf('bob', ...events)]), [
      `0:5 has a signature of ${requestId(1)}, of which the log of bob, ${join(root, `log-${count - 1}`)}, knows nothing`,
    ]);
  // It may have begun, and not come to know the end; and one that is not in the quorum knows nothing of it.
  assert.deepEqual(await faultsOf([alice, logOf('bob', ...signature(1, 'bob').slice(0, 3))]), []);
  assert.deepEqual(await faultsOf([logOf('charlie'), alice]), []);
});

test('one presignature makes one signature, whoever tells of it', async () => {
  const both = { quorum: ['alice', 'bob'], receivers: ['alice', 'bob'] };
  const withBoth = (party: string, number: number, der: string, fields = {}): string[] =>
    logOf(
      party,
      ...[{ ...asksToSign(number), ...both }, approved(number), { ...signing(number), ...both, ...fields }],
      { event: 'signed', id: requestId(number), signature: der },
    );
  const [one, two] = ['3006020101020101', '3006020101020102'];
  assert.deepEqual(await faultsOf([withBoth('alice', 1, one), withBoth('bob', 1, one)]), []);
  const differ = await faultsOf([withBoth('alice', 1, one), withBoth('bob', 1, two)]);
  assert.match(differ.join(), /^1:5 .*signature 3006020101020102, and not 3006020101020101/);
  // The same one for another message, in another log.
  const { presignature } = signing(1);
  const faults = await faultsOf([withBoth('alice', 1, one), withBoth('bob', 2, two, { presignature })]);
  assert.match(faults[0]!, /^1:4 uses for 0+2 the presignature .*, which 0+1 has used/);
});

test('two logs of one party are not compared', async () => {
  const alice = logOf('alice', asksToSign(1));
  assert.match((await faultsOf([alice, alice])).join(), /^1:1 begins a log of alice, as .* does/);
  const path = putLog(root, alice, 'twice');
  assert.equal((await verifyLogs([path, path])).faults.length, 1);
});

test('an interruption ends a long verification', async () => {
  const path = putLog(root, logOf('alice', asksToSign(1)), 'long');
  const interruption = new AbortController();
  const reason = new Error('interrupted');
  interruption.abort(reason);
  await assert.rejects(verifyLogs([path], { signal: interruption.signal }), { message: 'interrupted' });
});

test('whatever daemons record in an order that is allowed verifies, and opens again', async () => {
  const step = fc.tuple(
    fc.nat(3),
    fc.constantFrom('ask', 'approve', 'reject', 'sign', 'end', 'fail', 'restart'),
  );
  const eventOf = (kind: string, number: number): AuditEvent =>
    ({
      ask: asksToSign(number),
      approve: approved(number),
      reject: { event: 'decided', id: requestId(number), decision: 'rejected', by: 'rule' } as const,
      sign: signing(number),
      end: signed(number, 'alice'),
      fail: { event: 'failed', id: requestId(number), code: 'TIMEOUT', reason: 'x' } as const,
    })[kind] ?? opened('alice');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const folder = newPath();
      mkdirSync(folder, { mode: 0o700 });
      const taken: AuditEvent[] = [opened('alice')];
      {
        using log = AuditLog.open(folder, 'alice');
        log.append(opened('alice'));
        for (const [number, kind] of steps) {
          const event = eventOf(kind, number);
          const before = log.head;
          const isSound = (await faultsIn(...taken.slice(1), event)).length === 0;
          try {
            log.append(event);
            assert.ok(isSound, JSON.stringify(event));
            taken.push(event);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'BUG');
            assert.ok(!isSound, JSON.stringify(event));
            assert.deepEqual(log.head, before);
          }
        }
      }
      assert.deepEqual((await verifyLogs([join(folder, AUDIT_FILE)])).faults, []);
      using again = AuditLog.open(folder, 'alice');
      assert.equal(again.head.n, taken.length);
      const begun = taken
        .filter(({ event }) => event === 'signing')
        .map((event) => (event as { id: string }).id);
      assert.deepEqual([...again.begunIds()], begun);
    }),
    { numRuns: 25 },
  );
});
