/**
 * Secret sharing along a policy (Benaloh–Leichter 1988; docs/protocol.md §4) with Feldman's commitments (1987).
 *
 * A gate of threshold k shares its value by a polynomial f of degree k − 1: f(0) is the value, f(u) the value of its
 * u-th child. Commitments are the coefficients times G: all of the root's, then, gate after gate from the root
 * down, each before the gates below it, the non-constant ones of the inner gates, whose constants follow.
 *
 * A refresh shares 0: the root's constant is then left out of the commitments, and stands for the identity.
 */
import type { Random } from '../core/bytes.js';
import { invariant, type PartyName } from '../core/errors.js';
import type { Curve, Point } from '../curve/curve.js';
import { chosenChildren, type Gate, leaves, type Policy, type PolicyNode } from './policy.js';

/** What sharing a value along a policy gives its dealer. */
export interface SharedValue {
  /** A share in [0, q) for each party. */
  readonly shares: ReadonlyMap<PartyName, bigint>;
  readonly commitments: readonly Point[];
}

/** What is shared: 0 (`zero`), as in a refresh, or a secret with a public constant. */
export interface SharingKind {
  readonly zero: boolean;
}

/** Shares `secret`, an integer modulo q. */
export function share(curve: Curve, policy: Policy, secret: bigint, random: Random): SharedValue {
  const { shares, nonConstant } = shareValue(curve, policy, secret, random);
  return { shares, commitments: [secret, ...nonConstant].map((a) => curve.multiplyBase(a)) };
}

/** Shares 0. */
export function shareZero(curve: Curve, policy: Policy, random: Random): SharedValue {
  const { shares, nonConstant } = shareValue(curve, policy, 0n, random);
  return { shares, commitments: nonConstant.map((a) => curve.multiplyBase(a)) };
}

/** The shares of `secret`, and all non-constant coefficients in the order of the commitments. */
function shareValue(curve: Curve, policy: Policy, secret: bigint, random: Random) {
  const shares = new Map<PartyName, bigint>();
  const nonConstant: bigint[] = [];
  const descend = (node: PolicyNode, value: bigint): void => {
    if (node.kind === 'leaf') {
      shares.set(node.name, value);
      return;
    }
    const f = [value, ...Array.from({ length: node.threshold - 1 }, () => curve.randomScalar(random))];
    nonConstant.push(...f.slice(1));
    node.children.forEach((child, index) => {
      descend(child, evaluate(curve, f, BigInt(index + 1)));
    });
  };
  descend(policy, secret);
  return { shares, nonConstant };
}

/** f(u) mod q, by Horner's rule. */
const evaluate = (curve: Curve, f: readonly bigint[], u: bigint): bigint =>
  f.reduceRight((sum, a) => curve.mod(sum * u + a), 0n);

/** How many commitments a sharing along `policy` has: exactly so many are acceptable. */
export function commitmentCount(policy: Policy, { zero }: SharingKind): number {
  const nonConstant = (node: PolicyNode): number =>
    node.kind === 'leaf'
      ? 0
      : node.children.reduce((sum, child) => sum + nonConstant(child), node.threshold - 1);
  return nonConstant(policy) + (zero ? 0 : 1);
}

/**
 * Every party's share times G, as the commitments have it.
 * Throws `BUG` unless there are exactly {@link commitmentCount} commitments: the message's schema counts them.
 */
export function publicShares(
  curve: Curve,
  policy: Policy,
  commitments: readonly Point[],
  { zero }: SharingKind,
): ReadonlyMap<PartyName, Point> {
  const shares = lazyShares(curve, policy, commitments, { zero });
  return new Map([...shares].map(([name, share]) => [name, share()]));
}

/** The share of `party` alone times G, as {@link publicShares} has it. */
export function publicShareOf(
  curve: Curve,
  policy: Policy,
  party: PartyName,
  commitments: readonly Point[],
  kind: SharingKind,
): Point {
  const share = lazyShares(curve, policy, commitments, kind).get(party);
  invariant(share !== undefined, 'the policy has no such party');
  return share();
}

