/**
 * Access policies (docs/protocol.md §4): a tree whose leaves are parties and whose gates are thresholds over
 * their children, AND being c of c and OR 1 of c. Every party stands in it exactly once.
 *
 * Three forms: nested JSON in cluster.json, `{"threshold": 2, "of": ["alice", {"and": ["bob", "carol"]}]}`;
 * plain data for messages and files, `["threshold", 2, "alice", ["and", "bob", "carol"]]`, one level of nesting
 * per gate; and the text shown to users, `Threshold(2, Leaf(alice), And(Leaf(bob), Leaf(carol)))`.
 */
import { isDeepStrictEqual } from 'node:util';
import { encode, type Plain, UndecodableError } from '../core/codec.js';
import { MpcError, type PartyName } from '../core/errors.js';

export interface Leaf {
  readonly kind: 'leaf';
  readonly name: PartyName;
}

/** Satisfied by any `threshold` of its children. An AND has `threshold` = number of children, an OR has 1. */
export interface Gate {
  readonly kind: 'threshold' | 'and' | 'or';
  readonly threshold: number;
  readonly children: readonly PolicyNode[];
}

export type PolicyNode = Leaf | Gate;

/** A policy that obeys every rule of this file: parsed here, and nowhere checked again. */
export type Policy = Gate;

/** Gates on the longest path from the root: two fewer than the codec's depth, so that a message can hold one. */
export const MAX_GATES_DEEP = 6;
/** Parties in one policy, hence in one cluster. */
export const MAX_PARTIES = 64;

/** Whether `name` can be a party's: it becomes a DNS name in certificates and a part of file names. */
export const isPartyName = (name: string): boolean =>
  /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name) && name !== 'localhost';

/** A rule that a policy breaks: the field, as one would write it for cluster.json, what is wrong, what to do. */
class PolicyError extends Error {
  constructor(
    path: string,
    problem: string,
    readonly fix: string,
  ) {
    super(`${path} ${problem}`);
  }
}

/**
 * The policy of `json`, as in cluster.json; `parties` are all parties of the cluster.
 * Throws `CONFIG`, naming the field and the fix.
 */
export function parsePolicy(json: unknown, parties: readonly PartyName[]): Policy {
  try {
    const policy = checkPolicy(nodeOfJson(json, 'policy', 1));
    checkParties(policy, parties);
    return policy;
  } catch (error) {
    if (error instanceof PolicyError) throw new MpcError('CONFIG', error.message, { hint: error.fix });
    throw error;
  }
}

/** The policy that needs everybody. Throws `CONFIG` for fewer than two parties. */
export const allOf = (parties: readonly PartyName[]): Policy => parsePolicy({ and: parties }, parties);

/** The policy of its plain form. Throws {@link UndecodableError} for anything else. */
export function policyFromPlain(plain: Plain): Policy {
  try {
    return checkPolicy(nodeOfPlain(plain, 'policy', 1));
  } catch (error) {
    if (error instanceof PolicyError) throw new UndecodableError(error.message);
    throw error;
  }
}

/** The plain form: a leaf is its name, a gate its kind, its threshold where the kind leaves it open, its children. */
export function policyToPlain(policy: Policy): Plain {
  const plainOf = (node: PolicyNode): Plain => {
    if (node.kind === 'leaf') return node.name;
    const children = node.children.map(plainOf);
    return node.kind === 'threshold' ? [node.kind, node.threshold, ...children] : [node.kind, ...children];
  };
  return plainOf(policy);
}

/** The canonical encoding: what transcripts absorb. */
export const policyBytes = (policy: Policy): Uint8Array => encode(policyToPlain(policy));

/** `Threshold(2, Leaf(alice), And(Leaf(bob), Leaf(carol)))` */
export function formatPolicy(node: PolicyNode): string {
  if (node.kind === 'leaf') return `Leaf(${node.name})`;
  const children = node.children.map(formatPolicy).join(', ');
  if (node.kind === 'threshold') return `Threshold(${node.threshold}, ${children})`;
  return node.kind === 'and' ? `And(${children})` : `Or(${children})`;
}

