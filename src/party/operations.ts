/**
 * The operations of a party: each opens one session with everything its participants must agree on, and runs one
 * protocol in it (docs/protocol.md §1).
 */
import { formatPolicy, type Policy } from '../access/policy.js';
import type { ClusterConfig } from '../config/cluster.js';
import type { Random } from '../core/bytes.js';
import { equalBytes, toHex } from '../core/bytes.js';
import { invariant, type PartyName, throwIfAborted } from '../core/errors.js';
import type { Curve } from '../curve/curve.js';
import { messageDigest } from '../curve/digest.js';
import type { Multiplication } from '../multiplication/multiplication.js';
import { dkg, dkgRounds, type StorePending } from '../protocol/dkg.js';
import type { KeyShare, Sharing } from '../protocol/key-share.js';
import { printId } from '../protocol/key-share.js';
import { completePending, pendingRounds, type StoredKeys } from '../protocol/pending.js';
import type { Presignature } from '../protocol/presign.js';
import { presign, presignRounds } from '../protocol/presign.js';
import type { SharingState, StoreCandidate } from '../protocol/refresh.js';
import { refresh, refreshRounds } from '../protocol/refresh.js';
import { type Settled, type StoredSharing, settle, settleRounds } from '../protocol/settle.js';
import type { PairwiseSetup, StoreSetup } from '../protocol/setup.js';
import { confirmedSetup, confirmedSetupRounds } from '../protocol/setup.js';
import { sign, signRounds } from '../protocol/sign.js';
import { anyOf } from '../rounds/abort-signal.js';
import type { Mailbox } from '../rounds/mailbox.js';
import type { AnyRound, Compute, HeldSharing, Progress, Run } from '../rounds/run.js';
import { confirmRound } from '../rounds/run.js';
import type { Descriptor } from '../rounds/session.js';
import { withSession } from '../rounds/session.js';

