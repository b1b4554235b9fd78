/** `ecdsa-mpc audit` as users run it: beside a log that is being written, and over logs that do not verify. */
import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { AuditLog } from '#src/audit/log.js';
import {
  everything,
  linesIn,
  opened,
  requestId,
  signature,
  textOf,
  writeLog,
} from '../support/audit-logs.js';
import { clusterFolders } from '../support/cluster-folder.js';
import { command, type Ended } from '../support/command.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const makeFolder = clusterFolders();

let cwd: string;
const path = (...names: string[]): string => join(cwd, ...names);
const stateOf = (party: string): string => path('state', party);
const run = (...args: string[]): Promise<Ended> => command(['audit', ...args], { cwd });

before(async () => {
  ({ cwd } = await makeFolder('audit', PARTIES));
  for (const party of PARTIES) {
    mkdirSync(stateOf(party), { recursive: true, mode: 0o700 });
    writeLog(stateOf(party), party, everything(party));
  }
});

const headOf = (party: string): string => JSON.parse(linesIn(stateOf(party)).at(-1)!).hash;

/** Lines of standard output, and of standard error; throws unless it ended with `status`. */
async function ends(ended: Promise<Ended>, status: number) {
  const { status: found, stdout, stderr } = await ended;
  assert.equal(found, status, stderr);
  const linesOf = (text: string): string[] => text.split('\n').slice(0, -1);
  return { out: linesOf(stdout), err: linesOf(stderr) };
}

test('verify: the log of this party, also while its daemon writes', async () => {
  using daemon = AuditLog.open(stateOf('alice'), 'alice');
  daemon.append(opened('alice'));
  const { out, err } = await ends(run('verify', '--self=alice'), 0);
  assert.deepEqual(err, []);
  assert.deepEqual(out, [
    ...['state/alice/audit.log', '  Party:       alice', '  Records:     18', '  Requests:    5'],
    ...['  Signatures:  1', `  Head:        18 ${daemon.head.hash}`, '✓ The log is sound'],
  ]);
  copyFileSync(path('state', 'alice', 'audit.log'), path('copy.log'));
  appendFileSync(path('copy.log'), '{"n":1');
  const copy = await ends(run('verify', 'copy.log'), 0);
  assert.match(copy.out.at(-2)!, /Unfinished: {2}6 bytes of a record/);
  daemon.append({ event: 'closed' });
});

test('verify: logs of several parties, and heads noted before', async () => {
  const logs = PARTIES.map((party) => join('state', party, 'audit.log'));
  const contains = PARTIES.flatMap((party) => ['--contains', headOf(party)]);
  const { out } = await ends(run('verify', ...logs, ...contains), 0);
  assert.equal(out.at(-1), '✓ The logs are sound, and agree');
  const json = await ends(run('verify', '--json', ...logs), 0);
  const { event, logs: reports, faults } = JSON.parse(json.out.join('\n'));
  assert.deepEqual([event, faults], ['audit-verify', []]);
  assert.deepEqual(
    reports.map(({ party, head }: { party: string; head: { hash: string } }) => [party, head.hash]),
    PARTIES.map((party) => [party, headOf(party)]),
  );
});

test('verify: what is wrong is told by file and line, and the exit status is 2', async () => {
  const lines = linesIn(stateOf('bob'));
  writeFileSync(path('changed.log'), textOf(lines.with(4, lines[4]!.replace('"epoch":1', '"epoch":2'))));
  const changed = await ends(run('verify', 'changed.log'), 2);
  assert.deepEqual(changed.out.slice(-2), [
    '✗ changed.log, line 5: has another hash than it says: it was changed',
    `✗ changed.log, line 6: is signed, and the signing of ${requestId(1)} has not begun`,
  ]);
  assert.equal(changed.err[0], 'ecdsa-mpc: 2 faults in the audit log');
  assert.match(changed.err[1]!, /^hint: keep the files/);

  writeFileSync(path('cut.log'), textOf(lines.slice(0, 4)));
  await ends(run('verify', 'cut.log'), 0);
  const head = headOf('bob');
  const cut = await ends(run('verify', 'cut.log', '--contains', head.toUpperCase()), 2);
  assert.ok(cut.out.at(-1)!.startsWith(`✗ cut.log: there is no record with the hash ${head}: `));
  const other = join('state', 'alice', 'audit.log');
  const both = await ends(run('verify', '--json', 'cut.log', other), 2);
  assert.deepEqual(JSON.parse(both.out.join('\n')).faults, [
    {
      ...{ file: other, line: 6 },
      fault: `has a signature of ${requestId(1)}, of which the log of bob, cut.log, knows nothing`,
    },
  ]);
});

test('show: the records, in lines or as they stand, of all or of one request', async () => {
  const { out } = await ends(run('show', '--self=bob'), 0);
  const lines = linesIn(stateOf('bob'));
  assert.equal(out.length, lines.length);
  const { time } = JSON.parse(lines[7]!);
  assert.equal(out[7], `8 ${time} decided id=${requestId(2)} decision=approved by=user reason="it’s “time”"`);
  const json = await ends(run('show', '--json', '--state', stateOf('bob')), 0);
  assert.deepEqual(json.out, lines);
  const one = await ends(run('show', '--json', '--self=bob', '--request', requestId(1)), 0);
  assert.deepEqual(one.out, lines.slice(2, 2 + signature(1, 'bob').length));
});

test('show: ends where a line does not belong', async () => {
  const lines = linesIn(stateOf('bob'));
  writeFileSync(path('dropped.log'), textOf(lines.toSpliced(3, 1)));
  const { out, err } = await ends(run('show', 'dropped.log', '--json'), 2);
  assert.deepEqual(out, lines.slice(0, 3));
  assert.deepEqual(err, [
    'ecdsa-mpc: dropped.log, line 4: has number 5, and should have 4',
    'hint: see all faults with `ecdsa-mpc audit verify dropped.log`',
  ]);
});

test('what is asked for in a wrong way is told', async () => {
  const isRefused = async (args: string[], message: RegExp, hint: RegExp): Promise<void> => {
    const { out, err } = await ends(run(...args), 2);
    assert.deepEqual(out, []);
    assert.match(err[0]!, message);
    assert.match(err[1]!, hint);
  };
  await isRefused(['verify'], /--self is missing/, /--self alice, or name a file$/);
  await isRefused(['verify', '--self=dave'], /dave/, /./);
  await isRefused(['show', 'nowhere.log'], /nowhere.log does not exist/, /check the name/);
  await isRefused(['verify', '--contains=abc', 'x'], /'abc' is invalid/, /64 hex digits of a head/);
});

test('nothing of it changes a log', async () => {
  const file = join(stateOf('charlie'), 'audit.log');
  appendFileSync(file, 'x');
  const bytes = readFileSync(file);
  await ends(run('verify', '--self=charlie'), 0);
  await ends(run('show', '--self=charlie'), 0);
  assert.deepEqual(readFileSync(file), bytes);
});
