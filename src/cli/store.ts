/** The state folder of `--self`, opened for one command: where it is, and its passphrase. */
import { dirname, join } from 'node:path';
import type { ClusterConfig } from '../config/cluster.js';
import type { PartyName } from '../core/errors.js';
import type { Keystore } from '../keystore/keystore.js';
import type { CommandContext, SharedOptions } from './options.js';

/** Where the party `self` of the cluster file keeps its keys and its audit log. */
export const stateFolder = ({ state }: SharedOptions, cluster: ClusterConfig, self: PartyName): string =>
  state ?? join(dirname(cluster.path), 'state', self);

export interface StoreOptions extends CommandContext {
  readonly self: PartyName;
  /** Make the folder when there is none. */
  readonly create?: boolean;
}

/** Opens the state folder of a party of the cluster file, runs `body` with both, and closes it. */
export async function withStore<T>(
  options: SharedOptions,
  { self, create = false, signal }: StoreOptions,
  body: (keystore: Keystore, cluster: ClusterConfig) => Promise<T>,
): Promise<T> {
  const [
    { clusterParty, loadCluster },
    { checkStateFolder, isStateFolder, Keystore },
    { readPassphrase },
    { terminalPrompt },
  ] = await Promise.all([
    import('../config/cluster.js'),
    import('../keystore/keystore.js'),
    import('../keystore/passphrase.js'),
    import('./prompt.js'),
  ]);
  const cluster = loadCluster(options.config, options);
  clusterParty(cluster, self);
  const folder = stateFolder(options, cluster, self);
  // Before anybody is asked for its passphrase.
  if (!create) checkStateFolder(folder);
  const prompt = terminalPrompt(signal);
  using passphrase = await readPassphrase({
    environment: process.env,
    isNew: !isStateFolder(folder),
    ...(options.passphraseFile !== undefined && { file: options.passphraseFile }),
    ...(prompt !== undefined && { prompt }),
  });
  using keystore = await Keystore.open({ folder, party: self, passphrase, create });
  return await body(keystore, cluster);
}
