/**
 * The TLS identity of a party: its certificate and key and the cluster's CA certificate, checked before any socket
 * is opened, because a failed handshake tells neither side much.
 *
 * A party *is* the one name of the cluster among its certificate's DNS names; the common name means nothing, and
 * the host does not either: a party that moves keeps its certificate.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { MpcError, type PartyName } from '../core/errors.js';
import { displayPath, readText } from '../files/files.js';
import { isOpenToOthers } from '../files/private.js';
import { type ClusterConfig, type ClusterParty, clusterParty } from './cluster.js';

/** Checked TLS material of one party. */
export interface Identity {
  readonly name: PartyName;
  /** PEM: the CA certificate, this party's certificate, this party's private key. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the CA certificate (DER), lower-case hex: the parties of a cluster agree on it. */
  readonly caFingerprint: string;
  /** When the certificate expires. */
  readonly expires: Date;
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** The command that makes missing certificates of this cluster. */
export const certsInvocation = (cluster: ClusterConfig): string =>
  cluster.path === resolve('cluster.json')
    ? '`make certs`'
    : `\`ecdsa-mpc certs --config ${displayPath(cluster.path)}\``;

/** A command of this program for this cluster, as the user would type it. */
export const invocation = (cluster: ClusterConfig, command: string): string =>
  `\`ecdsa-mpc ${command}${cluster.path === resolve('cluster.json') ? '' : ` --config ${displayPath(cluster.path)}`}\``;

/** The CA's own key: `rootCA-key.pem` beside `rootCA.pem`. Whoever holds it can admit parties to the cluster. */
export const caKeyPath = (cluster: ClusterConfig): string =>
  `${cluster.caCertPath.replace(/\.(pem|crt|cer)$/, '')}-key.pem`;

const fault = (message: string, hint: string, cause?: unknown): MpcError =>
  new MpcError('CERTIFICATE', message, { hint, cause });

/** Whether `path` is one of the files that the cluster file names, or the CA's key. */
const belongsTo = (cluster: ClusterConfig, path: string): boolean =>
  [
    cluster.caCertPath,
    caKeyPath(cluster),
    ...cluster.parties.flatMap(({ certPath, keyPath }) => [certPath, keyPath]),
  ].includes(path);

/** How to replace the file at `path`, which this program never does by itself. */
const replaceHint = (cluster: ClusterConfig, path: string): string =>
  belongsTo(cluster, path)
    ? `delete ${displayPath(path)} and run ${certsInvocation(cluster)} on the machine that holds the CA's key`
    : `have ${invocation(cluster, 'certs sign')} make another on the machine that holds the CA's key`;

/** How the party `name` gets its next certificate. */
export const renewHint = (cluster: ClusterConfig, name: PartyName): string =>
  `renew it: ${invocation(cluster, `certs request --self ${name}`)} here, \`certs sign\` on the machine that holds the CA's key, \`certs install\` here`;

/** SHA-256 of a certificate (DER), 64 lower-case hex digits. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase();

/** `2027-03-01` of a certificate's date. */
export const certificateDate = (text: string): string => new Date(text).toISOString().slice(0, 10);

/** The one certificate in the PEM file at `path`; throws `CERTIFICATE`. */
export function readCertificate(cluster: ClusterConfig, path: string): X509Certificate {
  const pem = readText(path, {
    code: 'CERTIFICATE',
    hint: `run ${certsInvocation(cluster)}, or copy it here from the machine that made it`,
  });
  const count = pem.split('-----BEGIN CERTIFICATE-----').length - 1;
  const hint = replaceHint(cluster, path);
  if (count !== 1) throw fault(`${displayPath(path)} holds ${count} certificates, not one`, hint);
  try {
    return decoded(new X509Certificate(pem));
  } catch (error) {
    throw fault(`${displayPath(path)} is not a readable certificate`, hint, error);
  }
}

/** `certificate`, once the fields that OpenSSL decodes only when asked are known to decode. */
function decoded(certificate: X509Certificate): X509Certificate {
  const { publicKey, validFrom, validTo } = certificate;
  for (const date of [validFrom, validTo]) certificateDate(date);
  return publicKey && certificate;
}

/** Throws `CERTIFICATE` unless `now` lies within the certificate's validity. */
function checkDates(path: string, certificate: X509Certificate, now: Date, expiredHint: string): void {
  const { validFrom, validTo } = certificate;
  if (now.getTime() > Date.parse(validTo))
    throw fault(`${displayPath(path)} expired on ${certificateDate(validTo)}`, expiredHint);
  if (now.getTime() < Date.parse(validFrom))
    throw fault(
      `${displayPath(path)} is not valid before ${certificateDate(validFrom)}`,
      `set this machine's clock, which says ${now.toISOString()}`,
    );
}

/** Throws `CERTIFICATE` unless `authority` is a CA certificate, signed by itself, in force at `now`. */
export function checkAuthority(cluster: ClusterConfig, authority: X509Certificate, now: Date): void {
  const path = cluster.caCertPath;
  if (!authority.ca || !authority.verify(authority.publicKey))
    throw fault(
      `${displayPath(path)} is not a root CA certificate`,
      "name the certificate of the CA that issued the parties' certificates as ca_cert",
    );
  checkDates(path, authority, now, replaceHint(cluster, path));
}

/**
 * Throws `CERTIFICATE` unless `certificate` is in force at `now`, issued by `authority`, names `party` and no other
 * party of the cluster, serves both TLS roles, and has the fingerprint that the cluster file pins, if any.
 */
export function checkPartyCertificate(
  cluster: ClusterConfig,
  party: ClusterParty,
  certificate: X509Certificate,
  authority: X509Certificate,
  now: Date,
): void {
  const path = party.certPath;
  const shown = displayPath(path);
  const hint = replaceHint(cluster, path);
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey))
    throw fault(`${shown} was not issued by the CA of ${displayPath(cluster.caCertPath)}`, hint);
  checkDates(path, certificate, now, `${hint}; or ${renewHint(cluster, party.name)}`);
  const names = cluster.parties.map(({ name }) => name).filter((name) => isNamed(certificate, name));
  if (!names.includes(party.name)) {
    const whose = names.length === 0 ? 'names no party of this cluster' : `is ${names.join(' and ')}'s`;
    throw fault(`${shown} ${whose}, not ${party.name}'s: its DNS names decide`, hint);
  }
  if (names.length > 1) throw fault(`${shown} names ${names.join(' and ')}, not ${party.name} alone`, hint);
  // Node calls the *extended* key usages keyUsage; a certificate without any may serve every purpose.
  const roles: readonly string[] | undefined = certificate.keyUsage;
  if (roles !== undefined && !(roles.includes(SERVER_AUTH) && roles.includes(CLIENT_AUTH)))
    throw fault(`${shown} does not allow both roles of TLS, server and client`, hint);
  if (party.fingerprint !== undefined && party.fingerprint !== fingerprintOf(certificate))
    throw fault(
      `${shown} does not have the fingerprint that ${displayPath(cluster.path)} gives for ${party.name}`,
      `correct the fingerprint (the file has ${fingerprintOf(certificate)}) or put the pinned certificate back`,
    );
}

