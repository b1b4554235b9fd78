/** What `status` and `requests` tell of a running daemon. */
import { clusterParty } from '../config/cluster.js';
import type { PartyName } from '../core/errors.js';
import { describeKey, type KeyDescription } from '../party/describe-key.js';
import type { Party } from '../party/party.js';
import type { PeerFacts } from '../transport/tls-transport.js';
import { textOf } from './approval-request.js';
import type { Daemon } from './daemon.js';
import type { StockLevel } from './presignatures.js';
import { factsOfContent, type Request, type RequestFacts } from './requests.js';
import type { RunningOperation } from './running.js';
import type { Tools } from './tools.js';

export interface LinkStatus {
  readonly peer: PartyName;
  readonly up: boolean;
  /** Of the peer's program, once it has said so; a party that runs a single command says nothing. */
  readonly version?: string;
  readonly roundTripMillis?: number;
  /** ISO, of the certificate that the peer has shown. */
  readonly certificateExpires?: string;
  /** Why the link is not up. */
  readonly problem?: string;
}

export interface StatusEvent {
  readonly event: 'status';
  readonly party: PartyName;
  readonly running: true;
  readonly version: string;
  readonly since: string;
  readonly address: string;
  readonly certificateExpires: string;
  readonly approval: string;
  readonly links: readonly LinkStatus[];
  readonly operations: readonly (Omit<RunningOperation, 'since'> & { readonly since: string })[];
  /** Requests that have not ended; those that wait for a decision here. */
  readonly requests: number;
  readonly waitingHere: number;
  readonly keys: readonly KeyDescription[];
  readonly presignatures: readonly (StockLevel & { readonly wanted: number })[];
  /** Last record of the audit log. */
  readonly audit: { readonly n: number; readonly hash: string };
}

export interface StatusSources {
  readonly tools: Tools;
  readonly daemon: Daemon;
  readonly party: Pick<Party, 'certificateExpires' | 'peerFacts'>;
  readonly version: string;
  readonly since: Date;
  readonly approval: string;
}

export function statusOf(sources: StatusSources): StatusEvent {
  const { tools, daemon, party, version, since, approval } = sources;
  const { self, cluster, keystore, audit, running, presignatures, settings } = tools;
  const peers = cluster.parties.map(({ name }) => name).filter((name) => name !== self);
  const { n, hash } = audit.head;
  return {
    ...{ event: 'status', party: self, running: true, version, approval },
    since: since.toISOString(),
    address: clusterParty(cluster, self).address,
    certificateExpires: party.certificateExpires.toISOString(),
    links: peers.map((peer) => linkStatus(peer, party.peerFacts(peer), daemon.versionOf(peer))),
    operations: running.list().map((operation) => ({ ...operation, since: operation.since.toISOString() })),
    requests: daemon.asker.list().length + daemon.answerer.list().length,
    waitingHere: daemon.answerer.list().filter(({ isApproved }) => !isApproved).length,
    keys: keystore.keys().map(describeKey),
    presignatures: presignatures.levels().map((level) => ({ ...level, wanted: settings.presignatures })),
    audit: { n, hash },
  };
}

function linkStatus(peer: PartyName, facts: PeerFacts, version: string | undefined): LinkStatus {
  const { up, roundTripMillis, certificateExpires, problem } = facts;
  return {
    ...{ peer, up },
    ...(version !== undefined && { version }),
    ...(roundTripMillis !== undefined && { roundTripMillis }),
    ...(certificateExpires !== undefined && { certificateExpires: certificateExpires.toISOString() }),
    ...(problem !== undefined && { problem }),
  };
}

/** A request that has not ended, as `requests` lists it. */
export interface RequestDescription extends RequestFacts {
  readonly id: string;
  readonly from: PartyName;
  readonly since: string;
  /** `waiting`: for a decision here, or for those of `waitingFor`; `approved`: to be begun by its asker. */
  readonly state: 'waiting' | 'approved' | 'running';
  readonly waitingFor: readonly PartyName[];
  /** Base64, and the text that it is if it is one. */
  readonly message?: string;
  readonly text?: string;
}

/** All that have not ended, the oldest first. */
export function describeRequests({ asker, answerer }: Daemon, self: PartyName): RequestDescription[] {
  const own = asker.list().map(({ request, since, waitingFor, isRunning }) => {
    const state = isRunning ? 'running' : waitingFor.length > 0 ? 'waiting' : 'approved';
    return describe(request, since, state, waitingFor);
  });
  const others = answerer.list().map(({ request, since, isApproved, isRunning }) => {
    const state = isRunning ? 'running' : isApproved ? 'approved' : 'waiting';
    return describe(request, since, state, isApproved ? [] : [self]);
  });
  return [...own, ...others].sort((a, b) => a.since.localeCompare(b.since));
}

function describe(
  { id, from, content }: Request,
  since: Date,
  state: RequestDescription['state'],
  waitingFor: readonly PartyName[],
): RequestDescription {
  const facts = { id, from, since: since.toISOString(), state, waitingFor, ...factsOfContent(content) };
  if (content.operation !== 'sign') return facts;
  const { message } = content;
  const text = textOf(message);
  return { ...facts, message: Buffer.from(message).toString('base64'), ...(text !== undefined && { text }) };
}
