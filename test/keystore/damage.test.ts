/** Files that are not what was put there: refused with an error that names them, and nothing changed. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { randomBytes, Secret } from '#src/core/bytes.js';
import { decode, encode } from '#src/core/codec.js';
import { MpcError } from '#src/core/errors.js';
import { headerText, newHeader, parseHeader } from '#src/keystore/header.js';
import type { Keystore } from '#src/keystore/keystore.js';
import { open, seal } from '#src/keystore/sealed.js';
import {
  COST,
  contents,
  openKeystore,
  PASSPHRASE,
  secretOf,
  temporaryFolder,
  testKey,
  testSetup,
} from '../support/stored-keys.js';

const { folder: root, remove } = temporaryFolder();
after(remove);
const live = Secret.live;
after(() => assert.equal(Secret.live, live, 'secrets are left'));

/** A folder with one key that has two sharings, with two set-ups each. */
async function makeFolder(name: string, party = 'alice'): Promise<string> {
  const folder = join(root, name);
  using keystore = await openKeystore(folder, { party });
  const key = testKey();
  for (const epoch of [0, 1]) {
    using share = key.share(epoch, party);
    using first = testSetup(undefined, party, 40);
    using second = testSetup(undefined, party, 40);
    keystore.addSharing(share, 'keygen', first);
    keystore.addSetup(share.sharing.keyId, share.sharing.shid, second);
  }
  return folder;
}

const template = await makeFolder('template');
const names = (ending: string, folder = template): string[] =>
  readdirSync(folder).filter((name) => name.endsWith(ending));
const MANIFEST = names('.key')[0]!;
const SHARE = names('.share')[0]!;
const SETUP = names('.setup')[0]!;

let count = 0;
function copyOfTemplate(): string {
  const folder = join(root, `copy-${count++}`);
  cpSync(template, folder, { recursive: true });
  return folder;
}

const snapshot = (folder: string): unknown =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !/^lock\./.test(entry.name))
    .map((entry) => [entry.name, entry.isFile() ? readFileSync(join(folder, entry.name), 'hex') : 'other']);

const useAll = async (folder: string): Promise<void> => {
  using keystore = await openKeystore(folder, { create: false });
  contents(keystore);
};

/** Throws unless the folder, opened and read as a whole, gives an error that says `message`, and stays as it was. */
async function assertRefused(folder: string, message: RegExp): Promise<void> {
  const before = snapshot(folder);
  await assert.rejects(useAll(folder), (error) => {
    assert.ok(error instanceof MpcError, String(error));
    assert.equal(error.code, 'FILE');
    assert.match(error.message, message);
    assert.ok(error.hint);
    return true;
  });
  assert.deepEqual(snapshot(folder), before);
}

const flipped = (bytes: Uint8Array, i: number): Uint8Array => bytes.with(i, bytes[i]! ^ (1 << (i % 8)));
const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(path));

test('a bit flipped in any byte of an encrypted file is noticed', () => {
  using key = Secret.random(32);
  const place = { party: 'alice', keyId: randomBytes(16), file: SHARE };
  const content = randomBytes(70);
  const file = seal(key, place, content);
  {
    using read = open(key, place, file);
    assert.deepEqual(read?.bytes, content);
  }
  for (let i = 0; i < file.length; i++)
    assert.equal(open(key, place, flipped(file, i)), undefined, `byte ${i}`);
  for (let i = 0; i < file.length; i++) assert.equal(open(key, place, file.subarray(0, i)), undefined);
  assert.equal(open(key, place, new Uint8Array([...file, 0])), undefined);
  using otherKey = Secret.random(32);
  assert.equal(open(otherKey, place, file), undefined);
  for (const other of [{ party: 'bob' }, { keyId: randomBytes(16) }, { file: SETUP }])
    assert.equal(open(key, { ...place, ...other }, file), undefined);
  // The tag must have its full length: a shorter one could be guessed.
  const fields = decode(file, 1000) as { sealed: Uint8Array };
  for (const length of [0, 4, 12, 15])
    assert.equal(
      open(key, place, encode({ ...fields, sealed: fields.sealed.slice(-length || 999) })),
      undefined,
    );
});

