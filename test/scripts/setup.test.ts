import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { REPOSITORY, start } from '../support/command.js';

const cwd = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-setup-'));
after(() => rmSync(cwd, { recursive: true }));
const lock = join(cwd, '.setup.lock');

/** Runs Node code under scripts/alone.js. */
const alone = (code: string) =>
  start(process.execPath, [join(REPOSITORY, 'scripts', 'alone.js'), process.execPath, '-e', code], { cwd });

test('commands run one after the other, and their exit status is kept', async () => {
  const log = join(cwd, 'log');
  const note = (text: string) => `require('node:fs').appendFileSync(${JSON.stringify(log)}, '${text}')`;
  const code = (name: string, status: number) =>
    `${note(`<${name}`)}; setTimeout(() => { ${note(`${name}>`)}; process.exit(${status}); }, 100)`;
  const [a, b] = await Promise.all([alone(code('a', 0)).ended, alone(code('b', 3)).ended]);
  assert.deepEqual([a.status, b.status], [0, 3]);
  assert.ok(['<aa><bb>', '<bb><aa>'].includes(readFileSync(log, 'utf8')));
  assert.equal(existsSync(lock), false);
});

test('the lock of a process that is no more is taken over', async () => {
  const { child, ended } = start(process.execPath, ['-e', '']);
  await ended;
  writeFileSync(lock, String(child.pid));
  assert.equal((await alone('').ended).status, 0);
  assert.equal(existsSync(lock), false);
});

test('an interrupt reaches the command, and the lock goes', async () => {
  const running = alone(
    `process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('on')`,
  );
  await running.prints(/on/);
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).status, 7);
  assert.equal(existsSync(lock), false);
});

test('a command that cannot be started is an error', async () => {
  const { status, stderr } = await start(
    process.execPath,
    [join(REPOSITORY, 'scripts', 'alone.js'), 'no-such-command'],
    { cwd },
  ).ended;
  assert.equal(status, 2);
  assert.match(stderr, /^ecdsa-mpc: cannot run no-such-command: /);
});

/** make with the set-up left out, and a program that prints its arguments instead of ours. */
const make = (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  // What a make around these tests has set is no part of them.
  const {
    MESSAGE: _message,
    CONFIG: _config,
    MAKEFLAGS: _flags,
    MFLAGS: _older,
    MAKELEVEL: _level,
    ...outer
  } = process.env;
  const print = `PROGRAM=printf '%s\\n'`;
  return start('make', ['ALONE=:', 'SUBMAKE=', print, ...args], {
    cwd: REPOSITORY,
    env: { ...outer, ...env },
  }).ended;
};

test('make hands a message and a path on as they are, whatever characters they hold', async () => {
  const message = `it's $5 $(HOME) "q" \\ #1`;
  const expected = `--self=alice\n--config=a b.json\n--message=${message}\n`;
  const given = await make(['run-alice', `MESSAGE=${message}`, 'CONFIG=a b.json']);
  assert.deepEqual(given, { status: 0, stdout: expected, stderr: '' });
  assert.equal((await make(['run-alice'], { MESSAGE: message, CONFIG: 'a b.json' })).stdout, expected);
});

test('make starts the program with what was asked for, and its defaults otherwise', async () => {
  assert.equal((await make(['run-dave'])).stdout, '--self=dave\n--config=cluster.json\n');
  const { stdout } = await make(['demo', 'ARGS=--quorum alice,bob --json']);
  assert.equal(stdout, 'demo\n--config=cluster.json\n--quorum\nalice,bob\n--json\n');
  assert.equal((await make(['certs'])).stdout, '');
});

test('make help names every target', async () => {
  const { stdout } = await make([]);
  for (const target of ['demo', 'run-alice', 'certs', 'test', 'fuzz', 'check', 'bench', 'build', 'clean'])
    assert.match(stdout, new RegExp(`^make ${target} `, 'm'));
});