/** The public shares, each computed when it is asked for. */
function lazyShares(
  curve: Curve,
  policy: Policy,
  commitments: readonly Point[],
  { zero }: SharingKind,
): ReadonlyMap<PartyName, () => Point> {
  invariant(commitments.length === commitmentCount(policy, { zero }), 'wrong number of commitments');
  const shares = new Map<PartyName, () => Point>();
  const rest = [...commitments];
  const constant = zero ? curve.identity : rest.shift()!;
  const descend = (node: PolicyNode, value: () => Point): void => {
    if (node.kind === 'leaf') {
      shares.set(node.name, value);
      return;
    }
    const nonConstant = rest.splice(0, node.threshold - 1);
    node.children.forEach((child, index) => {
      const u = BigInt(index + 1);
      descend(
        child,
        once(() => evaluateInExponent(curve, [value(), ...nonConstant], u)),
      );
    });
  };
  descend(policy, () => constant);
  return shares;
}

/** `compute`, whose result is kept. */
function once<T>(compute: () => T): () => T {
  let result: { readonly value: T } | undefined;
  return () => {
    result ??= { value: compute() };
    return result.value;
  };
}

/** f(u)·G from the coefficients times G. */
const evaluateInExponent = (curve: Curve, F: readonly Point[], u: bigint): Point =>
  F.reduceRight((sum, A) => sum.multiplyPublic(u).add(A), curve.identity);

/**
 * λ_i for each party that acts for `quorum` ({@link reduceQuorum}; the others are absent), with which
 * Σ λ_i·share_i is the secret. Throws `BUG` when `quorum` does not satisfy the policy.
 */
export function coefficients(
  curve: Curve,
  policy: Policy,
  quorum: Iterable<PartyName>,
): ReadonlyMap<PartyName, bigint> {
  const present = new Set(quorum);
  const result = new Map<PartyName, bigint>();
  const descend = (node: PolicyNode, product: bigint): void => {
    if (node.kind === 'leaf') {
      result.set(node.name, product);
      return;
    }
    const chosen = chosenChildren(node, present);
    invariant(chosen !== undefined, 'the quorum does not satisfy the policy');
    const lambda = lagrange(
      curve,
      chosen.map(({ u }) => u),
    );
    chosen.forEach((child, index) => {
      descend(child.node, curve.mod(product * lambda[index]!));
    });
  };
  descend(policy, 1n);
  return result;
}

/** Factors with which f(0) = Σ factor_u·f(u) for every f of degree below the number of `us`, distinct. */
function lagrange(curve: Curve, us: readonly number[]): bigint[] {
  return us.map((u) => {
    const others = us.filter((v) => v !== u);
    const numerator = others.reduce((product, v) => product * BigInt(-v), 1n);
    const denominator = others.reduce((product, v) => product * BigInt(u - v), 1n);
    return curve.mod(numerator * curve.invert(denominator));
  });
}

/**
 * Whether the public shares, one for each party, are those of some sharing of the secret behind X along the whole
 * policy: at each gate all children must lie on one polynomial of its degree, and the root's constant must be X.
 */
export function isConsistent(
  curve: Curve,
  policy: Policy,
  X: Point,
  publicShares: ReadonlyMap<PartyName, Point>,
): boolean {
  if (publicShares.size !== leaves(policy).length) return false;
  const publicValue = (node: PolicyNode): Point | undefined =>
    node.kind === 'leaf'
      ? publicShares.get(node.name)
      : gateValue(curve, node, node.children.map(publicValue));
  return publicValue(policy)?.equals(X) ?? false;
}

/**
 * The value of a gate whose children have `values`; `undefined` when they lie on no polynomial of its degree.
 *
 * The children stand at 1, 2, 3, …: on a polynomial of degree below k if and only if their k-th differences are 0, and
 * then f(0) = f(1) − Δf(1) + Δ²f(1) − … Subtracting takes hundreds of times less than interpolating by multiples.
 */
function gateValue(curve: Curve, gate: Gate, values: readonly (Point | undefined)[]): Point | undefined {
  if (!values.every((value) => value !== undefined)) return undefined;
  let differences: readonly Point[] = values;
  let value = curve.identity;
  for (let order = 0; order < gate.threshold; order += 1) {
    const lower = differences;
    value = order % 2 === 0 ? value.add(lower[0]!) : value.subtract(lower[0]!);
    differences = lower.slice(1).map((next, index) => next.subtract(lower[index]!));
  }
  return differences.every((difference) => difference.isIdentity) ? value : undefined;
}
