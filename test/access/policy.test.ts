import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  allOf,
  formatPolicy,
  isPartyName,
  isSatisfied,
  leaves,
  MAX_GATES_DEEP,
  MAX_PARTIES,
  type PolicyNode,
  parsePolicy,
  policyBytes,
  policyFromPlain,
  policyToPlain,
  reduceQuorum,
} from '#src/access/policy.js';
import { decode, encode, type Plain, UndecodableError } from '#src/core/codec.js';
import { MpcError } from '#src/core/errors.js';
import { gates, policies, subsets } from '../support/policies.js';

const FOUR = ['alice', 'bob', 'charlie', 'dave'];
const DESIGN = { threshold: 2, of: ['alice', 'bob', { and: ['charlie', 'dave'] }] };

/** JSON with `depth` gates, one in the other, around `core`. */
function nested(depth: number, core: unknown): unknown {
  let json = core;
  for (let i = 0; i < depth; i++) json = { and: [json] };
  return json;
}

test('a nested policy: printed, listed, encoded', () => {
  const policy = parsePolicy(DESIGN, FOUR);
  assert.equal(formatPolicy(policy), 'Threshold(2, Leaf(alice), Leaf(bob), And(Leaf(charlie), Leaf(dave)))');
  assert.deepEqual(leaves(policy), FOUR);
  assert.deepEqual(policyToPlain(policy), ['threshold', 2, 'alice', 'bob', ['and', 'charlie', 'dave']]);
  assert.equal(
    formatPolicy(parsePolicy({ and: ['bob', { or: ['alice', 'charlie'] }, 'dave'] }, FOUR)),
    'And(Leaf(bob), Or(Leaf(alice), Leaf(charlie)), Leaf(dave))',
  );
  assert.equal(formatPolicy(allOf(FOUR)), 'And(Leaf(alice), Leaf(bob), Leaf(charlie), Leaf(dave))');
});

test('quorums of the nested policy', () => {
  const policy = parsePolicy(DESIGN, FOUR);
  const reduced = (...present: string[]) => reduceQuorum(policy, new Set(present));
  assert.deepEqual(reduced('alice', 'bob'), ['alice', 'bob']);
  assert.deepEqual(reduced('dave', 'charlie', 'alice'), ['alice', 'charlie', 'dave']);
  assert.deepEqual(reduced(...FOUR), ['alice', 'bob']);
  assert.deepEqual(reduced('bob', 'charlie', 'dave', 'stranger'), ['bob', 'charlie', 'dave']);
  assert.equal(reduced('alice', 'charlie'), undefined);
  assert.equal(reduced('charlie', 'dave'), undefined);
  assert.equal(reduced(), undefined);
});