test('a bit flipped in any byte of the header is noticed', async () => {
  using passphrase = secretOf(PASSPHRASE);
  const { text, fileKey } = await newHeader('alice', passphrase, COST);
  fileKey.dispose();
  const bytes = new Uint8Array(Buffer.from(text));
  assert.equal(headerText(parseHeader(bytes, 'x')), text);
  for (let i = 0; i < bytes.length; i++)
    assert.throws(() => parseHeader(flipped(bytes, i), 'x'), { code: 'FILE' }, `byte ${i}`);
  for (const other of [
    text.slice(0, -1),
    `${text}\n`,
    `${text} `,
    JSON.stringify(JSON.parse(text)),
    '',
    '{}',
    'null',
    '[]',
  ])
    assert.throws(
      () => parseHeader(new Uint8Array(Buffer.from(other)), 'x'),
      { message: 'x is damaged' },
      other,
    );
});

test('costs outside the bounds are refused before any work is done', async () => {
  using passphrase = secretOf(PASSPHRASE);
  const { text, fileKey } = await newHeader('alice', passphrase, COST);
  fileKey.dispose();
  const header = parseHeader(new Uint8Array(Buffer.from(text)), 'x');
  const withCost = (cost: object): Uint8Array =>
    new Uint8Array(Buffer.from(headerText({ ...header, kdf: { ...header.kdf, ...cost } })));
  for (const cost of [
    { N: 2 ** 13 },
    { N: 2 ** 14 + 1 },
    { N: 3 * 2 ** 14 },
    { N: 2 ** 21 },
    { N: 2 ** 20, r: 16 },
    { r: 4 },
    { r: 33 },
    { p: 0 },
    { p: 5 },
    { N: 2 ** 14 + 0.5 },
    { salt: 'ab'.repeat(31) },
    { name: 'pbkdf2' },
  ])
    assert.throws(() => parseHeader(withCost(cost), 'x'), { message: 'x is damaged' }, JSON.stringify(cost));
  for (const cost of [{ N: 2 ** 20 }, { N: 2 ** 19, r: 16 }, { p: 4 }])
    assert.equal(parseHeader(withCost(cost), 'x').kdf.name, 'scrypt');
});

test('a flipped bit, a missing or an added byte in a file of the folder ends its opening or its use', async () => {
  for (const name of ['keystore.json', MANIFEST, SHARE, SETUP]) {
    const whole = bytesOf(join(template, name));
    const alterations = [
      flipped(whole, 0),
      flipped(whole, Math.floor(Math.random() * whole.length)),
      flipped(whole, whole.length - 1),
      whole.subarray(0, whole.length - 1),
      new Uint8Array([...whole, 0]),
      new Uint8Array(0),
      new Uint8Array(whole.length),
    ];
    for (const altered of alterations) {
      const folder = copyOfTemplate();
      writeFileSync(join(folder, name), altered);
      await assertRefused(folder, new RegExp(`${name} (is damaged|has another format|has format version)`));
      rmSync(folder, { recursive: true });
    }
  }
});

test('a file too large for any of its kind is not read', async () => {
  for (const name of ['keystore.json', MANIFEST, SHARE]) {
    const folder = copyOfTemplate();
    truncateSync(join(folder, name), 2 ** 32);
    await assert.rejects(useAll(folder), { code: 'FILE', message: /is longer than any such file$/ });
    rmSync(folder, { recursive: true });
  }
});

test('a file in the place of another is refused', async () => {
  const [first, second] = names('.share');
  const [setup, otherSetup] = names('.setup');
  for (const [one, two] of [
    [first!, second!],
    [setup!, otherSetup!],
    [first!, setup!],
    [MANIFEST, first!],
  ] as const) {
    const folder = copyOfTemplate();
    renameSync(join(folder, one), join(folder, 'aside'));
    renameSync(join(folder, two), join(folder, one));
    renameSync(join(folder, 'aside'), join(folder, two));
    await assertRefused(folder, /is damaged, or belongs to another key, party or folder$/);
  }
});

