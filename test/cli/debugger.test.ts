// SIGUSR1, which makes Node.js open its debugger to every user of the machine, changes nothing for this program.
import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { clusterFolders } from '../support/cluster-folder.js';
import { REPOSITORY, startCommand } from '../support/command.js';

const makeFolder = clusterFolders();

/** Any port will do, so that none is in use. */
const env = { ...process.env, NODE_OPTIONS: '--inspect-port=0' };
const DEBUGGER = /Debugger listening on/;
/** Plain Node.js takes a few milliseconds. */
const WAIT_MILLIS = 700;

/** What the process writes to standard error in the time after the signal. */
async function afterSignal(child: ChildProcess): Promise<string> {
  let text = '';
  child.stderr!.setEncoding('utf8').on('data', (part) => {
    text += part;
  });
  child.kill('SIGUSR1');
  for (let waited = 0; waited < WAIT_MILLIS && !DEBUGGER.test(text); waited += 50) await sleep(50);
  return text;
}

test('plain Node.js opens its debugger', async () => {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)'], { env });
  try {
    await once(child.stdout, 'data');
    assert.match(await afterSignal(child), DEBUGGER);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a party does not, and goes on', async () => {
  const { cwd } = await makeFolder('signalled', ['alice', 'bob']);
  const party = startCommand(['--self=alice', '--json'], { cwd, env });
  try {
    await party.prints(/"listening"/);
    assert.doesNotMatch(await afterSignal(party.child), DEBUGGER);
    party.child.kill('SIGINT');
    assert.equal((await party.ended).status, 130);
  } finally {
    party.child.kill('SIGKILL');
  }
});

test('nor does the process that makes a recovery key', async () => {
  const maker = fork(join(REPOSITORY, 'dist', 'party', 'recovery-key-process.js'), ['p256'], {
    ...{ env, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
  });
  try {
    await once(maker, 'message');
    assert.doesNotMatch(await afterSignal(maker), DEBUGGER);
    assert.equal(maker.exitCode ?? maker.signalCode, null);
  } finally {
    maker.kill('SIGKILL');
  }
});