test('a reduced quorum satisfies the policy, is part of what was there, and reduces to itself', () => {
  fc.assert(
    fc.property(policies(), (policy) => {
      for (const present of subsets(policy)) {
        const quorum = reduceQuorum(policy, present);
        assert.equal(quorum !== undefined, isSatisfied(policy, present));
        if (quorum === undefined) continue;
        assert.ok(quorum.every((name) => present.has(name)));
        assert.equal(new Set(quorum).size, quorum.length);
        assert.deepEqual(
          quorum,
          leaves(policy).filter((name) => quorum.includes(name)),
        );
        assert.deepEqual(reduceQuorum(policy, new Set(quorum)), quorum);
        // and is as small as its gates allow: without any one of its parties it is a quorum no more
        for (const name of quorum) {
          assert.ok(!isSatisfied(policy, new Set(quorum.filter((other) => other !== name))));
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('more parties never satisfy less', () => {
  fc.assert(
    fc.property(policies(), (policy) => {
      assert.ok(isSatisfied(policy, new Set(leaves(policy))));
      assert.ok(!isSatisfied(policy, new Set()));
      for (const present of subsets(policy)) {
        for (const name of leaves(policy)) {
          if (isSatisfied(policy, present)) assert.ok(isSatisfied(policy, new Set([...present, name])));
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('the generator of random policies makes every kind of gate, nests, and leaves redundancy', () => {
  const sample = fc.sample(policies(), { numRuns: 300, seed: 7 });
  const all = sample.flatMap(gates);
  for (const kind of ['threshold', 'and', 'or'] as const) {
    assert.ok(all.filter((gate) => gate.kind === kind).length > 30, kind);
  }
  assert.ok(
    all.filter(({ threshold, children }) => 1 < threshold && threshold < children.length).length > 30,
  );
  assert.ok(sample.filter((policy) => gates(policy).length > 2).length > 60);
});

test('plain form and bytes: one encoding, which decodes to the same policy', () => {
  fc.assert(
    fc.property(policies(), (policy) => {
      const bytes = policyBytes(policy);
      const read = policyFromPlain(decode(bytes, 1000));
      assert.deepEqual(read, policy);
      assert.deepEqual(policyBytes(read), bytes);
    }),
  );
});

test('different policies have different bytes', () => {
  const distinct = [
    { and: ['alice', 'bob', 'charlie'] },
    { threshold: 3, of: ['alice', 'bob', 'charlie'] },
    { threshold: 2, of: ['alice', 'bob', 'charlie'] },
    { and: ['alice', 'charlie', 'bob'] },
    { and: ['alice', { and: ['bob', 'charlie'] }] },
    { and: [{ and: ['alice', 'bob'] }, 'charlie'] },
    { and: ['alice', { or: ['bob', 'charlie'] }] },
    { and: ['alice', { threshold: 1, of: ['bob', 'charlie'] }] },
  ].map((json) => Buffer.from(policyBytes(parsePolicy(json, ['alice', 'bob', 'charlie']))).toString('hex'));
  assert.equal(new Set(distinct).size, distinct.length);
});

/** JSON, the start of the error, and a word of the hint. Parties: alice, bob, charlie, dave. */
const REFUSED: readonly (readonly [json: unknown, message: string, hint: string])[] = [
  ['alice', 'policy is a single party', 'gate'],
  [null, 'policy is neither a party name nor a gate', '"threshold": K'],
  [7, 'policy is neither', 'write'],
  [[], 'policy is neither', 'write'],
  [{}, 'policy is neither', 'write'],
  [{ and: FOUR, or: FOUR }, 'policy is neither', 'no other fields'],
  [{ and: FOUR, comment: 'x' }, 'policy is neither', 'no other fields'],
  [{ and: FOUR, threshold: 4 }, 'policy is neither', 'no other fields'],
  [{ of: FOUR }, 'policy is neither', 'threshold'],
  [{ threshold: 2 }, 'policy is neither', '"of"'],
  [{ constructor: FOUR }, 'policy is neither', 'write'],
  [JSON.parse('{"__proto__": ["alice", "bob"]}'), 'policy is neither', 'write'],
  [{ 'of,threshold': FOUR }, 'policy is neither', 'write'],
  [{ and: 'alice' }, 'policy.and is not a list', 'list'],
  [{ threshold: 2, of: { 0: 'alice' } }, 'policy.of is not a list', 'list'],
  [{ and: [] }, 'policy.and is empty', 'at least one'],
  [{ and: ['alice', { threshold: 0, of: [] }] }, 'policy.and[1].of is empty', 'at least one'],
  [{ threshold: 5, of: FOUR }, 'policy.threshold is out of range', 'from 1 to 4'],
  [{ threshold: 0, of: FOUR }, 'policy.threshold is out of range', 'from 1 to 4'],
  [{ threshold: -1, of: FOUR }, 'policy.threshold is out of range', 'integer'],
  [{ threshold: 1.5, of: FOUR }, 'policy.threshold is out of range', 'integer'],
  [{ threshold: '2', of: FOUR }, 'policy.threshold is out of range', 'integer'],
  [{ threshold: null, of: FOUR }, 'policy.threshold is out of range', 'integer'],
  [{ threshold: 2 ** 60, of: FOUR }, 'policy.threshold is out of range', 'integer'],
  [
    { threshold: 2, of: ['alice', 'bob', { threshold: 3, of: ['charlie', 'dave'] }] },
    'policy.of[2].threshold is out of range',
    'from 1 to 2',
  ],
  [{ and: ['alice', 'bob', 'charlie', 5] }, 'policy.and[3] is neither a party name nor a gate', 'write'],
  [{ and: ['alice', { or: ['bob', null] }] }, 'policy.and[1].or[1] is neither', 'write'],
  [{ and: ['alice', 'bob', 'charlie', 'Dave'] }, 'policy.and[3] is not a party name', 'lower-case'],
  [{ and: ['alice', 'bob', 'charlie', ''] }, 'policy.and[3] is not a party name', 'lower-case'],
  [
    { and: ['alice', 'bob', 'charlie', 'eve'] },
    'policy.and[3] names "eve", who is not among the parties',
    'correct',
  ],
  [
    { threshold: 2, of: ['alice', 'bob', { and: ['charlie', 'dave', 'alice'] }] },
    'policy.of[2].and[2] names "alice", as policy.of[0] does',
    'once',
  ],
  [{ and: ['alice', 'bob', 'charlie'] }, 'policy leaves out "dave"', 'every party'],
  [{ or: FOUR }, 'policy.or[0] lets "alice" act alone', 'two'],
  [{ threshold: 1, of: FOUR }, 'policy.of[0] lets "alice" act alone', 'two'],
  [{ or: [{ and: ['alice', 'bob', 'charlie'] }, 'dave'] }, 'policy.or[1] lets "dave" act alone', 'two'],
  [
    { or: [{ and: ['alice', 'bob', 'charlie'] }, { and: ['dave'] }] },
    'policy.or[1].and[0] lets "dave"',
    'two',
  ],
  [{ and: [{ or: FOUR }] }, 'policy.and[0].or[0] lets "alice" act alone', 'two'],
  [
    { threshold: 2, of: [nested(5, 'alice'), nested(6, 'bob'), 'charlie', 'dave'] },
    `policy.of[1]${'.and[0]'.repeat(5)} is nested more than 6 gates deep`,
    'flatten',
  ],
];

test('every broken rule names the field and the fix', () => {
  for (const [json, message, hint] of REFUSED) {
    assert.throws(
      () => parsePolicy(json, FOUR),
      (error) => {
        assert.ok(error instanceof MpcError);
        assert.equal(error.code, 'CONFIG');
        assert.ok(error.message.startsWith(message), `${error.message} ≠ ${message}`);
        assert.ok(error.hint?.includes(hint), `${error.hint} lacks ${hint}`);
        return true;
      },
      message,
    );
  }
});

test('the deepest and the largest policies that are allowed, and the next ones', () => {
  const deep = (depth: number) => nested(depth - 1, { and: ['alice', 'bob'] });
  const policy = parsePolicy(deep(MAX_GATES_DEEP), ['alice', 'bob']);
  // Two containers around it still decode: it fits into a message.
  assert.deepEqual(policyFromPlain(policyToPlain(policy)), policy);
  assert.ok(decode(encode({ list: [policyToPlain(policy)] }), 1000));
  assert.throws(() => parsePolicy(deep(MAX_GATES_DEEP + 1), ['alice', 'bob']), { code: 'CONFIG' });
  assert.throws(() => parsePolicy(deep(100_000), ['alice', 'bob']), { code: 'CONFIG' });

  const names = (count: number) => Array.from({ length: count }, (_, index) => `party-${index}`);
  assert.equal(leaves(allOf(names(MAX_PARTIES))).length, MAX_PARTIES);
  assert.throws(() => allOf(names(MAX_PARTIES + 1)), { code: 'CONFIG', message: /has 65 parties/ });
});

test('a policy of fewer than two parties is refused', () => {
  assert.throws(() => allOf(['alice']), { code: 'CONFIG' });
  assert.throws(() => allOf([]), { code: 'CONFIG' });
});

test('plain data that is no policy is undecodable', () => {
  const refused: readonly Plain[] = [
    null,
    'alice',
    2,
    [],
    ['and'],
    ['and', 'alice'],
    ['or', 'alice', 'bob'],
    ['xor', 'alice', 'bob'],
    ['leaf', 'alice'],
    ['threshold'],
    ['threshold', 'alice', 'bob'],
    ['threshold', 0, 'alice', 'bob'],
    ['threshold', 3, 'alice', 'bob'],
    ['threshold', null, 'alice', 'bob'],
    ['threshold', 2],
    ['and', 'alice', 'bob', 'alice'],
    ['and', 'alice', 'Bob'],
    ['and', 'alice', 'localhost'],
    ['and', 'alice', Uint8Array.of(1)],
    ['and', 'alice', ['and', 'bob', null]],
    { and: ['alice', 'bob'] },
    Uint8Array.of(1, 2),
    ['and', ['and', ['and', ['and', ['and', ['and', ['and', 'alice', 'bob']]]]]]],
    ['and', ...Array.from({ length: MAX_PARTIES + 1 }, (_, index) => `p${index}`)],
  ];
  for (const plain of refused) {
    assert.throws(() => policyFromPlain(plain), UndecodableError, JSON.stringify(plain));
  }
  assert.deepEqual(leaves(policyFromPlain(['and', 'and', 'or'])), ['and', 'or']); // names may be such words
});

test('random plain data gives a policy with this plain form, or is undecodable', () => {
  const { tree } = fc.letrec<{ tree: Plain }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<Plain>('alice', 'bob', 'charlie', 'dave', 'and', 'or', 'threshold', 1, 2, null),
      fc
        .tuple(fc.constantFrom<Plain>('and', 'or', 'threshold', 2), fc.array(tie('tree'), { maxLength: 4 }))
        .map(([kind, rest]): Plain => [kind, ...rest]),
    ),
  }));
  let accepted = 0;
  fc.assert(
    fc.property(tree, (plain) => {
      try {
        assert.deepEqual(policyToPlain(policyFromPlain(plain)), plain);
        accepted += 1;
      } catch (error) {
        if (!(error instanceof UndecodableError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 0);
});

test('party names', () => {
  for (const name of ['a', '7', 'alice', 'node-1', 'a--b', 'x'.repeat(32)])
    assert.ok(isPartyName(name), name);
  for (const name of [
    '',
    '-a',
    'a-',
    'A',
    'a_b',
    'a.b',
    'ä',
    'a\n',
    ' a',
    'x'.repeat(33),
    'localhost',
    '../a',
  ]) {
    assert.ok(!isPartyName(name), name);
  }
});

test('AND and OR are the thresholds that they stand for', () => {
  const same = (a: PolicyNode, b: PolicyNode): void => {
    for (const mask of [...Array(16).keys()]) {
      const present = new Set(FOUR.filter((_name, index) => (mask >> index) & 1));
      assert.equal(isSatisfied(a, present), isSatisfied(b, present));
    }
  };
  same(parsePolicy({ and: FOUR }, FOUR), parsePolicy({ threshold: 4, of: FOUR }, FOUR));
  same(
    parsePolicy({ and: ['alice', { or: ['bob', 'charlie', 'dave'] }] }, FOUR),
    parsePolicy({ and: ['alice', { threshold: 1, of: ['bob', 'charlie', 'dave'] }] }, FOUR),
  );
});
