import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildProgram, runProgram } from '#src/cli/program.js';
import { ERROR_CODES, MpcError } from '#src/core/errors.js';
import { command, LAUNCHER, start } from '../support/command.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-usage-'));
after(() => rmSync(folder, { recursive: true }));

/** Faulty command lines, run where there is no cluster file, and what is said about them. */
const FAULTS: readonly (readonly [line: string, message: string, hint: RegExp])[] = [
  [
    'foo',
    "unknown command 'foo'",
    /^use one of: run, demo, certs, keygen, keys, sign, refresh, serve, status, requests, approve, reject, backup, audit; /,
  ],
  ['foo --bar', "unknown command 'foo'", /--help/],
  ['--json foo --self alice', "unknown command 'foo'", /--help/],
  ['run foo', "too many arguments for 'run'", /expected 0/],
  ['backup foo', "unknown command 'foo'", /--help/],
  ['backup verfy x', "unknown command 'verfy'", /did you mean verify\?/],
  ['--tiemout 3s', "unknown option '--tiemout'", /did you mean --timeout\?/],
  ['demo --mesage x', "unknown option '--mesage'", /did you mean --message\?/],
  ['--self', "option '--self <name>' argument missing", /--help/],
  ['--timeout 90', "option '--timeout <duration>' argument '90' is invalid", /90s, 2m or 1m30s/],
  ['run --connect-timeout=0s', "option '--connect-timeout <duration>' argument '0s' is invalid", /90s/],
  ['--quorum alice,,bob', "option '--quorum <names>' argument 'alice,,bob' is invalid", /commas/],
  [
    '--log-level loud',
    "option '--log-level <level>' argument 'loud' is invalid",
    /silent, error, warn, info, debug, trace/,
  ],
  ['', 'which party is this? --self is missing', /--self alice/],
  ['run', 'which party is this? --self is missing', /demo/],
  ['demo --self alice', 'demo runs all parties, not --self alone', /leave --self out/],
  ['--self alice', 'cluster.json does not exist', /--config/],
  ['certs', 'cluster.json does not exist', /--config/],
  [
    'certs foo',
    "unknown command 'foo'",
    /^use one of: ca, request, sign, install, check; see `ecdsa-mpc certs/,
  ],
  ['certs ca foo', "too many arguments for 'ca'", /expected 0/],
  ['certs --if-none ca', '--if-none is not for the subcommands of certs', /leave it out/],
  ['certs sign', "missing required argument 'file'", /--help/],
  ['certs sign x.csr --days 0', "option '--days <days>' argument '0' is invalid", /from 1 to 3650/],
  ['certs sign x.csr --days 3651', "option '--days <days>' argument '3651' is invalid", /from 1 to 3650/],
  ['certs sign x.csr --public-key 12', "option '--public-key <sha256>' argument '12' is invalid", /64 hex/],
  ['certs request', 'which party is this? --self is missing', /certs request --self alice/],
  ['certs install x.pem', 'which party is this? --self is missing', /certs install x\.pem --self alice/],
  ['certs check', 'which party is this? --self is missing', /certs check --self alice/],
  ['certs check --within 1w', "option '--within <days>' argument '1w' is invalid", /such as 30d/],
  ['demo --config nowhere.json', 'nowhere.json does not exist', /--config/],
  ['backup verify', "missing required argument 'file'", /--help/],
  ['backup verify nothing.hex', 'nothing.hex does not exist', /check the name/],
  ['backup recover nothing.hex', "required option '--recovery-key <file>' not specified", /--help/],
  ['backup recover nothing.hex --recovery-key k', 'which party is this? --self is missing', /--check/],
  ['backup recover x --recovery-key k --check --out y', '--check writes nothing, and --out does', /leave/],
  ['backup create --self alice --out x', "required option '--to <file>' not specified", /--help/],
  ['keygen', 'which party is this? --self is missing', /--self alice/],
  ['keys', 'which party is this? --self is missing', /--self alice/],
  ['keys foo', "unknown command 'foo'", /^use one of: export-public; see `ecdsa-mpc keys --help`/],
  ['keys --self alice', 'cluster.json does not exist', /--config/],
  [
    'sign --self alice',
    'what is to be signed? give either --message or --message-file',
    /--message "first of March"/,
  ],
  [
    'sign --self alice --message x --message-file y',
    'what is to be signed? give either --message or --message-file',
    /--message/,
  ],
  ['sign --self alice --message-file nothing', 'nothing does not exist', /check the name/],
  [
    'approve d7d4f297 --self bob',
    "command-argument value 'd7d4f297' is invalid for argument 'id'",
    /all 64 hex digits/,
  ],
  [
    'reject d7d4f297 --self bob',
    "command-argument value 'd7d4f297' is invalid for argument 'id'",
    /all 64 hex digits/,
  ],
  ['refresh --self alice --backup-to x', '--backup-to and --backup-out belong together', /both/],
  ['refresh --self alice --backup-to x --backup-out y', 'x does not exist', /check the name/],
  ['backup keygen --type rsa', "option '--type <type>' argument 'rsa' is invalid", /rsa-3072, p256/],
];

test('faulty command lines are USAGE errors that say what is wrong and what to do', async () => {
  process.chdir(folder);
  for (const [line, message, hint] of FAULTS) {
    const program = buildProgram({ signal: new AbortController().signal, patience: () => {} });
    await assert.rejects(runProgram(program, line.split(' ').filter(Boolean)), (error: Error) => {
      assert.ok(error instanceof MpcError, line);
      assert.equal(error.message, message, line);
      assert.match(error.hint ?? '', hint, line);
      assert.equal(error.exitStatus, 2, line);
      return true;
    });
  }
});

test('an error is one line of what and one of what to do on standard error', async () => {
  assert.deepEqual(await command(['foo']), {
    status: 2,
    stdout: '',
    stderr:
      "ecdsa-mpc: unknown command 'foo'\nhint: use one of: run, demo, certs, keygen, keys, sign, refresh, serve, status, requests, approve, reject, backup, audit; see `ecdsa-mpc --help`\n",
  });
});

test('the stack of an error is shown at --log-level debug, wherever the option stands', async () => {
  const { stderr } = await command(['certs', '--config', 'nowhere.json', '--log-level', 'debug'], {
    cwd: folder,
  });
  assert.match(stderr, /^ecdsa-mpc: nowhere\.json does not exist\nhint: .*\nMpcError: .*\n +at /);
});

test('a missing subcommand prints help, as an error', async () => {
  const { status, stdout, stderr } = await command(['backup']);
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^Usage: ecdsa-mpc backup /);
});

const COMMANDS = [
  '',
  'run',
  'demo',
  'certs',
  'certs ca',
  'certs request',
  'certs sign',
  'certs install',
  'certs check',
  'keygen',
  'keys',
  'keys export-public',
  'sign',
  'refresh',
  'backup',
  'backup keygen',
  'backup create',
  'backup inspect',
  'backup verify',
  'backup recover',
];

const SHARED = [
  ...['--self', '--config', '--json', '--log-level', '--timeout', '--connect-timeout'],
  ...['--state', '--passphrase-file'],
];

test('help of every command has its usage, the shared options, and for those that do something, examples and every exit status', async () => {
  for (const name of COMMANDS) {
    const { status, stdout, stderr } = await command([...name.split(' ').filter(Boolean), '--help']);
    assert.deepEqual([status, stderr], [0, ''], name);
    assert.ok(stdout.startsWith(`Usage: ecdsa-mpc ${name}`), name);
    for (const option of SHARED) assert.ok(stdout.includes(`\n  ${option}`), `${name} ${option}`);
    if (name === 'backup') continue;
    assert.match(stdout, /\nExamples:\n {2}\$ (SAVE_BACKUP=1 )?ecdsa-mpc /, name);
    assert.match(stdout, /\nExit status:\n {2}0 +done\n/, name);
    for (const { exit, meaning } of Object.values(ERROR_CODES)) {
      assert.ok(stdout.includes(meaning), `${name}: ${meaning}`);
      assert.match(stdout, new RegExp(`\n  ${exit} +\\S`), `${name}: ${exit}`);
    }
  }
});

test('help without a command shows the options of the default command, too', async () => {
  const { stdout } = await command(['--help']);
  for (const option of ['--message', '--quorum', '--receiver', '--backup-key'])
    assert.ok(stdout.includes(`\n  ${option}`), option);
});

test('help loads no library but the parser of command lines', async () => {
  const moduleOf = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const hook = moduleOf(`import { writeSync } from 'node:fs';
    export async function load(url, context, next) {
      if (url.includes('/node_modules/')) writeSync(2, url + '\\n');
      return next(url, context);
    }`);
  const register = moduleOf(`import { register } from 'node:module'; register(${JSON.stringify(hook)});`);
  const { stderr } = await start(process.execPath, ['--import', register, LAUNCHER, '--help']).ended;
  const libraries = new Set(stderr.match(/(?<=\/node_modules\/)(@[^/]+\/)?[^/\n]+/g));
  assert.deepEqual([...libraries], ['commander']);
});

test('--version prints the version', async () => {
  const { status, stdout } = await command(['--version']);
  assert.equal(status, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('before the build, the launcher says how to build', async () => {
  const scripts = join(folder, 'scripts');
  mkdirSync(scripts);
  cpSync(LAUNCHER, join(scripts, 'ecdsa-mpc.js'));
  cpSync(join(LAUNCHER, '../../package.json'), join(folder, 'package.json'));
  const { status, stdout, stderr } = await start(join(scripts, 'ecdsa-mpc.js'), ['--self', 'alice']).ended;
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^ecdsa-mpc: the program has not been built yet\nhint: run `make build`.*\n$/);
});
