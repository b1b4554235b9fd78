/** `ecdsa-mpc serve`: one party as a daemon. */
import { Command } from 'commander';
import { placeOf } from '../daemon.js';
import { addExamples } from '../help.js';
import type { CommandContext, SharedOptions } from '../options.js';
import { asParty, partyOptions, requireSelf } from '../party-command.js';
import { withStore } from '../store.js';
import { programVersion } from '../version.js';

/** What a daemon may take to end beyond the time that its settings give to running operations, milliseconds. */
const CLOSING_MILLIS = 5_000;

const EXAMPLES = `  $ ecdsa-mpc serve --self alice
  [alice] Listening on 127.0.0.1:7001, waiting for bob, charlie, dave
  [alice] Serving (version 0.1.0); requests of peers are decided on by: manual
  …
  $ ecdsa-mpc sign --self alice --message "first of March"      asks that daemon, and through it the others
  $ ecdsa-mpc requests --self bob                               what waits for bob's approval
  $ ecdsa-mpc approve 3f2a90b1 --self bob`;

export function serveCommand(context: CommandContext): Command {
  const command = new Command('serve')
    .summary('run this party as a daemon, which takes part in what is approved')
    .description(
      'Stay up, keep the links to the other parties, and take part in their requests as far as this party ' +
        'approves: by hand (`requests`, `approve`, `reject`), always, or as a command decides; see the ' +
        'settings in docs/operations.md. `sign`, `refresh`, `keygen`, `keys` and `status` of this party go ' +
        'through its daemon. Ends on SIGTERM or Ctrl-C when what is running has ended; a second one ends it at once.',
    )
    .action((_options, self: Command) => serve(self.optsWithGlobals<SharedOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function serve(options: SharedOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  await asParty(self, options, async (emit) => {
    const { settings } = await placeOf(options, self);
    await withStore(options, { self, create: true, ...context }, async (keystore, cluster) => {
      const { serve: run } = await import('../../daemon/serve.js');
      context.patience(settings.stopTimeoutMillis + CLOSING_MILLIS);
      await run({
        ...partyOptions({ self, cluster, emit }, options, context),
        ...{ keystore, settings, version: programVersion() },
      });
    });
  });
}
