import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkApprovalCommand, loadSettings } from '#src/config/settings.js';
import { checkUnalterable } from '#src/files/private.js';

const folder = mkdtempSync(join(tmpdir(), 'mpc-settings-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'settings.json');

function load(json: unknown) {
  writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json), { mode: 0o600 });
  return loadSettings({ stateFolder: folder });
}

/** `json` is refused with this message (after the file's name) and a hint that matches. */
function refused(json: unknown, message: string, hint: RegExp): void {
  assert.throws(
    () => load(json),
    (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, 'CONFIG');
      assert.equal(error.message, `${path}: ${message}`);
      assert.match(error.hint ?? '', hint);
      assert.doesNotMatch(error.message + error.hint, /\n/);
      return true;
    },
  );
}

/** A program at `name` in the folder. */
function program(name: string, mode = 0o700): string {
  const made = join(folder, name);
  writeFileSync(made, '#!/bin/sh\nexit 0\n');
  chmodSync(made, mode);
  return made;
}

const DEFAULTS = {
  approval: { by: 'user' },
  requestTimeoutMillis: 86_400_000,
  presignatures: 4,
  control: join(folder, 'control.sock'),
  stopTimeoutMillis: 20_000,
};

test('without a file, and with an empty one, there are defaults', () => {
  assert.deepEqual(loadSettings({ stateFolder: folder }), DEFAULTS);
  assert.deepEqual(load({}), { path, ...DEFAULTS });
  assert.deepEqual(load({ approval: 'manual' }), { path, ...DEFAULTS });
  rmSync(path);
  assert.throws(() => loadSettings({ stateFolder: folder, file: path }), {
    code: 'FILE',
    message: `${path} does not exist`,
  });
});

test('every field is read, and paths are relative to the file', () => {
  const elsewhere = join(folder, 'elsewhere');
  mkdirSync(elsewhere, { mode: 0o700 });
  const approve = program('elsewhere/approve');
  const file = join(elsewhere, 'of-alice.json');
  const json = {
    approval: { command: ['approve', '--strict', ''], timeout: '1m30s' },
    requestTimeout: '90m',
    presignatures: 0,
    monitor: '127.0.0.1:9464',
    control: '../run/alice.sock',
    stopTimeout: '5s',
  };
  writeFileSync(file, JSON.stringify(json));
  assert.deepEqual(loadSettings({ stateFolder: folder, file }), {
    path: file,
    approval: {
      ...{ by: 'command', program: approve, args: ['--strict', ''], folder: elsewhere },
      timeoutMillis: 90_000,
    },
    requestTimeoutMillis: 5_400_000,
    presignatures: 0,
    monitor: { host: '127.0.0.1', port: 9464, address: '127.0.0.1:9464' },
    control: join(folder, 'run', 'alice.sock'),
    stopTimeoutMillis: 5_000,
  });
  assert.deepEqual(load({ approval: 'auto', presignatures: 64 }).approval, { by: 'rule' });
  assert.equal(load({ presignatures: 64 }).presignatures, 64);
  assert.deepEqual(load({ approval: { command: [approve] } }).approval, {
    ...{ by: 'command', program: approve, args: [], folder, timeoutMillis: 30_000 },
  });
});

test('what is not JSON, or no object, is told of', () => {
  assert.throws(() => load('{"approval": "auto",}'), { code: 'CONFIG', message: /not valid JSON$/ });
  for (const json of ['null', '[]', '7', '"auto"']) refused(json, `the file is ${json}`, /JSON object/);
  refused(
    { approve: 'auto' },
    'approve is not a known field',
    /approval, requestTimeout, presignatures, backup, monitor/,
  );
});