test('files and folders of another party, and of another folder, are refused', async () => {
  const bobs = await makeFolder('bobs', 'bob');
  await assert.rejects(openKeystore(bobs), {
    code: 'FILE',
    message: `${bobs} holds the keys of another party, bob`,
  });
  const other = await makeFolder('other');
  for (const from of [bobs, other]) {
    const folder = copyOfTemplate();
    const foreign = names('.key', from)[0]!;
    cpSync(join(from, foreign), join(folder, foreign));
    await assertRefused(
      folder,
      new RegExp(`${foreign} is damaged, or belongs to another key, party or folder$`),
    );
    const renamed = copyOfTemplate();
    cpSync(join(from, foreign), join(renamed, MANIFEST));
    await assertRefused(renamed, new RegExp(`${MANIFEST} is damaged, or belongs to another`));
  }
  const header = copyOfTemplate();
  cpSync(join(other, 'keystore.json'), join(header, 'keystore.json'));
  await assertRefused(header, /is damaged, or belongs to another key, party or folder$/);
});

test('a missing header or share is an error; a missing set-up only counts as erased', async () => {
  for (const [name, message] of [
    ['keystore.json', /keystore.json does not exist$/],
    [SHARE, /\.share does not exist$/],
  ] as const) {
    const folder = copyOfTemplate();
    rmSync(join(folder, name));
    await assertRefused(folder, message);
    // Nor is a new header made where there are keys.
    await assert.rejects(openKeystore(folder), { code: 'FILE', message });
  }
  const folder = copyOfTemplate();
  rmSync(join(folder, SETUP));
  using keystore = await openKeystore(folder);
  const setups = keystore.keys()[0]!.sharings.map((each) => each.setups.length);
  assert.deepEqual(setups.toSorted(), [1, 2]);
  contents(keystore);
});

test('a damaged set-up leaves the rest in use, and can be erased', async () => {
  const folder = copyOfTemplate();
  writeFileSync(join(folder, SETUP), 'nonsense');
  using keystore = await openKeystore(folder);
  let refused = 0;
  for (const { keyId, sharings } of keystore.keys())
    for (const { sharing, setups } of sharings) {
      keystore.loadShare(keyId, sharing.shid)[Symbol.dispose]();
      for (const { id } of setups)
        try {
          keystore.loadSetup(keyId, sharing.shid, id)[Symbol.dispose]();
        } catch (error) {
          assert.ok(error instanceof MpcError && /delete this file, and a new set-up/.test(error.hint!));
          keystore.eraseSetup(keyId, sharing.shid, id);
          refused += 1;
        }
    }
  assert.equal(refused, 1);
  contents(keystore);
});

test('a later format version is said to be one', async () => {
  const header = copyOfTemplate();
  const path = join(header, 'keystore.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"version": 1', '"version": 2'));
  await assertRefused(header, /keystore.json has format version 2, not 1$/);
  const file = copyOfTemplate();
  const fields = decode(bytesOf(join(file, SHARE)), 10_000) as object;
  writeFileSync(join(file, SHARE), encode({ ...fields, version: 2 }));
  await assertRefused(file, /\.share has another format version$/);
});

test('files and folders that others can read are refused, with the command that helps', async () => {
  for (const [name, mode] of [
    ['keystore.json', 0o640],
    [MANIFEST, 0o604],
    [SHARE, 0o660],
    [SETUP, 0o644],
  ] as const) {
    const folder = copyOfTemplate();
    chmodSync(join(folder, name), mode);
    const path = join(folder, name);
    await assert.rejects(openKeystore(folder), {
      code: 'FILE',
      message: `${path} is open to other users`,
      hint: `run: chmod 600 ${path}`,
    });
  }
  const folder = copyOfTemplate();
  chmodSync(folder, 0o750);
  const refusal = {
    code: 'FILE',
    message: `${folder} is open to other users`,
    hint: `run: chmod 700 ${folder}`,
  };
  await assert.rejects(openKeystore(folder), refusal);
  const empty = join(root, 'open');
  mkdirSync(empty, { mode: 0o755 });
  chmodSync(empty, 0o755);
  await assert.rejects(openKeystore(empty), { code: 'FILE', message: `${empty} is open to other users` });
  assert.deepEqual(readdirSync(empty), []);
});

