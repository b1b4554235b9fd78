import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { command, REPOSITORY } from '../support/command.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-certs-'));
after(() => rmSync(folder, { recursive: true }));

/** A folder with the repository's cluster file. */
function place(name: string): string {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  cpSync(join(REPOSITORY, 'cluster.json'), join(cwd, 'cluster.json'));
  return cwd;
}

const DATE = '\\d{4}-\\d\\d-\\d\\d';

test('certs makes what is missing, and tells it', async () => {
  const cwd = place('fresh');
  const made = await command(['certs'], { cwd });
  assert.deepEqual([made.status, made.stderr], [0, '']);
  assert.match(
    made.stdout,
    new RegExp(
      `^made certs/rootCA\\.pem, valid until ${DATE}\nmade certs/rootCA-key\\.pem\n` +
        `made certs/alice-cert\\.pem, valid until ${DATE}\nmade certs/alice-key\\.pem\n`,
    ),
  );
  assert.equal(readdirSync(join(cwd, 'certs')).length, 10);

  const kept = await command(['certs'], { cwd });
  assert.equal(kept.stdout, made.stdout.replaceAll('made', 'kept'));

  rmSync(join(cwd, 'certs', 'bob-key.pem'));
  rmSync(join(cwd, 'certs', 'dave-cert.pem'));
  const { stdout } = await command(['certs'], { cwd });
  assert.match(stdout, /\nnot here: certs\/bob-key\.pem\n/);
  assert.match(stdout, /\nmade certs\/dave-cert\.pem, .*\nkept certs\/dave-key\.pem\n$/);
});

test('certs --json prints one object', async () => {
  const { stdout } = await command(['--json', 'certs'], { cwd: place('json') });
  const { event, files } = JSON.parse(stdout);
  assert.equal(event, 'certs');
  assert.equal(files.length, 10);
  assert.equal(files[0].outcome, 'made');
});

/** Runs a command in `cwd` that ends well; its standard output. */
async function says(cwd: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await command(['certs', ...args], { cwd });
  assert.deepEqual([status, stderr], [0, ''], args.join(' '));
  return stdout;
}

const SHA256 = 'SHA-256 [0-9a-f]{64}';

