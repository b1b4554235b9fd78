import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { takeLock } from '#src/keystore/lock.js';
import { temporaryFolder } from '../support/stored-keys.js';
import type { Order, Report } from './lock-taker.js';

const { folder: root, remove } = temporaryFolder();
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill('SIGKILL');
  remove();
});

let count = 0;
function freshFolder(): string {
  const folder = join(root, String(count++));
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

const hasProc = process.platform === 'linux';
const statOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
const boot = hasProc ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() : undefined;

/** Writes lock.1 as if a process with these facts held it. */
function lockOf(folder: string, holder: object | string): string {
  const path = join(folder, 'lock.1');
  writeFileSync(path, typeof holder === 'string' ? holder : JSON.stringify(holder), { mode: 0o600 });
  return path;
}

const locks = (folder: string): string[] => readdirSync(folder).sort();

async function startTaker(): Promise<ChildProcess> {
  const child = fork(new URL('./lock-taker.js', import.meta.url));
  children.add(child);
  await once(child, 'message');
  return child;
}

async function order(child: ChildProcess, message: Order): Promise<Report> {
  const answer = once(child, 'message');
  child.send(message);
  return (await answer)[0] as Report;
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

test('a lock is held until it is given up', () => {
  const folder = freshFolder();
  {
    using _lock = takeLock(folder);
    assert.throws(() => takeLock(folder), {
      code: 'FILE',
      exitStatus: 2,
      message: `${folder} is in use by process ${process.pid}`,
    });
    assert.deepEqual(locks(folder), ['lock.1']);
  }
  {
    using _lock = takeLock(folder);
    assert.deepEqual(locks(folder), ['lock.2']);
  }
  using _lock = takeLock(folder);
  assert.deepEqual(locks(folder), ['lock.3']);
});

test('another process that holds it is named; once killed, it holds nothing', async () => {
  const folder = freshFolder();
  const child = await startTaker();
  assert.equal((await order(child, { take: folder, at: 0 })).taken, 1);
  assert.throws(() => takeLock(folder), { message: `${folder} is in use by process ${child.pid}` });
  await end(child);
  takeLock(folder)[Symbol.dispose]();
  assert.deepEqual(locks(folder), ['lock.2']);
});

test('a process that has ended holds nothing, though its parent has not asked for its end', {
  skip: !hasProc,
}, async () => {
  const folder = freshFolder();
  // The shell becomes `sleep`, which never waits for the child that the shell had.
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60']);
  children.add(parent);
  const pid = Number(String((await once(parent.stdout, 'data'))[0]));
  while (statOf(pid)[0] !== 'Z') await new Promise((resolve) => setTimeout(resolve, 5));
  lockOf(folder, { pid, host: hostname(), boot, start: statOf(pid)[19] });
  takeLock(folder)[Symbol.dispose]();
  await end(parent);
});

test('the number of a process is not taken for the process', { skip: !hasProc }, () => {
  const here = { pid: process.pid, host: hostname(), boot, start: statOf(process.pid)[19] };
  const held = freshFolder();
  lockOf(held, here);
  assert.throws(() => takeLock(held), { code: 'FILE' });
  for (const gone of [
    { ...here, start: '1' },
    { ...here, boot: '00000000-0000-0000-0000-000000000000' },
    { ...here, pid: 2 ** 22 + 1 },
  ]) {
    const folder = freshFolder();
    lockOf(folder, gone);
    takeLock(folder)[Symbol.dispose]();
    assert.deepEqual(locks(folder), ['lock.2']);
  }
});

test('a holder without facts of its start counts as alive while its number is in use', () => {
  const folder = freshFolder();
  lockOf(folder, { pid: process.pid, host: hostname() });
  assert.throws(() => takeLock(folder), { code: 'FILE' });
});

test('a holder on another machine is left alone, and the way out is said', () => {
  const folder = freshFolder();
  const path = lockOf(folder, { pid: 1, host: 'elsewhere\u001b[2J' });
  assert.throws(() => takeLock(folder), {
    code: 'FILE',
    message: `${folder} is in use by process 1 on elsewhere?[2J`,
    hint: `end it; if it no longer runs, delete ${path}`,
  });
  assert.deepEqual(locks(folder), ['lock.1']);
});

test('a lock file that says nothing, is a link, or is open to others, is refused', () => {
  const cases: readonly ((folder: string) => void)[] = [
    (folder) => lockOf(folder, 'nonsense'),
    (folder) => lockOf(folder, '\0'.repeat(80)),
    (folder) => lockOf(folder, { pid: 0, host: 'x' }),
    (folder) => lockOf(folder, { pid: 1, host: 'x', more: 1 }),
    (folder) => lockOf(folder, `{"pid":1,"host":"${'x'.repeat(2000)}"}`),
    (folder) => symlinkSync('/dev/null', join(folder, 'lock.1')),
    (folder) => mkdirSync(join(folder, 'lock.1')),
    (folder) => chmodSync(lockOf(folder, ''), 0o644),
  ];
  for (const make of cases) {
    const folder = freshFolder();
    make(folder);
    const before = locks(folder);
    assert.throws(() => takeLock(folder), { code: 'FILE' }, String(make));
    assert.deepEqual(locks(folder), before);
  }
});

test('names that only look like locks mean nothing', () => {
  const folder = freshFolder();
  for (const name of ['lock.', 'lock.0', 'lock.01', 'lock.1x', 'lock.-1', 'xlock.1', 'lock'])
    writeFileSync(join(folder, name), 'x');
  using _lock = takeLock(folder);
  assert.ok(locks(folder).includes('lock.1'));
});

test('of processes that race for a stale or a free lock, exactly one gets it', async () => {
  const takers = await Promise.all([1, 2, 3].map(startTaker));
  const rounds = 150;
  const stale = { pid: 2 ** 22 + 1, host: hostname() };
  const refusals = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const folder = freshFolder();
    if (round % 3 > 0) lockOf(folder, round % 3 === 1 ? stale : '');
    const at = Date.now() + 2;
    const reports = await Promise.all(takers.map((child) => order(child, { take: folder, at })));
    assert.deepEqual(reports.map(({ taken }) => taken).sort(), [0, 0, 1], JSON.stringify(reports));
    for (const { errors } of reports)
      for (const error of errors) refusals.add(error.replace(folder, 'F').replace(/\d+/g, 'N'));
  }
  assert.deepEqual([...refusals], ['F is in use by process N']);
  await Promise.all(takers.map((child) => end(child)));
});

test('processes that take a lock and give it up without pause never hold it together', async (t) => {
  const folder = freshFolder();
  const takers = await Promise.all([1, 2, 3].map(startTaker));
  const until = Date.now() + 1500;
  const reports = await Promise.all(takers.map((child) => order(child, { churn: folder, until })));
  const taken = reports.reduce((sum, report) => sum + report.taken, 0);
  t.diagnostic(`taken ${taken} times`);
  assert.ok(taken > 20, String(taken));
  for (const { clashes, errors } of reports) {
    assert.equal(clashes, 0);
    assert.deepEqual(
      errors.filter((error) => !/is in use by process N$/.test(error)),
      [],
    );
  }
  await Promise.all(takers.map((child) => end(child)));
});
