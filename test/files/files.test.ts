import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  checkNewFile,
  checkWritable,
  displayPath,
  MAX_FILE_BYTES,
  makeFolder,
  moveInPlace,
  putInPlace,
  readBytes,
  readMessage,
  readText,
  SECRET,
  setAside,
  writeNewFile,
} from '#src/files/files.js';
import { isOpenToOthers, removeSocket, socketAt } from '#src/files/private.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-files-'));
after(() => rmSync(folder, { recursive: true }));

test('a secret file is readable by its owner only, and nothing else is left beside it', () => {
  const inner = join(folder, 'keys');
  makeFolder(inner);
  writeNewFile(join(inner, 'a.pem'), 'secret', SECRET);
  assert.equal(statSync(inner).mode & 0o777, 0o700);
  assert.equal(statSync(join(inner, 'a.pem')).mode & 0o777, 0o600);
  assert.equal(isOpenToOthers(join(inner, 'a.pem')), false);
  assert.deepEqual(readdirSync(inner), ['a.pem']);
  chmodSync(join(inner, 'a.pem'), 0o640);
  assert.equal(isOpenToOthers(join(inner, 'a.pem')), true);
});

test('a new file never replaces another', () => {
  const path = join(folder, 'taken');
  writeFileSync(path, 'old');
  assert.throws(() => writeNewFile(path, 'new', SECRET), { code: 'FILE', message: `${path} exists already` });
  assert.equal(readFileSync(path, 'utf8'), 'old');
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('a file set aside keeps its content, and takes no name that is in use', () => {
  const [path, kept] = [join(folder, 'earlier'), join(folder, 'earlier-kept')];
  assert.equal(setAside(path, kept), false);
  writeFileSync(path, 'one');
  assert.equal(setAside(path, kept), true);
  assert.equal(readFileSync(kept, 'utf8'), 'one');
  writeFileSync(path, 'two');
  assert.throws(() => setAside(path, kept), { code: 'FILE', message: `${kept} exists already` });
  assert.deepEqual([readFileSync(path, 'utf8'), readFileSync(kept, 'utf8')], ['two', 'one']);
});

test('a file put or moved in place of another leaves it under its new name, or where it was', () => {
  const [path, kept, next] = ['current.pem', 'kept.pem', 'next.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  putInPlace(path, 'one', SECRET, kept);
  assert.equal(existsSync(kept), false);
  putInPlace(path, 'two', SECRET, kept);
  assert.deepEqual(
    [path, kept].map((name) => readFileSync(name, 'utf8')),
    ['two', 'one'],
  );
  assert.throws(() => putInPlace(path, 'three', SECRET, kept), { message: `${kept} exists already` });
  writeFileSync(next, 'four');
  assert.throws(() => moveInPlace(next, path, kept), { message: `${kept} exists already` });
  assert.deepEqual(
    [path, next].map((name) => readFileSync(name, 'utf8')),
    ['two', 'four'],
  );
  rmSync(kept);
  moveInPlace(next, path, kept);
  assert.deepEqual(
    [path, kept].map((name) => readFileSync(name, 'utf8')),
    ['four', 'two'],
  );
  assert.equal(existsSync(next), false);
  assert.throws(() => moveInPlace(next, path), { code: 'FILE' });
});

test('failures say which file and why', () => {
  const inner = join(folder, 'a folder');
  mkdirSync(inner);
  assert.throws(() => readText(join(folder, 'nowhere')), {
    code: 'FILE',
    message: `${join(folder, 'nowhere')} does not exist`,
  });
  assert.throws(() => readText(inner, { code: 'CERTIFICATE', hint: 'name the file' }), {
    code: 'CERTIFICATE',
    message: `${inner} is a folder, not a file`,
    hint: 'name the file',
  });
  assert.throws(() => writeNewFile(join(folder, 'no', 'such', 'folder'), '', SECRET), { code: 'FILE' });
  assert.throws(() => checkWritable(join(folder, 'nowhere')), { code: 'FILE', message: /does not exist$/ });
  checkWritable(folder);
});

test('paths below the working directory are shown relative to it', () => {
  assert.equal(displayPath(join(process.cwd(), 'certs', 'rootCA.pem')), join('certs', 'rootCA.pem'));
  assert.equal(displayPath(folder), folder);
  assert.equal(displayPath(process.cwd()), process.cwd());
});

test('a file is read up to a bound, also one without a size or an end', () => {
  const path = join(folder, 'large');
  writeFileSync(path, new Uint8Array(MAX_FILE_BYTES).fill(7));
  assert.equal(readBytes(path).length, MAX_FILE_BYTES);
  writeFileSync(path, new Uint8Array(MAX_FILE_BYTES + 1));
  assert.throws(() => readBytes(path), {
    code: 'FILE',
    message: `${path} is too large to be what it should be`,
  });
  assert.throws(() => readBytes('/dev/zero'), { code: 'FILE', message: /too large/ });
  assert.equal(readBytes('/dev/null').length, 0);
  assert.match(readText(`/proc/${process.pid}/status`), /^Name:/);
});

test('a message may be larger, but not without end', () => {
  const path = join(folder, 'message');
  const bytes = new Uint8Array(MAX_FILE_BYTES + 3).map((_byte, index) => index);
  writeFileSync(path, bytes);
  assert.deepEqual(readMessage(path), bytes);
  writeFileSync(path, '');
  assert.deepEqual(readMessage(path), new Uint8Array(0));
  assert.throws(() => readMessage('/dev/zero'), { code: 'FILE', message: /too large/, hint: /256 MiB/ });
});

test('whether a new file can be written is known beforehand', () => {
  const path = join(folder, 'not yet');
  checkNewFile(path);
  assert.ok(!existsSync(path));
  writeFileSync(path, '');
  assert.throws(() => checkNewFile(path), { code: 'FILE', message: /not yet exists already$/ });
  assert.throws(() => checkNewFile(join(folder, 'nowhere', 'x')), {
    code: 'FILE',
    message: /does not exist$/,
  });
});

test('a socket is removed only while it is the one that was seen', async () => {
  const path = join(folder, 'a.sock');
  const listen = async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ path }, resolve));
    return server;
  };
  assert.equal(socketAt(path, 'hint'), undefined);
  const first = await listen();
  const seen = socketAt(path, 'hint');
  assert.ok(seen !== undefined);
  first.close();
  removeSocket(path, seen, 'hint');
  const second = await listen();
  assert.throws(() => removeSocket(path, seen, 'look again'), {
    code: 'FILE',
    message: `${path} has just been taken by another process`,
    hint: 'look again',
  });
  const found = socketAt(path, 'hint');
  assert.ok(found !== undefined);
  removeSocket(path, found, 'hint');
  assert.equal(existsSync(path), false);
  second.close();
  writeFileSync(path, '');
  assert.throws(() => removeSocket(path, found, 'look again'), { message: `${path} is not a socket` });
  assert.throws(() => socketAt(join(path, 'below'), 'another'), { code: 'FILE', hint: 'another' });
});
