/**
 * Makes the TLS certificates of a cluster: a CA and one certificate per party, all P-256. What exists already and
 * is valid stays as it is, what is missing is made with the existing CA, and what is at fault is reported, never
 * replaced: it may be the only copy.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { dirname } from 'node:path';
import { MpcError } from '../core/errors.js';
import { displayPath, exists, makeFolder, PUBLIC, SECRET, writeNewFile } from '../files/files.js';
import type { ClusterConfig, ClusterParty } from './cluster.js';
import {
  caKeyPath,
  certsInvocation,
  checkAuthority,
  checkKeyMatches,
  checkPartyCertificate,
  readCertificate,
  readPrivateKey,
} from './identity.js';
import { isP256, issueAuthority, issueParty } from './issue.js';

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

/** Does something that may throw; `undefined` when it threw a `CERTIFICATE` error, which is then reported elsewhere. */
type Attempt = <T>(action: () => T) => T | undefined;

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

/**
 * Makes the CA of `cluster` and nothing else, unless it is here already. Throws as {@link makeCertificates} does,
 * and when certificates of parties are here that another CA must have issued.
 */
export async function makeAuthorityAlone(
  cluster: ClusterConfig,
  now = new Date(),
): Promise<readonly CertificateFile[]> {
  const found = inspectAuthority(cluster, now, (action) => action());
  const issued = cluster.parties.find(({ certPath }) => exists(certPath));
  if (found.certificate === undefined && issued !== undefined) throw orphan(cluster, issued);
  return describe(found, found.certificate === undefined ? await makeAuthority(found, now) : found);
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
  const attempt: Attempt = (action) => {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof MpcError) || error.code !== 'CERTIFICATE') throw error;
      faults.push(error);
      return undefined;
    }
  };
  const authority = inspectAuthority(cluster, now, attempt);
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

/** What is here of the CA; its faults go through `attempt`. */
const inspectAuthority = (cluster: ClusterConfig, now: Date, attempt: Attempt): Pair =>
  inspectPair(
    cluster,
    { certPath: cluster.caCertPath, keyPath: caKeyPath(cluster) },
    (certificate) => checkAuthority(cluster, certificate, now),
    attempt,
  );

/** The pair at these paths; its faults go through `attempt`. */
function inspectPair(
  cluster: ClusterConfig,
  { certPath, keyPath }: Pick<Pair, 'certPath' | 'keyPath'>,
  check: (certificate: X509Certificate) => void,
  attempt: Attempt,
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
  return { ...pair, key, certificate: writeCertificate(pair.certPath, await issueAuthority(key, now)) };
}

/** Makes a party's certificate, and its key unless that is here already. */
async function makePartyPair(party: ClusterParty, pair: Pair, authority: Pair, now: Date): Promise<Pair> {
  const key = pair.key ?? newKey(pair.keyPath);
  const signer = { certificate: authority.certificate!, key: authority.key! };
  const certificate = await issueParty(party, key, signer, { now });
  return { ...pair, key, certificate: writeCertificate(pair.certPath, certificate) };
}

/** A new P-256 key, written to `path` (PKCS#8, readable by its owner only). */
export function newKey(path: string): KeyObject {
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
