/** A request as every party that takes part in it understands it, and whether it can be taken up here. */
import { reduceQuorum } from '../access/policy.js';
import type { ClusterConfig } from '../config/cluster.js';
import { toHex } from '../core/bytes.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { curveByName } from '../curve/curve.js';
import { messageDigest } from '../curve/digest.js';
import type { Keystore } from '../keystore/keystore.js';
import { checkParties } from '../party/choose-key.js';
import type { KeyKind } from '../party/party.js';
import { isPending, newestOf } from '../party/stored-keys.js';
import { printId, type Sharing } from '../protocol/key-share.js';
import { type RequestContent, requestId } from './letters.js';

export interface Request {
  /** Names who asks, and the whole content. */
  readonly id: string;
  readonly from: PartyName;
  readonly content: RequestContent;
  /** Who takes part, in canonical order. */
  readonly parties: readonly PartyName[];
  /** Of the key, which for `keygen` is still to be made. */
  readonly kind: KeyKind;
  readonly key: string | undefined;
}

/** What events, the audit log and approvals tell of a request. */
export interface RequestFacts {
  readonly operation: RequestContent['operation'];
  readonly key?: string;
  readonly quorum?: PartyName[];
  readonly receivers?: PartyName[];
  /** SHA-256 of the message, hex, and its length. */
  readonly messageHash?: string;
  readonly messageBytes?: number;
}

export function factsOfContent(content: RequestContent): RequestFacts {
  const { operation } = content;
  if (operation === 'keygen') return { operation };
  const key = printId(content.key);
  if (operation === 'refresh') return { operation, key };
  const { quorum, receivers, message } = content;
  const messageHash = toHex(messageDigest(message));
  return { operation, key, quorum, receivers, messageHash, messageBytes: message.length };
}

const refused = (message: string): MpcError =>
  new MpcError('DISAGREEMENT', message, { hint: 'start every party with the same configuration and keys' });

/**
 * The request of `from` for `content`. Throws `DISAGREEMENT` or `CONFIG` unless it fits this
 * party's cluster file and keys, and `from` and this party both take part.
 */
export function understand(
  { cluster, keystore }: { readonly cluster: ClusterConfig; readonly keystore: Keystore },
  from: PartyName,
  content: RequestContent,
): Request {
  const { parties, kind } = participants(cluster, keystore, content);
  for (const name of [from, keystore.party])
    if (!parties.includes(name)) throw refused(`${name} takes no part in it: ${parties.join(', ')} do`);
  const key = content.operation === 'keygen' ? undefined : printId(content.key);
  return { id: requestId(from, content), from, content, parties, kind, key };
}

function participants(
  cluster: ClusterConfig,
  keystore: Keystore,
  content: RequestContent,
): Pick<Request, 'parties' | 'kind'> {
  if (content.operation === 'keygen') {
    const parties = cluster.parties.map(({ name }) => name);
    const kind = { curve: curveByName(cluster.curve), policy: cluster.policy };
    return { parties, kind };
  }
  const stored = keystore.key(content.key);
  if (stored === undefined) throw refused(`${keystore.party} has no key ${printId(content.key)}`);
  const newest = newestOf(stored);
  const { sharing } = newest;
  checkParties(cluster, sharing);
  if (content.operation === 'refresh') return { parties: sharing.parties, kind: sharing };
  if (isPending(newest)) throw refused(`the key ${printId(content.key)} is pending at ${keystore.party}`);
  checkSigners(sharing, content);
  return { parties: content.quorum, kind: sharing };
}

function checkSigners(
  { parties, policy }: Sharing,
  { quorum, receivers }: Extract<RequestContent, { operation: 'sign' }>,
): void {
  const reduced = reduceQuorum(policy, new Set(quorum)) ?? [];
  const canonical = parties.filter((name) => reduced.includes(name));
  if (canonical.length === 0 || canonical.join() !== quorum.join())
    throw refused(`${quorum.join(', ')} are no quorum of the key’s policy`);
  if (quorum.filter((name) => receivers.includes(name)).join() !== receivers.join())
    throw refused('the receivers are no members of the quorum, or named out of order');
}
