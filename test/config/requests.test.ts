import assert from 'node:assert/strict';
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  KeyObject,
  verify,
  X509Certificate,
} from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
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
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { makeAuthorityAlone, makeCertificates } from '#src/config/certs.js';
import { type ClusterConfig, loadCluster } from '#src/config/cluster.js';
import { loadIdentity } from '#src/config/identity.js';
import { keyFingerprint } from '#src/config/issue.js';
import { checkOwnCertificate, installCertificate } from '#src/config/own-certificate.js';
import { isSignedRequest, makeRequest, type SignOptions, signRequest } from '#src/config/requests.js';
import {
  derOf,
  elementsOf,
  newKeys,
  OPENSSL_KEY,
  OPENSSL_REQUEST,
  pemOf,
  type RequestFields,
  requestFor,
  SPELT_OUT_REQUEST,
} from '../support/certificate-requests.js';
import { closeAll, freePort, HOST, TestNode } from '../transport/node.js';

const DAY = 86_400_000;
const root = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-requests-'));
after(() => rmSync(root, { recursive: true }));

type Parties = Readonly<Record<string, object>>;
const TWO: Parties = { alice: {}, bob: {} };

/** A machine: a folder with a cluster file, and what is added to the file's parties. */
function machine(name: string, parties: Parties = TWO): ClusterConfig {
  mkdirSync(join(root, name), { recursive: true });
  const path = join(root, name, 'cluster.json');
  writeFileSync(
    path,
    JSON.stringify({
      ca_cert: 'certs/rootCA.pem',
      parties: Object.entries(parties).map(([party, extra], index) => ({
        name: party,
        address: `mpc-${party}.example.org:${8001 + index}`,
        cert: `certs/${party}-cert.pem`,
        key: `certs/${party}-key.pem`,
        ...extra,
      })),
    }),
  );
  return loadCluster(path);
}

const file = (cluster: ClusterConfig, name: string): string => join(dirname(cluster.caCertPath), name);
const certificateAt = (path: string): X509Certificate => new X509Certificate(readFileSync(path));
/** Every file of a machine and its content. */
const contents = (cluster: ClusterConfig): Map<string, string> =>
  new Map(
    readdirSync(dirname(cluster.path), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.includes('.'))
      .sort()
      .map((name) => [name, readFileSync(join(dirname(cluster.path), name), 'hex')]),
  );
const namesIn = (cluster: ClusterConfig): string[] => readdirSync(dirname(cluster.caCertPath)).sort();

let ca: ClusterConfig;
before(async () => {
  ca = machine('ca');
  await makeAuthorityAlone(ca);
});

/** A copy of the machine with the CA, to be damaged. */
function copyOfCa(name: string): ClusterConfig {
  cpSync(dirname(ca.path), join(root, name), { recursive: true });
  return loadCluster(join(root, name, 'cluster.json'));
}

/** Another machine with the CA's certificate. */
function partyMachine(name: string, parties?: Parties): ClusterConfig {
  const cluster = machine(name, parties);
  mkdirSync(dirname(cluster.caCertPath));
  copyFileSync(ca.caCertPath, cluster.caCertPath);
  return cluster;
}

/** The path of a certificate by the CA for the request in `path`. */
let signed = 0;
async function signedFor(path: string, options: SignOptions = {}, now?: Date): Promise<string> {
  signed += 1;
  return (await signRequest(ca, path, { out: join(root, `signed-${signed}.pem`), ...options }, now))
    .certificate;
}

/** A machine on which alice has a key and a certificate. */
async function installedMachine(name: string, parties?: Parties): Promise<ClusterConfig> {
  const cluster = partyMachine(name, parties);
  const { request } = await makeRequest(cluster, 'alice');
  installCertificate(cluster, 'alice', await signedFor(request));
  return cluster;
}

interface Refusal {
  readonly code?: string;
  readonly message: RegExp;
  readonly hint?: RegExp;
}

/** `action` fails so, and changes nothing on the machine. */
async function refuses(
  cluster: ClusterConfig,
  action: () => unknown,
  { code = 'CERTIFICATE', message, hint = /./ }: Refusal,
): Promise<void> {
  const before = contents(cluster);
  await assert.rejects(
    async () => action(),
    (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, code, error.stack ?? '');
      assert.match(error.message, message);
      assert.match(error.hint ?? '', hint);
      return true;
    },
  );
  assert.deepEqual(contents(cluster), before);
}

