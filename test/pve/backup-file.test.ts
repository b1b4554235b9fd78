import assert from 'node:assert/strict';
import { constants, createHash, privateDecrypt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { type Policy, parsePolicy } from '#src/access/policy.js';
import { randomBytes, Secret, toHex } from '#src/core/bytes.js';
import { decode, encode, type Plain } from '#src/core/codec.js';
import { MpcError } from '#src/core/errors.js';
import { curveByName, type Point } from '#src/curve/curve.js';
import { keyIdOf } from '#src/curve/key-id.js';
import {
  type Backup,
  backupToText,
  createBackup,
  describeBackup,
  type Expected,
  parseBackup,
  recoverShare,
  verifyBackup,
} from '#src/pve/backup-file.js';
import { createBackupBy, verifyBackupBy } from '#src/pve/backup-jobs.js';
import { privateKeyFromPem, SCHEMES, type Scheme } from '#src/pve/recipient.js';
import { inlineCompute } from '#src/work/inline.js';
import {
  backupOf,
  newRecoveryKey,
  PARTIES,
  type RecoveryKey,
  type Shared,
  sharedKey,
} from '../support/backups.js';

interface Example {
  readonly shared: Shared;
  readonly key: RecoveryKey;
  readonly file: Uint8Array;
  readonly backup: Backup;
}

function example(key: RecoveryKey, shared: Shared): Example {
  const file = backupOf(shared, key.recipient);
  return { shared, key, file, backup: parseBackup(file) };
}

let rsa: Example;
let hpke: Example;
before(async () => {
  rsa = example(await newRecoveryKey('rsa-oaep'), sharedKey('P-256'));
  hpke = example(await newRecoveryKey('hpke-p256'), sharedKey('P-256'));
});

const refusal = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof MpcError);
  assert.equal(error.code, 'BACKUP');
  assert.match(error.message, message);
  assert.ok(error.hint, 'a hint');
  return true;
};

const recovered = (backup: Backup, { privateKey }: RecoveryKey): string => {
  using x = recoverShare(backup, privateKey);
  return toHex(x.bytes);
};

// Round trips

const THRESHOLD = parsePolicy({ threshold: 2, of: ['bob', { or: ['alice', 'dave'] }, 'charlie'] }, PARTIES);

for (const [curve, policy] of [
  ['P-256', undefined],
  ['secp256k1', THRESHOLD],
] as const) {
  for (const scheme of SCHEMES) {
    test(`${scheme}, ${curve}: made, read as text, verified, recovered`, () => {
      const live = Secret.live;
      const { key } = scheme === 'rsa-oaep' ? rsa : hpke;
      const shared = sharedKey(curve, policy);
      const text = backupToText(backupOf(shared, key.recipient));
      const backup = parseBackup(text);
      assert.equal(backup.bytes * 2 + 1, text.length);
      assert.equal(verifyBackup(backup), 'itself');
      assert.equal(recovered(backup, key), toHex(shared.x));
      const { subject } = backup;
      assert.deepEqual([...subject.publicShares.keys()].sort(), PARTIES);
      for (const [name, X] of subject.publicShares) {
        assert.ok(shared.subject.publicShares.get(name)!.equals(X), name);
      }
      assert.deepEqual(subject.policy, shared.subject.policy);
      assert.equal(Secret.live, live);
    });
  }
}

test('at four parties a backup has at most 15 KiB (RSA-3072) and 7 KiB (HPKE), however T falls', () => {
  for (const [{ backup }, limit] of [
    [rsa, 15 * 1024],
    [hpke, 7 * 1024],
  ] as const) {
    const largest = backup.bytes + 16 * (92 - backup.ciphertext.seeds.length);
    assert.ok(largest <= limit, `${largest} bytes`);
  }
});

test('the largest backup that can be made can be read', () => {
  const names = Array.from({ length: 64 }, (_, i) => `party-with-the-longest-name-${1000 + i}`);
  const policy: Policy = parsePolicy({ and: ['alice', ...names.slice(1)] }, ['alice', ...names.slice(1)]);
  const shared = sharedKey('P-256', policy);
  const subject = { ...shared.subject, label: '~'.repeat(128), epoch: 0xffffffff };
  const backup = parseBackup(backupOf({ ...shared, subject }, rsa.key.recipient));
  assert.equal(verifyBackup(backup), 'itself');
});

