/**
 * The operations of a party: each opens one session with everything its participants must agree on, and runs one
 * protocol in it (docs/protocol.md §1).
 */
import { formatPolicy } from '../access/policy.js';
import type { ClusterConfig } from '../config/cluster.js';
import type { Random } from '../core/bytes.js';
import { equalBytes, toHex } from '../core/bytes.js';
import { invariant, type PartyName } from '../core/errors.js';
import type { Curve } from '../curve/curve.js';
import { messageDigest } from '../curve/ecdsa.js';
import type { Multiplication } from '../multiplication/multiplication.js';
import { dkg, dkgRounds } from '../protocol/dkg.js';
import type { KeyShare, Sharing } from '../protocol/key-share.js';
import { printId } from '../protocol/key-share.js';
import type { Presignature } from '../protocol/presign.js';
import { presign, presignRounds } from '../protocol/presign.js';
import type { SharingState } from '../protocol/refresh.js';
import { refresh, refreshRounds } from '../protocol/refresh.js';
import type { PairwiseSetup } from '../protocol/setup.js';
import { setup, setupRounds } from '../protocol/setup.js';
import { sign, signRounds } from '../protocol/sign.js';
import type { Mailbox } from '../rounds/mailbox.js';
import type { AnyRound, Compute, Progress, Run } from '../rounds/run.js';
import { confirmRound } from '../rounds/run.js';
import type { Descriptor } from '../rounds/session.js';
import { withSession } from '../rounds/session.js';

/** What every operation works with. */
export interface Resources {
  readonly cluster: ClusterConfig;
  /** SHA-256 of the certificate authority's certificate, hex. */
  readonly authority: string;
  readonly curve: Curve;
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

interface Session {
  /** Unique in the life of the process. */
  readonly id: string;
  readonly operation: string;
  readonly parties: readonly PartyName[];
  readonly rounds: readonly AnyRound[];
  readonly sharing?: Sharing;
  readonly descriptor?: Descriptor;
}

const names = (parties: readonly PartyName[]): string => parties.join(',');

const hashOf = (message: Uint8Array): string => toHex(messageDigest(message));

function open<T>(resources: Resources, session: Session, body: (run: Run) => Promise<T>): Promise<T> {
  const { cluster, authority, mailbox, compute, random, signal, progress } = resources;
  const { sharing } = session;
  return withSession(
    mailbox,
    {
      operation: session.id,
      parties: session.parties,
      descriptor: {
        operation: session.operation,
        curve: cluster.curve,
        security: cluster.security,
        multiplication: cluster.multiplication,
        policy: formatPolicy(cluster.policy),
        authority,
        ...(sharing && { key: printId(sharing.keyId) }),
        ...session.descriptor,
      },
      sharings: sharing ? [{ epoch: sharing.epoch, shid: sharing.shid }] : [],
      rounds: session.rounds,
      signal,
      random,
      compute,
      progress,
    },
    body,
  );
}

const everyone = ({ cluster }: Resources): readonly PartyName[] => cluster.parties.map(({ name }) => name);

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
    descriptor: {
      quorum: names(request.quorum),
      receiver: names(request.receivers),
      message: hashOf(request.message),
    },
  };
  return open(resources, session, (run) => run.confirm(round, run.sid));
}

/** A fresh key of all parties under the cluster's policy. The caller disposes the share. */
export function keygen(resources: Resources, id: string): Promise<KeyShare> {
  const params = { curve: resources.curve, policy: resources.cluster.policy };
  const session = { id, operation: 'keygen', parties: everyone(resources), rounds: dkgRounds(params) };
  return open(resources, session, (run) => dkg(run, params));
}

/** Pairwise set-up among all parties of the key. The caller disposes it. */
export function setUp(resources: Resources, id: string, { sharing }: KeyShare): Promise<PairwiseSetup> {
  const { multiplication } = resources;
  const session: Session = {
    id,
    operation: 'setup',
    parties: sharing.parties,
    rounds: setupRounds(multiplication),
    sharing,
  };
  return open(resources, session, (run) => setup(run, multiplication));
}

/** One presignature for the request's quorum. The caller disposes it. */
export function presignFor(
  resources: Resources,
  id: string,
  state: SharingState,
  { quorum }: SigningRequest,
): Promise<Presignature> {
  const { multiplication } = resources;
  const session: Session = {
    id,
    operation: 'presign',
    parties: quorum,
    rounds: Object.values(presignRounds(multiplication)),
    sharing: state.share.sharing,
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
  { share: { sharing } }: SharingState,
  presignature: Presignature,
  request: SigningRequest,
): Promise<Uint8Array | undefined> {
  const { message, quorum, receivers } = request;
  const { binding } = presignature;
  // Reserved before the hello that names it: no other request can take it any more.
  using reserved = presignature.reserve();
  invariant(equalBytes(binding.shid, sharing.shid), 'a presignature was used with another sharing');
  const session: Session = {
    id,
    operation: 'sign',
    parties: quorum,
    rounds: signRounds(resources.curve),
    sharing,
    descriptor: {
      quorum: names(quorum),
      receiver: names(receivers),
      presignature: printId(binding.sid),
      message: hashOf(message),
    },
  };
  return await open(resources, session, (run) =>
    sign(run, { presignature: reserved, publicKey: sharing.publicKey, message, receivers }),
  );
}

/** The next epoch of the key: new shares and set-up, confirmed by all. The caller disposes it, and `old`. */
export function refreshOf(resources: Resources, id: string, old: SharingState): Promise<SharingState> {
  const { multiplication } = resources;
  const { sharing } = old.share;
  const session: Session = {
    id,
    operation: 'refresh',
    parties: sharing.parties,
    rounds: refreshRounds(sharing, multiplication),
    sharing,
  };
  return open(resources, session, (run) => refresh(run, old.share, multiplication));
}
