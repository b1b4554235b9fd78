/**
 * A daemon's control socket in a process of its own: `listening-process.js PATH`. It prints a line when it listens,
 * answers `{"do":"wait"}` with one event and then never ends, and `{"do":"die"}` by dying after one.
 */
import { ControlServer } from '#src/control/server.js';

await ControlServer.listen({
  path: process.argv[2]!,
  party: 'alice',
  handle: async (request, { emit }) => {
    emit({ event: 'begun' });
    const { do: what } = request as { do: string };
    // What was written has reached the system before this line.
    if (what === 'die') setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    await new Promise(() => {});
  },
});
process.stdout.write('listening\n');
