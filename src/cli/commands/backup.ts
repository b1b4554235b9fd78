/** `ecdsa-mpc backup`: recovery keys, and what can be done with a backup file offline. */
import { Command, Option } from 'commander';
import type { Secret } from '../../core/bytes.js';
import { MpcError, type PartyName } from '../../core/errors.js';
import type { Curve, Point } from '../../curve/curve.js';
import type { Backup, BackupDescription, Expected, VerifiedAgainst } from '../../pve/backup-file.js';
import { askDaemon, backupPlace, findDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import { type CommandContext, keyOption, type SharedOptions } from '../options.js';
import { asParty, requireSelf } from '../party-command.js';
import { withStore } from '../store.js';
import { printable, printLine } from '../ui.js';

export function backupCommand(context: CommandContext): Command {
  return new Command('backup')
    .summary('make recovery keys; make, inspect, verify and recover backups')
    .description(
      'Make recovery keys, and make, inspect, verify and recover backups of key shares. All of it works ' +
        'offline.',
    )
    .addCommand(keygenCommand(context))
    .addCommand(createCommand(context))
    .addCommand(inspectCommand())
    .addCommand(verifyCommand())
    .addCommand(recoverCommand(context));
}

// keygen

interface KeygenOptions extends SharedOptions {
  readonly type: 'rsa-3072' | 'p256';
  readonly out: string;
}

function keygenCommand({ signal }: CommandContext): Command {
  const command = new Command('keygen')
    .summary('make a recovery key pair')
    .description(
      'Make a key pair that backups can be encrypted to: PREFIX.pub.pem for the parties, who name it with ' +
        '--to, --backup-to or --backup-key, and PREFIX.key.pem (mode 0600), which opens their backups. Existing files are not ' +
        'replaced.',
    )
    .addOption(
      new Option('--type <type>', 'RSA-OAEP with 3072 bits, or HPKE over P-256')
        .choices(['rsa-3072', 'p256'])
        .default('rsa-3072'),
    )
    .option('--out <prefix>', 'where to write the two files', 'recovery')
    .action((_options, self: Command) => keygen(self.optsWithGlobals<KeygenOptions>(), signal));
  return addExamples(
    command,
    `  $ ecdsa-mpc backup keygen --type p256 --out safe/recovery
  made safe/recovery.pub.pem
  made safe/recovery.key.pem: whoever holds it can open the backups; without it they are lost
  $ ecdsa-mpc backup create --self alice --to safe/recovery.pub.pem --out alice.backup`,
  );
}

async function keygen({ type, out, json }: KeygenOptions, signal: AbortSignal): Promise<void> {
  const [{ PUBLIC, SECRET, exists, writeNewFile }, { makeKeyPair }] = await Promise.all([
    import('../../files/files.js'),
    import('../../party/recovery-key.js'),
  ]);
  const publicKey = `${out}.pub.pem`;
  const privateKey = `${out}.key.pem`;
  // Before a key is made, and before one of the two files is written.
  for (const path of [publicKey, privateKey])
    if (exists(path))
      throw new MpcError('FILE', `${path} exists already`, { hint: 'choose other names with --out PREFIX' });
  const { publicPem, privatePem } = await makeKeyPair(type, signal);
  try {
    writeNewFile(privateKey, privatePem.bytes, SECRET);
    writeNewFile(publicKey, publicPem, PUBLIC);
  } finally {
    privatePem.dispose();
  }
  if (json) return printLine(JSON.stringify({ event: 'recovery-key', type, publicKey, privateKey }));
  printLine(`made ${publicKey}`);
  printLine(`made ${privateKey}: whoever holds it can open the backups; without it they are lost`);
}

// create

interface CreateOptions extends SharedOptions {
  readonly key?: string;
  readonly to: string;
  readonly out: string;
}

function createCommand(context: CommandContext): Command {
  const command = new Command('create')
    .summary('back up the share of a stored key')
    .description(
      'Encrypt the share of a stored key to a public recovery key, check the backup by its proof, and write ' +
        'it. It is of the present epoch: a refresh makes it void.',
    )
    .addOption(keyOption())
    .requiredOption('--to <file>', 'PEM public recovery key')
    .requiredOption('--out <file>', 'where to write the backup; a file that does not exist yet')
    .action((_options, self: Command) => create(self.optsWithGlobals<CreateOptions>(), context));
  return addExamples(
    command,
    `  $ ecdsa-mpc backup create --self alice --to recovery-alice.pub.pem --out alice.backup
  [alice] ✓ Key backed up with PVE (rsa-oaep)
  …
  [alice] ✓ PVE backup verified successfully
  [alice]   Backup of epoch 0 written to alice.backup`,
  );
}

async function create(options: CreateOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  await asParty(self, options, async (emit) => {
    const [{ backUpStored, confirmedOf, readTarget }, { chooseKey }, { factsOf }, { WorkerPool }] =
      await Promise.all([
        import('../../party/stored-backup.js'),
        import('../../party/choose-key.js'),
        import('../../party/describe-key.js'),
        import('../../work/pool.js'),
      ]);
    const target = readTarget(options.to, options.out);
    const daemon = await findDaemon(options, self);
    if (daemon !== undefined) {
      const { to, out, key } = options;
      const order = {
        do: 'backup',
        backup: await backupPlace(to, out),
        ...(key !== undefined && { key }),
      } as const;
      return await askDaemon(daemon, order, emit, context);
    }
    await withStore(options, { self, ...context }, async (keystore) => {
      const sharing = confirmedOf(chooseKey(keystore, options.key));
      using share = keystore.loadShare(sharing.keyId, sharing.shid);
      const pool = new WorkerPool();
      try {
        const tools = { keystore, compute: pool.compute, signal: context.signal, emit };
        const backup = await backUpStored(share, target, tools);
        emit({ event: 'result', party: self, command: 'backup create', ...factsOf(sharing), backup });
      } finally {
        await pool.close();
      }
    });
  });
}

// inspect

function inspectCommand(): Command {
  const command = new Command('inspect')
    .summary('print what a backup says, without any key')
    .description(
      'Print everything that a backup says about itself. Nothing of it is proved: see backup verify.',
    )
    .argument('<file>', 'backup file')
    .action((file: string, _options, self: Command) => inspect(file, self.optsWithGlobals<SharedOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc backup inspect backup-alice.hex
  Label:         backup-alice-1763798400
  Party:         alice
  …`,
  );
}

async function inspect(file: string, { json }: SharedOptions): Promise<void> {
  const { describeBackup } = await import('../../pve/backup-file.js');
  const description = describeBackup(await readBackup(file));
  if (json) return printLine(JSON.stringify(description));
  for (const line of descriptionLines(description)) printLine(line);
}

function descriptionLines(backup: BackupDescription): string[] {
  const fields: [string, string][] = [
    ['Label', backup.label],
    ['Party', backup.party],
    ['Public key', backup.publicKey],
    ['Curve', backup.curve],
    ['Key ID', backup.keyId],
    ['Epoch', String(backup.epoch)],
    ['Sharing', backup.shid],
    ['Policy', backup.policy],
    ...Object.entries(backup.publicShares).map(([name, X]): [string, string] => [
      'Public share',
      `${X} (${name})`,
    ]),
    ['Scheme', backup.scheme],
    ['Recovery key', `SHA-256 ${backup.recipient.fingerprint}`],
    ['Instances', `${backup.instances}, closed: ${backup.closed.join(' ')}`],
    ['Size', `${backup.bytes} bytes`],
    ['Format', `${backup.format}, version ${backup.version}`],
  ];
  return [
    ...fields.map(([name, value]) => `${`${name}:`.padEnd(14)} ${printable(value)}`),
    ...backup.recipient.pem.trimEnd().split('\n'),
  ];
}

// verify

interface VerifyOptions extends SharedOptions {
  readonly publicKey?: string;
  readonly shareOf?: PartyName;
  readonly publicShare?: string;
}

function verifyCommand(): Command {
  const command = new Command('verify')
    .summary('prove that a backup can be opened to a share, without any secret')
    .description(
      'Check, without any secret, that the holder of the recovery key can open this backup to the share ' +
        'that it claims. Compare it with what you know from elsewhere: the public key of the cluster, the ' +
        "party, and the party's public share, which `backup inspect` shows in every other party's backup of " +
        'the same epoch.',
    )
    .argument('<file>', 'backup file')
    .option('--public-key <key>', "the cluster's public key: a PEM file, or hex as the parties print it")
    .option('--share-of <name>', 'the party whose share it must be')
    .option('--public-share <hex>', 'the public share of that party')
    .action((file: string, _options, self: Command) => verify(file, self.optsWithGlobals<VerifyOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc backup verify backup-alice.hex --public-key 04abc123… --share-of alice
  ✓ The backup opens to alice's share of the key 04abc123… (epoch 1)
    checked against: public key`,
  );
}

async function verify(file: string, options: VerifyOptions): Promise<void> {
  const { verifyBackup } = await import('../../pve/backup-file.js');
  const backup = await readBackup(file);
  const against = verifyBackup(backup, await expectation(backup.subject.curve, options));
  printOutcome(backup, options, { verified: true, against }, `checked against: ${AGAINST[against]}`);
}

const AGAINST: Readonly<Record<VerifiedAgainst, string>> = {
  itself: "itself only; name the cluster's key with --public-key",
  'public key': 'public key',
  'public share': 'public share of the party',
};

/** What the options say that the backup must be of. */
async function expectation(
  curve: Curve,
  { publicKey, shareOf, publicShare }: VerifyOptions,
): Promise<Expected> {
  return {
    ...(publicKey !== undefined && { publicKey: await readPublicKey(curve, publicKey) }),
    ...(shareOf !== undefined && { shareOf }),
    ...(publicShare !== undefined && { publicShare: pointOfHex(curve, publicShare) ?? notAPoint(curve) }),
  };
}

async function readPublicKey(curve: Curve, fileOrHex: string): Promise<Point> {
  if (/^[0-9a-f]{66,}$/i.test(fileOrHex)) return pointOfHex(curve, fileOrHex) ?? notAPoint(curve);
  const [{ readText }, { publicKeyFromPem }] = await Promise.all([
    import('../../files/files.js'),
    import('../../curve/ecdsa.js'),
  ]);
  return publicKeyFromPem(readText(fileOrHex)).point;
}

function notAPoint(curve: Curve): never {
  throw new MpcError('USAGE', `that is not the hex of a point of ${curve.name}, the curve of the backup`, {
    hint: 'copy it as the parties print it: 04 and 128 hex digits, or 02 or 03 and 64',
  });
}

/** The point of `hex`, SEC1 compressed or uncompressed. */
function pointOfHex(curve: Curve, hex: string): Point | undefined {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length !== 65) return curve.point(bytes);
  const point = curve.point(Uint8Array.of(bytes.at(-1)! % 2 === 0 ? 2 : 3, ...bytes.subarray(1, 33)));
  return point !== undefined && bytes.equals(point.toUncompressed()) ? point : undefined;
}

// recover

interface RecoverOptions extends SharedOptions {
  readonly recoveryKey: string;
  readonly check?: boolean;
  readonly out?: string;
}

function recoverCommand(context: CommandContext): Command {
  const command = new Command('recover')
    .summary('open a backup with its recovery key, and store the share')
    .description(
      'Open a backup with the private recovery key, check that it holds the share that it claims, and store ' +
        'the share in the state folder of --self, which is made if there is none. The share is shown nowhere. ' +
        'With --check nothing is written; with --out the share goes, as 64 hex digits, to a new file that ' +
        'only its owner may read, and not into the state folder.',
    )
    .argument('<file>', 'backup file')
    .requiredOption('--recovery-key <file>', 'PEM private recovery key, without passphrase')
    .option('--check', 'only say whether the backup opens')
    .option('--out <file>', 'write the share there instead')
    .action((file: string, _options, self: Command) =>
      recover(file, self.optsWithGlobals<RecoverOptions>(), context),
    );
  return addExamples(
    command,
    `  $ ecdsa-mpc backup recover alice.backup --recovery-key recovery-alice.key.pem --self alice
  new passphrase for the stored keys:
  …
  ✓ The backup opens to alice's share of the key 04abc123… (epoch 1)
    stored in state/alice; now run at all parties: ecdsa-mpc refresh --key 1f6c7d0a
  $ ecdsa-mpc backup recover alice.backup --recovery-key recovery-alice.key.pem --check`,
  );
}

async function recover(file: string, options: RecoverOptions, context: CommandContext): Promise<void> {
  const { check, out } = options;
  if (check && out !== undefined)
    throw new MpcError('USAGE', '--check writes nothing, and --out does', { hint: 'leave one of them out' });
  const self = check || out !== undefined ? undefined : requireSelf(options, RECOVER_ELSEWHERE);
  const backup = await readBackup(file);
  if (self !== undefined) (await import('../../party/stored-backup.js')).checkOwner(backup.subject, self);
  using share = await openBackup(backup, options.recoveryKey);
  if (self !== undefined) await recoverIntoStore(self, backup, share, options, context);
  else if (out !== undefined) {
    await writeShare(out, share);
    printOutcome(backup, options, { recovered: true, out }, `written to ${out}`);
  } else printOutcome(backup, options, { recovered: true }, 'not written, because of --check');
}

const RECOVER_ELSEWHERE = '; or --check to write nothing, or --out FILE to write the share elsewhere';

async function openBackup(backup: Backup, keyFile: string): Promise<Secret> {
  const [{ readBytes }, { recoverShare }, { privateKeyFromPem }] = await Promise.all([
    import('../../files/files.js'),
    import('../../pve/backup-file.js'),
    import('../../pve/recipient.js'),
  ]);
  const pem = readBytes(keyFile);
  const key = privateKeyFromPem(pem);
  pem.fill(0);
  return recoverShare(backup, key);
}

async function recoverIntoStore(
  self: PartyName,
  backup: Backup,
  share: Secret,
  options: RecoverOptions,
  context: CommandContext,
): Promise<void> {
  const [{ storeRecovered }, { displayPath }, { printId }] = await Promise.all([
    import('../../party/stored-backup.js'),
    import('../../files/files.js'),
    import('../../protocol/key-share.js'),
  ]);
  await withStore(options, { self, create: true, ...context }, async (keystore, cluster) => {
    storeRecovered(keystore, cluster, backup.subject, share);
    const keyId = printId(backup.subject.keyId);
    const state = displayPath(keystore.folder);
    const next = `stored in ${state}; now run at all parties: ecdsa-mpc refresh --key ${keyId.slice(0, 8)}`;
    printOutcome(backup, options, { recovered: true, keyId, state }, next);
  });
}

async function writeShare(file: string, share: Secret): Promise<void> {
  const { SECRET, writeNewFile } = await import('../../files/files.js');
  const text = hexLine(share);
  try {
    writeNewFile(file, text, SECRET);
  } finally {
    text.fill(0);
  }
}

/** The hex of a secret and a newline, in bytes that can be wiped. */
function hexLine({ bytes }: Secret): Uint8Array {
  const digit = (value: number): number => value + (value < 10 ? 0x30 : 0x57);
  const text = new Uint8Array(2 * bytes.length + 1).fill(0x0a);
  bytes.forEach((byte, index) => {
    text[2 * index] = digit(byte >> 4);
    text[2 * index + 1] = digit(byte & 15);
  });
  return text;
}

// Shared

async function readBackup(file: string): Promise<Backup> {
  const [{ readBytes }, { parseBackup }] = await Promise.all([
    import('../../files/files.js'),
    import('../../pve/backup-file.js'),
  ]);
  // One character per byte: nothing in the file is decoded away before it is compared.
  return parseBackup(Buffer.from(readBytes(file)).toString('latin1'));
}

/** What a backup has been found to be. */
function printOutcome(backup: Backup, { json }: SharedOptions, outcome: object, note: string): void {
  const { party, publicKey, epoch, label } = backup.subject;
  const hex = Buffer.from(publicKey.toUncompressed()).toString('hex');
  if (json) {
    printLine(JSON.stringify({ ...outcome, party, publicKey: hex, epoch, label }));
    return;
  }
  printLine(`✓ The backup opens to ${party}'s share of the key ${hex} (epoch ${epoch})`);
  printLine(`  ${note}`);
}
