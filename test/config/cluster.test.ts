import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { formatPolicy } from '#src/access/policy.js';
import { clusterParty, loadCluster } from '#src/config/cluster.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-cluster-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'cluster.json');

interface PartyJson {
  [field: string]: unknown;
}

const party = (name: string, port: number): PartyJson => ({
  name,
  address: `127.0.0.1:${port}`,
  cert: `certs/${name}-cert.pem`,
  key: `certs/${name}-key.pem`,
});

const valid = () => ({
  ca_cert: 'certs/rootCA.pem',
  parties: [party('alice', 8001), party('bob', 8002), party('charlie', 8003)],
});

function load(json: unknown) {
  writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json));
  return loadCluster(path);
}

/** `json` is refused with this message (after the file's name) and a hint that matches. */
function refused(json: unknown, message: string, hint: RegExp): void {
  assert.throws(
    () => load(json),
    (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, 'CONFIG');
      assert.equal(error.message, `${path}: ${message}`);
      assert.match(error.hint ?? '', hint);
      assert.doesNotMatch(error.message + error.hint, /\n/);
      return true;
    },
  );
}

/** A valid file with the first party altered. */
const withAlice = (fields: PartyJson) => ({
  ...valid(),
  parties: [{ ...party('alice', 8001), ...fields }, party('bob', 8002), party('charlie', 8003)],
});

test('the cluster file of the repository loads, with its defaults', () => {
  const repository = fileURLToPath(new URL('../../../', import.meta.url));
  const cluster = loadCluster(join(repository, 'cluster.json'));
  assert.deepEqual(
    cluster.parties.map(({ name, address }) => `${name} ${address}`),
    ['alice 127.0.0.1:8001', 'bob 127.0.0.1:8002', 'charlie 127.0.0.1:8003', 'dave 127.0.0.1:8004'],
  );
  assert.equal(cluster.caCertPath, join(repository, 'certs', 'rootCA.pem'));
  assert.equal(clusterParty(cluster, 'dave').keyPath, join(repository, 'certs', 'dave-key.pem'));
  assert.equal(formatPolicy(cluster.policy), 'And(Leaf(alice), Leaf(bob), Leaf(charlie), Leaf(dave))');
  const { curve, security, multiplication, policyGiven } = cluster;
  assert.deepEqual([curve, security, multiplication, policyGiven], ['P-256', 112, 'paillier', false]);
});

test('the multiplication is the file’s unless the command line says another', () => {
  for (const multiplication of ['paillier', 'ot'] as const) {
    assert.equal(load({ ...valid(), multiplication }).multiplication, multiplication);
    for (const other of ['paillier', 'ot'] as const)
      assert.equal(loadCluster(path, { multiplication: other }).multiplication, other);
  }
});

test('every optional field is read', () => {
  const fingerprint = 'ab'.repeat(32);
  const cluster = load({
    ...withAlice({ fingerprint: fingerprint.toUpperCase().replace(/(..)(?=.)/g, '$1:') }),
    curve: 'secp256k1',
    security: 128,
    multiplication: 'paillier',
    policy: { threshold: 2, of: ['alice', 'bob', 'charlie'] },
  });
  assert.equal(cluster.parties[0]?.fingerprint, fingerprint);
  assert.equal(cluster.curve, 'secp256k1');
  assert.equal(cluster.security, 128);
  assert.equal(cluster.policyGiven, true);
  assert.equal(formatPolicy(cluster.policy), 'Threshold(2, Leaf(alice), Leaf(bob), Leaf(charlie))');
});

test('addresses are IP addresses or DNS names with a port', () => {
  const host = (address: string) => load(withAlice({ address })).parties[0];
  assert.equal(host('MPC1.Example.org:443')?.address, 'mpc1.example.org:443');
  assert.equal(host('alice:8001')?.host, 'alice');
  const six = host('[2001:DB8:0::1]:65535');
  assert.deepEqual([six?.host, six?.port, six?.address], ['2001:db8::1', 65_535, '[2001:db8::1]:65535']);
  for (const address of [
    '',
    '127.0.0.1',
    ':8001',
    '127.0.0.1:',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '127.0.0.1:08001',
    '127.0.0.1:80x',
    '127.0.0.1:8001 ',
    '127.0.0.256:1',
    '127.1:8001',
    '1.2.3.4.5:1',
    '0.0.0.0:8001',
    '[::]:8001',
    '::1:8001',
    '[::1:8001',
    '[fe80::1%eth0]:1',
    'a b:1',
    'a_b:1',
    '-a:1',
    'https://a:1',
    'a/b:1',
    'a@b:1',
  ])
    refused(
      withAlice({ address }),
      `parties[0].address ${JSON.stringify(address)} is not an address that peers can dial`,
      /host:port/,
    );
});

