/** Rules of approval, with real programs where a program decides. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import type { ApprovalCommand } from '#src/config/settings.js';
import { MpcError } from '#src/core/errors.js';
import { type ApprovalOptions, approvalOf, FirstLine } from '#src/daemon/approval.js';
import type { ApprovalRequest, Decision } from '#src/daemon/approval-request.js';
import { Desk } from '#src/daemon/desk.js';
import { PASSPHRASE_VARIABLE } from '#src/keystore/passphrase.js';

const folder = mkdtempSync(join(tmpdir(), 'mpc-approval-'));
after(() => rmSync(folder, { recursive: true }));

const quiet = new AbortController().signal;
const desk = () => new Desk({ timeoutMillis: 3_600_000 });
const REQUEST: ApprovalRequest = {
  ...{ id: '0f'.repeat(16), from: 'bob', operation: 'sign', key: 'ab'.repeat(32) },
  ...{ quorum: ['alice', 'bob'], receivers: ['bob'] },
  ...{ message: Buffer.from('pay 1 €'), messageHash: 'cd'.repeat(32) },
};

let scripts = 0;

/** A script of the shell as the command of the settings. */
function script(text: string, more: Partial<ApprovalCommand> = {}): ApprovalCommand {
  const program = join(folder, `approve-${++scripts}`);
  writeFileSync(program, `#!/bin/sh\n${text}\n`);
  chmodSync(program, 0o700);
  return { by: 'command', program, args: [], folder, timeoutMillis: 600_000, ...more };
}

const decide = (
  command: ApprovalCommand,
  request: ApprovalRequest = REQUEST,
  options: Partial<ApprovalOptions> = {},
): Promise<Decision> => approvalOf(command, { desk: desk(), ...options })(request, quiet);

const rejected = (reason: string): Decision => ({ decision: 'rejected', by: 'command', reason });

/**
 * A pipe that a process holds open: `ended` settles when none does any more. What opens it is `exec 9>"$0.pipe"`, or
 * a redirection of that kind, in a script.
 */
function pipe(command: ApprovalCommand): { readonly begun: Promise<void>; readonly ended: Promise<string> } {
  const path = `${command.program}.pipe`;
  execFileSync('mkfifo', [path]);
  const stream = createReadStream(path);
  const begun = new Promise<void>((resolve) => stream.once('open', () => resolve()));
  return { begun, ended: textOf(stream) };
}

test('everything is agreed to, or laid before the user', async () => {
  assert.deepEqual(await approvalOf({ by: 'rule' }, { desk: desk() })(REQUEST, quiet), {
    ...{ decision: 'approved', by: 'rule' },
  });
  const before = desk();
  const waiting = approvalOf({ by: 'user' }, { desk: before })(REQUEST, quiet);
  before.approve(REQUEST.id);
  assert.deepEqual(await waiting, { decision: 'approved', by: 'user' });
});

test('a request that nobody waits for is not decided', async () => {
  const gone = new MpcError('PEER_LEFT', 'bob has gone');
  const marker = join(folder, 'was-run');
  for (const rule of [{ by: 'rule' } as const, { by: 'user' } as const, script(`touch ${marker}`)])
    await assert.rejects(approvalOf(rule, { desk: desk() })(REQUEST, AbortSignal.abort(gone)), gone);
  assert.throws(() => readFileSync(marker), { code: 'ENOENT' });
});

