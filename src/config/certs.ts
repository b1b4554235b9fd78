/**
 * Makes the TLS certificates of a cluster: a CA and one certificate per party, all P-256. What exists already and
 * is valid stays as it is, what is missing is made with the existing CA, and what is at fault is reported, never
 * replaced: it may be the only copy.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import { dirname } from 'node:path';
import type { Extension } from '@peculiar/x509';
import { randomBytes, toHex } from '../core/bytes.js';
import { MpcError } from '../core/errors.js';
import { displayPath, exists, makeFolder, PUBLIC, SECRET, writeNewFile } from '../files/files.js';
import type { ClusterConfig, ClusterParty } from './cluster.js';
import {
  certsInvocation,
  checkAuthority,
  checkKeyMatches,
  checkPartyCertificate,
  readCertificate,
  readPrivateKey,
} from './identity.js';

const DAY_MILLIS = 24 * 60 * 60 * 1_000;
const CA_DAYS = 3_650;
const PARTY_DAYS = 825;
/** Certificates begin in the past, so that machines whose clocks are a little behind accept them. */
const CLOCK_SKEW_MILLIS = 60 * 60 * 1_000;

/** One file of the cluster after {@link makeCertificates}; `absent`: a private key that is kept elsewhere. */
export interface CertificateFile {
  readonly path: string;
  readonly outcome: 'made' | 'kept' | 'absent';
  /** Last day, of a certificate. */
  readonly validTo?: Date;
}

/** A certificate and its key, as far as they are here. */
interface Pair {
  readonly certPath: string;
  readonly keyPath: string;
  readonly certificate: X509Certificate | undefined;
  readonly key: KeyObject | undefined;
}

/** The CA's own key: `rootCA-key.pem` beside `rootCA.pem`. Whoever holds it can admit parties to the cluster. */
const caKeyPath = (cluster: ClusterConfig): string =>
  `${cluster.caCertPath.replace(/\.(pem|crt|cer)$/, '')}-key.pem`;

/**
 * Makes the missing certificates and keys of `cluster`; running it again changes nothing. A certificate whose key
 * is not here stays: parties keep their keys on their own machines.
 *
 * Throws `CERTIFICATE`, with nothing written, when an existing file is expired, mismatched or unreadable, or when
 * something is missing that only an absent CA key could make; `FILE` when a file cannot be written.
 */
export async function makeCertificates(
  cluster: ClusterConfig,
  now = new Date(),
): Promise<readonly CertificateFile[]> {
  const found = inspect(cluster, now);
  const missing = found.parties.find(({ pair }) => pair.certificate === undefined);
  if (missing !== undefined) checkAbleToSign(cluster, found.authority, missing.pair.certPath);
  const authority =
    found.authority.certificate === undefined ? await makeAuthority(found.authority, now) : found.authority;
  const files = describe(found.authority, authority);
  for (const { party, pair } of found.parties) {
    const complete = pair.certificate === undefined ? await makePartyPair(party, pair, authority, now) : pair;
    files.push(...describe(pair, complete));
  }
  return files;
}

/** Throws `CERTIFICATE` when the CA exists but cannot sign the certificate missing at `path`. */
function checkAbleToSign(cluster: ClusterConfig, authority: Pair, path: string): void {
  if (authority.certificate === undefined) return;
  const keyPath = displayPath(authority.keyPath);
  if (authority.key === undefined)
    throw new MpcError('CERTIFICATE', `${displayPath(path)} is missing, and so is the CA's key ${keyPath}`, {
      hint: `run ${certsInvocation(cluster)} on the machine that holds the CA's key; a party needs only the CA's certificate and its own certificate and key`,
    });
  if (!isP256(authority.key))
    throw new MpcError('CERTIFICATE', `${displayPath(path)} is missing, and ${keyPath} is not a P-256 key`, {
      hint: 'make the certificate with the tools that made the CA: this program signs with P-256 only',
    });
}

const isP256 = (key: KeyObject): boolean => key.asymmetricKeyDetails?.namedCurve === 'prime256v1';

/** The files of a pair, before and after. */
function describe(before: Pair, after: Pair): CertificateFile[] {
  const outcome = (old: unknown, present: unknown) =>
    old !== undefined ? 'kept' : present !== undefined ? 'made' : 'absent';
  const { certificate } = after;
  return [
    {
      path: after.certPath,
      outcome: outcome(before.certificate, certificate),
      ...(certificate === undefined ? {} : { validTo: new Date(certificate.validTo) }),
    },
    { path: after.keyPath, outcome: outcome(before.key, after.key) },
  ];
}

/** Everything that exists already, checked. Throws one `CERTIFICATE` error that names every file at fault. */
function inspect(
  cluster: ClusterConfig,
  now: Date,
): { authority: Pair; parties: { party: ClusterParty; pair: Pair }[] } {
  const faults: MpcError[] = [];
  const attempt = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof MpcError) || error.code !== 'CERTIFICATE') throw error;
      faults.push(error);
      return undefined;
    }
  };
  const authority = inspectPair(
    cluster,
    { certPath: cluster.caCertPath, keyPath: caKeyPath(cluster) },
    (certificate) => checkAuthority(cluster, certificate, now),
    attempt,
  );
  // A faulty CA makes everything below it look faulty too.
  if (faults.length > 0) throw allFaults(faults);
  const parties = cluster.parties.map((party) => ({
    party,
    pair: inspectPair(
      cluster,
      party,
      (certificate) => {
        if (authority.certificate === undefined) throw orphan(cluster, party);
        checkPartyCertificate(cluster, party, certificate, authority.certificate, now);
      },
      attempt,
    ),
  }));
  if (faults.length > 0) throw allFaults(faults);
  return { authority, parties };
}

