/** `ecdsa-mpc audit`: reads and verifies the logs of what parties were asked, decided and signed. */
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { AuditRecord } from '../../audit/record.js';
import type { Fault, LogReport, Verdict } from '../../audit/verify.js';
import { MpcError } from '../../core/errors.js';
import { addExamples } from '../help.js';
import type { CommandContext, SharedOptions } from '../options.js';
import { requireSelf } from '../party-command.js';
import { stateFolder } from '../store.js';
import { printable, printLine } from '../ui.js';

interface VerifyOptions extends SharedOptions {
  readonly contains?: readonly string[];
}

interface ShowOptions extends SharedOptions {
  readonly request?: string;
}

const VERIFY_EXAMPLES = `  $ ecdsa-mpc audit verify --self alice
  state/alice/audit.log
    Party:       alice
    Records:     1204
    Requests:    240
    Signatures:  231
    Head:        1204 9f86…08
  ✓ The log is sound
  $ ecdsa-mpc audit verify --self alice --contains 9f86…08      a head that was noted before
  $ ecdsa-mpc audit verify alice.log bob.log charlie.log`;

const SHOW_EXAMPLES = `  $ ecdsa-mpc audit show --self bob --request 3fa9
  7 2026-11-22T10:02:03.456Z requested id=3fa9… from=alice operation=sign key=1f6c… quorum=alice,bob …
  8 2026-11-22T10:02:09.012Z decided id=3fa9… decision=approved by=user
  9 2026-11-22T10:02:09.340Z signing id=3fa9… key=1f6c… epoch=1 quorum=alice,bob receivers=alice …
  10 2026-11-22T10:02:09.377Z signed id=3fa9…`;

export function auditCommand(context: CommandContext): Command {
  const command = new Command('audit')
    .summary('verify or show the audit log of a party')
    .description(
      'Verify or show audit logs. A daemon writes every request, decision and signature of its party to ' +
        'audit.log in the state folder, each record with the hash of the one before. Works offline, without ' +
        'a passphrase, and beside a daemon that runs.',
    )
    .addCommand(verifyCommand(context))
    .addCommand(showCommand(context));
  return addExamples(command, `${VERIFY_EXAMPLES}\n\n${SHOW_EXAMPLES}`);
}

function hashOption(text: string, before: readonly string[] = []): string[] {
  if (!/^[0-9a-f]{64}$/i.test(text))
    throw new InvalidArgumentError('write the 64 hex digits of a head, as `audit verify` printed it');
  return [...before, text.toLowerCase()];
}

function verifyCommand(context: CommandContext): Command {
  const command = new Command('verify')
    .summary('check that audit logs are whole and in order, and agree')
    .description(
      'Check audit logs: that no record was changed, removed, added or moved, and that each request was ' +
        'decided before anything was signed, and signed at most once. Who can write to a log can rewrite all ' +
        'of it, or cut its end off: note the head that this prints elsewhere, and name it with --contains ' +
        'later. Of logs of several parties it checks, too, that they tell the same of every request, and that ' +
        'all signers know of each signature; where daemons run, copy the logs of receivers before the others.',
    )
    .argument('[files...]', 'audit logs, one per party (default: that of --self)')
    .option(
      '--contains <hash>',
      'a head noted earlier, which must be in one of them; may be repeated',
      hashOption,
    )
    .action((files: string[], _options, self: Command) =>
      verify(files, self.optsWithGlobals<VerifyOptions>(), context),
    );
  return addExamples(command, VERIFY_EXAMPLES);
}

function showCommand(context: CommandContext): Command {
  const command = new Command('show')
    .summary('print the records of an audit log')
    .description('Print the records of an audit log, up to the first line that does not belong there.')
    .argument('[file]', 'audit log (default: that of --self)')
    .option('--request <id>', 'only the records of this request: its id, or the first digits')
    .action((file: string | undefined, _options, self: Command) =>
      show(file, self.optsWithGlobals<ShowOptions>(), context),
    );
  return addExamples(command, SHOW_EXAMPLES);
}