test('a command is given the request, and its arguments as they are', async () => {
  const command = script('cat > input.json; printf "%s\\n" "$@" > arguments', {
    args: ['$HOME', '; exit 1', ''],
  });
  assert.deepEqual(await decide(command), { decision: 'approved', by: 'command' });
  const input = () => JSON.parse(readFileSync(join(folder, 'input.json'), 'utf8'));
  const { message: _message, ...fields } = REQUEST;
  const message = Buffer.from('pay 1 €').toString('base64');
  assert.deepEqual(input(), { ...fields, message, text: 'pay 1 €' });
  assert.equal(readFileSync(join(folder, 'arguments'), 'utf8'), '$HOME\n; exit 1\n\n');
  assert.match(readFileSync(join(folder, 'input.json'), 'utf8'), /^[^\n]+\n$/);

  // Of a larger array, no text, and with a mark that a text reader would swallow.
  for (const [bytes, text] of [
    [Uint8Array.of(0xff, 0x00), undefined],
    [Uint8Array.of(0x61, 0x62, 0x63).subarray(1, 2), 'b'],
    [new Uint8Array(0), ''],
    [Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0x00), '\ufeffa\0'],
  ] as const) {
    await decide(command, { ...REQUEST, message: bytes });
    assert.deepEqual([input().message, input().text], [Buffer.from(bytes).toString('base64'), text]);
  }
  const refresh: ApprovalRequest = { id: REQUEST.id, from: 'bob', operation: 'refresh', key: 'ab' };
  await decide(command, refresh);
  assert.deepEqual(input(), refresh);
});

test('a command decides by its exit status, and says why in its first line', async () => {
  const cases: readonly (readonly [text: string, decision: Decision])[] = [
    ['exit 0', { decision: 'approved', by: 'command' }],
    ['echo fine; echo more', { decision: 'approved', by: 'command', reason: 'fine' }],
    ['exit 3', rejected('the command ended with status 3')],
    ['kill -TERM $$', rejected('the command ended with SIGTERM')],
    ['echo; echo "  too much "; echo more; exit 1', rejected('too much')],
    ['echo on errors >&2; exit 1', rejected('on errors')],
    ['echo errors >&2; echo output; exit 1', rejected('output')],
    ['printf "\\033[2Jno\\303\\274\\tend"; exit 1', rejected('?[2Jno??end')],
    ['head -c 5000000 /dev/zero | tr "\\0" x; exit 1', rejected(`${'x'.repeat(197)}...`)],
    [
      'head -c 5000000 /dev/zero >&2; exit 0',
      { decision: 'approved', by: 'command', reason: `${'?'.repeat(197)}...` },
    ],
  ];
  for (const [text, decision] of cases) assert.deepEqual(await decide(script(text)), decision, text);
});

test('of what a command prints little is kept', () => {
  const line = new FirstLine();
  for (let count = 0; count < 1_000; count++) line.push(new Uint8Array(10_000).fill(0x61));
  assert.equal(line.length, 4096);
});

test('a command need not read its input', async () => {
  const message = new Uint8Array(2 * 1024 * 1024);
  assert.equal((await decide(script('exit 0'), { ...REQUEST, message })).decision, 'approved');
  assert.equal((await decide(script('exec 0<&-; echo ok'), { ...REQUEST, message })).decision, 'approved');
});

test('a command that cannot be run rejects', async () => {
  const gone = script('exit 0');
  rmSync(gone.program);
  assert.deepEqual(await decide(gone), rejected(`the command cannot be run: ${gone.program} does not exist`));
  const open = script('exit 0');
  chmodSync(open.program, 0o722);
  assert.deepEqual(
    await decide(open),
    rejected(`the command cannot be run: ${open.program} can be changed by other users`),
  );
  const strange = script('');
  writeFileSync(strange.program, '#!/nowhere/interpreter\n');
  assert.deepEqual(await decide(strange), rejected('the command cannot be run: ENOENT'));
  const homeless = script('exit 0', { folder: join(folder, 'nowhere') });
  assert.deepEqual(await decide(homeless), rejected('the command cannot be run: ENOENT'));
  const large = script('exit 0', { args: ['x'.repeat(20_000_000)] });
  assert.deepEqual(await decide(large), rejected('the command cannot be run: E2BIG'));
});

test('a command that takes too long is ended with all that it has started, and rejects', async () => {
  const command = script('trap "" TERM; echo fine; sleep 1000 9>"$0.pipe" & exec 9>"$0.pipe"; wait; exit 0', {
    timeoutMillis: 300,
  });
  const held = pipe(command);
  assert.deepEqual(await decide(command), rejected('the command took longer than 300ms and was ended'));
  // It may have been ended before it had opened its pipe.
  execFileSync('sh', ['-c', `exec 9<>"${command.program}.pipe"`]);
  await held.ended;
});