test('jobs do the same', async () => {
  const { shared, key } = hpke;
  const compute = inlineCompute(randomBytes);
  using x = Secret.own(Uint8Array.from(shared.x));
  const file = await createBackupBy(compute, shared.subject, x, key.recipient);
  assert.equal(toHex(x.bytes), toHex(shared.x), 'the caller keeps its secret');
  assert.equal(recovered(parseBackup(file), key), toHex(shared.x));
  assert.equal(await verifyBackupBy(compute, file), 'itself');
  const expected: Expected = {
    publicKey: shared.subject.publicKey,
    publicShare: shared.subject.publicShares.get('alice')!,
    shareOf: 'alice',
    recipient: key.recipient,
  };
  assert.equal(await verifyBackupBy(compute, file, expected), 'public share');
  await assert.rejects(
    verifyBackupBy(compute, file, { ...expected, shareOf: 'bob' }),
    refusal(/of the share of alice, not bob/),
  );
  await assert.rejects(verifyBackupBy(compute, file.subarray(1)), refusal(/no intact backup/));
});

test('a share that is not this party’s, or a key id of another key, is never backed up', () => {
  const { shared, key } = hpke;
  const { subject } = shared;
  using x = Secret.own(Uint8Array.from(shared.x));
  const make = (changed: object) => () =>
    createBackup({ ...subject, ...changed }, x, key.recipient, randomBytes);
  assert.throws(make({ party: 'bob' }), /not the logarithm/);
  assert.throws(make({ keyId: new Uint8Array(16) }), /key id/);
  assert.throws(make({ publicShares: new Map([...subject.publicShares].slice(0, 3)) }), /public shares/);
  for (const label of ['', 'x'.repeat(129), 'two\nlines', 'é']) assert.throws(make({ label }), /not a label/);
});

// What it is verified against

test('verification says against what it verified', () => {
  const { subject } = hpke.shared;
  const { publicKey } = subject;
  const publicShare = subject.publicShares.get('alice')!;
  assert.equal(verifyBackup(hpke.backup, {}), 'itself');
  assert.equal(verifyBackup(hpke.backup, { shareOf: 'alice', recipient: hpke.key.recipient }), 'itself');
  assert.equal(verifyBackup(hpke.backup, { publicKey }), 'public key');
  assert.equal(verifyBackup(hpke.backup, { publicKey, publicShare }), 'public share');
});

test('a backup of another key, party, share or for another recipient is refused', () => {
  const { subject } = hpke.shared;
  const sameBytes = (point: Point) => curveByName('secp256k1').multiplyBase(point.x);
  const cases: readonly [Expected, RegExp][] = [
    [{ publicKey: subject.publicShares.get('alice')! }, /of the public key 0[23][0-9a-f]{64}, not 0[23]/],
    [{ publicKey: subject.publicKey.negate() }, /of the public key/],
    [{ publicKey: sameBytes(subject.publicKey) }, /on the curve P-256, not secp256k1/],
    [{ publicShare: subject.publicShares.get('bob')! }, /of the share 0/],
    [{ shareOf: 'bob' }, /of the share of alice, not bob/],
    [{ recipient: rsa.key.recipient }, /encrypted to the key [0-9a-f]{64}, not [0-9a-f]{64}/],
  ];
  for (const [expected, message] of cases) {
    assert.throws(() => verifyBackup(hpke.backup, expected), refusal(message));
  }
});

test('another recovery key is refused as such, and a backup that does not open as damaged', async () => {
  const other = await newRecoveryKey('hpke-p256');
  assert.throws(() => recoverShare(hpke.backup, other.privateKey), refusal(/wrong recovery key/));
  assert.throws(() => recoverShare(hpke.backup, rsa.key.privateKey), refusal(/wrong recovery key/));
  const salt = new Uint8Array(32);
  const damaged = { ...hpke.backup, ciphertext: { ...hpke.backup.ciphertext, salt } };
  assert.throws(() => recoverShare(damaged, hpke.key.privateKey), refusal(/does not open/));
});

// Files that say something else

type Fields = Record<string, Plain>;
const fieldsOf = (file: Uint8Array): Fields => ({ ...(decode(file, 1 << 20) as Fields) });
const altered = ({ file }: Example, change: (fields: Fields) => object): Uint8Array => {
  const fields = fieldsOf(file);
  return encode({ ...fields, ...change(fields) } as Plain);
};
type RowFields = { c: Uint8Array; z: Uint8Array };
const rowsOf = (fields: Fields) => fields.rows as unknown as RowFields[];