/** Signing a request with this text is refused. */
async function refusesToSign(pem: string, refusal: Refusal): Promise<void> {
  const path = join(root, 'refused.csr');
  writeFileSync(path, pem);
  await refuses(ca, () => signRequest(ca, path), refusal);
}

test('certs ca makes a CA and nothing else, keeps it, and completes one that was cut off', async () => {
  assert.deepEqual(namesIn(ca), ['rootCA-key.pem', 'rootCA.pem']);
  assert.equal(statSync(file(ca, 'rootCA-key.pem')).mode & 0o777, 0o600);
  const before = contents(ca);
  const again = await makeAuthorityAlone(ca);
  assert.deepEqual([again.map(({ outcome }) => outcome), contents(ca)], [['kept', 'kept'], before]);

  const cut = copyOfCa('ca-cut-off');
  rmSync(cut.caCertPath);
  assert.deepEqual(
    (await makeAuthorityAlone(cut)).map(({ outcome }) => outcome),
    ['made', 'kept'],
  );
  const key = createPrivateKey(readFileSync(file(cut, 'rootCA-key.pem')));
  assert.ok(certificateAt(cut.caCertPath).checkPrivateKey(key));
});

test('certs ca makes none beside certificates of a CA that is gone, nor in place of one at fault', async () => {
  const lost = machine('ca-lost');
  await makeCertificates(lost);
  rmSync(lost.caCertPath);
  rmSync(file(lost, 'rootCA-key.pem'));
  await refuses(lost, () => makeAuthorityAlone(lost), {
    message: /alice-cert\.pem exists, but .*rootCA\.pem, whose CA issued it, does not/,
  });
  const expired = machine('ca-expired-alone');
  await makeAuthorityAlone(expired, new Date(Date.now() - 4_000 * DAY));
  await refuses(expired, () => makeAuthorityAlone(expired), { message: /rootCA\.pem expired on/ });
});

