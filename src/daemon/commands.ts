/** What a user of this party may have its daemon do, through the control socket. */
import { z } from 'zod';
import { randomBytes, toHex } from '../core/bytes.js';
import { MpcError } from '../core/errors.js';
import { curveByName } from '../curve/curve.js';
import { messageDigest } from '../curve/digest.js';
import { checkNewFile } from '../files/files.js';
import { checkComplete, checkParties, chooseKey } from '../party/choose-key.js';
import { describeKey, describePublicKey, factsOf } from '../party/describe-key.js';
import type { ResultEvent } from '../party/events.js';
import { commandEvent } from '../party/everyday.js';
import {
  type BackupTarget,
  type BackupTools,
  backUpStored,
  confirmedOf,
  isBackupOf,
} from '../party/stored-backup.js';
import { newestOf } from '../party/stored-keys.js';
import { type KeyShare, printId, type Sharing } from '../protocol/key-share.js';
import { recipientFromPem } from '../pve/recipient.js';
import type { Caller } from './asker.js';
import type { Daemon } from './daemon.js';
import type { Desk } from './desk.js';
import { MAX_MESSAGE_BYTES, MAX_REASON, type RequestContent } from './letters.js';
import { chooseQuorum } from './quorum.js';
import { describeRequests, type StatusEvent } from './status.js';
import type { Tools } from './tools.js';

const key = z.string().max(80).optional();
const name = z.string().max(80);
/**
 * The whole of it: whoever asks could make two requests whose ids begin alike, have the one looked at, take it back,
 * and get the other approved by the beginning of both.
 */
const id = z.string().regex(/^[0-9a-f]{64}$/, 'is not the id of a request: give all of its 64 hex digits');

/** A public recovery key, PEM, and the whole path of a new file. */
const backup = z.strictObject({ to: z.string().max(16_384), file: z.string().startsWith('/').max(4_096) });

const command = z.discriminatedUnion('do', [
  z.strictObject({
    do: z.literal('sign'),
    key,
    /** Base64. */
    message: z.base64(),
    quorum: z.array(name).max(64).optional(),
    receiver: name.optional(),
  }),
  z.strictObject({
    do: z.literal('refresh'),
    key,
    backup: backup.optional(),
  }),
  z.strictObject({ do: z.literal('backup'), key, backup }),
  z.strictObject({ do: z.literal('keygen') }),
  z.strictObject({ do: z.literal('keys') }),
  z.strictObject({ do: z.literal('public-key'), key }),
  z.strictObject({ do: z.literal('status') }),
  z.strictObject({ do: z.literal('requests') }),
  z.strictObject({ do: z.literal('approve'), id }),
  z.strictObject({ do: z.literal('reject'), id, reason: z.string().max(MAX_REASON).optional() }),
]);

/** An order of the user, as it travels over the control socket. */
export type DaemonCommand = z.input<typeof command>;
type SignCommand = Extract<DaemonCommand, { do: 'sign' }>;
type RefreshCommand = Extract<DaemonCommand, { do: 'refresh' }>;
type BackupCommand = Extract<DaemonCommand, { do: 'backup' }>;

export interface CommandOptions {
  readonly tools: Tools;
  readonly daemon: Daemon;
  readonly desk: Desk;
  readonly status: () => Promise<StatusEvent>;
}

/** Does what the user of this party orders, and tells `caller` what comes of it. */
export async function obey(options: CommandOptions, order: unknown, caller: Caller): Promise<void> {
  const { tools, daemon, status, desk } = options;
  const { self, keystore } = tools;
  const wanted = parse(order);
  const emit = caller.emit as (event: object) => void;
  switch (wanted.do) {
    case 'sign':
      return await sign(options, wanted, caller);
    case 'refresh':
      return await refresh(options, wanted, caller);
    case 'backup':
      return await createBackup(options, wanted, caller);
    case 'keygen':
      return await generate(options, caller);
    case 'keys':
      return emit({ event: 'keys', party: self, keys: keystore.keys().map(describeKey) });
    case 'public-key':
      return emit({
        ...{ event: 'public-key', party: self },
        ...describePublicKey(chooseKey(keystore, wanted.key)),
      });
    case 'status':
      return emit(await status());
    case 'requests':
      return emit({ event: 'requests', party: self, requests: describeRequests(daemon, self) });
    case 'approve':
      desk.approve(wanted.id);
      return emit({ event: 'approved', party: self, id: wanted.id });
    case 'reject':
      desk.reject(wanted.id, wanted.reason);
      return emit({ event: 'rejected', party: self, id: wanted.id });
  }
}

