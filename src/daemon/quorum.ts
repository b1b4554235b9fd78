/** Who signs when a daemon's user does not say: this party, and of the others those that can be reached. */
import { isSatisfied, reduceQuorum } from '../access/policy.js';
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
  // Leaves out whom the others can do without, the last first, and never this party.
  const needed = parties
    .toReversed()
    .filter((name) => name !== self)
    .reduce((left, name) => {
      const without = left.filter((other) => other !== name);
      return isSatisfied(policy, new Set(without)) ? without : left;
    }, all);
  const quorum = parties.filter((name) => reduceQuorum(policy, new Set(needed))!.includes(name));
  if (quorum.includes(self)) return resolveQuorum(parties, policy, quorum, receiver);
  throw new MpcError('USAGE', `${self} is not needed by those who can be reached: ${all.join(', ')}`, {
    hint: `have one of ${quorum.join(', ')} ask, or name others with ${self} in --quorum`,
  });
}
