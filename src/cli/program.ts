/** The command line: which commands there are, and how its faults become errors of this program. */
import { Command, CommanderError, Help, type Option } from 'commander';
import { MpcError } from '../core/errors.js';
import { auditCommand } from './commands/audit.js';
import { backupCommand } from './commands/backup.js';
import { certsCommand } from './commands/certs.js';
import { demoCommand } from './commands/demo.js';
import { keygenCommand } from './commands/keygen.js';
import { keysCommand } from './commands/keys.js';
import { refreshCommand } from './commands/refresh.js';
import { approveCommand, rejectCommand, requestsCommand } from './commands/requests.js';
import { runCommand } from './commands/run.js';
import { serveCommand } from './commands/serve.js';
import { signCommand } from './commands/sign.js';
import { statusCommand } from './commands/status.js';
import { addExamples } from './help.js';
import { addSharedOptions, type CommandContext, ceremonyOptions } from './options.js';
import { programVersion } from './version.js';

const EXAMPLES = `  $ ecdsa-mpc certs                         make certificates for the parties of cluster.json
  $ ecdsa-mpc demo                          run all of them on this machine
  $ ecdsa-mpc --self alice                  run one of them; the others run theirs
  $ ecdsa-mpc --self=bob --message="Sign this message"
  $ ecdsa-mpc keygen --self alice           make a key that lives, with the others
  $ ecdsa-mpc sign --self alice --message "first of March" --quorum alice,bob
  $ ecdsa-mpc backup verify backup-alice.hex`;

/** The program with all its commands, not yet given a command line. */
export function buildProgram(context: CommandContext): Command {
  const program: Command = new Command('ecdsa-mpc')
    .description(
      'Threshold ECDSA among separate machines: key generation, signing, verifiable backup, recovery, ' +
        'refresh.\nWithout a command: run one party, --self, of the cluster.',
    )
    .usage('[options] [command]')
    .version(programVersion())
    .exitOverride()
    // Errors are printed once, by main.ts, in the program's own form.
    .configureOutput({ outputError: () => {} })
    .configureHelp({
      showGlobalOptions: true,
      // Without a command the program is `run`: its help shows the options of that, too.
      visibleOptions: (command): Option[] => [
        ...Help.prototype.visibleOptions.call(new Help(), command),
        ...(command === program ? ceremonyOptions() : []),
      ],
    });
  addSharedOptions(program);
  program.addCommand(inherit(program, runCommand(context)), { isDefault: true });
  for (const command of [
    demoCommand(context),
    certsCommand(),
    keygenCommand(context),
    keysCommand(context),
    signCommand(context),
    refreshCommand(context),
    serveCommand(context),
    statusCommand(context),
    requestsCommand(context),
    approveCommand(context),
    rejectCommand(context),
    backupCommand(context),
    auditCommand(context),
  ])
    program.addCommand(inherit(program, command));
  return addExamples(program, EXAMPLES);
}

/** Gives `command` and its subcommands the settings of the program, which addCommand does not. */
function inherit(program: Command, command: Command): Command {
  command.copyInheritedSettings(program);
  for (const each of command.commands) inherit(program, each);
  return command;
}

/**
 * Runs the command that `args` name, and returns the exit status of one that ended well, or of help.
 * Throws `USAGE` for a faulty command line, and whatever the command throws.
 */
export async function runProgram(program: Command, args: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    // Help that nobody asked for, because a subcommand is missing, has been printed already.
    if (error.code === 'commander.help') return 2;
    throw usageError(program, error);
  }
}

/** The error of a faulty command line, in the program's own form. */
function usageError(program: Command, error: CommanderError): MpcError {
  const [first] = program.args;
  const known = program.commands.map((command) => command.name());
  // The default command would call it an argument too many, or find fault with its options first.
  if (first !== undefined && !first.startsWith('-') && !known.includes(first))
    return new MpcError('USAGE', `unknown command '${first}'`, {
      hint: `use one of: ${known.join(', ')}; see \`ecdsa-mpc --help\``,
    });
  const command = program.commands.find((candidate) => candidate.name() === first);
  const subcommands = command?.commands.map((each) => each.name()) ?? [];
  const [second] = command?.args ?? [];
  // A command that does something without a subcommand would call it an argument too many.
  if (error.code === 'commander.excessArguments' && subcommands.length > 0 && !subcommands.includes(second!))
    return new MpcError('USAGE', `unknown command '${second}'`, {
      hint: `use one of: ${subcommands.join(', ')}; see \`ecdsa-mpc ${first} --help\``,
    });
  // "error: <what>. <advice>" or "error: <what>\n(Did you mean <suggestion>?)"
  const [, what = '', advice = 'see `ecdsa-mpc --help`'] =
    /^error: (.*?)(?:\.?$|\. (.*?)\.?$|\n\((.*)\)$)/s.exec(error.message)?.filter(Boolean) ?? [];
  return new MpcError('USAGE', what, { hint: advice.charAt(0).toLowerCase() + advice.slice(1) });
}