function parse(order: unknown): z.output<typeof command> {
  const parsed = command.safeParse(order);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new MpcError(
    'USAGE',
    `the daemon does not know this order: ${issue?.path.join('.')} ${issue?.message}`,
    {
      hint: 'use the ecdsa-mpc of the same version as the daemon',
    },
  );
}

/** The stored key that a user means, fit to be used with the parties of the cluster. */
function usableKey({ keystore, cluster }: Tools, wanted: string | undefined): Sharing {
  const stored = chooseKey(keystore, wanted);
  const { sharing } = newestOf(stored);
  checkParties(cluster, sharing);
  return sharing;
}

const nameOf = ({ keyId, epoch }: Sharing) => ({ keyId: printId(keyId), epoch });

async function sign({ tools, daemon }: CommandOptions, wanted: SignCommand, caller: Caller): Promise<void> {
  const { self, keystore, isUp } = tools;
  checkComplete(chooseKey(keystore, wanted.key));
  const sharing = usableKey(tools, wanted.key);
  const message = new Uint8Array(Buffer.from(wanted.message, 'base64'));
  if (message.length > MAX_MESSAGE_BYTES)
    throw new MpcError('USAGE', `the message has more than ${MAX_MESSAGE_BYTES} bytes`, {
      hint: 'daemons show each other the whole message: sign a digest of it instead, or stop them and run sign at all',
    });
  const { quorum, receivers } = chooseQuorum(sharing, self, isUp, wanted);
  const terms = { quorum, receivers, messageHash: toHex(messageDigest(message)) };
  caller.emit(commandEvent(tools, 'sign', sharing, quorum, { ...nameOf(sharing), ...terms }));
  const content: RequestContent = {
    ...{ operation: 'sign', nonce: randomBytes(16), key: sharing.keyId, message },
    ...{ quorum: [...quorum], receivers: [...receivers] },
  };
  const { sharing: used, signature } = await daemon.ask(content, caller);
  const der = signature && toHex(signature);
  const facts = { party: self, epoch: used.epoch, quorum, receivers };
  caller.emit({ event: 'signature', ...facts, ...(der && { der }) });
  caller.emit({
    ...{ event: 'result', party: self, command: 'sign', ...factsOf(used) },
    ...(der && { signature: der }),
  });
}

async function refresh(
  { tools, daemon }: CommandOptions,
  wanted: RefreshCommand,
  caller: Caller,
): Promise<void> {
  const { self, keystore } = tools;
  const sharing = usableKey(tools, wanted.key);
  caller.emit(commandEvent(tools, 'refresh', sharing, sharing.parties, nameOf(sharing)));
  const { backups, sharings } = keystore.key(sharing.keyId)!;
  const valid = backups.filter(isBackupOf(sharings));
  const target = wanted.backup && newTarget(wanted.backup);
  let made: ResultEvent['backup'];
  const backUp = async (share: KeyShare, backupTools: BackupTools): Promise<void> => {
    if (target !== undefined) made = await backUpStored(share, target, backupTools);
  };
  const content = { operation: 'refresh', nonce: randomBytes(16), key: sharing.keyId } as const;
  const { sharing: refreshed } = await daemon.ask(content, { ...caller, ...(target && { backUp }) });
  const voided = valid.filter(({ epoch }) => epoch < refreshed.epoch).map(({ file }) => file);
  caller.emit({
    ...{ event: 'result', party: self, command: 'refresh', ...factsOf(refreshed), voided },
    ...(made && { backup: made }),
  });
}

/** Backs the share in force up. */
async function createBackup({ tools }: CommandOptions, wanted: BackupCommand, caller: Caller): Promise<void> {
  const { self, keystore } = tools;
  const sharing = confirmedOf(chooseKey(keystore, wanted.key));
  const target = newTarget(wanted.backup);
  using share = keystore.loadShare(sharing.keyId, sharing.shid);
  const backup = await backUpStored(share, target, { ...caller, keystore, compute: tools.compute });
  caller.emit({ event: 'result', party: self, command: 'backup create', ...factsOf(sharing), backup });
}

function newTarget({ to, file }: BackupCommand['backup']): BackupTarget {
  checkNewFile(file);
  return { recipient: recipientFromPem(to), file };
}

async function generate({ tools, daemon }: CommandOptions, caller: Caller): Promise<void> {
  const { self, cluster } = tools;
  const { curve, policy, parties } = cluster;
  const kind = { curve: curveByName(curve), policy };
  const all = parties.map(({ name }) => name);
  caller.emit(commandEvent(tools, 'keygen', kind, all, {}));
  const { sharing } = await daemon.ask({ operation: 'keygen', nonce: randomBytes(16) }, caller);
  caller.emit({ event: 'result', party: self, command: 'keygen', ...factsOf(sharing) });
}
