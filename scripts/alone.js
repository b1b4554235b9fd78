// `node scripts/alone.js COMMAND ...` runs a command while no other process runs one through this script in the same
// folder: it waits for its turn. Ends with the command's exit status. Uses nothing that has to be installed first.
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const LOCK = '.setup.lock';

/** Takes the lock, whose content is its holder's process id; false while another holds it. */
function take() {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
}

/** Removes the lock of a holder that was killed. */
function removeStale() {
  try {
    const holder = Number(readFileSync(LOCK, 'utf8'));
    if (holder > 0) process.kill(holder, 0);
  } catch (error) {
    if (error.code === 'ESRCH') rmSync(LOCK, { force: true });
  }
}

const [command, ...args] = process.argv.slice(2);
for (let tries = 0; !take(); tries++) {
  if (tries === 5) console.error('waiting for the set-up that another terminal is doing');
  removeStale();
  await sleep(200);
}

process.on('exit', () => rmSync(LOCK, { force: true }));
// The job server of an outer make cannot be handed on through this process.
const { MAKEFLAGS: _flags, MFLAGS: _older, MAKELEVEL: _level, ...env } = process.env;
const child = spawn(command, args, { stdio: 'inherit', env });
// This process ends when the command has ended, and not before.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`ecdsa-mpc: cannot run ${command}: ${error.message}`);
  process.exitCode = 2;
});
child.on('exit', (status, signal) => {
  process.exitCode = signal === null ? status : 130;
});
