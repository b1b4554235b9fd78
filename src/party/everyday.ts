/**
 * The everyday commands of one party, on the keys of its store: keygen, sign, refresh. Each brings the party up,
 * finds the others, does its work with them and takes the party down.
 */
import { formatPolicy } from '../access/policy.js';
import { clusterParty } from '../config/cluster.js';
import { toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { curveByName } from '../curve/curve.js';
import { messageDigest } from '../curve/digest.js';
import { checkNewFile, PUBLIC, writeNewFile } from '../files/files.js';
import type { Keystore } from '../keystore/keystore.js';
import { printId, type Sharing } from '../protocol/key-share.js';
import { checkComplete, checkParties, chooseKey } from './choose-key.js';
import { factsOf } from './describe-key.js';
import type { CommandName, PartyEvent, ResultEvent } from './events.js';
import { type KeyKind, type Party, type PartyOptions, withParty } from './party.js';
import { resolveQuorum } from './quorum.js';
import { type BackupTarget, backUpStored, isBackupOf } from './stored-backup.js';
import { newestOf, type StoredKeyEvent, StoredKeys, serves, type Work } from './stored-keys.js';

export interface EverydayOptions extends PartyOptions {
  /** Of this party. It stays open, and the caller's. */
  readonly keystore: Keystore;
}

export interface KeyOptions extends EverydayOptions {
  /** The first digits of a key id; may be left out where there is one key. */
  readonly key?: string;
}

export interface SignOptions extends KeyOptions {
  readonly message: Uint8Array;
  /** Who signs; default all parties, as far as the policy needs them. */
  readonly quorum?: readonly PartyName[];
  /** Who gets the signature: a member of the quorum (default its first), or `all` of it. */
  readonly receiver?: string;
  /** A new file that a receiver writes the signature to, in DER. */
  readonly out?: string;
}

export interface RefreshOptions extends KeyOptions {
  /** Where a backup of the new share goes before the old one is erased. */
  readonly backup?: BackupTarget;
}

/**
 * The operation's name on all parties, whatever they do: so parties that do different things find out at once.
 * Each process runs one command.
 */
const NAME = 'command';

/** Makes a key of all parties of the cluster, or completes one whose making was cut off. Ends with `result`. */
export async function runKeygen(options: EverydayOptions): Promise<void> {
  const { cluster, self } = options;
  const kind = { curve: curveByName(cluster.curve), policy: cluster.policy };
  const parties = cluster.parties.map(({ name }) => name);
  const command = new Command('keygen', options, kind, parties);
  command.begin({});
  const sharing = await command.run(1, ({ keys, work }) => keys.generate(work, NAME));
  command.emit({ event: 'result', party: self, command: 'keygen', ...factsOf(sharing) });
}

/** Signs with the quorum of the key's policy. Ends with `result`, in which receivers find the signature. */
export async function runSign(options: SignOptions): Promise<void> {
  const { keystore, cluster, self, message, out } = options;
  const key = chooseKey(keystore, options.key);
  const { sharing, setups } = newestOf(key);
  checkParties(cluster, sharing);
  const { quorum, receivers } = resolveQuorum(
    sharing.parties,
    sharing.policy,
    options.quorum,
    options.receiver,
  );
  const signs = quorum.includes(self);
  const receives = receivers.includes(self);
  if (out !== undefined && receives) checkNewFile(out);
  const command = new Command('sign', options, sharing, quorum);
  const terms = { quorum, receivers, messageHash: toHex(messageDigest(message)) };
  command.begin({ keyId: printId(sharing.keyId), epoch: sharing.epoch, ...terms });
  if (!signs) {
    checkComplete(key);
    command.emit({ event: 'not-in-quorum', party: self, epoch: sharing.epoch, quorum });
    command.emit({ event: 'result', party: self, command: 'sign', ...factsOf(sharing) });
    return;
  }
  const { multiplication, security } = cluster;
  const isReady = setups.some((setup) => serves(setup, { multiplication, security, parties: quorum }));
  const der = await command.run(isReady ? 0 : 1, ({ keys, work }) =>
    keys.sign(work, NAME, sharing.keyId, { quorum, receivers, message }),
  );
  const signature = der && { signature: toHex(der) };
  const { epoch } = command.sharing;
  command.emit({
    ...{ event: 'signature', party: self, epoch, quorum, receivers },
    ...(signature && { der: signature.signature }),
  });
  const written = der !== undefined && out !== undefined;
  if (written) writeNewFile(out, der, PUBLIC);
  command.emit({
    ...{ event: 'result', party: self, command: 'sign', ...factsOf(command.sharing), ...signature },
    ...(written && { out }),
  });
}

/** Refreshes the shares of a key with all of its parties; with a backup of the new share, if wanted. */
export async function runRefresh(options: RefreshOptions): Promise<void> {
  const { keystore, cluster, self, backup } = options;
  const key = chooseKey(keystore, options.key);
  const { sharing } = newestOf(key);
  checkParties(cluster, sharing);
  const valid = key.backups.filter(isBackupOf(key.sharings));
  const command = new Command('refresh', options, sharing, sharing.parties);
  command.begin({ keyId: printId(sharing.keyId), epoch: sharing.epoch });
  let made: ResultEvent['backup'];
  const refreshed = await command.run(1, ({ keys, work, tools }) =>
    keys.refresh(work, NAME, sharing.keyId, async (share) => {
      if (backup !== undefined) made = await backUpStored(share, backup, tools);
    }),
  );
  const voided = valid.filter(({ epoch }) => epoch < refreshed.epoch).map(({ file }) => file);
  command.emit({
    ...{ event: 'result', party: self, command: 'refresh', ...factsOf(refreshed), voided },
    ...(made && { backup: made }),
  });
}

type CommandEvent = Extract<PartyEvent, { event: 'command' }>;
type Terms = Pick<CommandEvent, 'keyId' | 'epoch' | 'quorum' | 'receivers' | 'messageHash'>;

/** What a command works with once its participants are connected. */
interface Working {
  readonly keys: StoredKeys;
  readonly work: Work;
  readonly tools: Parameters<typeof backUpStored>[2];
}

/** What the user of `party` is told of an event of its stored keys. */
export function keyEvent(party: PartyName, event: StoredKeyEvent): PartyEvent {
  if (event.kind === 'setup') return { event: 'setup', party, peers: event.parties.length - 1 };
  const { keyId, epoch, curve, publicKey } = factsOf(event.sharing);
  switch (event.kind) {
    case 'settled':
      return { event: 'settled', party, keyId, epoch };
    case 'refreshed':
      return { event: 'refreshed', party, epoch, publicKey };
    case 'key': {
      const completed = event.completed ? ({ completed: true } as const) : {};
      return { event: 'key', party, keyId, epoch, curve, publicKey, ...completed };
    }
  }
}

/** What a command of `self` is about to do with `parties`. */
export const commandEvent = (
  { cluster, self }: Pick<PartyOptions, 'cluster' | 'self'>,
  command: CommandName,
  { curve, policy }: KeyKind,
  parties: readonly PartyName[],
  terms: Terms,
): CommandEvent => ({
  ...{ event: 'command', party: self, command, parties },
  address: clusterParty(cluster, self).address,
  curve: curve.name,
  security: cluster.security,
  multiplication: cluster.multiplication,
  policy: formatPolicy(policy),
  ...terms,
});

/** One command among `parties`. */
class Command {
  /** The sharing that the command was last about. */
  #sharing: Sharing | undefined;

  constructor(
    readonly name: CommandName,
    private readonly options: EverydayOptions,
    private readonly kind: KeyKind,
    private readonly parties: readonly PartyName[],
  ) {}

  get emit(): PartyOptions['emit'] {
    return this.options.emit;
  }

  get sharing(): Sharing {
    return this.#sharing!;
  }

  /** Tells what the command is about to do. */
  begin(terms: Terms): void {
    this.emit(commandEvent(this.options, this.name, this.kind, this.parties, terms));
  }

  /** Connects to the other participants and works with them; so many set-ups are expected to be made. */
  run<T>(setups: number, body: (working: Working) => Promise<T>): Promise<T> {
    const { options, parties } = this;
    return withParty(options, async (party) => {
      party.prepareSetups(setups);
      await party.connect(parties.filter((name) => name !== options.self));
      return await this.#work(party, body);
    });
  }

  #work<T>({ compute, during }: Party, body: (working: Working) => Promise<T>): Promise<T> {
    const { keystore, self, emit } = this.options;
    const step = this.name;
    return during(this.kind, (resources) => {
      const { signal } = resources;
      const progress = (stage: string, done: number, total: number): void =>
        emit({ event: 'progress', party: self, step, stage, done, total });
      const tell = (event: StoredKeyEvent): void => this.#tell(event);
      return body({
        keys: new StoredKeys(keystore),
        work: { resources: { ...resources, progress }, tell },
        tools: { keystore, compute, signal, emit },
      });
    });
  }

  #tell(event: StoredKeyEvent): void {
    if (event.kind !== 'setup') this.#sharing = event.sharing;
    this.emit(keyEvent(this.options.self, event));
  }
}
