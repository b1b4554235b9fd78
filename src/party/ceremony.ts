/**
 * The whole ceremony of one party: key generation, pairwise set-up, signing, backup, its verification and recovery,
 * refresh, a second signature, and a backup of the refreshed share.
 */
import { formatPolicy } from '../access/policy.js';
import { toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { messageDigest } from '../curve/digest.js';
import { type KeyShare, printId } from '../protocol/key-share.js';
import { type SharingState, sharingState } from '../protocol/refresh.js';
import { type BackupMaker, backupText, type MadeBackup } from './backup.js';
import type { DoneEvent, EventSink, PartyEvent, StepMillis, StepName } from './events.js';
import { STEPS } from './events.js';
import {
  agree,
  keygen,
  presignFor,
  type Resources,
  refreshOf,
  type SigningRequest,
  setUp,
  signWith,
} from './operations.js';
import { explainPolicy, type Quorum } from './quorum.js';

export interface CeremonyInput extends Quorum {
  readonly self: PartyName;
  readonly message: string;
  readonly backups: BackupMaker;
  readonly emit: EventSink;
  /** Milliseconds of a clock that only goes forward. */
  readonly clock: () => number;
}

export interface CeremonyResult {
  /** The last event; `connect` is missing from its times. */
  readonly done: DoneEvent;
  /** Text of the backup file of the refreshed share. */
  readonly backupHex: string;
}

type Detail = PartyEvent extends infer E ? (E extends PartyEvent ? Omit<E, 'party'> : never) : never;

/** Runs the ceremony among all parties of the cluster. Every secret of it is wiped when it ends, however it ends. */
export async function ceremony(
  resources: Omit<Resources, 'progress'>,
  input: CeremonyInput,
): Promise<CeremonyResult> {
  return await new Ceremony(resources, input).run();
}

class Ceremony {
  readonly #millis: StepMillis = {};
  readonly #signatures: { epoch: number; der: string }[] = [];
  readonly #request: SigningRequest;
  readonly #resources: Resources;
  #current: StepName = 'policy';

  constructor(
    resources: Omit<Resources, 'progress'>,
    private readonly input: CeremonyInput,
  ) {
    const { quorum, receivers, message } = input;
    this.#resources = {
      ...resources,
      progress: (stage, done, total) =>
        this.#emit({ event: 'progress', step: this.#current, stage, done, total }),
    };
    this.#request = { quorum, receivers, message: new TextEncoder().encode(message) };
  }

  async run(): Promise<CeremonyResult> {
    const { clock } = this.input;
    const start = clock();
    await this.#step('policy', () => this.#agree());
    using share = await this.#step('keygen', () => this.#keygen());
    using first = await this.#step('setup', () => this.#setUp(share));
    await this.#step('sign', () => this.#sign(first));
    const backup = await this.#step('backup', () => this.#backUp(share));
    await this.#step('verify', () => this.#verify(backup, share));
    const recovered = await this.#step('recover', () => this.#recover(backup, share));
    using refreshed = await this.#step('refresh', () => this.#refresh(first));
    first[Symbol.dispose]();
    await this.#step('sign-again', () => this.#sign(refreshed));
    const latest = await this.#step('backup-again', async () => {
      const made = await this.#backUp(refreshed.share);
      await this.#verify(made, refreshed.share);
      return made;
    });
    this.#millis.total = Math.round(clock() - start);
    return {
      done: this.#done(refreshed.share, latest, recovered),
      backupHex: backupText(latest),
    };
  }

  async #agree(): Promise<void> {
    const { policy } = this.#resources.cluster;
    await agree(this.#resources, 'ceremony', this.#request);
    this.#emit({ event: 'policy', policy: formatPolicy(policy), meaning: explainPolicy(policy) });
  }

  async #keygen(): Promise<KeyShare> {
    const share = await keygen(this.#resources, 'ceremony keygen');
    const { keyId, epoch, curve, publicKey } = share.sharing;
    this.#emit({
      event: 'key',
      keyId: printId(keyId),
      epoch,
      curve: curve.name,
      publicKey: toHex(publicKey.toUncompressed()),
    });
    return share;
  }

  async #setUp(share: KeyShare): Promise<SharingState> {
    const pairwise = await setUp(this.#resources, 'ceremony setup', share.sharing, share.sharing.parties);
    this.#emit({ event: 'setup', peers: pairwise.seeds.size });
    return sharingState(share, pairwise);
  }

  async #sign(state: SharingState): Promise<void> {
    const { self, quorum, receivers } = this.input;
    const { epoch } = state.share.sharing;
    if (!quorum.includes(self)) {
      this.#emit({ event: 'not-in-quorum', epoch, quorum });
      return;
    }
    using presignature = await presignFor(this.#resources, `ceremony presign ${epoch}`, state, quorum);
    const signature = await signWith(
      this.#resources,
      `ceremony sign ${epoch}`,
      state.share.sharing,
      presignature,
      this.#request,
    );
    const der = signature && toHex(signature);
    if (der !== undefined) this.#signatures.push({ epoch, der });
    this.#emit({ event: 'signature', epoch, quorum, receivers, ...(der !== undefined && { der }) });
  }

  async #backUp(share: KeyShare): Promise<MadeBackup> {
    const backup = await this.input.backups.create(share);
    const { label, scheme, bytes } = backup;
    this.#emit({
      event: 'backup',
      epoch: share.sharing.epoch,
      label,
      scheme,
      bytes: bytes.length,
      ownKey: backup.ownKey,
    });
    return backup;
  }

  async #verify(backup: MadeBackup, share: KeyShare): Promise<void> {
    await this.input.backups.verify(backup, this.input.self, share.sharing);
    this.#emit({ event: 'backup-verified', epoch: share.sharing.epoch, label: backup.label });
  }

  /** Whether the share was recovered; the recovery key may be in other hands than this party's. */
  async #recover(backup: MadeBackup, share: KeyShare): Promise<boolean> {
    const recovered = await this.input.backups.recoverAndCompare(backup, share);
    this.#emit({ event: 'recovered', epoch: share.sharing.epoch, skipped: !recovered });
    return recovered;
  }

  async #refresh(old: SharingState): Promise<SharingState> {
    const state = await refreshOf(this.#resources, 'ceremony refresh', old.share);
    const { epoch, publicKey } = state.share.sharing;
    this.#emit({ event: 'refreshed', epoch, publicKey: toHex(publicKey.toUncompressed()) });
    return state;
  }

  async #step<T>(step: StepName, body: () => Promise<T>): Promise<T> {
    const { clock } = this.input;
    const start = clock();
    this.#current = step;
    this.#emit({ event: 'step', step, number: STEPS.indexOf(step) + 1, total: STEPS.length });
    const result = await body();
    const millis = Math.round(clock() - start);
    this.#millis[step] = millis;
    this.#emit({ event: 'step-done', step, millis });
    return result;
  }

  #emit(detail: Detail): void {
    this.input.emit({ ...detail, party: this.input.self });
  }

  #done({ sharing }: KeyShare, backup: MadeBackup, recovered: boolean): DoneEvent {
    const first = this.#signatures[0];
    return {
      event: 'done',
      party: this.input.self,
      keyId: printId(sharing.keyId),
      epoch: sharing.epoch,
      curve: sharing.curve.name,
      policy: formatPolicy(sharing.policy),
      publicKey: toHex(sharing.publicKey.toUncompressed()),
      message: this.input.message,
      messageHash: toHex(messageDigest(this.#request.message)),
      ...(first && { signature: first.der }),
      signatures: this.#signatures,
      backup: { label: backup.label, bytes: backup.bytes.length, verified: true, recovered },
      refreshed: true,
      millis: this.#millis,
    };
  }
}
