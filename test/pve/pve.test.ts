import assert from 'node:assert/strict';
import { constants, privateDecrypt } from 'node:crypto';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { bytesToBigint, randomBytes, Secret, toHex } from '#src/core/bytes.js';
import { hash } from '#src/core/transcript.js';
import { type CurveName, curveByName } from '#src/curve/curve.js';
import {
  type Ciphertext,
  CLOSED,
  challenge,
  cover,
  decrypt,
  encrypt,
  INSTANCES,
  infoHash,
  type Statement,
  verify,
} from '#src/pve/pve.js';
import { type Recipient, SCHEMES, type Scheme } from '#src/pve/recipient.js';
import { shareFields } from '#src/pve/subject.js';
import { newRecoveryKey, PARTIES, type RecoveryKey, seededRandom, sharedKey } from '../support/backups.js';

const CURVES: readonly CurveName[] = ['P-256', 'secp256k1'];
const keys = new Map<Scheme, RecoveryKey>();
before(async () => {
  for (const scheme of SCHEMES) keys.set(scheme, await newRecoveryKey(scheme));
});

/** A statement about alice's share, and the share. */
function example(curve: CurveName, scheme: Scheme) {
  const { subject, x } = sharedKey(curve);
  const Q = subject.publicShares.get('alice')!;
  const { recipient } = keys.get(scheme)!;
  const statement: Statement = {
    ...{ curve: subject.curve, label: 'a label', Q, recipient },
    subject: shareFields(subject),
  };
  return { statement, x, share: subject };
}

function encrypted(statement: Statement, x: Uint8Array, random = randomBytes): Ciphertext {
  using secret = Secret.own(Uint8Array.from(x));
  return encrypt(statement, secret, random);
}

const decrypted = (statement: Statement, ciphertext: Ciphertext): string | undefined => {
  using x = decrypt(statement, ciphertext, keys.get(statement.recipient.scheme)!.privateKey);
  return x && toHex(x.bytes);
};

for (const curve of CURVES) {
  for (const scheme of SCHEMES) {
    test(`${curve}, ${scheme}: what is encrypted verifies and decrypts, and no secret stays alive`, () => {
      const live = Secret.live;
      const { statement, x } = example(curve, scheme);
      const ciphertext = encrypted(statement, x);
      assert.equal(verify(statement, ciphertext), true);
      assert.equal(decrypted(statement, ciphertext), toHex(x));
      assert.equal(ciphertext.rows.length, CLOSED);
      assert.equal(Secret.live, live);
    });
  }
}

test('the same coins give the same ciphertext, others another one', () => {
  const { statement, x } = example('P-256', 'hpke-p256');
  const ciphertext = encrypted(statement, x, seededRandom('a'));
  assert.deepEqual(encrypted(statement, x, seededRandom('a')), ciphertext);
  assert.notDeepEqual(encrypted(statement, x, seededRandom('b')), ciphertext);
});

/** What a backup is of where there is no cluster: empty fields (docs/protocol.md §10). */
const EMPTY = new Uint8Array();
const NO_SHARE = [EMPTY, EMPTY, 0n, '', EMPTY, [], EMPTY];

test('a logarithm that belongs to no cluster', () => {
  const { statement, x } = example('P-256', 'hpke-p256');
  const alone = { ...statement, subject: NO_SHARE };
  const ciphertext = encrypted(alone, x);
  assert.equal(verify(alone, ciphertext), true);
  assert.equal(decrypted(alone, ciphertext), toHex(x));
  assert.equal(verify(statement, ciphertext), false);
  assert.equal(decrypted(statement, ciphertext), undefined);
});

test('what is not the logarithm of Q is not encrypted', () => {
  const { statement, x } = example('P-256', 'hpke-p256');
  const other = statement.curve.scalarBytes(bytesToBigint(x) + 1n);
  assert.throws(() => encrypted(statement, other), /not the logarithm of Q/);
});