/** The path of the log of the party --self. */
async function ownLog(options: SharedOptions): Promise<string> {
  const [{ clusterParty, loadCluster }, { AUDIT_FILE }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../audit/log.js'),
  ]);
  if (options.state !== undefined) return join(options.state, AUDIT_FILE);
  const self = requireSelf(options, ', or name a file');
  const cluster = loadCluster(options.config);
  clusterParty(cluster, self);
  return join(stateFolder(options, cluster, self), AUDIT_FILE);
}

async function verify(
  files: readonly string[],
  options: VerifyOptions,
  { signal }: CommandContext,
): Promise<void> {
  const { verifyLogs } = await import('../../audit/verify.js');
  const paths = files.length > 0 ? files : [await ownLog(options)];
  const verdict = await verifyLogs(paths, { heads: options.contains ?? [], signal });
  if (options.json) printLine(JSON.stringify({ event: 'audit-verify', ...verdict }));
  else await tellVerdict(verdict);
  const { length } = verdict.faults;
  if (length === 0) return;
  throw new MpcError('FILE', `${length} ${length === 1 ? 'fault' : 'faults'} in ${logsOf(verdict)}`, {
    hint: 'keep the files as they are, and compare them with copies and with the logs of the other parties',
  });
}

const logsOf = ({ logs }: Verdict): string => (logs.length > 1 ? 'the audit logs' : 'the audit log');

async function tellVerdict(verdict: Verdict): Promise<void> {
  const { displayPath } = await import('../../files/files.js');
  const { logs, faults } = verdict;
  for (const log of logs) {
    printLine(printable(displayPath(log.file)));
    for (const [name, value] of factsOf(log)) printLine(`  ${`${name}:`.padEnd(12)} ${value}`);
  }
  const placeOf = ({ file, line }: Fault): string =>
    file === undefined ? '' : `${displayPath(file)}${line === undefined ? '' : `, line ${line}`}: `;
  for (const fault of faults) printLine(`✗ ${printable(`${placeOf(fault)}${fault.fault}`)}`);
  if (faults.length === 0)
    printLine(logs.length > 1 ? '✓ The logs are sound, and agree' : '✓ The log is sound');
}

const factsOf = ({ party, records, requests, signatures, head, unfinishedBytes }: LogReport) => [
  ['Party', party ?? 'not known: there is no first record'],
  ['Records', String(records)],
  ['Requests', String(requests)],
  ['Signatures', String(signatures)],
  ...(head === undefined ? [] : [['Head', `${head.n} ${head.hash}`]]),
  ...(unfinishedBytes === 0
    ? []
    : [['Unfinished', `${unfinishedBytes} bytes of a record that is being written, or was at a crash`]]),
];

async function show(
  file: string | undefined,
  options: ShowOptions,
  { signal }: CommandContext,
): Promise<void> {
  const [{ Chain }, { readLog }, { displayPath }] = await Promise.all([
    import('../../audit/chain.js'),
    import('../../audit/read.js'),
    import('../../files/files.js'),
  ]);
  const path = file ?? (await ownLog(options));
  const { request, json } = options;
  for await (const { number, record, fault } of readLog(path, new Chain(), signal)) {
    if (fault !== undefined)
      throw new MpcError('FILE', `${displayPath(path)}, line ${number}: ${fault}`, {
        hint: `see all faults with \`ecdsa-mpc audit verify ${displayPath(path)}\``,
      });
    if (record === undefined || !isOf(record, request)) continue;
    printLine(json ? JSON.stringify(record) : lineOf(record));
  }
}

const isOf = (record: AuditRecord, request: string | undefined): boolean =>
  request === undefined || ('id' in record && record.id.startsWith(request.toLowerCase()));

/** A record in a line for people; texts in quotation marks. */
function lineOf({ n, time, event, previous: _previous, hash: _hash, ...fields }: AuditRecord): string {
  const told = Object.entries(fields).map(
    ([name, value]) => `${name}=${name === 'reason' ? JSON.stringify(value) : String(value)}`,
  );
  return printable([n, time, event, ...told].join(' '));
}