test('well-formed but false: refused when verified', () => {
  const secp = curveByName('P-256');
  const { publicShares, publicKey } = hpke.shared.subject;
  const points = [...publicShares.values()].map((X) => X.toBytes());
  const otherKey = secp.multiplyBase(5n);
  const cases: Readonly<Record<string, [(fields: Fields) => object, RegExp]>> = {
    label: [() => ({ label: 'another' }), /proof/],
    epoch: [() => ({ epoch: 2 }), /proof/],
    shid: [() => ({ shid: new Uint8Array(32) }), /proof/],
    party: [() => ({ party: 'bob' }), /proof/],
    recipient: [() => ({ recipient: otherRecipient }), /proof/],
    policy: [() => ({ policy: ['threshold', 4, ...PARTIES] }), /proof/],
    'a weaker policy': [() => ({ policy: ['threshold', 2, ...PARTIES] }), /do not add up/],
    'parties in another order': [() => ({ policy: ['and', ...PARTIES.toReversed()] }), /do not add up|proof/],
    'another share': [
      () => ({ publicShares: [points[0]!, publicKey.toBytes(), ...points.slice(2)] }),
      /do not add up/,
    ],
    'shares swapped': [
      () => ({ publicShares: [points[1]!, points[0]!, ...points.slice(2)] }),
      /add up|proof/,
    ],
    'another key': [
      () => ({ publicKey: otherKey.toBytes(), keyId: keyIdOf(secp, otherKey) }),
      /do not add up/,
    ],
    salt: [() => ({ salt: new Uint8Array(32) }), /proof/],
    seeds: [
      ({ seeds }) => ({ seeds: (seeds as Uint8Array).with(100, 1 ^ (seeds as Uint8Array)[100]!) }),
      /proof/,
    ],
    'rows swapped': [
      (fields) => ({ rows: [rowsOf(fields)[1], rowsOf(fields)[0], ...rowsOf(fields).slice(2)] }),
      /proof/,
    ],
    'rows of another backup': [
      () => ({ rows: fieldsOf(backupOf(hpke.shared, hpke.key.recipient)).rows }),
      /proof/,
    ],
  };
  const otherRecipient = hpkeOther.recipient.spki;
  for (const [name, [change, message]] of Object.entries(cases)) {
    const backup = parseBackup(altered(hpke, change));
    assert.throws(() => verifyBackup(backup), refusal(message), name);
  }
});

let hpkeOther: RecoveryKey;
before(async () => {
  hpkeOther = await newRecoveryKey('hpke-p256');
});