test('what a command leaves running ends with it', async () => {
  const command = script('exec 9>"$0.pipe"; sleep 1000 & exit 0');
  const held = pipe(command);
  // It holds standard output open as well.
  assert.deepEqual(await decide(command), { decision: 'approved', by: 'command' });
  await held.ended;
});

test('what has left the group of a command is not waited for', async (context) => {
  try {
    execFileSync('setsid', ['true']);
  } catch {
    context.skip('there is no setsid here');
    return;
  }
  const command = script(
    'setsid sh -c \'echo $$ > "$0.pid"; mv "$0.pid" "$0.left"; exec sleep 1000\' "$0" &\nwhile [ ! -e "$0.left" ]; do sleep 0.01; done; echo why',
  );
  assert.deepEqual(await decide(command), { decision: 'approved', by: 'command', reason: 'why' });
  process.kill(Number(readFileSync(`${command.program}.left`, 'utf8')), 'SIGKILL');
});

test('a command is ended when nobody waits for its decision any more', async () => {
  const command = script('case "$(cat)" in *charlie*) exit 0;; esac; exec 9>"$0.pipe"; sleep 1000; exit 0');
  const held = pipe(command);
  const controller = new AbortController();
  const approval = approvalOf(command, { desk: desk(), maxCommands: 1 });
  const running = approval(REQUEST, controller.signal);
  const stopped = new MpcError('INTERRUPTED', 'stopped');
  const impatient = new AbortController();
  const queued = approval(REQUEST, impatient.signal);
  await held.begun;
  // First one that has not been started: it takes nobody's place.
  impatient.abort(stopped);
  await assert.rejects(queued, stopped);
  controller.abort(stopped);
  await assert.rejects(running, stopped);
  await held.ended;
  assert.equal((await approval({ ...REQUEST, from: 'charlie' }, quiet)).decision, 'approved');
});

test('only so many commands run at once, and each gets its turn', async () => {
  const command = script('mkdir running || exit 9; sleep 0.02; rmdir running');
  const approval = approvalOf(command, { desk: desk(), maxCommands: 1 });
  const decisions = await Promise.all(Array.from({ length: 8 }, () => approval(REQUEST, quiet)));
  for (const decision of decisions) assert.deepEqual(decision, { decision: 'approved', by: 'command' });

  // Four by themselves: each waits until there are four.
  mkdirSync(join(folder, 'four'));
  const four = script('touch "four/$$"; while [ "$(ls four | wc -l)" -lt 4 ]; do sleep 0.01; done');
  const together = approvalOf(four, { desk: desk() });
  await Promise.all(Array.from({ length: 4 }, () => together(REQUEST, quiet)));
});

test('a command sees nothing that leads to the passphrase', async () => {
  const environment = {
    ...{ PATH: process.env.PATH, LANG: 'C', [PASSPHRASE_VARIABLE]: '/secret/file' },
    ...{ CREDENTIALS_DIRECTORY: '/run/credentials', NOTIFY_SOCKET: '/run/notify', ECDSA_MPC_X: 'x' },
  };
  const command = script('env > environment');
  assert.equal((await decide(command, REQUEST, { environment })).decision, 'approved');
  const seen = readFileSync(join(folder, 'environment'), 'utf8');
  assert.match(seen, /^LANG=C$/m);
  assert.doesNotMatch(seen, /ECDSA_MPC|CREDENTIALS|NOTIFY|secret/);
  process.env[PASSPHRASE_VARIABLE] = '/secret/file';
  try {
    await decide(command);
    assert.doesNotMatch(readFileSync(join(folder, 'environment'), 'utf8'), /secret/);
  } finally {
    delete process.env[PASSPHRASE_VARIABLE];
  }
});
