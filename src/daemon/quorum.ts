/** Who signs when a daemon's user does not say: this party, and of the others those that can be reached. */
import { isSatisfied, type PolicyNode } from '../access/policy.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { type Quorum, resolveQuorum } from '../party/quorum.js';
import type { Sharing } from '../protocol/key-share.js';

interface Wanted {
  readonly quorum?: readonly PartyName[] | undefined;
  readonly receiver?: string | undefined;
}

/**
 * The quorum that `self` asks, and the receivers of the signature, by default `self`.
 * Throws `USAGE` for a quorum that cannot sign, or without `self`; `UNREACHABLE` when too few are there.
 */
export function chooseQuorum(
  { parties, policy }: Sharing,
  self: PartyName,
  isUp: (peer: PartyName) => boolean,
  { quorum: wanted, receiver = self }: Wanted,
): Quorum {
  if (wanted !== undefined) {
    const chosen = resolveQuorum(parties, policy, wanted, receiver);
    if (chosen.quorum.includes(self)) return chosen;
    throw new MpcError(
      'USAGE',
      `${self} asks and would not sign: the quorum is ${chosen.quorum.join(', ')}`,
      {
        hint: `have one of them ask, or name others with ${self} in --quorum`,
      },
    );
  }
  const all = parties.filter((name) => name === self || isUp(name));
  if (!isSatisfied(policy, new Set(all)))
    throw new MpcError('UNREACHABLE', `only ${all.join(', ')} can be reached: too few to sign`, {
      hint: 'see `ecdsa-mpc status`, start the missing daemons, or name the quorum to wait for with --quorum',
      culprits: parties.filter((name) => !all.includes(name)),
    });
  const chosen = around(self, policy, new Set(all)) ?? [];
  if (chosen.includes(self)) return resolveQuorum(parties, policy, chosen, receiver);
  throw new MpcError('USAGE', `${self} is not needed by those who can be reached: ${all.join(', ')}`, {
    hint: `have another party ask, or name others with ${self} in --quorum`,
  });
}

/**
 * Those who act for `node`, of whom `self` is one if it can be: at each gate the child with `self` in it, and then the
 * first satisfied ones. Undefined when too few are present.
 */
function around(self: PartyName, node: PolicyNode, present: ReadonlySet<PartyName>): PartyName[] | undefined {
  if (node.kind === 'leaf') return present.has(node.name) ? [node.name] : undefined;
  const chosen = node.children
    .map((child) => around(self, child, present))
    .filter((each) => each !== undefined);
  const first = chosen.toSorted((a, b) => Number(b.includes(self)) - Number(a.includes(self)));
  return first.length < node.threshold ? undefined : first.slice(0, node.threshold).flat();
}
