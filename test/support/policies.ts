/** Generators of random policies and quorums, for property tests of everything that runs along a policy. */
import * as fc from 'fast-check';
import {
  type Gate,
  isSatisfied,
  leaves,
  type Policy,
  type PolicyNode,
  parsePolicy,
} from '#src/access/policy.js';
import type { PartyName } from '#src/core/errors.js';

/** Names in the order in which random policies use them. */
export const NAMES: readonly PartyName[] = [
  'alice',
  'bob',
  'charlie',
  'dave',
  'erin',
  'frank',
  'grace',
  'heidi',
];

/** A tree without names: a leaf is `null`. */
type Shape = null | { readonly kind: Gate['kind']; readonly threshold: number; readonly children: Shape[] };

const gateOf = (children: Shape[]): fc.Arbitrary<Shape> =>
  fc
    .record({
      kind: fc.constantFrom<Gate['kind']>('threshold', 'and', 'or'),
      threshold: fc.integer({ min: 1, max: children.length }),
    })
    .map((gate) => ({ ...gate, children }));

/** Shapes of `parties` leaves and at most `depth` gates on a path. */
function shape(parties: number, depth: number): fc.Arbitrary<Shape> {
  const leaf = fc.constant<Shape>(null);
  if (depth === 1) return fc.constant(Array<Shape>(parties).fill(null)).chain(gateOf);
  return split(parties)
    .chain((sizes) =>
      fc.tuple(
        ...sizes.map((size) =>
          size === 1 ? fc.oneof({ weight: 6, arbitrary: leaf }, shape(1, depth - 1)) : shape(size, depth - 1),
        ),
      ),
    )
    .chain(gateOf);
}

/** Positive integers whose sum is `total`. */
const split = (total: number): fc.Arbitrary<number[]> =>
  fc.array(fc.boolean(), { minLength: total - 1, maxLength: total - 1 }).map((cuts) => {
    const sizes = [1];
    for (const cut of cuts) {
      if (cut) sizes.push(1);
      else sizes[sizes.length - 1]! += 1;
    }
    return sizes;
  });

/** The JSON of a shape, its leaves named in order. */
function jsonOf(root: Shape): unknown {
  const names = NAMES[Symbol.iterator]();
  const json = (node: Shape): unknown => {
    if (node === null) return names.next().value;
    const of = node.children.map(json);
    return node.kind === 'threshold' ? { threshold: node.threshold, of } : { [node.kind]: of };
  };
  return json(root);
}

/** Valid policies of `minParties` (default 2) to `maxParties` (default 6, at most 8) parties, all kinds of gates. */
export const policies = ({ minParties = 2, maxParties = 6, depth = 3 } = {}): fc.Arbitrary<Policy> =>
  fc
    .integer({ min: minParties, max: maxParties })
    .chain((parties) => shape(parties, depth).map((root) => ({ json: jsonOf(root), parties })))
    .map(({ json, parties }) => {
      try {
        return parsePolicy(json, NAMES.slice(0, parties));
      } catch {
        return undefined; // one party alone satisfies it
      }
    })
    .filter((policy) => policy !== undefined);

/** Every set of the policy's parties, the empty one included. */
export function subsets(policy: Policy): ReadonlySet<PartyName>[] {
  const names = leaves(policy);
  return Array.from(
    { length: 2 ** names.length },
    (_, mask) => new Set(names.filter((_name, index) => (mask >> index) & 1)),
  );
}

/** Every set of parties that satisfies the policy. */
export const quorums = (policy: Policy): ReadonlySet<PartyName>[] =>
  subsets(policy).filter((present) => isSatisfied(policy, present));

/** The gates of a policy, the root first. */
export const gates = (node: PolicyNode): Gate[] =>
  node.kind === 'leaf' ? [] : [node, ...node.children.flatMap(gates)];