test('approval is one of three rules', () => {
  const hint = /"manual", "auto" or \{"command"/;
  refused({ approval: 'yes' }, 'approval "yes" is not a rule of approval', hint);
  refused({ approval: 'toString' }, 'approval "toString" is not a rule of approval', hint);
  for (const approval of [true, 1, null, ['auto']])
    refused({ approval }, `approval is ${JSON.stringify(approval)}`, /JSON string/);
  refused({ approval: {} }, 'approval.command is missing', /add it/);
  refused({ approval: { command: '/bin/true' } }, 'approval.command is "/bin/true"', /JSON (array|tuple)/);
  refused({ approval: { command: [] } }, 'approval.command[0] is missing', /add it/);
  refused({ approval: { command: [''] } }, 'approval.command[0] is empty', /name one/);
  refused({ approval: { command: ['/bin/true', 1] } }, 'approval.command[1] is 1', /JSON string/);
  refused(
    { approval: { command: ['/bin/true', 'a\0b'] } },
    'approval.command[1] "a\\u0000b" holds a zero character',
    /remove/,
  );
  const long = ['/bin/true', ...Array.from({ length: 64 }, () => 'a')];
  refused(
    { approval: { command: long } },
    `approval.command ${JSON.stringify(long).slice(0, 57)}… is too long`,
    /64/,
  );
  refused(
    { approval: { command: ['/bin/true'], shell: true } },
    'approval.shell is not a known field',
    /command, timeout$/,
  );
  refused(
    { approval: { command: ['/bin/true'], timeout: 'long' } },
    'approval.timeout "long" is not a duration',
    /"30s", at most "596h"/,
  );
});

test('durations, counts and addresses are what they should be', () => {
  for (const field of ['requestTimeout', 'stopTimeout']) {
    for (const value of ['', '1', '0s', '-1s', '597h', '1d', 'PT1H'])
      refused(
        { [field]: value },
        `${field} ${JSON.stringify(value)} is not a duration`,
        /"24h", "90m" or "30s"/,
      );
    refused({ [field]: 60 }, `${field} is 60`, /JSON string/);
  }
  for (const value of [-1, 65, 1.5, 1e300])
    refused({ presignatures: value }, `presignatures ${value} is not possible`, /whole number from 0 to 64/);
  refused({ presignatures: '4' }, 'presignatures is "4"', /JSON number/);
  const six = load({ monitor: '[::1]:65535' }).monitor;
  assert.deepEqual(six, { host: '::1', port: 65_535, address: '[::1]:65535' });
  for (const value of [
    ...['', '9464', ':9464', 'localhost:9464', '0.0.0.0:9464', '127.0.0.2:1', '192.0.2.1:9464', '::1:9464'],
    ...[
      '127.0.0.1',
      '127.0.0.1:0',
      '127.0.0.1:65536',
      '127.0.0.1:09',
      ' 127.0.0.1:1',
      '127.0.0.1:1\n',
      '127x0.0.1:1',
    ],
  ])
    refused(
      { monitor: value },
      `monitor ${JSON.stringify(value)} is not a loopback address with a port`,
      /127\.0\.0\.1:9464/,
    );
  refused({ control: '' }, 'control is empty', /name one/);
  refused({ control: 'a\0' }, 'control "a\\u0000" holds a zero character', /remove/);
  assert.equal(load({ control: '/run/mpc/alice.sock' }).control, '/run/mpc/alice.sock');
});

test('a file that others can change is not obeyed', () => {
  load({ approval: 'auto' });
  for (const mode of [0o620, 0o602, 0o666]) {
    chmodSync(path, mode);
    assert.throws(() => loadSettings({ stateFolder: folder }), {
      code: 'FILE',
      message: `${path} can be changed by other users`,
      hint: `run: chmod go-w ${path}`,
    });
  }
  chmodSync(path, 0o644);
  assert.deepEqual(loadSettings({ stateFolder: folder }).approval, { by: 'rule' });
});

test('nor a program, or a script of its, that others can change or nobody can run', () => {
  const command = (...texts: string[]) => ({ approval: { command: texts } });
  refused(command('absent'), `approval.command: ${join(folder, 'absent')} does not exist`, /name/);
  refused(command('.'), `approval.command: ${folder} is not a file`, /program/);
  const open = program('open', 0o722);
  refused(command('open'), `approval.command: ${open} can be changed by other users`, /chmod go-w/);
  const still = program('still', 0o600);
  if (process.getuid?.() !== undefined)
    refused(command('still'), `approval.command: ${still} may not be accessed by this user`, /chmod u\+x/);
  const sh = '/bin/sh';
  const script = program('script.sh', 0o666);
  refused(command(sh, 'script.sh'), `approval.command: ${script} can be changed by other users`, /chmod/);
  refused(command(sh, '-e', script), `approval.command: ${script} can be changed by other users`, /chmod/);
  chmodSync(script, 0o644);
  const settings = load(command(sh, 'script.sh', '/dev/null', '.', 'x'.repeat(5_000)));
  assert.ok(settings.approval.by === 'command');
  checkApprovalCommand(settings.approval);
  chmodSync(script, 0o664);
  assert.throws(() => checkApprovalCommand(settings.approval as never), { code: 'FILE' });
});

test('the whole way to a file must be closed to the changes of others, along links, too', () => {
  const [inner, links] = [join(folder, 'way', 'inner'), join(folder, 'links')];
  mkdirSync(inner, { recursive: true, mode: 0o755 });
  mkdirSync(links, { mode: 0o755 });
  const file = join(inner, 'file');
  writeFileSync(file, '');
  chmodSync(file, 0o644);
  symlinkSync(file, join(links, 'second'));
  symlinkSync('links/second', join(folder, 'first'));
  symlinkSync('inner', join(folder, 'way', 'folder'));
  const ways = [file, join(folder, 'first'), join(links, 'second'), join(folder, 'way', 'folder', 'file')];
  for (const way of ways) checkUnalterable(way);

  const message = (at: string) => ({ code: 'FILE', message: `${at} can be changed by other users` });
  for (const part of [file, inner, join(folder, 'way')]) {
    const closed = part === file ? 0o644 : 0o755;
    chmodSync(part, closed | 0o020);
    // The file itself is told of by the name that was asked for.
    for (const way of ways)
      assert.throws(
        () => checkUnalterable(way),
        part === file ? { message: /can be changed/ } : message(part),
      );
    chmodSync(part, closed);
  }
  chmodSync(links, 0o757);
  for (const way of ways.slice(1, 3)) assert.throws(() => checkUnalterable(way), message(links));
  for (const way of [ways[0]!, ways[3]!]) checkUnalterable(way);
  // As in /tmp, nobody can replace there what is another's.
  chmodSync(links, 0o1777);
  for (const way of ways) checkUnalterable(way);

  // `..` in a link is above the folder that it truly stands in.
  writeFileSync(join(folder, 'way', 'beside'), '', { mode: 0o600 });
  symlinkSync('../beside', join(inner, 'up'));
  symlinkSync('way/inner', join(folder, 'shortcut'));
  checkUnalterable(join(folder, 'shortcut', 'up'));

  symlinkSync('circle', join(folder, 'circle'));
  assert.throws(() => checkUnalterable(join(folder, 'circle')), { code: 'FILE', message: /symbolic link/ });
  assert.throws(() => checkUnalterable(join(folder, 'absent')), { code: 'FILE', message: /does not exist/ });
});

test('what belongs to another user is that user’s to change', { skip: process.getuid?.() !== 0 }, () => {
  const file = join(folder, 'given');
  writeFileSync(file, '');
  chmodSync(file, 0o644);
  chownSync(file, 12_345, 0);
  const refusal = (at: string) => ({
    code: 'FILE',
    message: `${at} belongs to another user (id 12345), who can change it`,
    hint: `run: chown 0 ${at}`,
  });
  assert.throws(() => checkUnalterable(file), refusal(file));
  chownSync(file, 0, 0);
  checkUnalterable(file);
  const link = join(folder, 'given-link');
  symlinkSync(file, link);
  lchownSync(link, 12_345, 0);
  assert.throws(() => checkUnalterable(link), refusal(link));
});

test('a place for backups, relative to the file, whose key nobody else can change', () => {
  const key = join(folder, 'recovery.pub.pem');
  writeFileSync(key, 'a key', { mode: 0o644 });
  const backup = { to: 'recovery.pub.pem', folder: 'backups' };
  assert.deepEqual(load({ backup }).backup, { to: key, folder: join(folder, 'backups') });
  chmodSync(key, 0o666);
  assert.throws(() => load({ backup }), { code: 'FILE', message: /can be changed by other users/ });
  chmodSync(key, 0o644);
  refused({ backup: { to: 'recovery.pub.pem' } }, 'backup.folder is missing', /./);
  refused({ backup: { ...backup, key: 'x' } }, 'backup.key is not a known field', /to, folder/);
  refused({ backup: 'recovery.pub.pem' }, 'backup is "recovery.pub.pem"', /./);
});
