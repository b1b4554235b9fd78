import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { Secret } from '#src/core/bytes.js';
import { CREDENTIAL, PASSPHRASE_VARIABLE, readPassphrase } from '#src/keystore/passphrase.js';
import { secretOf, temporaryFolder } from '../support/stored-keys.js';

const { folder, remove } = temporaryFolder();
after(remove);
let live = 0;
beforeEach(() => {
  live = Secret.live;
});
afterEach(() => assert.equal(Secret.live, live, 'secrets are left'));

function fileOf(name: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const textOf = async (sources: Parameters<typeof readPassphrase>[0]): Promise<string> => {
  using passphrase = await readPassphrase(sources);
  return Buffer.from(passphrase.bytes).toString();
};

const named = (file: string, isNew = false) => textOf({ file, environment: {}, isNew });

test('the first source that there is counts', async () => {
  const file = fileOf('named', 'from the option\n');
  const variable = fileOf('variable', 'from the variable\n');
  const credentials = join(folder, 'credentials');
  mkdirSync(credentials);
  const credential = fileOf(join('credentials', CREDENTIAL), 'from systemd', 0o440);
  const environment = { [PASSPHRASE_VARIABLE]: variable, CREDENTIALS_DIRECTORY: credentials };
  const prompt = async () => secretOf('from the terminal');
  assert.ok(credential);
  assert.equal(await textOf({ file, environment, prompt, isNew: false }), 'from the option');
  assert.equal(await textOf({ environment, prompt, isNew: false }), 'from the variable');
  const systemd = { [PASSPHRASE_VARIABLE]: '', CREDENTIALS_DIRECTORY: credentials };
  assert.equal(await textOf({ environment: systemd, prompt, isNew: false }), 'from systemd');
  // A service may have other credentials.
  for (const none of [{}, { CREDENTIALS_DIRECTORY: folder }, { CREDENTIALS_DIRECTORY: '' }])
    assert.equal(await textOf({ environment: none, prompt, isNew: false }), 'from the terminal');
});

test('one newline at the end is not part of it', async () => {
  for (const [content, passphrase] of [
    ['pass phrase', 'pass phrase'],
    ['pass phrase\n', 'pass phrase'],
    ['pass phrase\r\n', 'pass phrase'],
    ['pass phrase\n\n', 'pass phrase\n'],
    [' pass\nphrase \n', ' pass\nphrase '],
    ['pass phrase\r', 'pass phrase\r'],
  ] as const)
    assert.equal(await named(fileOf('newline', content)), passphrase, JSON.stringify(content));
});

test('a file that cannot be used is refused', async () => {
  const open = fileOf('open', 'passphrase', 0o640);
  await assert.rejects(named(open), {
    code: 'FILE',
    message: `${open} is open to other users`,
    hint: `run: chmod 600 ${open}`,
  });
  const link = join(folder, 'link');
  symlinkSync(open, link);
  await assert.rejects(named(link), { code: 'FILE', message: /is open to other users$/ });
  for (const empty of ['', '\n', '\r\n'])
    await assert.rejects(named(fileOf('empty', empty)), { code: 'FILE', message: /is empty$/ });
  await assert.rejects(named(fileOf('long', 'x'.repeat(4097))), {
    code: 'FILE',
    message: /more than 4096 bytes$/,
  });
  assert.equal((await named(fileOf('long', 'x'.repeat(4096)))).length, 4096);
  await assert.rejects(named(join(folder, 'nowhere')), { code: 'FILE', message: /does not exist$/ });
  await assert.rejects(named(folder), { code: 'FILE' });
  const environment = { [PASSPHRASE_VARIABLE]: join(folder, 'nowhere') };
  await assert.rejects(textOf({ environment, prompt: async () => secretOf('unused'), isNew: false }), {
    code: 'FILE',
  });
});

test('a new folder wants eight characters, whatever bytes they take', async () => {
  for (const long of ['12345678', 'päßwörtä', '🔑🔑🔑🔑🔑🔑🔑🔑'])
    assert.equal(await named(fileOf('new', long), true), long);
  for (const short of ['1234567', 'pässwor', '🔑🔑🔑']) {
    await assert.rejects(named(fileOf('new', short), true), {
      code: 'USAGE',
      message: /fewer than 8 characters$/,
    });
    assert.equal(await named(fileOf('new', short)), short);
  }
});

test('on the terminal a new passphrase is asked for twice, an old one once', async () => {
  const asked: string[] = [];
  const answering =
    (...answers: string[]) =>
    async (question: string): Promise<Secret> => {
      asked.push(question);
      return secretOf(answers.shift()!);
    };
  assert.equal(await textOf({ environment: {}, prompt: answering('old'), isNew: false }), 'old');
  assert.equal(asked.length, 1);
  const twice = answering('long enough', 'long enough');
  assert.equal(await textOf({ environment: {}, prompt: twice, isNew: true }), 'long enough');
  assert.equal(asked.length, 3);
  await assert.rejects(
    textOf({ environment: {}, prompt: answering('long enough', 'long enougj'), isNew: true }),
    {
      code: 'USAGE',
      message: 'the two passphrases differ',
    },
  );
  await assert.rejects(textOf({ environment: {}, prompt: answering('short', 'short'), isNew: true }), {
    code: 'USAGE',
  });
  const answers = [secretOf('long enough')];
  const broken = async (): Promise<Secret> =>
    answers.shift() ?? Promise.reject(new Error('the terminal is gone'));
  await assert.rejects(textOf({ environment: {}, prompt: broken, isNew: true }), /the terminal is gone/);
});

test('without any source the ways to give one are said', async () => {
  await assert.rejects(textOf({ environment: {}, isNew: false }), {
    code: 'USAGE',
    hint: /--passphrase-file or \$ECDSA_MPC_PASSPHRASE_FILE.* credential ecdsa-mpc-passphrase/,
  });
});