test('not well-formed: refused when read', () => {
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
  const withRow = (change: Partial<RowFields>) => (fields: Fields) => ({
    rows: rowsOf(fields).with(5, { ...rowsOf(fields)[5]!, ...change }),
  });
  const closed = (change: (closed: Uint8Array) => Uint8Array) => (fields: Fields) => ({
    closed: change(Uint8Array.from(fields.closed as Uint8Array)),
  });
  const cases: Readonly<Record<string, [(fields: Fields) => object, RegExp]>> = {
    'another format': [() => ({ format: 'something' }), /another format/],
    'an unknown curve': [() => ({ curve: 'P-384' }), /unknown curve/],
    'an unknown scheme': [() => ({ scheme: 'rsa' }), /unknown curve or scheme/],
    'the other scheme': [() => ({ scheme: 'rsa-oaep' }), /recipient|rows/],
    'the other curve': [() => ({ curve: 'secp256k1' }), /not a point|keyId/],
    'a field more': [() => ({ more: 1 }), /no intact/],
    'a label with a control character': [() => ({ label: 'a\u001b[31m' }), /label/],
    'an empty label': [() => ({ label: '' }), /label/],
    'a negative epoch': [() => ({ epoch: -1 }), /epoch/],
    'a party outside the policy': [() => ({ party: 'mallory' }), /party/],
    'another key id': [() => ({ keyId: new Uint8Array(16) }), /keyId/],
    'a short shid': [() => ({ shid: new Uint8Array(31) }), /shid/],
    'a key that is no point': [() => ({ publicKey: new Uint8Array(33) }), /publicKey/],
    'a share too few': [
      ({ publicShares }) => ({ publicShares: (publicShares as Plain[]).slice(1) }),
      /publicShares/,
    ],
    'a policy that one party satisfies': [() => ({ policy: ['or', ...PARTIES] }), /act alone/],
    'a policy that is none': [() => ({ policy: 7 }), /policy/],
    'a recipient that is none': [() => ({ recipient: new Uint8Array(91) }), /recipient/],
    'an RSA recipient': [() => ({ recipient: rsa.key.recipient.spki }), /recipient/],
    'a short salt': [() => ({ salt: new Uint8Array(31) }), /salt/],
    'T with 29': [closed((T) => T.slice(1)), /closed/],
    'T not ascending': [closed((T) => T.reverse()), /closed/],
    'T with a repeat': [closed((T) => T.with(1, T[0]!)), /closed/],
    'a seed too few': [({ seeds }) => ({ seeds: (seeds as Uint8Array).slice(16) }), /seeds/],
    'a seed too many': [
      ({ seeds }) => ({ seeds: Buffer.concat([seeds as Uint8Array, order.subarray(16)]) }),
      /seeds/,
    ],
    'half a seed more': [
      ({ seeds }) => ({ seeds: Buffer.concat([seeds as Uint8Array, new Uint8Array(8)]) }),
      /seeds/,
    ],
    'half a seed less': [({ seeds }) => ({ seeds: (seeds as Uint8Array).slice(8) }), /seeds/],
    'a row too few': [(fields) => ({ rows: rowsOf(fields).slice(1) }), /rows/],
    'a row too many': [(fields) => ({ rows: [...rowsOf(fields), rowsOf(fields)[0]] }), /rows/],
    'a short c': [withRow({ c: new Uint8Array(112) }), /rows\.5\.c/],
    'z = q': [withRow({ z: new Uint8Array(order) }), /rows\.5\.z/],
  };
  for (const [name, [change, message]] of Object.entries(cases)) {
    assert.throws(() => parseBackup(altered(hpke, change)), refusal(message), name);
  }
  assert.throws(() => parseBackup(altered(hpke, () => ({ version: 2 }))), refusal(/version 2, not 1/));
  for (const name of Object.keys(fieldsOf(hpke.file))) {
    const { [name]: _, ...rest } = fieldsOf(hpke.file);
    assert.throws(() => parseBackup(encode(rest)), refusal(/no intact/), `without ${name}`);
  }
});

test('only the one canonical encoding is read', () => {
  const { file } = hpke;
  const text = backupToText(file);
  const textForms: Readonly<Record<string, string>> = {
    'upper case': text.toUpperCase(),
    'one upper-case digit': text.replace(/[a-f]/, (digit) => digit.toUpperCase()),
    'no newline': text.slice(0, -1),
    'two newlines': `${text}\n`,
    'carriage return': `${text.slice(0, -1)}\r\n`,
    'a space before': ` ${text}`,
    'a digit less': text.slice(1),
    'lines of 64': text.replace(/.{64}/g, '$&\n'),
    'a byte-order mark': `\ufeff${text}`,
    empty: '',
    newline: '\n',
  };
  for (const [name, form] of Object.entries(textForms)) {
    assert.throws(() => parseBackup(form), refusal(/hex and one final newline/), name);
  }
  const keys = Object.keys(fieldsOf(file));
  const firstKey = Buffer.from(file).indexOf('curve'); // first in canonical order: the shortest, then bytewise
  const binaryForms: Readonly<Record<string, Uint8Array>> = {
    'a byte after the end': Buffer.concat([file, Buffer.from([0])]),
    'a byte less': file.subarray(0, -1),
    'a map of undeclared length': Buffer.concat([Buffer.from([0xbf]), file.subarray(1), Buffer.from([0xff])]),
    'a long form of the number of fields': Buffer.concat([
      Buffer.from([0xb8, keys.length]),
      file.subarray(1),
    ]),
    'a field twice': Buffer.concat([
      Buffer.from([file[0]! + 1]),
      file.subarray(1),
      file.subarray(firstKey - 1, firstKey + 5 + 6),
    ]),
    'a tag before': Buffer.concat([Buffer.from([0xd9, 0xd9, 0xf7]), file]),
    'fields in another order': Buffer.concat([
      file.subarray(0, 1),
      file.subarray(firstKey - 1 + 12),
      file.subarray(1, firstKey - 1 + 12),
    ]),
    empty: new Uint8Array(0),
    'a megabyte': new Uint8Array(1 << 20),
    text: Buffer.from(text),
  };
  for (const [name, form] of Object.entries(binaryForms)) {
    assert.throws(() => parseBackup(form), refusal(/no intact/), name);
  }
});

// Whatever a file holds, it is read or refused, and nothing else happens