test('party names are what certificates and file names can carry', () => {
  assert.equal(load(withAlice({ name: 'a'.repeat(32) })).parties[0]?.name.length, 32);
  assert.equal(load(withAlice({ name: 'constructor' })).parties[0]?.name, 'constructor');
  for (const name of [
    '',
    'Alice',
    'al ice',
    '-a',
    'a-',
    'a_b',
    'a.b',
    'é',
    'a'.repeat(33),
    'localhost',
    '__proto__',
    '../a',
    'a\n',
  ])
    refused(
      withAlice({ name }),
      `parties[0].name ${JSON.stringify(name)} is not a valid party name`,
      /lower-case/,
    );
});

test('unknown fields are named', () => {
  refused({ ...valid(), polcy: 1 }, 'polcy is not a known field', /remove it; the fields here are .*policy/);
  refused(
    withAlice({ port: 1 }),
    'parties[0].port is not a known field',
    /name, address, cert, key, fingerprint/,
  );
  const text = JSON.stringify(valid());
  refused(`{"__proto__": {}, ${text.slice(1)}`, '__proto__ is not a known field', /remove it/);
});

test('missing, mistyped and unsupported values are named', () => {
  const { ca_cert, ...noCa } = valid();
  refused(noCa, 'ca_cert is missing', /add it/);
  refused({ ca_cert }, 'parties is missing', /add it/);
  refused([], 'the file is []', /object/);
  refused('null', 'the file is null', /object/);
  refused({ ...valid(), parties: {} }, 'parties is {}', /array/);
  refused({ ...valid(), parties: [party('alice', 1)] }, 'parties has 1', /2 to 64/);
  const many = Array.from({ length: 65 }, (_, index) => party(`p${index}`, 1 + index));
  refused({ ...valid(), parties: many }, 'parties has 65', /2 to 64/);
  refused(withAlice({ cert: 7 }), 'parties[0].cert is 7', /string/);
  refused(withAlice({ key: '' }), 'parties[0].key is empty', /name a file/);
  refused(
    withAlice({ fingerprint: 'ab:cd' }),
    'parties[0].fingerprint "ab:cd" is not a SHA-256 fingerprint',
    /openssl/,
  );
  refused({ ...valid(), curve: 'p256' }, 'curve is "p256"', /"P-256" or "secp256k1"/);
  refused({ ...valid(), security: 80 }, 'security is 80', /112 or 128/);
  refused({ ...valid(), security: '112' }, 'security is "112"', /112 or 128/);
  refused({ ...valid(), multiplication: 'none' }, 'multiplication is "none"', /"paillier" or "ot"/);
});

test('names, addresses and files are used once', () => {
  const twice = (fields: PartyJson) => ({
    ...valid(),
    parties: [party('alice', 8001), { ...party('bob', 8002), ...fields }],
  });
  refused(twice({ name: 'alice' }), 'parties[1].name is "alice", as parties[0].name is', /different/);
  refused(
    twice({ address: '127.0.0.1:8001' }),
    'parties[1].address is "127.0.0.1:8001", as parties[0].address is',
    /different/,
  );
  refused(
    twice({ cert: 'certs/alice-key.pem' }),
    'parties[1].cert is "certs/alice-key.pem", as parties[0].key is',
    /different/,
  );
  refused(
    twice({ cert: './certs//rootCA.pem' }),
    'parties[1].cert is "certs/rootCA.pem", as ca_cert is',
    /different/,
  );
  refused(
    twice({ address: 'alice:1' }),
    'parties[1].address has the host "alice", which is another party\'s name',
    /rename/,
  );
});

test('faults of the policy are those of the file', () => {
  refused(
    { ...valid(), policy: { and: ['alice', 'bob', 'mallory'] } },
    'policy.and[2] names "mallory", who is not among the parties',
    /correct/,
  );
  refused({ ...valid(), policy: { and: ['alice', 'bob'] } }, 'policy leaves out "charlie"', /once/);
  refused({ ...valid(), policy: null }, 'policy is neither a party name nor a gate', /threshold/);
});

test('what cannot even be compared or shown is refused', () => {
  const nested = `${'['.repeat(9000)}${']'.repeat(9000)}`;
  for (const json of [{ ...valid(), ca_cert: { length: { toString: 1 } } }, nested])
    assert.throws(() => load(json), { code: 'CONFIG', hint: /./ });
});

test('what is not JSON, and a file that is not there', () => {
  writeFileSync(path, '{\n  "ca_cert": "a",\n  "parties": [ }\n');
  assert.throws(() => loadCluster(path), { code: 'CONFIG', message: /not valid JSON$/ });
  writeFileSync(path, '{\n  "ca_cert": "a"\n  "parties": []\n}');
  assert.throws(() => loadCluster(path), { code: 'CONFIG', message: `${path}:3: not valid JSON` });
  assert.throws(() => loadCluster(join(folder, 'none.json')), { code: 'FILE', hint: /--config/ });
});

test('a stranger is not a party', () => {
  const cluster = load(valid());
  for (const name of ['mallory', '__proto__', 'toString', ''])
    assert.throws(() => clusterParty(cluster, name), { code: 'USAGE', hint: /alice, bob, charlie/ });
});