/** The parties, in the order in which they stand in the policy. */
export const leaves = (node: PolicyNode): PartyName[] =>
  node.kind === 'leaf' ? [node.name] : node.children.flatMap(leaves);

/** Whether the parties present may act together. */
export const isSatisfied = (node: PolicyNode, present: ReadonlySet<PartyName>): boolean =>
  node.kind === 'leaf'
    ? present.has(node.name)
    : node.children.filter((child) => isSatisfied(child, present)).length >= node.threshold;

/** A child with its x-coordinate in the gate's polynomial: 1, 2, … */
export interface Child {
  readonly u: number;
  readonly node: PolicyNode;
}

/** The children that act for a gate: the first `threshold` satisfied ones, or `undefined` when there are fewer. */
export function chosenChildren(gate: Gate, present: ReadonlySet<PartyName>): Child[] | undefined {
  const satisfied = gate.children
    .map((node, index) => ({ u: index + 1, node }))
    .filter(({ node }) => isSatisfied(node, present));
  return satisfied.length < gate.threshold ? undefined : satisfied.slice(0, gate.threshold);
}

/**
 * The parties that act for those present: at each gate the first `threshold` satisfied children, in the policy's
 * order; `undefined` when the policy is not satisfied.
 */
export function reduceQuorum(policy: Policy, present: ReadonlySet<PartyName>): PartyName[] | undefined {
  const chosen = (node: PolicyNode): PartyName[] =>
    node.kind === 'leaf'
      ? [node.name]
      : (chosenChildren(node, present) ?? []).flatMap((child) => chosen(child.node));
  return isSatisfied(policy, present) ? chosen(policy) : undefined;
}

// Reading the two forms. Both refuse depth before they descend.

/** The field of a gate's JSON that holds its children, which also tells the kind. */
const CHILDREN_FIELD = { threshold: 'of', and: 'and', or: 'or' } as const;

const childPath = (path: string, kind: Gate['kind'], index: number) =>
  `${path}.${CHILDREN_FIELD[kind]}[${index}]`;

function checkDepth(path: string, depth: number): void {
  if (depth > MAX_GATES_DEEP) {
    throw new PolicyError(path, `is nested more than ${MAX_GATES_DEEP} gates deep`, 'flatten the policy');
  }
}

/** Exactly the fields of each kind of gate in JSON, sorted. */
const FIELDS = { threshold: ['of', 'threshold'], and: ['and'], or: ['or'] } as const;
const KINDS = ['threshold', 'and', 'or'] as const;

function nodeOfJson(json: unknown, path: string, depth: number): PolicyNode {
  if (typeof json === 'string') return { kind: 'leaf', name: json };
  checkDepth(path, depth);
  const fields: Record<string, unknown> =
    typeof json === 'object' && json !== null && !Array.isArray(json) ? { ...json } : {};
  const names = Object.keys(fields).sort();
  const kind = KINDS.find((each) => isDeepStrictEqual(names, FIELDS[each]));
  if (kind === undefined) {
    throw new PolicyError(
      path,
      'is neither a party name nor a gate',
      'write "NAME", {"threshold": K, "of": […]}, {"and": […]} or {"or": […]}, with no other fields',
    );
  }
  const list = fields[CHILDREN_FIELD[kind]];
  if (!Array.isArray(list)) {
    throw new PolicyError(`${path}.${CHILDREN_FIELD[kind]}`, 'is not a list', 'write a list: […]');
  }
  const children = list.map((child, index) => nodeOfJson(child, childPath(path, kind, index), depth + 1));
  return gate(kind, fields.threshold, children);
}