test('key, request, certificate: no key leaves its machine, and node:crypto agrees with all of it', async () => {
  const alice = partyMachine('walk');
  const made = await makeRequest(alice, 'alice');
  assert.deepEqual(made, {
    party: 'alice',
    request: file(alice, 'alice.csr'),
    key: { path: file(alice, 'alice-key.pem'), outcome: 'made' },
    publicKey: made.publicKey,
  });
  assert.equal(statSync(made.key.path).mode & 0o777, 0o600);

  // The request by RFC 2986: what is signed, the algorithm, the signature as a bit string.
  const [info, , signature] = elementsOf(derOf(readFileSync(made.request, 'utf8')));
  const spki = elementsOf(info!.whole)[2]!.whole;
  const publicKey = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  assert.ok(verify('sha256', info!.whole, publicKey, signature!.content.subarray(1)));
  assert.equal(made.publicKey, createHash('sha256').update(spki).digest('hex'));
  assert.ok(publicKey.equals(createPublicKey(readFileSync(made.key.path))));

  const now = new Date();
  const result = await signRequest(ca, made.request, { publicKey: made.publicKey }, now);
  assert.equal(result.certificate, file(ca, 'alice-cert.pem'));
  const certificate = certificateAt(result.certificate);
  const authority = certificateAt(ca.caCertPath);
  assert.ok(certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
  assert.ok(certificate.publicKey.equals(publicKey));
  assert.equal(certificate.subject, 'CN=alice');
  assert.equal(certificate.subjectAltName, 'DNS:alice, DNS:localhost, DNS:mpc-alice.example.org');
  assert.equal(Math.round((Date.parse(certificate.validTo) - now.getTime()) / DAY), 825);
  const hex = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase();
  assert.deepEqual(result, {
    party: 'alice',
    certificate: result.certificate,
    validTo: new Date(certificate.validTo),
    publicKey: made.publicKey,
    fingerprint: hex(certificate.fingerprint256),
    caFingerprint: hex(authority.fingerprint256),
  });

  const installed = installCertificate(alice, 'alice', result.certificate);
  assert.deepEqual([installed.kept, installed.fingerprint], [[], result.fingerprint]);
  const identity = loadIdentity(alice, 'alice');
  assert.ok(new X509Certificate(identity.cert).raw.equals(certificate.raw));
  assert.deepEqual(namesIn(alice), ['alice-cert.pem', 'alice-key.pem', 'alice.csr', 'rootCA.pem']);
  // A machine with the CA alone never sees a key of a party.
  assert.deepEqual(namesIn(ca), ['alice-cert.pem', 'rootCA-key.pem', 'rootCA.pem']);
  rmSync(result.certificate);
});

test('two parties talk over TLS with certificates made so', async () => {
  const credentials = async (name: string) => {
    const cluster = partyMachine(`tls-${name}`);
    const { request } = await makeRequest(cluster, name);
    installCertificate(cluster, name, await signedFor(request));
    return loadIdentity(cluster, name);
  };
  const parties = [
    { name: 'alice', host: HOST, port: await freePort() },
    { name: 'bob', host: HOST, port: await freePort() },
  ];
  const start = async (name: string) => {
    const identity = await credentials(name);
    return TestNode.start(undefined as never, name, { parties, ca: identity.ca, credentials: identity });
  };
  const [alice, bob] = [await start('alice'), await start('bob')];
  await Promise.all([alice.ready(), bob.ready()]);
  await Promise.all([alice.send('bob', 'from alice'), bob.send('alice', 'from bob')]);
  await Promise.all([alice.until(() => alice.received.length > 0), bob.until(() => bob.received.length > 0)]);
  assert.deepEqual([alice.texts('bob'), bob.texts('alice')], [['from bob'], ['from alice']]);
  await closeAll(alice, bob);
});

test('nothing of a request but its name and key comes into the certificate', async () => {
  const path = join(root, 'openssl.csr');
  writeFileSync(path, OPENSSL_REQUEST);
  const certificate = new x509.X509Certificate(readFileSync(await signedFor(path), 'utf8'));
  assert.equal(certificate.subject, 'CN=alice');
  assert.equal(keyFingerprint(certificateAt(join(root, `signed-${signed}.pem`)).publicKey), OPENSSL_KEY);
  assert.deepEqual(
    Array.from(certificate.extensions, ({ type, critical }) => [type, critical]),
    [
      ['2.5.29.19', true],
      ['2.5.29.15', true],
      ['2.5.29.37', false],
      ['2.5.29.17', false],
      ['2.5.29.14', false],
      ['2.5.29.35', false],
    ],
  );
  assert.equal(certificate.getExtension(x509.BasicConstraintsExtension)?.ca, false);
  assert.equal(
    certificate.getExtension(x509.KeyUsagesExtension)?.usages,
    x509.KeyUsageFlags.digitalSignature,
  );
  const { keyUsage } = certificateAt(join(root, `signed-${signed}.pem`));
  assert.deepEqual(keyUsage, [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]);
});

test('a request altered in any byte is not signed', async () => {
  const der = derOf(await requestFor({ names: [{ type: 'dns', value: 'alice' }] }));
  const path = join(root, 'altered.csr');
  const before = contents(ca);
  for (let index = 0; index < der.length; index += 1) {
    const altered = Buffer.from(der);
    altered[index]! ^= 1 << (index % 8);
    writeFileSync(path, pemOf(altered));
    await assert.rejects(signRequest(ca, path), { code: 'CERTIFICATE' }, `byte ${index}`);
  }
  for (const more of ['00', '0500']) {
    writeFileSync(path, pemOf(Buffer.concat([der, Buffer.from(more, 'hex')])));
    await assert.rejects(signRequest(ca, path), { code: 'CERTIFICATE' }, more);
  }
  assert.deepEqual(contents(ca), before);
  // A name changed to another party's, of the same length, is a matter of the signature alone.
  const renamed = Buffer.from(der.toString('latin1').replaceAll('alice', 'carol'), 'latin1');
  await refusesToSign(pemOf(renamed), { message: /is not signed with the key that it asks/ });
  writeFileSync(path, pemOf(der));
  await signedFor(path);
});

test('the signature covers a request to its last bit', () => {
  const der = derOf(OPENSSL_REQUEST);
  const [info, algorithm, signature] = elementsOf(der);
  const spki = elementsOf(info!.whole)[2]!.whole;
  const key = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  assert.ok(isSignedRequest(der, key));
  for (let bit = 0; bit < 8 * der.length; bit += 1) {
    const altered = Buffer.from(der);
    altered[bit >> 3]! ^= 1 << (bit & 7);
    assert.ok(!isSignedRequest(altered, key), `bit ${bit}`);
  }
  const wrap = (...parts: Buffer[]) => {
    const content = Buffer.concat(parts);
    return Buffer.concat([Buffer.of(0x30, 0x82, content.length >> 8, content.length & 255), content]);
  };
  const parts = [info!.whole, algorithm!.whole, signature!.whole];
  assert.ok(isSignedRequest(wrap(...parts), key));
  for (const others of [[], parts.slice(0, 1), parts.slice(0, 2), [...parts, Buffer.of(5, 0)]])
    assert.ok(!isSignedRequest(wrap(...others), key), `${others.length} parts`);
});

test('a request that names anything but one party is not signed', async () => {
  const dns = (...values: string[]) => values.map((value) => ({ type: 'dns' as const, value }));
  const cases: readonly (readonly [RequestFields, RegExp])[] = [
    [
      { names: dns('alice', 'bob') },
      /asks for dns "alice", dns "bob", common name "alice", not for one party/,
    ],
    [{ names: dns('alice', 'alice') }, /dns "alice", dns "alice"/],
    [{ names: dns('alice', 'www.example.org') }, /dns "www\.example\.org"/],
    [{ names: dns('alice', 'localhost') }, /dns "localhost"/],
    [{ names: dns('mallory'), subject: 'CN=mallory' }, /asks for dns "mallory", common name "mallory"/],
    [{ names: dns('*') }, /dns "\*"/],
    [{ names: dns('a*') }, /dns "a\*"/],
    [{ names: dns('ALICE') }, /dns "ALICE"/],
    [{ names: dns('alice.') }, /dns "alice\."/],
    [{ names: [{ type: 'ip', value: '192.0.2.1' }] }, /ip "192\.0\.2\.1"/],
    [{ names: [...dns('alice'), { type: 'ip', value: '192.0.2.1' }] }, /ip "192\.0\.2\.1"/],
    [{ names: [...dns('alice'), { type: 'url', value: 'https://bob' }] }, /url "https:\/\/bob"/],
    [{ names: [...dns('alice'), { type: 'email', value: 'a@b.example' }] }, /email "a@b\.example"/],
    [{ names: [...dns('alice'), { type: 'dn', value: 'CN=bob' }] }, /dn "CN=bob"/],
    [{ names: [...dns('alice'), { type: 'id', value: '1.2.3' }] }, /not for one party/],
    [{ names: dns('alice'), subject: 'CN=bob' }, /dns "alice", common name "bob"/],
    [{ names: dns('alice'), subject: 'CN=alice, CN=bob' }, /common name "alice", common name "bob"/],
    // The common name alone means nothing.
    [{}, /asks for common name "alice", not for one party/],
    [{ subject: 'O=nobody' }, /asks for no name/],
    [{ names: [] }, /not for one party/],
    [
      { names: dns('alice'), extensions: [new x509.SubjectAlternativeNameExtension(dns('bob'))] },
      /dns "alice", dns "bob"/,
    ],
    // What would move the cursor or fill the screen is not shown.
    [{ names: dns('\u001b[2J') }, /dns "\?\[2J"/],
    [{ names: dns(...Array<string>(50).fill('x'.repeat(200))) }, /^.{1,700}$/],
  ];
  for (const [fields, message] of cases)
    await refusesToSign(await requestFor(fields), { message, hint: /only alternative name/ });
  // Beside alice a registered identifier that is none.
  const hidden = Buffer.from('300988008205616c696365', 'hex');
  const extensions = [new x509.Extension('2.5.29.17', false, hidden)];
  await refusesToSign(await requestFor({ extensions }), { message: /asks for id "", dns "alice", common/ });
  // No common name, or further attributes of the subject, do no harm.
  for (const subject of ['O=Example', 'CN=alice, O=Example, C=CH']) {
    writeFileSync(join(root, 'subject.csr'), await requestFor({ names: dns('alice'), subject }));
    assert.equal(certificateAt(await signedFor(join(root, 'subject.csr'))).subject, 'CN=alice');
  }
});

test('a request for another kind of key is not signed', async () => {
  const names = [{ type: 'dns' as const, value: 'alice' }];
  const rsa = {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  };
  const others: RequestFields[] = [
    { names, algorithm: { name: 'ECDSA', namedCurve: 'P-384' }, hash: 'SHA-384' },
    { names, algorithm: { name: 'ECDSA', namedCurve: 'P-521' }, hash: 'SHA-512' },
    { names, algorithm: rsa },
  ];
  for (const pem of [...(await Promise.all(others.map(requestFor))), SPELT_OUT_REQUEST])
    await refusesToSign(pem, { message: /the key of .* is not a P-256 key as this program makes it/ });
});

test('a file that holds no request, or several, is not signed', async () => {
  const pem = await requestFor({ names: [{ type: 'dns', value: 'alice' }] });
  await refusesToSign(pem + pem, { message: /holds 2 certificate requests, not one/ });
  for (const text of ['', 'nothing', derOf(pem).toString('base64'), readFileSync(ca.caCertPath, 'utf8')])
    await refusesToSign(text, { message: /holds 0 certificate requests/ });
  const [head] = pem.split('\n');
  for (const text of [head!, pem.slice(0, -40), pem.replace(/\n.{8}/, '\nAAAAAAAA')])
    await refusesToSign(text, { message: /is not a readable certificate request/, hint: /certs request/ });
  await refuses(ca, () => signRequest(ca, join(root, 'nowhere.csr')), {
    code: 'FILE',
    message: /nowhere\.csr does not exist/,
  });
});

test('a request for the wrong key, or the key of the CA, is not signed', async () => {
  const names = [{ type: 'dns' as const, value: 'alice' }];
  const path = join(root, 'other-key.csr');
  writeFileSync(path, await requestFor({ names }));
  await refuses(ca, () => signRequest(ca, path, { publicKey: '0'.repeat(64) }), {
    message: /is for the public key with SHA-256 [0-9a-f]{64}, not for the one that --public-key gives/,
    hint: /exchanged on its way/,
  });
  const cluster = copyOfCa('ca-own-key');
  copyFileSync(file(cluster, 'rootCA-key.pem'), file(cluster, 'alice-key.pem'));
  const { request } = await makeRequest(cluster, 'alice');
  await refuses(ca, () => signRequest(ca, request), { message: /is for the CA's own key/ });
});

test('a CA that is missing, incomplete, open to others or expired signs nothing', async () => {
  const path = join(root, 'good.csr');
  writeFileSync(path, await requestFor({ names: [{ type: 'dns', value: 'alice' }] }));
  const check = (cluster: ClusterConfig, refusal: Refusal, now?: Date) =>
    refuses(cluster, () => signRequest(cluster, path, {}, now), refusal);

  await check(machine('ca-none'), {
    message: /there is no CA here: .*rootCA\.pem/,
    hint: /certs ca --config/,
  });
  const keyless = copyOfCa('ca-keyless');
  rmSync(file(keyless, 'rootCA-key.pem'));
  await check(keyless, { message: /the CA's key .*rootCA-key\.pem is not here/, hint: /on the machine/ });
  const open = copyOfCa('ca-open');
  chmodSync(file(open, 'rootCA-key.pem'), 0o640);
  await check(open, { message: /rootCA-key\.pem is open to other users/, hint: /chmod 600/ });
  const mismatched = copyOfCa('ca-mismatched');
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  writeFileSync(
    file(mismatched, 'rootCA-key.pem'),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pkcs8),
  );
  await check(mismatched, { message: /rootCA-key\.pem is not the key of .*rootCA\.pem/ });
  await check(ca, { message: /rootCA\.pem expired on/ }, new Date(Date.now() + 3_651 * DAY));
  await check(ca, { message: /rootCA\.pem is not valid before/ }, new Date(Date.now() - DAY));

  const otherKind = machine('ca-other-kind');
  mkdirSync(dirname(otherKind.caCertPath));
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
  const keys = await newKeys(algorithm);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=other',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  writeFileSync(otherKind.caCertPath, made.toString('pem'));
  writeFileSync(file(otherKind, 'rootCA-key.pem'), KeyObject.from(keys.privateKey).export(pkcs8), {
    mode: 0o600,
  });
  await check(otherKind, { message: /rootCA-key\.pem is not a P-256 key/ });
});

test('a certificate lasts as long as asked, and never longer than its CA', async () => {
  const path = join(root, 'days.csr');
  writeFileSync(path, await requestFor({ names: [{ type: 'dns', value: 'bob' }], subject: 'CN=bob' }));
  const daysOf = async (days: number | undefined, now: Date): Promise<number> => {
    const { validTo } = certificateAt(await signedFor(path, days === undefined ? {} : { days }, now));
    return Math.round((Date.parse(validTo) - now.getTime()) / DAY);
  };
  assert.equal(await daysOf(30, new Date()), 30);
  assert.equal(await daysOf(undefined, new Date()), 825);
  assert.equal(await daysOf(825, new Date(Date.now() + 3_600 * DAY)), 50);
});

test('an earlier certificate is set aside, and nothing else is ever replaced', async () => {
  const cluster = copyOfCa('ca-renewing');
  const { request } = await makeRequest(partyMachine('renewing'), 'alice');
  const now = new Date('2027-01-02T03:04:05.678Z');
  await signRequest(cluster, request, {}, now);
  const first = readFileSync(file(cluster, 'alice-cert.pem'));
  const { kept } = await signRequest(cluster, request, {}, now);
  assert.ok(kept !== undefined);
  assert.equal(kept, file(cluster, 'alice-cert-until-20270102T030405Z.pem'));
  assert.deepEqual(readFileSync(kept), first);
  assert.ok(!readFileSync(file(cluster, 'alice-cert.pem')).equals(first));
  await refuses(cluster, () => signRequest(cluster, request, {}, now), {
    code: 'FILE',
    message: /alice-cert-until-20270102T030405Z\.pem exists already/,
  });
  for (const taken of [file(cluster, 'rootCA-key.pem'), cluster.path, request])
    await refuses(cluster, () => signRequest(cluster, request, { out: taken }, now), {
      code: 'FILE',
      message: /exists, and is no certificate$/,
      hint: /--out/,
    });
});

test('a request uses the key that is there, or makes the next one beside it, and replaces requests only', async () => {
  const alice = await installedMachine('requests');
  const before = contents(alice);
  const keyPath = file(alice, 'alice-key.pem');
  const same = await makeRequest(alice, 'alice');
  assert.deepEqual(same.key, { path: keyPath, outcome: 'kept' });
  const next = await makeRequest(alice, 'alice', { newKey: true });
  assert.deepEqual(next.key, { path: `${keyPath}.new`, outcome: 'made' });
  assert.equal(statSync(next.key.path).mode & 0o777, 0o600);
  assert.notEqual(next.publicKey, same.publicKey);
  // Asked again, for example because the request was lost, it is the same key.
  const again = await makeRequest(alice, 'alice', { newKey: true, out: join(root, 'again.csr') });
  assert.deepEqual([again.key.outcome, again.publicKey], ['kept', next.publicKey]);
  for (const [name, bytes] of before)
    if (!name.endsWith('.csr')) assert.equal(contents(alice).get(name), bytes, name);
  // Where there is no key yet, a new one is simply the first.
  const bob = await makeRequest(alice, 'bob', { newKey: true });
  assert.equal(bob.key.path, file(alice, 'bob-key.pem'));

  for (const out of [keyPath, file(alice, 'alice-cert.pem'), alice.path])
    await refuses(alice, () => makeRequest(alice, 'alice', { out }), {
      code: 'FILE',
      message: /exists, and is no certificate request$/,
      hint: /--out/,
    });
  await refuses(alice, () => makeRequest(alice, 'mallory'), { code: 'USAGE', message: /is not a party of/ });
  // The request does not land on the key that has just been made.
  const fresh = machine('requests-fresh');
  const out = file(fresh, 'alice-key.pem');
  await assert.rejects(makeRequest(fresh, 'alice', { out }), { code: 'FILE', message: /exists already/ });
  createPrivateKey(readFileSync(out));
});

test('a key that is at fault is not used for a request', async () => {
  const alice = await installedMachine('key-faults');
  const path = file(alice, 'alice-key.pem');
  const key = readFileSync(path);
  const check = (refusal: Refusal, newKey = false) =>
    refuses(alice, () => makeRequest(alice, 'alice', { newKey }), refusal);
  chmodSync(path, 0o644);
  await check({ message: /alice-key\.pem is open to other users/, hint: /chmod 600/ });
  chmodSync(path, 0o600);
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  writeFileSync(path, generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export(pkcs8));
  await check({ message: /alice-key\.pem is not a P-256 key/, hint: /--new-key/ });
  writeFileSync(path, 'nothing');
  await check({ message: /alice-key\.pem is not a PEM private key/, hint: /--new-key/ });
  writeFileSync(path, key);
  writeFileSync(`${path}.new`, 'nothing', { mode: 0o600 });
  await check({ message: /alice-key\.pem\.new is not a PEM/, hint: /delete .*alice-key\.pem\.new/ }, true);
});

test('renewed with the key in use, the old certificate is kept and the key stays', async () => {
  const alice = await installedMachine('renew-same');
  const before = contents(alice);
  const { request } = await makeRequest(alice, 'alice');
  const certificate = await signedFor(request);
  const now = new Date();
  const { kept } = installCertificate(alice, 'alice', certificate, now);
  assert.equal(kept.length, 1);
  assert.equal(readFileSync(kept[0]!, 'hex'), before.get('certs/alice-cert.pem'));
  assert.equal(contents(alice).get('certs/alice-key.pem'), before.get('certs/alice-key.pem'));
  assert.ok(
    new X509Certificate(loadIdentity(alice, 'alice').cert).raw.equals(certificateAt(certificate).raw),
  );
  // Once more changes nothing.
  const installed = contents(alice);
  assert.deepEqual(installCertificate(alice, 'alice', certificate, now).kept, []);
  assert.deepEqual(contents(alice), installed);
});

test('renewed with a new key, both come into use together; what was in use stays until then', async () => {
  const alice = await installedMachine('renew-new');
  const before = contents(alice);
  const { request, publicKey } = await makeRequest(alice, 'alice', { newKey: true });
  loadIdentity(alice, 'alice');
  const certificate = await signedFor(request);
  const { kept } = installCertificate(alice, 'alice', certificate, new Date('2027-03-04T05:06:07Z'));
  assert.deepEqual(
    kept.map((path) => [basename(path), readFileSync(path, 'hex')]),
    [
      ['alice-cert-until-20270304T050607Z.pem', before.get('certs/alice-cert.pem')],
      ['alice-key-until-20270304T050607Z.pem', before.get('certs/alice-key.pem')],
    ],
  );
  const identity = loadIdentity(alice, 'alice');
  assert.equal(keyFingerprint(createPrivateKey(identity.key)), publicKey);
  for (const name of namesIn(alice).filter((name) => name.includes('key')))
    assert.equal(statSync(file(alice, name)).mode & 0o777, 0o600, name);
  assert.ok(!namesIn(alice).includes('alice-key.pem.new'));
});

test('an installation that was cut off half way is completed by the next', async () => {
  const alice = await installedMachine('cut-off');
  const { request } = await makeRequest(alice, 'alice', { newKey: true });
  const certificate = await signedFor(request);
  // The certificate is in its place already, the key is not: so it is, too, when a user has copied it there.
  copyFileSync(certificate, file(alice, 'alice-cert.pem'));
  assert.throws(() => loadIdentity(alice, 'alice'), { message: /is not the key of/ });
  assert.equal(installCertificate(alice, 'alice', file(alice, 'alice-cert.pem')).kept.length, 1);
  loadIdentity(alice, 'alice');
});

test('a certificate with which the party could not run is not installed', async () => {
  const alice = await installedMachine('install-faults');
  const { request } = await makeRequest(alice, 'alice', { newKey: true });
  const path = join(root, 'install.pem');
  const check = async (certificate: string, refusal: Refusal, now?: Date, self = 'alice') => {
    copyFileSync(certificate, path);
    await refuses(alice, () => installCertificate(alice, self, path, now), refusal);
  };
  const good = await signedFor(request);
  const bobs = await signedFor((await makeRequest(partyMachine('install-bob'), 'bob')).request);
  await check(bobs, { message: /install\.pem is bob's, not alice's/, hint: /certs sign/ });
  const elsewhere = await makeRequest(partyMachine('install-elsewhere'), 'alice');
  await check(await signedFor(elsewhere.request), {
    message: /install\.pem is not for .*alice-key\.pem\.new, nor for .*alice-key\.pem/,
    hint: /certs request --self alice/,
  });
  const otherCa = machine('install-other-ca');
  await makeAuthorityAlone(otherCa);
  await check((await signRequest(otherCa, request)).certificate, {
    message: /install\.pem was not issued by the CA of .*rootCA\.pem/,
  });
  await check(good, { message: /install\.pem expired on/, hint: /certs/ }, new Date(Date.now() + 826 * DAY));
  await check(ca.caCertPath, { message: /install\.pem/ });
  await check(ca.path, { message: /install\.pem holds 0 certificates/ });
  chmodSync(file(alice, 'alice-key.pem.new'), 0o644);
  await check(good, { message: /alice-key\.pem\.new is open to other users/ });
  await check(
    bobs,
    { message: /bob-key\.pem is not here/, hint: /certs request --self bob/ },
    undefined,
    'bob',
  );
  copyFileSync(good, alice.caCertPath);
  await check(good, { message: /rootCA\.pem is not a root CA certificate/ });
  rmSync(alice.caCertPath);
  await check(good, { message: /rootCA\.pem does not exist/, hint: /copy it here/ });
});

test('a certificate that is not the pinned one is not installed', async () => {
  const request = (await makeRequest(partyMachine('pinned'), 'alice')).request;
  const certificate = await signedFor(request);
  const { fingerprint256 } = certificateAt(certificate);
  const wrong = machine('pinned', { alice: { fingerprint: 'ab'.repeat(32) }, bob: {} });
  await refuses(wrong, () => installCertificate(wrong, 'alice', certificate), {
    message: /does not have the fingerprint that .*cluster\.json gives for alice/,
  });
  const right = machine('pinned', { alice: { fingerprint: fingerprint256 }, bob: {} });
  installCertificate(right, 'alice', certificate);
});

test('check tells how long the certificate is valid, and fails early when asked to', async () => {
  const alice = await installedMachine('check');
  const now = new Date();
  const later = (days: number) => new Date(now.getTime() + days * DAY);
  const { days, certificate, fingerprint } = checkOwnCertificate(alice, 'alice', 0, now);
  assert.ok(days === 824 || days === 825);
  assert.equal(certificate, file(alice, 'alice-cert.pem'));
  assert.equal(fingerprint, certificateAt(certificate).fingerprint256.replaceAll(':', '').toLowerCase());
  checkOwnCertificate(alice, 'alice', 30, later(790));
  await refuses(alice, () => checkOwnCertificate(alice, 'alice', 30, later(800)), {
    message: /alice-cert\.pem expires on \d{4}-\d\d-\d\d$/,
    hint: /certs request --self alice --config .*`certs sign`.*`certs install`/,
  });
  await refuses(alice, () => checkOwnCertificate(alice, 'alice', 30, later(830)), {
    message: /alice-cert\.pem expired on/,
    hint: /certs request --self alice/,
  });
  // The certificate is good, and so is its CA, but not for long.
  const path = await signedFor(file(alice, 'alice.csr'), {}, later(3_600));
  installCertificate(alice, 'alice', path, later(3_600));
  await refuses(alice, () => checkOwnCertificate(alice, 'alice', 60, later(3_600)), {
    message: /rootCA\.pem expires on/,
    hint: /new CA/,
  });
  rmSync(file(alice, 'alice-key.pem'));
  await refuses(alice, () => checkOwnCertificate(alice, 'alice', 0, later(3_600)), {
    message: /alice-key\.pem does not exist/,
  });
});
