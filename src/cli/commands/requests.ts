/** `ecdsa-mpc requests`, `approve`, `reject`: what waits at this party's daemon, and its user's decisions. */
import { Command, InvalidArgumentError } from 'commander';
import type { PartyName } from '../../core/errors.js';
import type { DaemonCommand } from '../../daemon/commands.js';
import type { RequestDescription } from '../../daemon/status.js';
import { askDaemon, requireDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import type { CommandContext, SharedOptions } from '../options.js';
import { requireSelf } from '../party-command.js';
import { printable, printLine } from '../ui.js';

const EXAMPLES = `  $ ecdsa-mpc requests --self bob
  9c41…e07b  sign, asked for by alice, waits for bob
            since 2026-11-22T10:02:03.456Z
            key 1f6c…, quorum alice + bob, for alice
            14 bytes, SHA-256 2c00…
            "first of March"
  $ ecdsa-mpc approve 9c41…e07b --self bob`;

export function requestsCommand(context: CommandContext): Command {
  const command = new Command('requests')
    .summary('list the requests that have not ended')
    .description('List what this party and its peers have asked for, and who still has to approve it.')
    .action((_options, self: Command) => list(self.optsWithGlobals<SharedOptions>(), context));
  return addExamples(command, EXAMPLES);
}

export function approveCommand(context: CommandContext): Command {
  const command = new Command('approve')
    .summary('take part in a request of a peer')
    .description(
      'Take part in a request of a peer. Its id names its whole content: message, key, quorum, receivers and ' +
        'asker. What is approved is exactly what `requests` shows.',
    )
    .argument('<id>', 'id of the request, all of it', requestOption)
    .action((id: string, _options, self: Command) =>
      decide(self.optsWithGlobals<SharedOptions>(), { do: 'approve', id }, context),
    );
  return addExamples(command, '  $ ecdsa-mpc approve 9c41…e07b --self bob');
}

export function rejectCommand(context: CommandContext): Command {
  const command = new Command('reject')
    .summary('refuse a request of a peer')
    .description('Refuse a request of a peer, who is told the reason, if one is given.')
    .argument('<id>', 'id of the request, all of it', requestOption)
    .option('--reason <text>', 'why, for whoever asks')
    .action((id: string, _options, self: Command) => {
      const options = self.optsWithGlobals<SharedOptions & { readonly reason?: string }>();
      const { reason } = options;
      return decide(options, { do: 'reject', id, ...(reason !== undefined && { reason }) }, context);
    });
  return addExamples(command, '  $ ecdsa-mpc reject 9c41…e07b --self bob --reason "not on a Sunday"');
}

function requestOption(text: string): string {
  const id = text.toLowerCase();
  // The beginning would not do: see commands.ts of the daemon.
  if (!/^[0-9a-f]{64}$/.test(id))
    throw new InvalidArgumentError('write all 64 hex digits of an id, as `requests` shows it');
  return id;
}

async function list(options: SharedOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  const socket = await requireDaemon(options, self);
  await askDaemon(
    socket,
    { do: 'requests' },
    (event) => {
      const { requests } = event as unknown as { readonly requests: readonly RequestDescription[] };
      if (options.json) printLine(JSON.stringify(event));
      else if (requests.length === 0) printLine('no requests');
      else requests.flatMap(requestLines).forEach(printLine);
    },
    context,
  );
}

/** Longest text that is shown; `--json` shows all of it. */
const SHOWN_TEXT = 400;

function requestLines(request: RequestDescription): string[] {
  const { id, operation, from, since, key, quorum, receivers, messageBytes, messageHash, text } = request;
  const shown = text === undefined || text.length > SHOWN_TEXT ? undefined : JSON.stringify(text);
  const facts = [
    `since ${since}`,
    ...(key === undefined ? [] : [`key ${key}`]),
    ...(quorum === undefined
      ? []
      : [`quorum ${quorum.join(' + ')}, signature for ${receivers?.join(' + ')}`]),
  ];
  const lines = [
    ...facts,
    ...(messageHash === undefined ? [] : [`${messageBytes} bytes, SHA-256 ${messageHash}`]),
    ...(messageHash === undefined ? [] : [shown ?? 'not a short text: --json shows the whole message']),
  ];
  return [
    `${id}  ${operation}, asked for by ${from}, ${stateText(request)}`,
    ...lines.map((line) => `          ${printable(line)}`),
  ];
}

const stateText = ({ state, waitingFor }: RequestDescription): string =>
  state === 'waiting' ? `waits for ${names(waitingFor)}` : state;

const names = (parties: readonly PartyName[]): string => parties.join(', ');

async function decide(options: SharedOptions, order: DaemonCommand, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  const socket = await requireDaemon(options, self);
  await askDaemon(
    socket,
    order,
    (event) => {
      const { event: decision, id } = event as unknown as { readonly event: string; readonly id: string };
      printLine(options.json ? JSON.stringify(event) : `${decision} ${id}`);
    },
    context,
  );
}
