import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { makeCertificates } from '#src/config/certs.js';
import { type ClusterConfig, loadCluster } from '#src/config/cluster.js';
import { loadIdentity } from '#src/config/identity.js';

const DAY = 86_400_000;
const root = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-certs-'));
after(() => rmSync(root, { recursive: true }));

interface Names {
  readonly [name: string]: string;
}

/** A cluster file in its own folder below `root`; values of `parties` are their addresses. */
function newCluster(
  folder: string,
  parties: Names,
  extra: Record<string, Record<string, unknown>> = {},
): ClusterConfig {
  mkdirSync(join(root, folder), { recursive: true });
  const path = join(root, folder, 'cluster.json');
  writeFileSync(
    path,
    JSON.stringify({
      ca_cert: 'certs/rootCA.pem',
      parties: Object.entries(parties).map(([name, address]) => ({
        name,
        address,
        cert: `certs/${name}-cert.pem`,
        key: `certs/${name}-key.pem`,
        ...extra[name],
      })),
    }),
  );
  return loadCluster(path);
}

const TWO: Names = { alice: '127.0.0.1:8001', bob: '[2001:db8::1]:8002' };
let reference: ClusterConfig;

before(async () => {
  reference = newCluster('reference', TWO);
  await makeCertificates(reference);
});

/** A copy of the reference cluster with its certificates, to be damaged. */
function copy(folder: string): ClusterConfig {
  cpSync(join(root, 'reference'), join(root, folder), { recursive: true });
  return loadCluster(join(root, folder, 'cluster.json'));
}

const file = (cluster: ClusterConfig, name: string): string => join(dirname(cluster.caCertPath), name);
const certificate = (cluster: ClusterConfig, name: string): X509Certificate =>
  new X509Certificate(readFileSync(file(cluster, name)));
const contents = (cluster: ClusterConfig): Map<string, string> =>
  new Map(
    readdirSync(dirname(cluster.caCertPath))
      .sort()
      .map((name) => [name, readFileSync(file(cluster, name), 'hex')]),
  );

/** Both readers of this material refuse it with the same words, and `certs` writes nothing. */
async function bothRefuse(
  cluster: ClusterConfig,
  message: RegExp,
  hint: RegExp,
  now = new Date(),
): Promise<void> {
  const before = contents(cluster);
  const expected = (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, 'CERTIFICATE');
    assert.match(error.message, message);
    assert.match(error.hint ?? '', hint);
    return true;
  };
  await assert.rejects(makeCertificates(cluster, now), expected);
  assert.throws(() => loadIdentity(cluster, 'alice', now), expected);
  assert.deepEqual(contents(cluster), before);
}