/** What every operation works with. */
export interface Resources {
  readonly cluster: ClusterConfig;
  /** SHA-256 of the certificate authority's certificate, hex. */
  readonly authority: string;
  /** Those of the key: a stored key may be older than what the cluster file says now. */
  readonly curve: Curve;
  readonly policy: Policy;
  readonly multiplication: Multiplication;
  readonly mailbox: Mailbox;
  readonly compute: Compute;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/** What the quorum of a signature agrees on besides the key. */
export interface SigningRequest {
  readonly message: Uint8Array;
  /** Reduced: exactly the parties that sign, in canonical order. */
  readonly quorum: readonly PartyName[];
  /** Members of the quorum. */
  readonly receivers: readonly PartyName[];
}

/** A share of a signature that this party is about to give out: what a record of it says. */
export interface ShareFacts {
  readonly keyId: Uint8Array;
  readonly epoch: number;
  readonly quorum: readonly PartyName[];
  readonly receivers: readonly PartyName[];
  /** SHA-256 of the message. */
  readonly messageHash: Uint8Array;
  /** Name of the presignature that it is made from: the session that made that. */
  readonly presignature: Uint8Array;
}

interface Session {
  /** Unique in the life of the process. */
  readonly id: string;
  readonly operation: string;
  readonly parties: readonly PartyName[];
  readonly rounds: readonly AnyRound[];
  readonly keyId?: Uint8Array;
  /** Those held of that key, newest first. */
  readonly sharings?: readonly HeldSharing[];
  /** The set-up that is used: the session ends when a failed check voids it. */
  readonly setup?: PairwiseSetup;
  readonly descriptor?: Descriptor;
}

const names = (parties: readonly PartyName[]): string => parties.join(',');

const hashOf = (message: Uint8Array): string => toHex(messageDigest(message));

async function open<T>(resources: Resources, session: Session, body: (run: Run) => Promise<T>): Promise<T> {
  const { cluster, authority, curve, policy, multiplication, mailbox, compute, random, progress } = resources;
  const { keyId, setup } = session;
  const voided = setup?.multiplication.voided;
  using ending = anyOf(resources.signal, voided);
  try {
    return await withSession(
      mailbox,
      {
        operation: session.id,
        parties: session.parties,
        descriptor: {
          operation: session.operation,
          curve: curve.name,
          security: cluster.security,
          multiplication: multiplication.name,
          policy: formatPolicy(policy),
          authority,
          ...(keyId && { key: printId(keyId) }),
          ...(setup && { setup: printId(setup.sid) }),
          ...session.descriptor,
        },
        sharings: session.sharings ?? [],
        rounds: session.rounds,
        signal: ending.signal,
        random,
        compute,
        progress,
      },
      body,
    );
  } catch (error) {
    // Also when the session had ended for something else before the check failed: its culprit may have seen to that.
    throwIfAborted(voided);
    throw error;
  }
}

const everyone = ({ cluster }: Resources): readonly PartyName[] => cluster.parties.map(({ name }) => name);

const signingTerms = ({ quorum, receivers, message }: SigningRequest): Descriptor => ({
  quorum: names(quorum),
  receiver: names(receivers),
  message: hashOf(message),
});

/**
 * Finds out, before anything is computed, whether all parties were started with the same intentions.
 * Throws `DISAGREEMENT` naming the peer and the difference.
 */
export function agree(resources: Resources, id: string, request: SigningRequest): Promise<void> {
  const round = confirmRound('agree', 'confirm');
  const session: Session = {
    id,
    operation: 'ceremony',
    parties: everyone(resources),
    rounds: [round],
    descriptor: signingTerms(request),
  };
  return open(resources, session, (run) => run.confirm(round, run.sid));
}

/** A fresh key of all parties under the policy. The caller disposes the share. */
export function keygen(resources: Resources, id: string, storePending?: StorePending): Promise<KeyShare> {
  const session = { id, operation: 'keygen', parties: everyone(resources), rounds: dkgRounds(resources) };
  return open(resources, session, (run) => dkg(run, resources, storePending));
}

/** Completes a key that all have stored and not all have seen confirmed; the name of its sharing, if there is one. */
export function complete(
  resources: Resources,
  id: string,
  stored: StoredKeys,
): Promise<Uint8Array | undefined> {
  const session = { id, operation: 'keygen', parties: everyone(resources), rounds: pendingRounds };
  return open(resources, session, (run) => completePending(run, stored));
}

/** What is going to be done with a stored key, as far as its participants have to agree on it. */
export interface KeyUse {
  readonly operation: 'keygen' | 'sign' | 'presign' | 'refresh';
  readonly parties: readonly PartyName[];
  /** Of a signature. */
  readonly request?: SigningRequest;
  /** How many presignatures. */
  readonly count?: number;
  /** Whether others may be using the key meanwhile: nothing is settled then that would disturb them. */
  readonly shared?: boolean | undefined;
}

const termsOf = ({ parties, request, count, shared }: KeyUse): Descriptor => ({
  ...(request && signingTerms(request)),
  ...(count !== undefined && { quorum: names(parties), count }),
  ...(shared && { alone: 'no' }),
});

/**
 * Finds out, before anything is computed, whether the participants of `use` mean the same by it, and which sharing
 * and set-up of the key all of them hold. Throws `DISAGREEMENT` naming the peer and the difference.
 */
export function settleOn(
  resources: Resources,
  id: string,
  use: KeyUse,
  keyId: Uint8Array,
  stored: readonly StoredSharing[],
): Promise<Settled> {
  const session: Session = {
    id,
    operation: use.operation,
    parties: use.parties,
    rounds: settleRounds,
    keyId,
    sharings: stored,
    descriptor: termsOf(use),
  };
  return open(resources, session, (run) => settle(run, stored, use.shared));
}

/** Set-up among `parties`, who hold the sharing. The caller disposes it. */
export function setUp(
  resources: Resources,
  id: string,
  sharing: Sharing,
  parties: readonly PartyName[],
  storeSetup?: StoreSetup,
): Promise<PairwiseSetup> {
  const { multiplication } = resources;
  const session: Session = {
    id,
    operation: 'setup',
    parties,
    rounds: confirmedSetupRounds(multiplication),
    keyId: sharing.keyId,
    sharings: [sharing],
  };
  return open(resources, session, (run) => confirmedSetup(run, multiplication, storeSetup));
}

/** One presignature for the quorum. The caller disposes it. */
export function presignFor(
  resources: Resources,
  id: string,
  state: SharingState,
  quorum: readonly PartyName[],
): Promise<Presignature> {
  const { multiplication } = resources;
  const session: Session = {
    id,
    operation: 'presign',
    parties: quorum,
    rounds: Object.values(presignRounds(multiplication)),
    keyId: state.share.sharing.keyId,
    sharings: [state.share.sharing],
    setup: state.setup,
    descriptor: { quorum: names(quorum) },
  };
  return open(resources, session, (run) => presign(run, { ...state, multiplication }));
}

/**
 * Signs the request's message with `presignature`, which is destroyed however the session ends.
 * Returns the verified DER signature to receivers, `undefined` to the other signers.
 */
export async function signWith(
  resources: Resources,
  id: string,
  sharing: Sharing,
  presignature: Presignature,
  request: SigningRequest,
  beforeShare?: (facts: ShareFacts) => void,
): Promise<Uint8Array | undefined> {
  const { message, quorum, receivers } = request;
  const { binding } = presignature;
  // Reserved before the hello that names it: no other request can take it any more.
  using reserved = presignature.reserve();
  invariant(equalBytes(binding.shid, sharing.shid), 'a presignature was used with another sharing');
  invariant(names(binding.quorum) === names(quorum), 'a presignature was used with another quorum');
  const session: Session = {
    id,
    operation: 'sign',
    parties: quorum,
    rounds: signRounds(resources.curve),
    keyId: sharing.keyId,
    sharings: [sharing],
    descriptor: { ...signingTerms(request), presignature: printId(binding.sid) },
  };
  return await open(resources, session, (run) =>
    sign(run, {
      ...{ presignature: reserved, publicKey: sharing.publicKey, message, receivers },
      beforeShare: () => beforeShare?.(factsOf(sharing, binding.sid, request)),
    }),
  );
}

const factsOf = (
  { keyId, epoch }: Sharing,
  presignature: Uint8Array,
  { message, quorum, receivers }: SigningRequest,
): ShareFacts => ({ keyId, epoch, quorum, receivers, messageHash: messageDigest(message), presignature });

/** The next epoch of the key: new shares and set-up, confirmed by all. The caller disposes it, and `old`. */
export function refreshOf(
  resources: Resources,
  id: string,
  old: KeyShare,
  storeCandidate?: StoreCandidate,
): Promise<SharingState> {
  const { multiplication } = resources;
  const { sharing } = old;
  const session: Session = {
    id,
    operation: 'refresh',
    parties: sharing.parties,
    rounds: refreshRounds(sharing, multiplication),
    keyId: sharing.keyId,
    sharings: [sharing],
  };
  return open(resources, session, (run) => refresh(run, old, multiplication, storeCandidate));
}
