/** cluster.json, certificates, TLS keys and durations as users may have them: read, or refused with the right code. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { leaves, parsePolicy } from '#src/access/policy.js';
import { makeAuthorityAlone } from '#src/config/certs.js';
import { loadCluster } from '#src/config/cluster.js';
import { MAX_DURATION_MILLIS, parseDuration } from '#src/config/duration.js';
import { loadIdentity, readCertificate, readPrivateKey } from '#src/config/identity.js';
import { signRequest } from '#src/config/requests.js';
import { MpcError } from '#src/core/errors.js';
import { OPENSSL_REQUEST, requestFor, SPELT_OUT_REQUEST } from '../support/certificate-requests.js';
import { TestAuthority } from '../support/certs.js';
import { cases, refusalWith, spoiledData, spoiledText, unlessRefused } from '../support/fuzz.js';
import { spoiledPem } from '../support/fuzz-pem.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-fuzz-'));
after(() => rmSync(folder, { recursive: true }));

/** The path of a file of this folder that holds `contents`, for its owner only. */
function put(name: string, contents: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, contents, { mode: 0o600 });
  return path;
}

/** Stands for a value nested deeper than a stack is. */
const DEEP = 'nested very deeply';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const NAMES = ['alice', 'bob', 'charlie'];

const cluster = {
  ca_cert: 'ca.pem',
  parties: NAMES.map((name, index) => ({
    name,
    address: `127.0.0.1:${8001 + index}`,
    cert: `${name}-cert.pem`,
    key: `${name}-key.pem`,
  })),
};

const honest: readonly Json[] = [
  cluster,
  {
    ...cluster,
    ...{ curve: 'secp256k1', security: 128, multiplication: 'paillier' },
    policy: { threshold: 2, of: ['alice', { or: ['bob', 'charlie'] }] },
    parties: cluster.parties.map((party) => ({
      ...party,
      address: '[2001:db8::1]:1',
      fingerprint: `${'AB:'.repeat(31)}cd`,
    })),
  },
];

/** Values that stand in such files, and others. */
const json: fc.Arbitrary<Json> = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>,
  fc.constantFrom<Json>(
    'alice',
    'localhost',
    '',
    '[::]:1',
    'a:65536',
    'x'.repeat(64),
    { and: NAMES },
    { or: [] },
    -0,
    2 ** 53,
  ),
  fc.constant(DEEP),
);

/** Put in where a text says {@link DEEP}, so that counterexamples stay readable. */
const NESTED = `${'[{"and":'.repeat(6_000)}[]${'}]'.repeat(6_000)}`;

const texts = fc.oneof(
  {
    weight: 4,
    arbitrary: spoiledData(fc.constantFrom(...honest), json).map((value) => JSON.stringify(value)),
  },
  {
    weight: 3,
    arbitrary: spoiledText(fc.constantFrom(...honest.map((value) => JSON.stringify(value, null, 2)))),
  },
  fc.constantFrom(...honest.map((value) => JSON.stringify(value))),
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.constantFrom('', '[]', '\ufeff{}', 'null', '{', '['.repeat(99), JSON.stringify(DEEP)),
);

test('a spoiled cluster.json is another cluster, or a CONFIG error that names the file', () => {
  let read = 0;
  fc.assert(
    fc.property(texts, (text) => {
      const path = put('cluster.json', text.replaceAll(JSON.stringify(DEEP), NESTED));
      // Names of the file's own stand in messages as they are; the command line escapes what it prints.
      const isRefusal = (error: unknown) =>
        error instanceof MpcError && error.code === 'CONFIG' && error.message.includes('cluster.json');
      const config = unlessRefused(() => loadCluster(path), isRefusal);
      if (config === undefined) return;
      read += 1;
      assert.deepEqual([...leaves(config.policy)].sort(), config.parties.map(({ name }) => name).sort());
    }),
    cases(),
  );
  assert.ok(read > 0);
});

test('JSON is a policy of just these parties, or a CONFIG error', () => {
  const policies: readonly Json[] = [
    { and: NAMES },
    { threshold: 2, of: NAMES },
    { threshold: 2, of: ['alice', { or: ['bob', 'charlie'] }] },
    { and: [{ threshold: 1, of: ['alice', 'bob'] }, { and: [{ or: ['charlie'] }] }] },
  ];
  fc.assert(
    fc.property(fc.oneof(spoiledData(fc.constantFrom(...policies), json), json), (value) => {
      const policy = unlessRefused(() => parsePolicy(value, NAMES), refusalWith('CONFIG'));
      if (policy) assert.deepEqual(leaves(policy).sort(), NAMES);
    }),
    cases(),
  );
});

