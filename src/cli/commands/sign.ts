/** `ecdsa-mpc sign`: a signature by a quorum with a stored key. */
import { Command } from 'commander';
import { MpcError } from '../../core/errors.js';
import type { DaemonCommand } from '../../daemon/commands.js';
import type { EventSink, PartyEvent } from '../../party/events.js';
import { askDaemon, findDaemon } from '../daemon.js';
import { addExamples } from '../help.js';
import {
  type CommandContext,
  keyOption,
  quorumOption,
  receiverOption,
  type SharedOptions,
} from '../options.js';
import { asParty, partyOptions, requireSelf } from '../party-command.js';
import { withStore } from '../store.js';

interface SignCommandOptions extends SharedOptions {
  readonly key?: string;
  readonly message?: string;
  readonly messageFile?: string;
  readonly quorum?: readonly string[];
  readonly receiver?: string;
  readonly out?: string;
}

const EXAMPLES = `  $ ecdsa-mpc sign --self alice --message "first of March" --quorum alice,bob --out sig.der
  …
  [alice] ✓ Signature created (I am the receiver) and verified
  [alice]   Signature: 3045…
  [alice]   Written to sig.der
  $ ecdsa-mpc sign --self bob --message "first of March" --quorum alice,bob      at the same time, on bob's machine
  $ ecdsa-mpc sign --self bob --key 1f6c --message-file release.tar.gz --receiver all --json`;

export function signCommand(context: CommandContext): Command {
  const command = new Command('sign')
    .summary('sign a message with a stored key')
    .description(
      'Sign with a stored key. The parties of the quorum run this command with the same key, message, quorum ' +
        'and receiver. The signature is ECDSA over SHA-256 of the message, in DER.',
    )
    .addOption(keyOption())
    .option('--message <text>', 'the text to sign, as UTF-8')
    .option('--message-file <file>', 'the file whose bytes to sign')
    .addOption(quorumOption())
    .addOption(receiverOption())
    .option('--out <file>', 'where a receiver writes the signature, DER; a file that does not exist yet')
    .action((_options, self: Command) => sign(self.optsWithGlobals<SignCommandOptions>(), context));
  return addExamples(command, EXAMPLES);
}

async function sign(options: SignCommandOptions, context: CommandContext): Promise<void> {
  const self = requireSelf(options);
  await asParty(self, options, async (emit) => {
    const message = await messageOf(options);
    const daemon = await findDaemon(options, self);
    if (daemon !== undefined) return await askToSign(daemon, message, options, emit, context);
    await withStore(options, { self, ...context }, async (keystore, cluster) => {
      const { runSign } = await import('../../party/everyday.js');
      const { key, quorum, receiver, out } = options;
      await runSign({
        ...partyOptions({ self, cluster, emit }, options, context),
        ...{ keystore, message },
        ...(key !== undefined && { key }),
        ...(quorum !== undefined && { quorum }),
        ...(receiver !== undefined && { receiver }),
        ...(out !== undefined && { out }),
      });
    });
  });
}

/** Has the daemon sign. A receiver's signature is written here: the daemon writes no files for others. */
async function askToSign(
  daemon: string,
  message: Uint8Array,
  { key, quorum, receiver, out }: SignCommandOptions,
  emit: EventSink,
  context: CommandContext,
): Promise<void> {
  const [{ fromHex }, { checkNewFile, PUBLIC, writeNewFile }] = await Promise.all([
    import('../../core/bytes.js'),
    import('../../files/files.js'),
  ]);
  if (out !== undefined) checkNewFile(out);
  const order: DaemonCommand = {
    ...{ do: 'sign', message: Buffer.from(message).toString('base64') },
    ...(key !== undefined && { key }),
    ...(quorum !== undefined && { quorum: [...quorum] }),
    ...(receiver !== undefined && { receiver }),
  };
  const tell: EventSink = (event) => {
    const written = event.event === 'result' && out !== undefined ? event.signature : undefined;
    if (written !== undefined) writeNewFile(out!, fromHex(written)!, PUBLIC);
    emit(written === undefined ? event : ({ ...event, out } as PartyEvent));
  };
  await askDaemon(daemon, order, tell, context);
}

/** The bytes to sign. */
async function messageOf({ message, messageFile }: SignCommandOptions): Promise<Uint8Array> {
  if ((message === undefined) === (messageFile === undefined))
    throw new MpcError('USAGE', 'what is to be signed? give either --message or --message-file', {
      hint: 'say for example --message "first of March"',
    });
  if (message !== undefined) return new TextEncoder().encode(message);
  const { readMessage } = await import('../../files/files.js');
  return readMessage(messageFile!);
}
