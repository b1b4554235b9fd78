/** `ecdsa-mpc refresh`: new shares of a stored key, under the same public key. */
import { Command } from 'commander';
import { MpcError } from '../../core/errors.js';
import type { DaemonCommand } from '../../daemon/commands.js';
import type { BackupTarget } from '../../party/stored-backup.js';
import { askDaemon, backupPlace, findDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import { type CommandContext, keyOption, type SharedOptions } from '../options.js';
import { asParty, partyOptions, requireSelf } from '../party-command.js';
import { withStore } from '../store.js';

interface RefreshCommandOptions extends SharedOptions {
  readonly key?: string;
  readonly backupTo?: string;
  readonly backupOut?: string;
}

const EXAMPLES = `  $ ecdsa-mpc refresh --self alice --backup-to recovery-alice.pub.pem --backup-out alice-epoch-1.backup
  …
  [alice] ✓ PVE backup verified successfully
  [alice] ✓ Key refresh completed - shares are now updated
  …
  $ ecdsa-mpc refresh --self bob --key 1f6c      warns that the backups of the old share are void`;

export function refreshCommand(context: CommandContext): Command {
  const command = new Command('refresh')
    .summary('renew the shares of a stored key')
    .description(
      'Renew the shares of a stored key with all of its parties, each of which runs this command. The public ' +
        'key stays the same. Old shares and backups of them are good for nothing afterwards; old shares are ' +
        'erased once every party has the new one. With --backup-to and --backup-out the new share is backed ' +
        'up, and the backup verified, before the old share is erased.',
    )
    .addOption(keyOption())
    .option('--backup-to <file>', 'PEM public recovery key to encrypt a backup of the new share to')
    .option('--backup-out <file>', 'where to write that backup; a file that does not exist yet')
    .action((_options, self: Command) => refresh(self.optsWithGlobals<RefreshCommandOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function refresh(options: RefreshCommandOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  await asParty(self, options, async (emit) => {
    const backup = await backupTarget(options);
    const daemon = await findDaemon(options, self);
    if (daemon !== undefined) return await askDaemon(daemon, await refreshOrder(options), emit, context);
    await withStore(options, { self, ...context }, async (keystore, cluster) => {
      const { runRefresh } = await import('../../party/everyday.js');
      const { key } = options;
      await runRefresh({
        ...partyOptions({ self, cluster, emit }, options, context),
        keystore,
        ...(key !== undefined && { key }),
        ...(backup !== undefined && { backup }),
      });
    });
  });
}

/** The same for a daemon, which writes the backup itself before it stores the new share. */
async function refreshOrder(options: RefreshCommandOptions): Promise<DaemonCommand> {
  const { key, backupTo, backupOut } = options;
  return {
    do: 'refresh',
    ...(key !== undefined && { key }),
    ...(backupTo !== undefined && { backup: await backupPlace(backupTo, backupOut!) }),
  };
}

/** Where a backup is to go, seen to be fit for it. */
async function backupTarget({
  backupTo,
  backupOut,
}: RefreshCommandOptions): Promise<BackupTarget | undefined> {
  if (backupTo === undefined && backupOut === undefined) return undefined;
  if (backupTo === undefined || backupOut === undefined)
    throw new MpcError('USAGE', '--backup-to and --backup-out belong together', {
      hint: 'say both to whom the backup is encrypted and where it is written',
    });
  const { readTarget } = await import('../../party/stored-backup.js');
  return readTarget(backupTo, backupOut);
}
