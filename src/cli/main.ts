/**
 * Entry point of the command `ecdsa-mpc`: runs it, prints its error, and ends the process, here and nowhere else,
 * within a second of an interruption, unless it asks for more.
 */
import { asMpcError, MpcError } from '../core/errors.js';
import { isForDevelopers, type SharedOptions } from './options.js';
import { buildProgram, runProgram } from './program.js';
import { printError } from './ui.js';

/** Time that an interrupted command has to tell its peers and clean up, milliseconds. */
const GRACE_MILLIS = 800;

const interruption = new AbortController();
let graceMillis = GRACE_MILLIS;
const program = buildProgram({
  signal: interruption.signal,
  patience: (millis) => {
    graceMillis = millis;
  },
});

function interrupt(): void {
  if (interruption.signal.aborted) {
    // Whoever has asked for patience may be asked again.
    if (graceMillis > GRACE_MILLIS) process.exit(fail(undefined));
    return;
  }
  interruption.abort(new MpcError('INTERRUPTED', 'interrupted'));
  setTimeout(() => process.exit(fail(undefined)), graceMillis);
}

/** Prints what ended the program, which is the interruption once there was one; returns the exit status. */
function fail(cause: unknown): number {
  const error = asMpcError(interruption.signal.aborted ? interruption.signal.reason : cause);
  printError(error, isForDevelopers(program.opts<SharedOptions>().logLevel));
  return error.exitStatus;
}

async function end(status: number): Promise<void> {
  // Pipes may be asynchronous: what has been written must be out before the process ends.
  const flushed = Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
  );
  await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, GRACE_MILLIS))]);
  process.exit(status);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
// Otherwise Node.js starts its debugger, which shows all memory to whoever reaches its port, other users included.
process.on('SIGUSR1', () => {});
if (process.channel) {
  // Started by `demo`: when it ends, however it ends, so does this party.
  process.on('disconnect', interrupt);
  process.channel.unref();
}
// Whoever read the output has gone away.
process.stdout.on('error', interrupt);
process.on('uncaughtException', (error) => void end(fail(error)));

void runProgram(program, process.argv.slice(2)).catch(fail).then(end);