const plain = fc.letrec<{ value: Plain }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    ...[fc.constant(null), fc.boolean(), fc.maxSafeInteger(), fc.string(), fc.uint8Array()],
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  ),
})).value;

const readsOrRefuses = (file: Uint8Array | string): void => {
  try {
    parseBackup(file);
  } catch (error) {
    assert.ok(error instanceof MpcError, String(error));
    assert.equal(error.code, 'BACKUP');
    assert.match(error.message, /^\P{C}+$/u);
  }
};

test('fuzz: a field of another kind', () => {
  const names = fc.nat().map((n) => Object.keys(fieldsOf(hpke.file))[n % 17]!);
  fc.assert(
    fc.property(names, plain, (name, value) => readsOrRefuses(altered(hpke, () => ({ [name]: value })))),
    { numRuns: 400 },
  );
});

test('fuzz: bytes changed, put in, taken out', () => {
  const edits = fc.array(
    fc.record({ at: fc.nat(8000), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 4 }) }),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(edits, (list) => {
      const bytes = [...hpke.file];
      for (const { at, remove, insert } of list) bytes.splice(at % bytes.length, remove, ...insert);
      readsOrRefuses(Uint8Array.from(bytes));
    }),
    { numRuns: 400 },
  );
});

test('fuzz: any bytes, any text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.string({ unit: 'binary' }), (bytes, text) => {
      readsOrRefuses(bytes);
      readsOrRefuses(text);
      readsOrRefuses(backupToText(bytes));
    }),
    { numRuns: 400 },
  );
});

// Without this program

test('what inspect prints, Node’s RSA-OAEP and two lines of arithmetic rebuild the share', () => {
  const shown = JSON.parse(JSON.stringify(describeBackup(rsa.backup)));
  const { c, z } = shown.rows[11];
  const key = { key: rsa.key.privatePem, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  const r = BigInt(`0x${privateDecrypt(key, Buffer.from(c, 'hex')).toString('hex', 0, 32)}`);
  const { q } = curveByName('P-256');
  const x = (BigInt(`0x${z}`) - r + q) % q;
  assert.equal(((x % q) + q) % q, BigInt(`0x${toHex(rsa.shared.x)}`));
});

test('inspect shows everything, and no key', () => {
  const { subject } = rsa.shared;
  const shown = describeBackup(rsa.backup);
  const spki = Buffer.from(shown.recipient.pem.replace(/-----.*-----|\n/g, ''), 'base64');
  assert.deepEqual(
    { ...shown, recipient: undefined, seeds: undefined, rows: undefined },
    {
      format: 'ecdsa-mpc backup',
      version: 1,
      bytes: rsa.file.length,
      scheme: 'rsa-oaep' satisfies Scheme,
      curve: 'P-256',
      label: 'backup-alice-1',
      keyId: toHex(subject.keyId),
      epoch: 1,
      shid: toHex(subject.shid),
      party: 'alice',
      publicKey: toHex(subject.publicKey.toUncompressed()),
      publicShares: Object.fromEntries(
        [...subject.publicShares].map(([name, X]) => [name, toHex(X.toBytes())]),
      ),
      policy: 'And(Leaf(alice), Leaf(bob), Leaf(charlie), Leaf(dave))',
      instances: 256,
      closed: rsa.backup.ciphertext.closed,
      salt: toHex(rsa.backup.ciphertext.salt),
      ...{ recipient: undefined, seeds: undefined, rows: undefined },
    },
  );
  assert.equal(shown.recipient.fingerprint, createHash('sha256').update(spki).digest('hex'));
  assert.equal(shown.rows.length, 30);
  assert.equal(shown.seeds.length, rsa.backup.ciphertext.seeds.length);
  assert.ok(!JSON.stringify(shown).includes(toHex(rsa.shared.x)));
});

// Files of earlier versions

const fixture = (name: string): URL => new URL(`../../../test/fixtures/backup-v1/${name}`, import.meta.url);

for (const scheme of SCHEMES) {
  test(`${scheme}: a backup of format version 1 that was stored long ago verifies and recovers`, () => {
    const backup = parseBackup(readFileSync(fixture(`${scheme}.hex`), 'latin1'));
    assert.equal(verifyBackup(backup), 'itself');
    const privateKey = privateKeyFromPem(readFileSync(fixture(`${scheme}.key.pem`)));
    using x = recoverShare(backup, privateKey);
    assert.equal(`${toHex(x.bytes)}\n`, readFileSync(fixture(`${scheme}.share`), 'latin1'));
  });
}
