/** `ecdsa-mpc keygen`: a key of all parties, kept in their state folders. */
import { Command } from 'commander';
import { askDaemon, findDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import type { CommandContext, SharedOptions } from '../options.js';
import { asParty, partyOptions, requireSelf } from '../party-command.js';
import { withStore } from '../store.js';

const EXAMPLES = `  $ ecdsa-mpc keygen --self alice          the other parties run theirs
  new passphrase for the stored keys:
  …
  [alice] ✓ Key generated and stored
  [alice]   Key ID: 1f6c…
  [alice]   Public Key: 04abc123…
  $ ecdsa-mpc keygen --self bob --passphrase-file ~/.ecdsa-mpc-passphrase --json`;

export function keygenCommand(context: CommandContext): Command {
  const command = new Command('keygen')
    .summary('make a key of all parties and keep it')
    .description(
      'Make a key with all parties of the cluster, each of which runs this command, with the curve and the ' +
        "policy of the cluster file. Each party's share is kept in its state folder, which is made if there " +
        'is none. A key whose making was cut off, at whatever moment, is completed instead, if every party ' +
        'has stored it.',
    )
    .action((_options, self: Command) => keygen(self.optsWithGlobals<SharedOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function keygen(options: SharedOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  await asParty(self, options, async (emit) => {
    const daemon = await findDaemon(options, self);
    if (daemon !== undefined) return await askDaemon(daemon, { do: 'keygen' }, emit, context);
    await withStore(options, { self, create: true, ...context }, async (keystore, cluster) => {
      const { runKeygen } = await import('../../party/everyday.js');
      await runKeygen({ ...partyOptions({ self, cluster, emit }, options, context), keystore });
    });
  });
}