test('files and folders of another user are refused', async (t) => {
  const folder = copyOfTemplate();
  const user = process.getuid?.();
  if (user === undefined) return t.skip('no users here');
  t.mock.method(process as { getuid: () => number }, 'getuid', () => user + 1);
  await assert.rejects(openKeystore(folder), {
    code: 'FILE',
    message: `${folder} belongs to another user (id ${user})`,
    hint: `run as that user, or run: chown ${user + 1} ${folder}`,
  });
});

test('neither links nor anything but plain files are followed', async () => {
  for (const name of ['keystore.json', MANIFEST, SHARE, SETUP]) {
    const linked = copyOfTemplate();
    renameSync(join(linked, name), join(root, 'elsewhere'));
    symlinkSync(join(root, 'elsewhere'), join(linked, name));
    await assertRefused(linked, /is (a symbolic link|not a plain file)$/);
    const folder = copyOfTemplate();
    rmSync(join(folder, name));
    mkdirSync(join(folder, name), { mode: 0o700 });
    await assertRefused(folder, /is not a plain file$/);
  }
  const file = join(root, 'a file');
  writeFileSync(file, '');
  await assert.rejects(openKeystore(file), { code: 'FILE' });
});

test('temporary files of a killed process go, all that is unknown stays', async () => {
  const folder = copyOfTemplate();
  const leftover = `.${SHARE}.12345678-1234-1234-1234-123456789abc.tmp`;
  const twin = `.${MANIFEST}.12345678-1234-1234-1234-123456789abc.tmp`;
  writeFileSync(join(folder, leftover), 'half of a file', { mode: 0o600 });
  // What is left between the link and the removal of the temporary name is the file itself.
  linkSync(join(folder, MANIFEST), join(folder, twin));
  const unknown = ['notes.txt', '.hidden.tmp', `${'ab'.repeat(16)}.${'cd'.repeat(16)}.share`];
  for (const name of unknown) writeFileSync(join(folder, name), 'mine', { mode: 0o600 });
  for (const _ of [1, 2]) {
    using keystore = await openKeystore(folder);
    contents(keystore);
  }
  const left = readdirSync(folder);
  assert.ok(!left.includes(leftover) && !left.includes(twin));
  for (const name of unknown) assert.equal(readFileSync(join(folder, name), 'utf8'), 'mine');
});

test('a folder that does not exist is made only on request', async () => {
  const folder = join(root, 'nowhere', 'alice');
  await assert.rejects(openKeystore(folder, { create: false }), {
    code: 'FILE',
    message: `${folder} holds no keys`,
    hint: /ecdsa-mpc keygen/,
  });
  using short = secretOf('1234567');
  await assert.rejects(openKeystore(folder, { passphrase: short }), { code: 'USAGE' });
  assert.equal(readdirSync(root).includes('nowhere'), false);
});

test('while one process has the folder open, another is refused', async () => {
  const folder = copyOfTemplate();
  const keystore: Keystore = await openKeystore(folder);
  await assert.rejects(openKeystore(folder), { message: `${folder} is in use by process ${process.pid}` });
  keystore[Symbol.dispose]();
  (await openKeystore(folder))[Symbol.dispose]();
  using wrong = secretOf('wrong passphrase');
  await assert.rejects(openKeystore(folder, { passphrase: wrong }), { message: /^wrong passphrase/ });
  (await openKeystore(folder))[Symbol.dispose]();
});
