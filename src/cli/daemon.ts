/** How commands reach the daemon of `--self`, if one is up, and what it answers. */
import { dirname, join, resolve } from 'node:path';
import type { Settings } from '../config/settings.js';
import { MpcError, type PartyName } from '../core/errors.js';
import type { DaemonCommand } from '../daemon/commands.js';
import type { EventSink, PartyEvent } from '../party/events.js';
import type { CommandContext, SharedOptions } from './options.js';

export interface Place {
  /** The party's state folder. */
  readonly folder: string;
  readonly settings: Settings;
}

/** Where the party `self` of the cluster file keeps its things, and its local settings. */
export async function placeOf(options: SharedOptions, self: PartyName): Promise<Place> {
  const [{ clusterParty, loadCluster }, { loadSettings }] = await Promise.all([
    import('../config/cluster.js'),
    import('../config/settings.js'),
  ]);
  const cluster = loadCluster(options.config, options);
  clusterParty(cluster, self);
  const { settings: file } = options;
  const folder = options.state ?? join(dirname(cluster.path), 'state', self);
  return { folder, settings: loadSettings({ stateFolder: folder, ...(file !== undefined && { file }) }) };
}

/** The control socket of the daemon of `self`; undefined when none is up. */
export async function findDaemon(options: SharedOptions, self: PartyName): Promise<string | undefined> {
  const [{ settings }, { isDaemonUp }] = await Promise.all([
    placeOf(options, self),
    import('../control/client.js'),
  ]);
  return (await isDaemonUp(settings.control)) ? settings.control : undefined;
}

/** The same, for a command that is nothing without a daemon. Throws `UNREACHABLE`. */
export async function requireDaemon(options: SharedOptions, self: PartyName): Promise<string> {
  const socket = await findDaemon(options, self);
  if (socket !== undefined) return socket;
  throw new MpcError('UNREACHABLE', `no daemon of ${self} is up`, {
    hint: `start it: ecdsa-mpc serve --self ${self}`,
  });
}

/** Has the daemon do `order`, and gives its events to `emit`. Throws what it answers as an error. */
export async function askDaemon(
  socket: string,
  order: DaemonCommand,
  emit: EventSink,
  { signal }: CommandContext,
): Promise<void> {
  const { ask } = await import('../control/client.js');
  await ask(socket, order, (event) => emit(event as unknown as PartyEvent), signal);
}

/** Where a backup goes, for a daemon: it runs in another folder, and may not read the caller's files. */
export async function backupPlace(to: string, out: string): Promise<{ to: string; file: string }> {
  const { readText } = await import('../files/files.js');
  return { to: readText(to), file: resolve(out) };
}