test('ca, request, sign, install, check: certificates with no key leaving its machine, and their renewal', async () => {
  const [authority, alice] = [place('authority'), place('alice')];
  const ca = await says(authority, 'ca');
  assert.match(
    ca,
    new RegExp(
      `^made certs/rootCA\\.pem, valid until ${DATE}\nmade certs/rootCA-key\\.pem\n  CA: {10}${SHA256}, which every party compares\n$`,
    ),
  );
  const requested = await says(alice, 'request', '--self', 'alice');
  assert.match(
    requested,
    new RegExp(
      `^made certs/alice-key\\.pem\nmade certs/alice\\.csr: have it signed with .*\n  Party: {7}alice\n  Public key: {2}${SHA256}, to be compared there\n$`,
    ),
  );
  const [, publicKey] = /Public key: {2}SHA-256 (\w+)/.exec(requested)!;
  cpSync(join(alice, 'certs', 'alice.csr'), join(authority, 'alice.csr'));
  const signed = await says(authority, 'sign', 'alice.csr', '--public-key', publicKey!.toUpperCase());
  assert.match(
    signed,
    new RegExp(
      `^made certs/alice-cert\\.pem, valid until ${DATE}\n  Party: {7}alice\n  Public key: {2}SHA-256 ${publicKey}\n` +
        `  Certificate: ${SHA256}, to be pinned in cluster\\.json\n  CA: {10}${SHA256}\n$`,
    ),
  );
  cpSync(join(authority, 'certs', 'rootCA.pem'), join(alice, 'certs', 'rootCA.pem'));
  cpSync(join(authority, 'certs', 'alice-cert.pem'), join(alice, 'new.pem'));
  const installed = await says(alice, 'install', 'new.pem', '--self', 'alice');
  assert.match(
    installed,
    new RegExp(
      `^installed certs/alice-cert\\.pem, valid until ${DATE}\n  Certificate: ${SHA256}\n  CA: {10}${SHA256}, the same for every party\n$`,
    ),
  );
  // The same fingerprints everywhere.
  for (const [what, ...outputs] of [
    ['CA', ca, signed, installed],
    ['Certificate', signed, installed],
  ])
    assert.equal(
      new Set(outputs.map((text) => new RegExp(`${what}: +SHA-256 (\\w+)`).exec(text)![1])).size,
      1,
      what,
    );
  assert.match(
    await says(alice, 'check', '--self', 'alice', '--within', '30d'),
    new RegExp(`^certs/alice-cert\\.pem is valid until ${DATE} \\(82[45] days\\)\n`),
  );

  // Renewal, with a new key, for a few days.
  assert.match(
    await says(alice, 'request', '--self', 'alice', '--new-key'),
    /^made certs\/alice-key\.pem\.new\n/,
  );
  cpSync(join(alice, 'certs', 'alice.csr'), join(authority, 'alice.csr'));
  const short = await says(authority, 'sign', 'alice.csr', '--days', '10');
  assert.match(
    short,
    /^earlier one kept as certs\/alice-cert-until-\d{8}T\d{6}Z\.pem\n(.*\n){2}.*, to be compared with what alice saw\n/,
  );
  cpSync(join(authority, 'certs', 'alice-cert.pem'), join(alice, 'new.pem'));
  assert.match(
    await says(alice, 'install', 'new.pem', '--self', 'alice'),
    /^earlier one kept as certs\/alice-cert-until-.*: delete it .*\nearlier one kept as certs\/alice-key-until-.*\ninstalled /,
  );
  const { status, stdout, stderr } = await command(['certs', 'check', '--self', 'alice', '--within', '30d'], {
    cwd: alice,
  });
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(
    stderr,
    /^ecdsa-mpc: certs\/alice-cert\.pem expires on .*\nhint: renew it: `ecdsa-mpc certs request --self alice` here, /,
  );
  // What `certs` alone finds on the two machines.
  assert.match(
    await says(authority),
    /\nkept certs\/alice-cert\.pem.*\nnot here: certs\/alice-key\.pem\nmade /,
  );
});

test('the subcommands of certs print one object each with --json', async () => {
  const cwd = place('json-subcommands');
  const object = async (...args: string[]) => JSON.parse(await says(cwd, '--json', ...args));
  const keysOf = async (...args: string[]) => Object.keys(await object(...args));
  assert.deepEqual(await keysOf('ca'), ['event', 'files', 'caFingerprint']);
  const { event, request, key, publicKey } = await object('request', '--self', 'bob');
  assert.deepEqual(
    [event, request, key],
    [
      'certs-request',
      join(cwd, 'certs', 'bob.csr'),
      { path: join(cwd, 'certs', 'bob-key.pem'), outcome: 'made' },
    ],
  );
  const signed = await object('sign', 'certs/bob.csr', '--out', 'bob.pem');
  assert.deepEqual(
    [signed.event, signed.party, signed.certificate, signed.publicKey],
    ['certs-sign', 'bob', join(cwd, 'bob.pem'), publicKey],
  );
  const installed = await object('install', 'bob.pem', '--self', 'bob');
  assert.deepEqual(
    [installed.event, installed.kept, installed.fingerprint],
    ['certs-install', [], signed.fingerprint],
  );
  const checked = await object('check', '--self', 'bob');
  assert.deepEqual([checked.event, checked.validTo], ['certs-check', signed.validTo]);
  assert.ok(checked.days === 824 || checked.days === 825);
});

test('certs --if-none leaves a cluster alone that has a CA certificate', async () => {
  const cwd = place('if-none');
  assert.match((await command(['certs', '--if-none'], { cwd })).stdout, /^made /);
  for (const name of ['rootCA-key.pem', 'bob-cert.pem', 'bob-key.pem']) rmSync(join(cwd, 'certs', name));
  assert.deepEqual(await command(['certs', '--if-none'], { cwd }), { status: 0, stdout: '', stderr: '' });
  const { status, stderr } = await command(['certs'], { cwd });
  assert.equal(status, 2);
  assert.match(
    stderr,
    /^ecdsa-mpc: certs\/bob-cert\.pem is missing, and so is the CA's key certs\/rootCA-key\.pem\n/,
  );
});
