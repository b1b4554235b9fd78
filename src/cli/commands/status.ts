/** `ecdsa-mpc status`: how this party's daemon is, and what it does. */
import { Command } from 'commander';
import type { PartyName } from '../../core/errors.js';
import type { LinkStatus, StatusEvent } from '../../daemon/status.js';
import { askDaemon, findDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import type { CommandContext, SharedOptions } from '../options.js';
import { requireSelf } from '../party-command.js';
import { printable, printLine } from '../ui.js';

const EXAMPLES = `  $ ecdsa-mpc status --self alice
  Party:         alice, version 0.1.0, up since 2026-11-22T10:02:03.456Z
  Certificate:   until 2028-02-25
  Approval:      manual
  Link:          bob is up, 0.4 ms, version 0.1.0, certificate until 2028-02-25
  …`;

export function statusCommand(context: CommandContext): Command {
  const command = new Command('status')
    .summary('show links, operations, keys and presignatures of this party’s daemon')
    .description('Show how the daemon of --self is. Without one, what can be told of the party without it.')
    .action((_options, self: Command) => status(self.optsWithGlobals<SharedOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function status(options: SharedOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  const socket = await findDaemon(options, self);
  if (socket === undefined) return await offline(options, self);
  await askDaemon(
    socket,
    { do: 'status' },
    (event) => {
      if (options.json) printLine(JSON.stringify(event));
      else
        statusLines(event as unknown as StatusEvent)
          .map(printable)
          .forEach(printLine);
    },
    context,
  );
}

async function offline(options: SharedOptions, self: PartyName): Promise<void> {
  const [{ clusterParty, loadCluster }, { loadIdentity }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/identity.js'),
  ]);
  const cluster = loadCluster(options.config, options);
  const { address } = clusterParty(cluster, self);
  const certificateExpires = loadIdentity(cluster, self).expires.toISOString();
  if (options.json)
    printLine(JSON.stringify({ event: 'status', party: self, running: false, address, certificateExpires }));
  else
    [
      field('Party', `${self}, no daemon is up: start it with \`ecdsa-mpc serve --self ${self}\``),
      field('Address', address),
      field('Certificate', `until ${date(certificateExpires)}`),
    ].forEach(printLine);
}

const field = (name: string, text: string): string => `${`${name}:`.padEnd(14)} ${text}`;

const date = (iso: string): string => iso.slice(0, 10);

function statusLines(event: StatusEvent): string[] {
  const { party, version, since, certificateExpires, approval, links, operations, keys, presignatures } =
    event;
  return [
    field('Party', `${party}, version ${version}, up since ${since}`),
    field('Address', event.address),
    field('Certificate', `until ${date(certificateExpires)}`),
    field('Approval', approval),
    ...links.map((link) => field('Link', linkText(link))),
    ...operations.map(({ id, operation, key, stage, done, total }) =>
      field(
        'Running',
        `${operation} ${id.slice(0, 16)}${key === undefined ? '' : `, key ${key}`}: ${stage} ${done}/${total}`,
      ),
    ),
    field('Requests', event.requests === 0 ? 'none' : `${event.requests}, see \`ecdsa-mpc requests\``),
    ...keys.map(({ keyId, epoch, state }) =>
      field('Key', `${keyId}, epoch ${epoch}${state === 'complete' ? '' : `, ${state}`}`),
    ),
    ...presignatures.map(({ key, quorum, ready, wanted }) =>
      field('Presignatures', `${ready} of ${wanted}, key ${key}, quorum ${quorum.join(' + ')}`),
    ),
    field('Audit log', `${event.audit.n} records, the last one ${event.audit.hash}`),
  ];
}

function linkText({ peer, up, version, roundTripMillis, certificateExpires, problem }: LinkStatus): string {
  if (!up) return `${peer} is down: ${problem ?? 'no connection yet'}`;
  const facts = [
    ...(roundTripMillis === undefined ? [] : [`${roundTripMillis.toFixed(1)} ms`]),
    version === undefined ? 'no daemon' : `version ${version}`,
    ...(certificateExpires === undefined ? [] : [`certificate until ${date(certificateExpires)}`]),
  ];
  return `${peer} is up, ${facts.join(', ')}`;
}