test('a CA and one certificate per party, keys for their owner only', () => {
  assert.deepEqual(
    [...contents(reference).keys()],
    ['alice-cert.pem', 'alice-key.pem', 'bob-cert.pem', 'bob-key.pem', 'rootCA-key.pem', 'rootCA.pem'],
  );
  for (const name of contents(reference).keys()) {
    const { mode } = statSync(file(reference, name));
    assert.equal(mode & 0o177, name.endsWith('-key.pem') ? 0 : mode & 0o044, name);
  }
  assert.equal(statSync(dirname(reference.caCertPath)).mode & 0o777, 0o700);
  const ca = certificate(reference, 'rootCA.pem');
  const bob = certificate(reference, 'bob-cert.pem');
  assert.equal(ca.ca, true);
  assert.equal(bob.ca, false);
  assert.equal(bob.subjectAltName, 'DNS:bob, DNS:localhost, IP Address:2001:DB8:0:0:0:0:0:1');
  assert.deepEqual(bob.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.ok(bob.checkIssued(ca) && bob.verify(ca.publicKey));
  assert.equal(bob.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  const days = (cert: X509Certificate) => Math.round((Date.parse(cert.validTo) - Date.now()) / DAY);
  assert.deepEqual([days(ca), days(bob)], [3_650, 825]);
  const serials = ['rootCA.pem', 'alice-cert.pem', 'bob-cert.pem'].map(
    (name) => certificate(reference, name).serialNumber,
  );
  assert.equal(new Set(serials).size, 3);
  for (const serial of serials) assert.equal(serial.length, 32);
});

test('a DNS host joins the names', async () => {
  const cluster = newCluster('dns', { alice: 'mpc1.example.org:1', bob: 'bob:2' });
  await makeCertificates(cluster);
  assert.equal(
    certificate(cluster, 'alice-cert.pem').subjectAltName,
    'DNS:alice, DNS:localhost, DNS:mpc1.example.org',
  );
  assert.equal(certificate(cluster, 'bob-cert.pem').subjectAltName, 'DNS:bob, DNS:localhost');
  loadIdentity(cluster, 'alice');
});

test('a party loads its identity from its own files and the CA certificate alone', () => {
  const cluster = copy('alone');
  for (const name of ['rootCA-key.pem', 'bob-cert.pem', 'bob-key.pem']) rmSync(file(cluster, name));
  const identity = loadIdentity(cluster, 'alice');
  assert.equal(identity.name, 'alice');
  assert.ok(new X509Certificate(identity.cert).checkPrivateKey(createPrivateKey(identity.key)));
  const { fingerprint256 } = new X509Certificate(identity.ca);
  assert.equal(identity.caFingerprint, fingerprint256.replaceAll(':', '').toLowerCase());
  assert.throws(() => loadIdentity(cluster, 'mallory'), { code: 'USAGE' });
});

test('running it twice changes nothing, and says so', async () => {
  const before = contents(reference);
  const files = await makeCertificates(reference);
  assert.deepEqual([...new Set(files.map(({ outcome }) => outcome))], ['kept']);
  assert.deepEqual(contents(reference), before);
});

test('what is missing is made with the same CA; a key left without certificate is used', async () => {
  const cluster = copy('missing');
  rmSync(file(cluster, 'alice-cert.pem'));
  rmSync(file(cluster, 'bob-key.pem'));
  const before = contents(cluster);
  const outcome = new Map((await makeCertificates(cluster)).map(({ path, outcome }) => [path, outcome]));
  assert.deepEqual(
    ['rootCA.pem', 'alice-cert.pem', 'alice-key.pem', 'bob-cert.pem', 'bob-key.pem'].map((name) =>
      outcome.get(file(cluster, name)),
    ),
    ['kept', 'made', 'kept', 'kept', 'absent'],
  );
  for (const [name, bytes] of before) assert.equal(contents(cluster).get(name), bytes);
  loadIdentity(cluster, 'alice');
});

test('an interrupted first run is completed', async () => {
  const cluster = newCluster('interrupted', TWO);
  mkdirSync(dirname(cluster.caCertPath));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file(cluster, 'rootCA-key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  await makeCertificates(cluster);
  assert.ok(certificate(cluster, 'rootCA.pem').checkPrivateKey(privateKey));
  loadIdentity(cluster, 'bob');
});

test('a party is added with the CA of the others', async () => {
  copy('grown');
  const cluster = newCluster('grown', { ...TWO, charlie: '127.0.0.1:8003' });
  await makeCertificates(cluster);
  loadIdentity(cluster, 'charlie');
  assert.equal(
    loadIdentity(cluster, 'charlie').caFingerprint,
    loadIdentity(reference, 'alice').caFingerprint,
  );
});

test('without the CA key nothing can be added', async () => {
  const cluster = copy('no-ca-key');
  rmSync(file(cluster, 'rootCA-key.pem'));
  rmSync(file(cluster, 'bob-cert.pem'));
  await assert.rejects(makeCertificates(cluster), {
    code: 'CERTIFICATE',
    message: /bob-cert\.pem is missing, and so is the CA's key .*rootCA-key\.pem$/,
    hint: /on the machine that holds the CA's key/,
  });
});

test('a CA of another kind of key is used for checking only', async () => {
  const cluster = newCluster('other-kind', TWO);
  mkdirSync(dirname(cluster.caCertPath));
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=other',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  writeFileSync(cluster.caCertPath, ca.toString('pem'));
  const key = createPrivateKey({
    key: Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)),
    format: 'der',
    type: 'pkcs8',
  });
  writeFileSync(file(cluster, 'rootCA-key.pem'), key.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  await assert.rejects(makeCertificates(cluster), { code: 'CERTIFICATE', message: /is not a P-256 key$/ });
});

test('an expired certificate is reported', async () => {
  const cluster = newCluster('expired', TWO);
  await makeCertificates(cluster, new Date(Date.now() - 900 * DAY));
  await bothRefuse(
    cluster,
    /alice-cert\.pem expired on \d{4}-\d\d-\d\d/,
    /delete .*alice-cert\.pem and run .*certs/,
  );
});

test('an expired CA is reported, without the noise of what it issued', async () => {
  const cluster = newCluster('expired-ca', TWO);
  await makeCertificates(cluster, new Date(Date.now() - 4_000 * DAY));
  await bothRefuse(cluster, /^[^;]*rootCA\.pem expired on \d{4}-\d\d-\d\d$/, /delete/);
});

test('a certificate from the future is a matter of the clock', async () => {
  await bothRefuse(reference, /rootCA\.pem is not valid before/, /clock/, new Date(Date.now() - 2 * DAY));
});

test('a certificate of another CA is reported', async () => {
  const cluster = copy('other-ca');
  const other = newCluster('other', TWO);
  await makeCertificates(other);
  for (const name of ['alice-cert.pem', 'alice-key.pem']) cpSync(file(other, name), file(cluster, name));
  await bothRefuse(cluster, /alice-cert\.pem was not issued by the CA of .*rootCA\.pem/, /delete/);
});

test('a signature by another key under the same CA name is reported', async () => {
  const cluster = copy('forged');
  const name = certificate(cluster, 'rootCA.pem').subject;
  await replaceAliceCertificate(cluster, name, await newKeys());
  await bothRefuse(cluster, /alice-cert\.pem was not issued by/, /delete/);
});

test('the certificate of another party is reported', async () => {
  const cluster = copy('swapped');
  for (const kind of ['cert', 'key'])
    cpSync(file(cluster, `bob-${kind}.pem`), file(cluster, `alice-${kind}.pem`));
  await bothRefuse(cluster, /alice-cert\.pem is bob's, not alice's/, /delete/);
});

test('a certificate that names no party, or two, is reported', async () => {
  const none = newCluster('none', { carol: 'x:1', dan: 'y:2' });
  await makeCertificates(none);
  newCluster('none', TWO, { alice: { cert: 'certs/carol-cert.pem', key: 'certs/carol-key.pem' } });
  await bothRefuse(
    loadCluster(none.path),
    /carol-cert\.pem names no party of this cluster, not alice's/,
    /delete/,
  );

  const both = newCluster('both', { alice: 'bob:1', dan: 'y:2' });
  await makeCertificates(both);
  newCluster('both', TWO);
  await bothRefuse(loadCluster(both.path), /alice-cert\.pem names alice and bob, not alice alone/, /delete/);
});

test('a certificate for one role of TLS only is reported', async () => {
  const cluster = copy('one-role');
  const key = createPrivateKey(readFileSync(file(cluster, 'rootCA-key.pem')));
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    key.export({ type: 'pkcs8', format: 'der' }),
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  );
  await replaceAliceCertificate(cluster, certificate(cluster, 'rootCA.pem').subject, {
    privateKey: signingKey,
  });
  await bothRefuse(cluster, /alice-cert\.pem does not allow both roles of TLS/, /delete/);
});

test('a key of another certificate is reported', async () => {
  const cluster = copy('other-key');
  cpSync(file(cluster, 'bob-key.pem'), file(cluster, 'alice-key.pem'));
  await bothRefuse(cluster, /alice-key\.pem is not the key of .*alice-cert\.pem/, /made together/);
});

test('a key that others may read is reported', async () => {
  const cluster = copy('readable');
  chmodSync(file(cluster, 'alice-key.pem'), 0o640);
  await bothRefuse(cluster, /alice-key\.pem is open to other users/, /chmod 600 .*alice-key\.pem/);
});

test('a pinned fingerprint holds', async () => {
  const pin = certificate(reference, 'alice-cert.pem').fingerprint256;
  copy('pinned');
  loadIdentity(newCluster('pinned', TWO, { alice: { fingerprint: pin } }), 'alice');
  const other = newCluster('pinned', TWO, { alice: { fingerprint: 'ab'.repeat(32) } });
  await bothRefuse(
    other,
    /does not have the fingerprint that .*cluster\.json gives for alice/,
    /correct the fingerprint/,
  );
});

test('a CA certificate that is none, and files that are no certificates or keys', async () => {
  const cluster = copy('garbage');
  cpSync(file(cluster, 'bob-cert.pem'), cluster.caCertPath);
  rmSync(file(cluster, 'rootCA-key.pem'));
  await bothRefuse(cluster, /rootCA\.pem is not a root CA certificate/, /ca_cert/);

  const ca = readFileSync(file(reference, 'rootCA.pem'), 'utf8');
  writeFileSync(cluster.caCertPath, ca + ca);
  await bothRefuse(cluster, /rootCA\.pem holds 2 certificates, not one/, /delete/);
  writeFileSync(cluster.caCertPath, 'nothing');
  await bothRefuse(cluster, /rootCA\.pem holds 0 certificates, not one/, /delete/);
  writeFileSync(cluster.caCertPath, ca.replace(/\n.{10}/, '\nAAAAAAAAAA'));
  await bothRefuse(cluster, /rootCA\.pem is not a readable certificate/, /delete/);

  writeFileSync(cluster.caCertPath, ca);
  writeFileSync(file(cluster, 'alice-key.pem'), 'nothing');
  await bothRefuse(cluster, /alice-key\.pem is not a PEM private key/, /delete/);
});

test('missing files say what makes them', () => {
  const cluster = newCluster('empty', TWO);
  assert.throws(() => loadIdentity(cluster, 'alice'), {
    code: 'CERTIFICATE',
    message: /rootCA\.pem does not exist$/,
    hint: /ecdsa-mpc certs --config .*cluster\.json/,
  });
});

test('a new CA is not made beside the certificates of an old one', async () => {
  const cluster = copy('lost-ca');
  for (const name of ['rootCA.pem', 'rootCA-key.pem']) rmSync(file(cluster, name));
  await assert.rejects(makeCertificates(cluster), {
    code: 'CERTIFICATE',
    message:
      /alice-cert\.pem exists, but .*rootCA\.pem, whose CA issued it, does not; .*bob-cert\.pem exists/,
    hint: /put the CA's certificate back/,
  });
});

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
}

/** Gives alice a client-only certificate for her key, in the name of `issuer`, signed by `signer`. */
async function replaceAliceCertificate(
  cluster: ClusterConfig,
  issuer: string,
  signer: { readonly privateKey: webcrypto.CryptoKey },
): Promise<void> {
  const old = certificate(cluster, 'alice-cert.pem');
  const made = await x509.X509CertificateGenerator.create({
    subject: 'CN=alice',
    issuer,
    publicKey: old.publicKey.export({ type: 'spki', format: 'der' }),
    signingKey: signer.privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'alice' }]),
    ],
  });
  writeFileSync(file(cluster, 'alice-cert.pem'), made.toString('pem'));
}