test('info binds every field of the statement, and the salt', () => {
  const { statement, share } = example('P-256', 'hpke-p256');
  const { G } = statement.curve;
  const salt = new Uint8Array(32);
  const shares = (name: string) => new Map([...share.publicShares, [name, G] as const]);
  const variants: Statement[] = [
    statement,
    { ...statement, curve: curveByName('secp256k1') },
    { ...statement, label: 'b label' },
    { ...statement, Q: G },
    { ...statement, recipient: keys.get('rsa-oaep')!.recipient },
    { ...statement, recipient: { ...statement.recipient, spki: new Uint8Array(91) } },
    ...[
      { keyId: new Uint8Array(16) },
      { shid: new Uint8Array(32) },
      { epoch: 2 },
      { party: 'bob' },
      { publicKey: G },
      ...PARTIES.map((name) => ({ publicShares: shares(name) })),
      { policy: { ...share.policy, kind: 'threshold' as const } },
    ].map((changed) => ({ ...statement, subject: shareFields({ ...share, ...changed }) })),
  ];
  const infos = [...variants.map((each) => infoHash(each, salt)), infoHash(statement, salt.with(31, 1))];
  assert.equal(new Set(infos.map(toHex)).size, variants.length + 1);
});

test('T is the first 30 different bytes of the challenge stream, in order', () => {
  const info = new Uint8Array(32);
  const message = { R: new Uint8Array(256 * 33), c: new Uint8Array(256) };
  const expected: number[] = [];
  for (const byte of hash('pve challenge', [info, message.R, message.c], 256)) {
    if (expected.length < 30 && !expected.includes(byte)) expected.push(byte);
  }
  expected.sort((a, b) => a - b);
  assert.deepEqual(challenge(info, message), expected);
  for (const part of [message.R, message.c]) {
    part[7] = 1;
    assert.notDeepEqual(challenge(info, message), expected);
    part[7] = 0;
  }
});

// The seed tree

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** The instances below a node. */
function below(v: number): number[] {
  return v >= INSTANCES ? [v - INSTANCES] : [...below(2 * v), ...below(2 * v + 1)];
}

const closedSets = fc
  .uniqueArray(fc.integer({ min: 0, max: INSTANCES - 1 }), { minLength: CLOSED, maxLength: CLOSED })
  .map((closed) => closed.sort((a, b) => a - b));

test('the cover gives every seed outside T, none inside, and no two of its nodes could be one', () => {
  fc.assert(
    fc.property(closedSets, (closed) => {
      const nodes = cover(closed);
      const given = nodes.flatMap(below);
      const open = range(0, INSTANCES).filter((j) => !closed.includes(j));
      assert.deepEqual(
        given.sort((a, b) => a - b),
        open,
      );
      assert.deepEqual(
        nodes,
        [...nodes].sort((a, b) => a - b),
      );
      assert.ok(nodes.every((v) => !nodes.includes(v ^ 1)));
      assert.ok(nodes.length <= 92);
    }),
    { numRuns: 200 },
  );
});

test('the cover is at its largest, 92 nodes, when T is spread out', () => {
  // At most one in each subtree of eight leaves, and the two subtrees without any far apart.
  const spread = range(0, 32)
    .filter((i) => i !== 0 && i !== 16)
    .map((i) => 8 * i);
  assert.equal(cover(spread).length, 92);
});

// Cheats

/** Calls `encrypt` of an honest recipient, but with another plaintext in the instances `bad`. */
function garbling(honest: Recipient, bad: ReadonlySet<number>): Recipient {
  return {
    scheme: honest.scheme,
    spki: honest.spki,
    encryptor: (info) => {
      const encryptHonestly = honest.encryptor(info);
      let j = 0;
      return (plaintext, coins) =>
        encryptHonestly(bad.has(j++) ? new Uint8Array(32).fill(0xee) : plaintext, coins);
    },
  };
}

/** What a prover who garbles the instances `bad` publishes, with the statement that it is about. */
function cheat(bad: Iterable<number>, name: string) {
  const { statement, x } = example('P-256', 'hpke-p256');
  const recipient = garbling(statement.recipient, new Set(bad));
  return { statement, x, ciphertext: encrypted({ ...statement, recipient }, x, seededRandom(name)) };
}

test('a prover who garbles a chosen set of instances is caught', () => {
  // 30 is the number that would empty the backup; each of these sets would have to be T itself to pass.
  const sets = {
    first: range(0, 30),
    last: range(226, 256),
    all: range(0, 256),
    spread: range(0, 30).map((i) => 8 * i),
  };
  for (const [name, bad] of Object.entries(sets)) {
    const { statement, ciphertext } = cheat(bad, name);
    assert.notDeepEqual(ciphertext.closed, bad);
    assert.equal(verify(statement, ciphertext), false, name);
  }
});

