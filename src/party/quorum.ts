/** Who signs and who gets the signature: `--quorum` and `--receiver` against the policy in force. */
import type { Policy, PolicyNode } from '../access/policy.js';
import { formatPolicy, reduceQuorum } from '../access/policy.js';
import type { PartyName } from '../core/errors.js';
import { MpcError } from '../core/errors.js';

export interface Quorum {
  /** Exactly the parties that sign, in canonical order. */
  readonly quorum: readonly PartyName[];
  /** Those of them that get the signature. */
  readonly receivers: readonly PartyName[];
}

/**
 * The quorum chosen from `wanted` (default: all parties), reduced to the parties that are needed, and its receivers:
 * one name, `all` of the quorum, or its first (default).
 * Throws `USAGE` for a name that is not a party, a set that the policy does not let sign, or a receiver outside of
 * the quorum.
 */
export function resolveQuorum(
  parties: readonly PartyName[],
  policy: Policy,
  wanted: readonly PartyName[] = parties,
  receiver?: string,
): Quorum {
  const strangers = wanted.filter((name) => !parties.includes(name));
  if (strangers.length > 0) {
    throw new MpcError('USAGE', `--quorum names ${strangers.join(', ')}, not a party of the cluster`, {
      hint: `choose among ${parties.join(', ')}`,
    });
  }
  const reduced = reduceQuorum(policy, new Set(wanted));
  if (reduced === undefined) {
    throw new MpcError('USAGE', `${wanted.join(', ')} cannot sign under the policy ${formatPolicy(policy)}`, {
      hint: 'name enough parties with --quorum, separated by commas',
    });
  }
  const quorum = parties.filter((name) => reduced.includes(name));
  const receivers = receiver === 'all' ? quorum : [receiver ?? quorum[0]!];
  if (!receivers.every((name) => quorum.includes(name))) {
    throw new MpcError('USAGE', `--receiver ${receiver} does not sign: the quorum is ${quorum.join(', ')}`, {
      hint: 'name a member of the quorum, or "all"',
    });
  }
  return { quorum, receivers };
}

/** One sentence that says who can sign under `policy`. */
export function explainPolicy(policy: Policy): string {
  return `${explainNode(policy)} must sign together`;
}

function explainNode(node: PolicyNode): string {
  if (node.kind === 'leaf') return node.name;
  const parts = node.children.map((child) =>
    child.kind === 'leaf' ? child.name : `(${explainNode(child)})`,
  );
  if (node.threshold === parts.length) {
    return node.children.every(({ kind }) => kind === 'leaf') && parts.length > 2
      ? `all ${parts.length} of ${parts.join(', ')}`
      : parts.join(' and ');
  }
  return node.threshold === 1 ? parts.join(' or ') : `any ${node.threshold} of ${parts.join(', ')}`;
}
