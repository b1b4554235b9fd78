/**
 * What a party does with the keys of its store: makes one, signs with one, refreshes one (docs/protocol.md §5, §9).
 * Nothing is told to the peers before it is stored, and nothing is erased before it is confirmed by all, so that
 * this party, or any other, may end at any moment and go on later.
 */
import { policyBytes } from '../access/policy.js';
import { equalBytes } from '../core/bytes.js';
import { invariant, MpcError, type PartyName } from '../core/errors.js';
import type { Keystore, NewSetup, SetupInfo, SharingInfo, StoredKey } from '../keystore/keystore.js';
import type { IdleWork } from '../multiplication/multiplication.js';
import { type KeyShare, printId, type Sharing } from '../protocol/key-share.js';
import type { Presignature } from '../protocol/presign.js';
import { type SharingState, sharingState } from '../protocol/refresh.js';
import type { Settled, StoredSharing } from '../protocol/settle.js';
import type { PairwiseSetup } from '../protocol/setup.js';
import {
  complete,
  type KeyUse,
  keygen,
  presignFor,
  type Resources,
  refreshOf,
  type ShareFacts,
  type SigningRequest,
  settleOn,
  setUp,
  signWith,
} from './operations.js';

/** What has become of the stored key; told as it happens. */
export type StoredKeyEvent =
  /** A key was made, or one whose confirmation had been cut off was completed. */
  | { readonly kind: 'key'; readonly sharing: Sharing; readonly completed: boolean }
  /** The participants have settled on a sharing. */
  | { readonly kind: 'settled'; readonly sharing: Sharing }
  /** A set-up was made among `parties`. */
  | { readonly kind: 'setup'; readonly parties: readonly PartyName[] }
  | { readonly kind: 'refreshed'; readonly sharing: Sharing };

/** What belongs to one operation. Nothing here outlives it: others may use what it has loaded. */
export interface Work {
  readonly resources: Resources;
  readonly tell: (event: StoredKeyEvent) => void;
  /** Told of a share of a signature before it is given out; what it throws ends the signing, and nothing is. */
  readonly beforeShare?: (facts: ShareFacts) => void;
}

/** How a key is used. */
export interface UseOptions {
  /**
   * Whether operations of other parties may be using the key meanwhile. Then no set-up is made, which would take
   * theirs away, and no sharing is confirmed: where either has to be done first, all participants end with
   * `NOT_ALONE`, and have changed nothing. They agree beforehand on whether it is so.
   */
  readonly shared?: boolean;
}

/** A set-up that is kept loaded, so that what is made ahead for it is there when it is used. */
export interface WorkAhead extends Disposable {
  /** Whether the set-up is in the store still. */
  readonly isOfUse: () => boolean;
  /** Makes ahead what `count` uses with each of the parties need. */
  readonly prepare: (work: IdleWork, count: number) => Promise<void>;
}

/**
 * The keys of one store, of which a process has one of these as long as it uses the store: several operations may run
 * at once. The names of an operation's sessions begin with `name`, which is new in the process each time.
 */
export class StoredKeys {
  readonly #keystore: Keystore;
  /** Keys of which this party may be confirming a sharing just now. */
  readonly #confirming = new Set<string>();
  /** Set-ups in use, by identifier. */
  readonly #loaded = new Map<string, { readonly pairwise: PairwiseSetup; users: number }>();

  constructor(keystore: Keystore) {
    this.#keystore = keystore;
  }