test('a bad instance passes unseen only while it is closed, and then the others still decrypt', () => {
  const seen = new Set<boolean>();
  for (let attempt = 0; attempt < 200 && seen.size < 2; attempt++) {
    const { statement, x, ciphertext } = cheat([77], `attempt ${attempt}`);
    const closed = ciphertext.closed.includes(77);
    assert.equal(verify(statement, ciphertext), closed);
    assert.equal(decrypted(statement, ciphertext), toHex(x));
    seen.add(closed);
  }
  assert.equal(seen.size, 2); // 30 of 256 chances to be closed: both are seen but for 1 run in 10^10
});

test('garbling exactly T afterwards is too late: T follows from what was garbled', () => {
  // To pass with nothing left to decrypt, a cheat must guess T before it is drawn: one in C(256, 30) > 2^129,
  // again for every hash it computes, with as many salts as it likes.
  const { statement, x } = example('P-256', 'hpke-p256');
  const ciphertext = encrypted(statement, x);
  const rows = ciphertext.rows.map(({ c, z }) => ({ c: new Uint8Array(c.length).fill(4), z }));
  assert.equal(decrypted(statement, { ...ciphertext, rows }), undefined);
  assert.equal(verify(statement, { ...ciphertext, rows }), false);

  const shifted = ciphertext.rows.map(({ c, z }) => ({ c, z: statement.curve.mod(z + 1n) }));
  assert.equal(decrypted(statement, { ...ciphertext, rows: shifted }), undefined);
  assert.equal(verify(statement, { ...ciphertext, rows: shifted }), false);
});

test('an instance whose z is x itself, so that R is the identity, does not verify', () => {
  const { statement, x } = example('P-256', 'hpke-p256');
  const ciphertext = encrypted(statement, x);
  const rows = ciphertext.rows.with(3, { ...ciphertext.rows[3]!, z: bytesToBigint(x) });
  assert.equal(verify(statement, { ...ciphertext, rows }), false);
});

test('one whole row is enough to decrypt', () => {
  const { statement, x } = example('P-256', 'rsa-oaep');
  const ciphertext = encrypted(statement, x);
  const rows = ciphertext.rows.map((row, index) => (index === 17 ? row : { ...row, c: new Uint8Array(384) }));
  assert.equal(decrypted(statement, { ...ciphertext, rows }), toHex(x));
});

test('Node’s own RSA-OAEP opens any row, and two lines of arithmetic give the share', () => {
  const { statement, x } = example('secp256k1', 'rsa-oaep');
  const { rows } = encrypted(statement, x);
  const key = keys.get('rsa-oaep')!.privatePem;
  for (const { c, z } of rows) {
    const opened = privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, c);
    const r = BigInt(`0x${opened.toString('hex', 0, 32)}`);
    const { q } = statement.curve;
    assert.equal((((z - r) % q) + q) % q, bytesToBigint(x));
  }
});

test('a verifier written from the text of the specification agrees', () => {
  const { statement, x } = example('P-256', 'hpke-p256');
  const { curve, Q, recipient } = statement;
  const { salt, closed, seeds, rows } = encrypted(statement, x);
  const info = infoHash(statement, salt);

  const seedOf = new Map(cover(closed).map((v, index) => [v, seeds[index]!]));
  const leafSeed = (v: number): Uint8Array => {
    const given = seedOf.get(v);
    if (given !== undefined) return given;
    const parent = v >> 1;
    const both = hash('pve tree', [info, BigInt(parent), leafSeed(parent)], 32);
    return v % 2 === 0 ? both.subarray(0, 16) : both.subarray(16);
  };
  const R: Uint8Array[] = [];
  const c: Uint8Array[] = [];
  for (let j = 0; j < 256; j++) {
    const row = rows[closed.indexOf(j)];
    if (row === undefined) {
      const expanded = hash('pve instance', [info, BigInt(j), leafSeed(256 + j)], 80);
      const r = bytesToBigint(expanded.subarray(0, 48)) % curve.q;
      R.push(curve.G.multiplyPublic(r).toBytes());
      c.push(recipient.encryptor(info)(curve.scalarBytes(r), expanded.subarray(48)));
    } else {
      R.push(curve.G.multiplyPublic(row.z).subtract(Q).toBytes());
      c.push(row.c);
    }
  }
  assert.deepEqual(challenge(info, { R: Buffer.concat(R), c: Buffer.concat(c) }), closed);
});