test('a text is a duration, or none', () => {
  const units = fc.constantFrom('h', 'm', 's', 'ms', 'us', '', 'H');
  const numbers = fc.oneof(
    fc.nat().map(String),
    fc.double().map(String),
    fc.constantFrom('1.', '.5', '1e3', '-1', '9'.repeat(400)),
  );
  const durations = fc
    .array(fc.tuple(numbers, units), { maxLength: 4 })
    .map((parts) => parts.flat().join(''));
  fc.assert(
    fc.property(fc.oneof(durations, spoiledText(durations), fc.string()), (text) => {
      const millis = parseDuration(text);
      if (millis === undefined) return;
      assert.ok(Number.isInteger(millis) && millis >= 1 && millis <= MAX_DURATION_MILLIS);
    }),
    cases(),
  );
});

test('spoiled certificates and TLS keys are refused with CERTIFICATE, or fit together', async () => {
  const authority = await TestAuthority.create();
  const other = await TestAuthority.create('another authority');
  const alice = await authority.issue(['alice']);
  const bob = await authority.issue(['bob', 'x.example'], { ips: ['127.0.0.1'], usages: ['client'] });
  const certificates = [
    authority.cert,
    other.cert,
    alice.cert,
    bob.cert,
    (await other.issue(['alice'])).cert,
  ];
  const config = loadCluster(put('cluster.json', JSON.stringify(cluster)));
  const originals = { 'ca.pem': authority.cert, 'alice-cert.pem': alice.cert, 'alice-key.pem': alice.key };
  const files = fc.constantFrom('ca.pem', 'alice-cert.pem', 'alice-key.pem');
  const pems = spoiledPem([...certificates, ...certificates, alice.key, bob.key]);
  const isRefusal = refusalWith('CERTIFICATE');
  const seen = { certificate: 0, key: 0, identity: 0 };
  fc.assert(
    // Now and then no file is replaced.
    fc.property(files, fc.option(pems, { freq: 9 }), (name, pem) => {
      for (const [file, original] of Object.entries(originals))
        put(file, file === name && pem !== null ? Buffer.from(pem, 'latin1') : original);
      const path = join(folder, name);
      if (unlessRefused(() => readCertificate(config, path), isRefusal)) seen.certificate += 1;
      if (unlessRefused(() => readPrivateKey(config, path), isRefusal)) seen.key += 1;
      if (unlessRefused(() => loadIdentity(config, 'alice'), isRefusal)) seen.identity += 1;
    }),
    cases(150),
  );
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `no ${what} was read`);
});

test('a spoiled certificate request is refused with CERTIFICATE, or gets a certificate of its party alone', async () => {
  mkdirSync(join(folder, 'signing'));
  const config = loadCluster(put('signing/cluster.json', JSON.stringify(cluster)));
  await makeAuthorityAlone(config);
  const dns = (...names: string[]) => names.map((value) => ({ type: 'dns' as const, value }));
  const requests = [
    OPENSSL_REQUEST,
    SPELT_OUT_REQUEST,
    await requestFor({ names: dns('bob'), subject: 'CN=bob' }),
    await requestFor({ names: dns('alice', 'bob') }),
  ];
  let signed = 0;
  await fc.assert(
    fc.asyncProperty(spoiledPem([OPENSSL_REQUEST, ...requests]), async (pem) => {
      const path = put('request.csr', Buffer.from(pem, 'latin1'));
      const out = join(folder, 'signed.pem');
      rmSync(out, { force: true });
      try {
        await signRequest(config, path, { out });
      } catch (error) {
        assert.ok(refusalWith('CERTIFICATE')(error), error as Error);
        assert.equal(existsSync(out), false);
        return;
      }
      signed += 1;
      const { subjectAltName, ca } = readCertificate(config, out);
      assert.match(subjectAltName ?? '', /^DNS:(alice|bob), DNS:localhost, IP Address:127\.0\.0\.1$/);
      assert.equal(ca, false);
    }),
    cases(150),
  );
  assert.ok(signed > 0);
});