  /**
   * A new key of all parties under the resources' policy, confirmed, stored and set up; or, where that was cut off
   * before, the key that all have stored already.
   */
  async generate(work: Work, name: string): Promise<Sharing> {
    const completed = await this.#complete(work, name);
    const sharing = completed ?? (await this.#generate(work, name));
    work.tell({ kind: 'key', sharing, completed: completed !== undefined });
    // A key that was completed may have a set-up already, if all have it.
    const use: KeyUse = { operation: 'keygen', parties: sharing.parties };
    const { setup } = await this.#settle(work, `${name} settle`, sharing.keyId, use);
    if (setup === undefined) {
      using _setup = await this.#setUp(work, name, sharing, sharing.parties);
    }
    return sharing;
  }

  /** Signs; the verified DER signature to receivers, `undefined` to the other signers. */
  async sign(
    work: Work,
    name: string,
    keyId: Uint8Array,
    request: SigningRequest,
    options: UseOptions = {},
  ): Promise<Uint8Array | undefined> {
    const { resources, beforeShare } = work;
    const { quorum } = request;
    using state = await this.#ready(work, name, keyId, {
      ...{ operation: 'sign', parties: quorum, request },
      ...options,
    });
    using presignature = await presignFor(resources, `${name} presign`, state, quorum);
    const { sharing } = state.share;
    return await signWith(resources, `${name} signature`, sharing, presignature, request, beforeShare);
  }

  /**
   * So many presignatures for the quorum, which the caller disposes, made one after another. When one fails, those
   * before it are given up: what ends this in the middle is most often a peer that is gone, and theirs are of no use.
   */
  async presign(
    work: Work,
    name: string,
    keyId: Uint8Array,
    quorum: readonly PartyName[],
    count: number,
    options: UseOptions = {},
  ): Promise<Presignature[]> {
    using state = await this.#ready(work, name, keyId, {
      ...{ operation: 'presign', parties: quorum, count },
      ...options,
    });
    const made: Presignature[] = [];
    try {
      while (made.length < count)
        made.push(await presignFor(work.resources, `${name} ${made.length + 1}`, state, quorum));
      return made;
    } catch (error) {
      for (const presignature of made) presignature[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * The set-up that the next use of the key by `parties` will take, as far as this party knows, kept loaded for work
   * ahead of it. Undefined where there is none, or nothing to gain.
   */
  ahead(
    { resources }: Pick<Work, 'resources'>,
    keyId: Uint8Array,
    parties: readonly PartyName[],
  ): WorkAhead | undefined {
    const info = this.#stored(keyId).sharings.find(({ confirmed }) => confirmed);
    const [id] = info === undefined ? [] : this.#usable({ resources }, info, parties);
    if (info === undefined || id === undefined) return undefined;
    const pairwise = this.#loadSetup({ resources }, info.sharing, id);
    const { multiplication } = pairwise;
    if (multiplication.prepare === undefined) {
      pairwise[Symbol.dispose]();
      return undefined;
    }
    const peers = parties.filter((name) => name !== this.#keystore.party);
    const isThis = (setup: SetupInfo): boolean => equalBytes(setup.id, id);
    return {
      isOfUse: () => this.#keystore.key(keyId)?.sharings.some(({ setups }) => setups.some(isThis)) ?? false,
      prepare: async (work, count) => {
        for (const peer of peers) await multiplication.prepare?.(work, peer, count);
      },
      [Symbol.dispose]: () => pairwise[Symbol.dispose](),
    };
  }

  /**
   * Signs in one session, named `name`, with a presignature made before, which is used up whatever comes of it. No
   * secret is read from the store. Throws `USAGE` when the presignature's sharing is not there any more.
   */
  async signPrepared(
    { resources, beforeShare }: Work,
    name: string,
    presignature: Presignature,
    request: SigningRequest,
  ): Promise<Uint8Array | undefined> {
    using used = presignature;
    const { keyId, shid } = used.binding;
    const stored = this.#keystore.key(keyId)?.sharings ?? [];
    const info = stored.find(({ sharing }) => equalBytes(sharing.shid, shid));
    if (info === undefined)
      throw new MpcError(
        'USAGE',
        `the presignature is of a share of the key ${printId(keyId)} that is gone`,
        {
          hint: 'sign with another presignature: a refresh makes those from before it void',
        },
      );
    return await signWith(resources, name, info.sharing, used, request, beforeShare);
  }

  /**
   * The key's next epoch, in force on all parties. `beforeStoring` gets the new share while the old one is in force;
   * what it throws ends the refresh, and the new share is given up. Once stored, a share may come into force by any
   * later use of the key, so a backup of it must be there before.
   */
  async refresh(
    work: Work,
    name: string,
    keyId: Uint8Array,
    beforeStoring?: (share: KeyShare) => Promise<void>,
  ): Promise<Sharing> {
    return await this.#alone(keyId, () => this.#refresh(work, name, keyId, beforeStoring));
  }

  async #refresh(
    work: Work,
    name: string,
    keyId: Uint8Array,
    beforeStoring?: (share: KeyShare) => Promise<void>,
  ): Promise<Sharing> {
    const { parties } = newestOf(this.#stored(keyId)).sharing;
    const { sharing } = await this.#settle(work, name, keyId, { operation: 'refresh', parties });
    using old = this.#keystore.loadShare(keyId, sharing.shid);
    const storeCandidate = async (state: SharingState): Promise<void> => {
      await beforeStoring?.(state.share);
      using setup = this.#newSetup(work, state.setup);
      this.#keystore.addSharing(state.share, 'refresh', setup);
    };
    using state = await refreshOf(work.resources, `${name} refresh`, old, storeCandidate);
    const refreshed = state.share.sharing;
    this.#keystore.confirmSharing(keyId, refreshed.shid);
    work.tell({ kind: 'refreshed', sharing: refreshed });
    return refreshed;
  }

  /**
   * Runs what may confirm one of several sharings of a key, and throws `USAGE` while another such operation runs: two
   * could confirm siblings, and where they end in another order, parties erase each what the others keep.
   */
  async #alone<T>(keyId: Uint8Array, act: () => Promise<T>): Promise<T> {
    const key = printId(keyId);
    if (this.#confirming.has(key))
      throw new MpcError('USAGE', `a new sharing of the key ${key} is being confirmed`, {
        hint: 'wait until that has ended, and start again',
      });
    this.#confirming.add(key);
    try {
      return await act();
    } finally {
      this.#confirming.delete(key);
    }
  }

  /** Whether settling may confirm one of several sharings: all parties of the key take part. */
  #mayConfirm(keyId: Uint8Array, { parties }: KeyUse): boolean {
    const { sharings } = this.#stored(keyId);
    const isAll = ({ sharing }: SharingInfo) => sharing.parties.every((party) => parties.includes(party));
    return sharings.length > 1 && sharings.some(isAll);
  }

  /** The share and the set-up that the participants have settled on; the caller disposes them. */
  async #ready(work: Work, name: string, keyId: Uint8Array, use: KeyUse): Promise<SharingState> {
    const settle = () => this.#settle(work, name, keyId, use);
    const isAlone = !use.shared && this.#mayConfirm(keyId, use);
    const { sharing, setup } = await (isAlone ? this.#alone(keyId, settle) : settle());
    const pairwise = setup
      ? this.#loadSetup(work, sharing, setup)
      : await this.#setUp(work, name, sharing, use.parties);
    try {
      return sharingState(this.#keystore.loadShare(keyId, sharing.shid), pairwise);
    } catch (error) {
      pairwise[Symbol.dispose]();
      throw error;
    }
  }

  async #complete(work: Work, name: string): Promise<Sharing | undefined> {
    const all = this.#keystore.keys().flatMap(({ sharings }) => sharings);
    // Whoever names another sharing here, such as a refreshed one, or one that has further parties, gets none confirmed.
    const generated = all.filter(({ sharing }) => sharing.epoch === 0 && this.#fits(work, sharing));
    const find = (shid: Uint8Array) => generated.find(({ sharing }) => equalBytes(sharing.shid, shid));
    const pending = generated.filter(isPending);
    const shid = await complete(work.resources, name, {
      pending: pending.map(({ sharing }) => sharing.shid),
      holds: (wanted) => find(wanted) !== undefined,
    });
    if (shid === undefined) return undefined;
    const { sharing } = find(shid)!;
    this.#keystore.confirmSharing(sharing.keyId, shid);
    return sharing;
  }

  async #generate(work: Work, name: string): Promise<Sharing> {
    using share = await keygen(work.resources, `${name} keygen`, async (pending) => {
      this.#keystore.addSharing(pending, 'keygen');
    });
    const { sharing } = share;
    this.#keystore.confirmSharing(sharing.keyId, sharing.shid);
    return sharing;
  }

  /** Agrees with the participants on what is done and with which sharing and set-up of the key. */
  async #settle(
    work: Work,
    name: string,
    keyId: Uint8Array,
    use: KeyUse,
  ): Promise<Settled & { readonly sharing: Sharing }> {
    const key = this.#stored(keyId);
    const stored = key.sharings.map(
      (info): StoredSharing => ({
        epoch: info.sharing.epoch,
        shid: info.sharing.shid,
        parties: info.sharing.parties,
        confirmed: info.confirmed,
        pending: isPending(info),
        setups: this.#usable(work, info, use.parties),
      }),
    );
    const settled = await settleOn(work.resources, name, use, keyId, stored);
    if (use.shared && (settled.outstanding || settled.setup === undefined)) throw notAlone(keyId);
    const info = sharingOf(key, settled.shid);
    if (settled.confirmed) this.#keystore.confirmSharing(keyId, settled.shid);
    if (use.operation !== 'keygen') work.tell({ kind: 'settled', sharing: info.sharing });
    return { ...settled, sharing: info.sharing };
  }

  /** A new set-up of the sharing among `parties`, stored, in the place of those that it makes useless. */
  async #setUp(
    work: Work,
    name: string,
    sharing: Sharing,
    parties: readonly PartyName[],
  ): Promise<PairwiseSetup> {
    const { keyId, shid } = sharing;
    const store = async (pairwise: PairwiseSetup): Promise<void> => {
      using setup = this.#newSetup(work, pairwise);
      this.#keystore.addSetup(keyId, shid, setup);
    };
    // It is used as it is stored: another signature may have begun to use it already.
    using made = await setUp(work.resources, `${name} setup`, sharing, parties, store);
    this.#keystore.keepSetup(keyId, shid, made.sid);
    work.tell({ kind: 'setup', parties });
    return this.#loadSetup(work, sharing, made.sid);
  }

  /**
   * A stored set-up for one more user. All users in this process have the same, so that a check which fails for one
   * of them voids it for all, before any of them sends another message.
   */
  #loadSetup(work: Pick<Work, 'resources'>, sharing: Sharing, id: Uint8Array): PairwiseSetup {
    const key = printId(id);
    const loaded = this.#loaded.get(key) ?? { pairwise: this.#readSetup(work, sharing, id), users: 0 };
    this.#loaded.set(key, loaded);
    loaded.users += 1;
    let isUser = true;
    const dispose = () => {
      if (!isUser) return;
      isUser = false;
      loaded.users -= 1;
      if (loaded.users > 0) return;
      this.#loaded.delete(key);
      loaded.pairwise[Symbol.dispose]();
    };
    return { ...loaded.pairwise, [Symbol.dispose]: dispose };
  }

  #readSetup({ resources }: Pick<Work, 'resources'>, sharing: Sharing, id: Uint8Array): PairwiseSetup {
    using stored = this.#keystore.loadSetup(sharing.keyId, sharing.shid, id);
    const multiplication = resources.multiplication.restore(stored.state);
    const seeds = new Map([...stored.seeds].map(([peer, seed]) => [peer, seed.clone()]));
    const pairwise: PairwiseSetup = {
      sid: id,
      parties: stored.info.parties,
      seeds,
      multiplication,
      [Symbol.dispose]: () => {
        for (const seed of seeds.values()) seed.dispose();
        multiplication[Symbol.dispose]();
      },
    };
    multiplication.beforeVoid = () => this.#keystore.eraseSetup(sharing.keyId, sharing.shid, id);
    return pairwise;
  }

  /** A set-up in the form that is stored. */
  #newSetup(
    { resources }: Work,
    { sid, parties, seeds, multiplication }: PairwiseSetup,
  ): NewSetup & Disposable {
    const state = multiplication.save();
    const { name } = resources.multiplication;
    const { security } = resources.cluster;
    return {
      info: { id: sid, parties, multiplication: name, security },
      seeds,
      state,
      [Symbol.dispose]: () => state.dispose(),
    };
  }

  /** Names of the set-ups that `parties` could use under the present configuration, newest first. */
  #usable(
    { resources }: Pick<Work, 'resources'>,
    { setups }: SharingInfo,
    parties: readonly PartyName[],
  ): Uint8Array[] {
    const { multiplication, cluster } = resources;
    const wanted = { multiplication: multiplication.name, security: cluster.security, parties };
    return setups.filter((setup) => serves(setup, wanted)).map(({ id }) => id);
  }

  /** Whether a pending key is one that the present resources would make. */
  #fits({ resources: wanted }: Work, { curve, policy, parties }: Sharing): boolean {
    return (
      curve.name === wanted.curve.name &&
      equalBytes(policyBytes(policy), policyBytes(wanted.policy)) &&
      parties.join() === wanted.cluster.parties.map(({ name }) => name).join()
    );
  }

  #stored(keyId: Uint8Array): StoredKey {
    const key = this.#keystore.key(keyId);
    invariant(key !== undefined, `there is no key ${printId(keyId)} here`);
    return key;
  }
}

const notAlone = (keyId: Uint8Array): MpcError =>
  new MpcError(
    'NOT_ALONE',
    `the key ${printId(keyId)} needs a set-up or a confirmation, which must not be made beside other operations`,
    { hint: 'start again when nothing else uses the key' },
  );

/** A key that was made, and that this party has not seen confirmed by all. */
export const isPending = ({ origin, confirmed }: SharingInfo): boolean => origin === 'keygen' && !confirmed;

/** Whether a set-up is one that can be used for what is wanted: of this kind, and among these parties or more. */
export const serves = (setup: SetupInfo, wanted: Omit<SetupInfo, 'id'>): boolean =>
  setup.multiplication === wanted.multiplication &&
  setup.security === wanted.security &&
  wanted.parties.every((party) => setup.parties.includes(party));

/** The sharing of the highest epoch. */
export const newestOf = ({ sharings: [newest] }: StoredKey): SharingInfo => {
  invariant(newest, 'a stored key has no sharing');
  return newest;
};

function sharingOf({ sharings }: StoredKey, shid: Uint8Array): SharingInfo {
  const info = sharings.find(({ sharing }) => equalBytes(sharing.shid, shid));
  invariant(info, 'a sharing has gone from the store');
  return info;
}
