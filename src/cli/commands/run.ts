/** `ecdsa-mpc run`: one party of the cluster goes through the whole ceremony with the others. */
import { Command } from 'commander';
import type { PartyName } from '../../core/errors.js';
import type { EventSink } from '../../party/events.js';
import type { RunResult } from '../../party/run.js';
import { addExamples } from '../help.js';
import { addCeremonyOptions, type CeremonyOptions, type CommandContext } from '../options.js';
import { asParty, partyOptions, requireSelf } from '../party-command.js';

const EXAMPLES = `  $ ecdsa-mpc --self alice
  [alice] mTLS transport established with 3 parties
  …
  [alice] ✓ DKG completed successfully
  [alice]   Public Key: 04abc123…
  …
  [alice] Ceremony completed successfully!
  $ ecdsa-mpc --self=bob --message="Sign this message" --timeout=2m
  $ ecdsa-mpc --self charlie --quorum bob,charlie --receiver charlie --json
  $ SAVE_BACKUP=1 ecdsa-mpc --self alice      also writes backup-alice.hex and backup-alice.key.pem`;

export function runCommand(context: CommandContext): Command {
  const command = addCeremonyOptions(new Command('run'))
    .summary('run one party, --self, through the whole ceremony (default command)')
    .description(
      'Run the party --self: generate a key with all parties of the cluster, sign, back up the share, ' +
        'verify and recover the backup, refresh the shares, sign again. The parties may start in any order. ' +
        'With SAVE_BACKUP=1 in the environment, the encrypted backup of the refreshed share is written to ' +
        'backup-NAME.hex and, unless --backup-key is given, the key that opens it to backup-NAME.key.pem.',
    )
    .action((_options, self: Command) => run(self.optsWithGlobals<CeremonyOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function run(options: CeremonyOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options, ', or run all parties on this machine: ecdsa-mpc demo');
  await asParty(self, options, (emit) => takePart(self, options, context, emit));
}

async function takePart(
  self: PartyName,
  options: CeremonyOptions,
  context: CommandContext,
  emit: EventSink,
): Promise<void> {
  const [{ loadCluster }, { checkWritable, readText }, { runParty }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../files/files.js'),
    import('../../party/run.js'),
  ]);
  const cluster = loadCluster(options.config, options);
  const saving = isSet(process.env.SAVE_BACKUP);
  if (saving) checkWritable(process.cwd());
  const { quorum, receiver, backupKey } = options;
  const result = await runParty({
    ...partyOptions({ self, cluster, emit }, options, context),
    message: options.message,
    ...(quorum !== undefined && { quorum }),
    ...(receiver !== undefined && { receiver }),
    ...(backupKey !== undefined && { backupKeyPem: readText(backupKey) }),
  });
  using _recoveryKey = result.recoveryKeyPem;
  if (saving) emit(await saveBackup(self, result));
  emit(result.done);
}

/** `SAVE_BACKUP=1`, but not `SAVE_BACKUP=0` or `SAVE_BACKUP=`. */
const isSet = (variable: string | undefined): boolean => ![undefined, '', '0'].includes(variable);

/**
 * Writes `backup-NAME.hex`, and `backup-NAME.key.pem` when the key was made in this run. An earlier pair gets the
 * time into its names: it may be all that is left of another key. Half a pair that a process was killed over goes.
 */
export async function saveBackup(
  self: PartyName,
  { backupHex, recoveryKeyPem }: Pick<RunResult, 'backupHex' | 'recoveryKeyPem'>,
) {
  const [{ leftoversOf, PUBLIC, SECRET, setAside, writeNewFile }, { eraseFile }] = await Promise.all([
    import('../../files/files.js'),
    import('../../files/private.js'),
  ]);
  const name = `backup-${self}`;
  const backup = `${name}.hex`;
  const recoveryKey = `${name}.key.pem`;
  for (const path of [backup, recoveryKey]) leftoversOf(path).forEach(eraseFile);
  const earlier = `${name}-until-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}`;
  const kept = [
    ...(setAside(backup, `${earlier}.hex`) ? [`${earlier}.hex`] : []),
    ...(setAside(recoveryKey, `${earlier}.key.pem`) ? [`${earlier}.key.pem`] : []),
  ];
  if (recoveryKeyPem !== undefined) writeNewFile(recoveryKey, recoveryKeyPem.bytes, SECRET);
  writeNewFile(backup, backupHex, PUBLIC);
  return {
    event: 'saved',
    party: self,
    backup,
    ...(recoveryKeyPem !== undefined && { recoveryKey }),
    ...(kept.length > 0 && { kept }),
  } as const;
}
