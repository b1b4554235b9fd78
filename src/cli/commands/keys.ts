/** `ecdsa-mpc keys`: what the state folder holds. */
import { Command } from 'commander';
import type { PartyName } from '../../core/errors.js';
import type { KeyDescription, PublicKeyDescription } from '../../party/describe-key.js';
import { askDaemon, findDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import type { CommandContext, SharedOptions } from '../options.js';
import { requireSelf } from '../party-command.js';
import { withStore } from '../store.js';
import { printable, printLine } from '../ui.js';

interface ExportOptions extends SharedOptions {
  readonly out?: string;
}

const EXAMPLES = `  $ ecdsa-mpc keys --self alice
  Key ID:        1f6c…
  Public key:    04abc123…
  Curve:         P-256
  Policy:        Threshold(2, Leaf(alice), Leaf(bob), Leaf(charlie))
  Epoch:         1
  Backup:        alice-epoch-1.backup (epoch 1, made 2026-11-22T10:02:03.456Z)`;

const EXPORT_EXAMPLES = `  $ ecdsa-mpc keys export-public 1f6c --self alice --out public.pem
  $ openssl dgst -sha256 -verify public.pem -signature sig.der message.txt
  Verified OK`;

export function keysCommand(context: CommandContext): Command {
  const command = new Command('keys')
    .summary('list the stored keys, or export a public key')
    .description('List the keys of --self: public facts only. Works offline, and while its daemon is up.')
    .action((_options, self: Command) => list(self.optsWithGlobals<SharedOptions>(), context))
    .addCommand(exportCommand(context));
  return addExamples(command, EXAMPLES);
}

function exportCommand(context: CommandContext): Command {
  const command = new Command('export-public')
    .summary('print the public key as PEM')
    .description(
      'Print the public key of a stored key as PEM (SubjectPublicKeyInfo), which OpenSSL and its like read. ' +
        'Works offline, and while the daemon of --self is up.',
    )
    .argument('[key]', 'key id, or its first digits; may be left out where there is one key')
    .option('--out <file>', 'write it to a file that does not exist yet, instead of standard output')
    .action((key: string | undefined, _options, self: Command) =>
      exportPublic(key, self.optsWithGlobals<ExportOptions>(), context),
    );
  return addExamples(command, EXPORT_EXAMPLES);
}

async function list(options: SharedOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  const daemon = await findDaemon(options, self);
  if (daemon !== undefined)
    return await askDaemon(
      daemon,
      { do: 'keys' },
      (event) => printKeys(self, (event as unknown as { keys: readonly KeyDescription[] }).keys, options),
      context,
    );
  await withStore(options, { self, ...context }, async (keystore) => {
    const { describeKey } = await import('../../party/describe-key.js');
    printKeys(self, keystore.keys().map(describeKey), options);
  });
}

function printKeys(self: PartyName, keys: readonly KeyDescription[], { json }: SharedOptions): void {
  if (json) printLine(JSON.stringify({ event: 'keys', party: self, keys }));
  else if (keys.length === 0) printLine('no keys yet: make one with `ecdsa-mpc keygen`');
  else keys.flatMap((key, index) => [...(index > 0 ? [''] : []), ...keyLines(key)]).forEach(printLine);
}

const STATES: Readonly<Record<KeyDescription['state'], string | undefined>> = {
  complete: undefined,
  pending: 'pending: its generation was cut off; run `ecdsa-mpc keygen` at all parties to complete it',
  recovered: 'recovered from a backup; run `ecdsa-mpc refresh` at all parties',
};

function keyLines(key: KeyDescription): string[] {
  const state = STATES[key.state];
  const fields: [string, string][] = [
    ['Key ID', key.keyId],
    ...(state === undefined ? [] : [['State', state] as [string, string]]),
    ...(key.publicKey === undefined ? [] : [['Public key', key.publicKey] as [string, string]]),
    ['Curve', key.curve],
    ['Policy', key.policy],
    ['Epoch', epochText(key)],
    ...backupTexts(key).map((text): [string, string] => ['Backup', text]),
  ];
  return fields.map(([name, value]) => `${`${name}:`.padEnd(14)} ${printable(value)}`);
}

const epochText = ({ epoch, unfinished }: KeyDescription): string =>
  unfinished === undefined
    ? String(epoch)
    : `${epoch}; a refresh to epoch ${unfinished} was cut off, and the next command will find which is in force`;

function backupTexts({ backups }: KeyDescription): string[] {
  if (backups.length === 0) return ['none is known here'];
  return backups.map(
    ({ file, epoch, madeAt, void: isVoid }) =>
      `${file} (epoch ${epoch}, made ${madeAt}${isVoid ? '; void since a refresh' : ''})`,
  );
}

async function exportPublic(
  wanted: string | undefined,
  options: ExportOptions,
  context: CommandContext,
): Promise<void> {
  const self = requireSelf(options);
  const daemon = await findDaemon(options, self);
  if (daemon !== undefined) {
    const order = { do: 'public-key', ...(wanted !== undefined && { key: wanted }) } as const;
    let found: PublicKeyDescription | undefined;
    await askDaemon(
      daemon,
      order,
      (event) => {
        found = event as unknown as PublicKeyDescription;
      },
      context,
    );
    return await tellPublicKey(self, found!, options);
  }
  await withStore(options, { self, ...context }, async (keystore) => {
    const [{ chooseKey }, { describePublicKey }] = await Promise.all([
      import('../../party/choose-key.js'),
      import('../../party/describe-key.js'),
    ]);
    await tellPublicKey(self, describePublicKey(chooseKey(keystore, wanted)), options);
  });
}

async function tellPublicKey(
  self: PartyName,
  { keyId, curve, publicKey, pem }: PublicKeyDescription,
  { out, json }: ExportOptions,
): Promise<void> {
  if (out !== undefined) {
    const { PUBLIC, writeNewFile } = await import('../../files/files.js');
    writeNewFile(out, pem, PUBLIC);
  }
  const facts = { event: 'public-key', party: self, keyId, curve, publicKey, pem };
  if (json) printLine(JSON.stringify({ ...facts, ...(out !== undefined && { out }) }));
  else if (out === undefined) process.stdout.write(pem);
  else printLine(`made ${out}: the public key of ${keyId}`);
}