/** Whether `name` is among the certificate's DNS names, exactly: no wildcards, never the common name. */
const isNamed = (certificate: X509Certificate, name: string): boolean =>
  certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined;

/** The private key in the PEM file at `path`, which nobody but its owner may read; throws `CERTIFICATE`. */
export function readPrivateKey(
  cluster: ClusterConfig,
  path: string,
  hint = replaceHint(cluster, path),
): KeyObject {
  const pem = readText(path, {
    code: 'CERTIFICATE',
    hint: `run ${certsInvocation(cluster)}, or copy the key here from the machine that made it`,
  });
  const shown = displayPath(path);
  if (isOpenToOthers(path)) throw fault(`${shown} is open to other users`, `run: chmod 600 ${shown}`);
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw fault(`${shown} is not a PEM private key without passphrase`, hint, error);
  }
}

/** Throws `CERTIFICATE` unless `key` is the private key of `certificate`. */
export function checkKeyMatches(
  certificate: X509Certificate,
  certPath: string,
  key: KeyObject,
  keyPath: string,
): void {
  if (certificate.checkPrivateKey(key)) return;
  throw fault(
    `${displayPath(keyPath)} is not the key of ${displayPath(certPath)}`,
    'put the files that were made together back, or delete both and make them anew',
  );
}

/** The TLS identity of the party `self`, checked at `now`. Throws `CERTIFICATE`, or `USAGE` for a stranger's name. */
export function loadIdentity(cluster: ClusterConfig, self: PartyName, now = new Date()): Identity {
  const party = clusterParty(cluster, self);
  const authority = readCertificate(cluster, cluster.caCertPath);
  checkAuthority(cluster, authority, now);
  const certificate = readCertificate(cluster, party.certPath);
  checkPartyCertificate(cluster, party, certificate, authority, now);
  const key = readPrivateKey(cluster, party.keyPath);
  checkKeyMatches(certificate, party.certPath, key, party.keyPath);
  return {
    name: self,
    ca: authority.toString(),
    cert: certificate.toString(),
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    caFingerprint: fingerprintOf(authority),
    expires: new Date(certificate.validTo),
  };
}