function nodeOfPlain(plain: Plain, path: string, depth: number): PolicyNode {
  if (typeof plain === 'string') return { kind: 'leaf', name: plain };
  checkDepth(path, depth);
  const [kind, ...rest]: readonly unknown[] = Array.isArray(plain) ? plain : [];
  if (kind !== 'threshold' && kind !== 'and' && kind !== 'or') {
    throw new PolicyError(path, 'is neither a party name nor a gate', '');
  }
  const threshold = kind === 'threshold' ? rest.shift() : undefined;
  const children = rest.map((child, index) =>
    nodeOfPlain(child as Plain, childPath(path, kind, index), depth + 1),
  );
  return gate(kind, threshold, children);
}

/** A gate whose threshold, where the kind leaves it open, is still unchecked: NaN when it is not a number. */
function gate(kind: Gate['kind'], threshold: unknown, children: readonly PolicyNode[]): Gate {
  if (kind === 'and') return { kind, threshold: children.length, children };
  if (kind === 'or') return { kind, threshold: 1, children };
  return { kind, threshold: typeof threshold === 'number' ? threshold : Number.NaN, children };
}

// The rules, whatever the form.

/** Every node with its path, a gate before its children. */
function* walk(node: PolicyNode, path = 'policy'): Generator<{ node: PolicyNode; path: string }> {
  yield { node, path };
  if (node.kind === 'leaf') return;
  for (const [index, child] of node.children.entries()) yield* walk(child, childPath(path, node.kind, index));
}

/** `root` as a policy; throws {@link PolicyError} at the first rule that it breaks. */
function checkPolicy(root: PolicyNode): Policy {
  if (root.kind === 'leaf') {
    throw new PolicyError('policy', 'is a single party', 'make its root a gate of at least two parties');
  }
  const places = new Map<PartyName, string>();
  for (const { node, path } of walk(root)) {
    if (node.kind === 'leaf') checkLeaf(node, path, places);
    else checkGate(node, path);
  }
  if (places.size > MAX_PARTIES) {
    throw new PolicyError('policy', `has ${places.size} parties`, `use at most ${MAX_PARTIES}`);
  }
  for (const [name, path] of places) {
    // Whoever satisfies the policy alone would hold the whole key.
    if (isSatisfied(root, new Set([name]))) {
      throw new PolicyError(path, `lets "${name}" act alone`, 'make every quorum at least two parties');
    }
  }
  return root;
}

/** Checks a party's name, and that it stands nowhere else; `places` collects where each one stands. */
function checkLeaf({ name }: Leaf, path: string, places: Map<PartyName, string>): void {
  if (!isPartyName(name)) {
    throw new PolicyError(
      path,
      'is not a party name',
      'use lower-case letters, digits and inner hyphens, 32 at most',
    );
  }
  const earlier = places.get(name);
  if (earlier !== undefined) {
    throw new PolicyError(path, `names "${name}", as ${earlier} does`, 'name each party once');
  }
  places.set(name, path);
}

function checkGate({ kind, threshold, children }: Gate, path: string): void {
  if (children.length === 0) {
    throw new PolicyError(`${path}.${CHILDREN_FIELD[kind]}`, 'is empty', 'list at least one party or gate');
  }
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > children.length) {
    const fix = `set it to an integer from 1 to ${children.length}, the length of its list`;
    throw new PolicyError(`${path}.threshold`, 'is out of range', fix);
  }
}

/** The policy's parties are the cluster's. */
function checkParties(policy: Policy, parties: readonly PartyName[]): void {
  for (const { node, path } of walk(policy)) {
    if (node.kind === 'leaf' && !parties.includes(node.name)) {
      throw new PolicyError(path, `names "${node.name}", who is not among the parties`, 'correct the name');
    }
  }
  const named = leaves(policy);
  const missing = parties.find((name) => !named.includes(name));
  if (missing !== undefined) {
    throw new PolicyError('policy', `leaves out "${missing}"`, 'name every party of the cluster once');
  }
}