/** The pair at these paths; its faults go through `attempt`. */
function inspectPair(
  cluster: ClusterConfig,
  { certPath, keyPath }: Pick<Pair, 'certPath' | 'keyPath'>,
  check: (certificate: X509Certificate) => void,
  attempt: <T>(action: () => T) => T | undefined,
): Pair {
  const certificate = attempt(() => {
    if (!exists(certPath)) return undefined;
    const read = readCertificate(cluster, certPath);
    check(read);
    return read;
  });
  const key = attempt(() => {
    if (!exists(keyPath)) return undefined;
    const read = readPrivateKey(cluster, keyPath);
    if (certificate !== undefined) checkKeyMatches(certificate, certPath, read, keyPath);
    else if (!isP256(read))
      throw new MpcError('CERTIFICATE', `${displayPath(keyPath)} is not a P-256 key`, {
        hint: `delete it and run ${certsInvocation(cluster)}, or put its certificate beside it`,
      });
    return read;
  });
  return { certPath, keyPath, certificate, key };
}

const orphan = (cluster: ClusterConfig, party: ClusterParty): MpcError =>
  new MpcError(
    'CERTIFICATE',
    `${displayPath(party.certPath)} exists, but ${displayPath(cluster.caCertPath)}, whose CA issued it, does not`,
    {
      hint: `put the CA's certificate back, or delete the parties' certificates too and run ${certsInvocation(cluster)}`,
    },
  );

function allFaults(faults: readonly MpcError[]): MpcError {
  if (faults.length === 1) return faults[0]!;
  return new MpcError('CERTIFICATE', faults.map((fault) => fault.message).join('; '), {
    hint: [...new Set(faults.map((fault) => fault.hint))].join('; '),
  });
}

/** Makes a CA certificate, and its key unless that is left from an interrupted run. */
async function makeAuthority(pair: Pair, now: Date): Promise<Pair> {
  const key = pair.key ?? newKey(pair.keyPath);
  const x509 = await loadX509();
  const publicKey = await webPublicKey(key);
  const tag = toHex(createHash('sha256').update(publicDer(key)).digest()).slice(0, 8);
  // The subject differs from CA to CA, so that a mix-up reads as an unknown issuer and not as a bad signature.
  const subject = `CN=ecdsa-mpc CA ${tag}`;
  const certificate = await issue({
    subject,
    publicKey,
    issuer: subject,
    signingKey: key,
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MILLIS),
    notAfter: new Date(now.getTime() + CA_DAYS * DAY_MILLIS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { ...pair, key, certificate: writeCertificate(pair.certPath, certificate) };
}

/** Makes a party's certificate, and its key unless that is here already. */
async function makePartyPair(party: ClusterParty, pair: Pair, authority: Pair, now: Date): Promise<Pair> {
  const issuer = authority.certificate!;
  const key = pair.key ?? newKey(pair.keyPath);
  const x509 = await loadX509();
  const publicKey = await webPublicKey(key);
  const certificate = await issue({
    subject: `CN=${party.name}`,
    publicKey,
    issuer: new x509.X509Certificate(issuer.raw).subjectName,
    signingKey: authority.key!,
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MILLIS),
    notAfter: new Date(Math.min(now.getTime() + PARTY_DAYS * DAY_MILLIS, Date.parse(issuer.validTo))),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(alternativeNames(party)),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(await webPublicKey(authority.key!)),
    ],
  });
  return { ...pair, key, certificate: writeCertificate(pair.certPath, certificate) };
}

/** The party's name, `localhost`, and the host that its peers dial. */
function alternativeNames({ name, host }: ClusterParty): { type: 'dns' | 'ip'; value: string }[] {
  const isIp = host.includes(':') || /^[\d.]+$/.test(host);
  const names = new Set([name, 'localhost', ...(isIp ? [] : [host])]);
  return [
    ...[...names].map((value) => ({ type: 'dns' as const, value })),
    ...(isIp ? [{ type: 'ip' as const, value: host }] : []),
  ];
}

/** @peculiar/x509, loaded here only: it takes half a second. */
async function loadX509() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

interface Issuance {
  readonly subject: string;
  readonly publicKey: webcrypto.CryptoKey;
  readonly issuer: import('@peculiar/x509').Name | string;
  readonly signingKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: Extension[];
}

/** A signed certificate with a random serial number, as PEM. */
async function issue({ signingKey, ...fields }: Issuance): Promise<string> {
  const x509 = await loadX509();
  const serial = randomBytes(16);
  // RFC 5280 §4.1.2.2: positive, and DER puts no zero byte before it.
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  const certificate = await x509.X509CertificateGenerator.create({
    ...fields,
    serialNumber: toHex(serial),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    signingKey: await webPrivateKey(signingKey),
  });
  return `${certificate.toString('pem')}\n`;
}

/** A new P-256 key, written to `path` (PKCS#8, readable by its owner only). */
function newKey(path: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  makeFolder(dirname(path));
  writeNewFile(path, privateKey, SECRET);
  return createPrivateKey(privateKey);
}

function writeCertificate(path: string, pem: string): X509Certificate {
  makeFolder(dirname(path));
  writeNewFile(path, pem, PUBLIC);
  return new X509Certificate(pem);
}

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

const publicDer = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

const webPublicKey = (key: KeyObject): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('spki', publicDer(key), P256, true, ['verify']);

const webPrivateKey = (key: KeyObject): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), P256, false, ['sign']);
