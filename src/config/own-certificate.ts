/** A party's own certificate, on its own machine: put into force with its key, and watched for its end. */
import type { X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { MpcError, type PartyName } from '../core/errors.js';
import { displayPath, exists, makeFolder, moveInPlace, PUBLIC, putInPlace } from '../files/files.js';
import { type ClusterConfig, type ClusterParty, clusterParty } from './cluster.js';
import {
  certificateDate,
  checkAuthority,
  checkPartyCertificate,
  fingerprintOf,
  invocation,
  loadIdentity,
  readCertificate,
  readPrivateKey,
  renewHint,
} from './identity.js';
import { asidePath, nextKeyPath } from './requests.js';

const DAY_MILLIS = 24 * 60 * 60 * 1_000;

const fault = (message: string, hint: string): MpcError => new MpcError('CERTIFICATE', message, { hint });

export interface InstalledCertificate {
  readonly party: PartyName;
  readonly certificate: string;
  readonly key: string;
  /** The names that the certificate and the key which this one replaces have now. */
  readonly kept: readonly string[];
  readonly validTo: Date;
  readonly fingerprint: string;
  readonly caFingerprint: string;
}

/**
 * Puts the certificate in `file` into force for the party `self`, with the key that `certs request --new-key` made
 * if it belongs to that one. What was in force gets the time into its name. Cut off half way, it can be run again.
 *
 * Throws `CERTIFICATE`, with nothing changed, unless the party could run with this certificate.
 */
export function installCertificate(
  cluster: ClusterConfig,
  self: PartyName,
  file: string,
  now = new Date(),
): InstalledCertificate {
  const party = clusterParty(cluster, self);
  const authority = readCertificate(cluster, cluster.caCertPath);
  checkAuthority(cluster, authority, now);
  const path = resolve(file);
  const certificate = readCertificate(cluster, path);
  checkPartyCertificate(cluster, { ...party, certPath: path }, certificate, authority, now);
  const keyPath = keyOf(cluster, party, certificate, path);
  const kept: string[] = [];
  // The certificate first: it may not fit on the disk. A name given to a file that is there already always does.
  if (!holdsAlready(party.certPath, certificate, cluster)) {
    makeFolder(resolve(party.certPath, '..'));
    const aside = exists(party.certPath) ? asidePath(party.certPath, now) : undefined;
    putInPlace(party.certPath, certificate.toString(), PUBLIC, aside);
    if (aside !== undefined) kept.push(aside);
  }
  if (keyPath !== party.keyPath) {
    const aside = exists(party.keyPath) ? asidePath(party.keyPath, now) : undefined;
    moveInPlace(keyPath, party.keyPath, aside);
    if (aside !== undefined) kept.push(aside);
  }
  return {
    party: self,
    certificate: party.certPath,
    key: party.keyPath,
    kept,
    validTo: new Date(certificate.validTo),
    fingerprint: fingerprintOf(certificate),
    caFingerprint: fingerprintOf(authority),
  };
}

/** The key file of `certificate`: the one in use or the next one. Throws `CERTIFICATE` when it is neither. */
function keyOf(
  cluster: ClusterConfig,
  party: ClusterParty,
  certificate: X509Certificate,
  certPath: string,
): string {
  const request = invocation(cluster, `certs request --self ${party.name}`);
  const present = [nextKeyPath(party), party.keyPath].filter(exists);
  if (present.length === 0)
    throw fault(
      `${displayPath(party.keyPath)} is not here`,
      `install the certificate where ${request} has made its key`,
    );
  const found = present.find((path) =>
    certificate.checkPrivateKey(
      readPrivateKey(cluster, path, `make another: ${request.replace(/`$/, ' --new-key`')}`),
    ),
  );
  if (found !== undefined) return found;
  throw fault(
    `${displayPath(certPath)} is not for ${present.map(displayPath).join(', nor for ')}`,
    `have the request signed that ${request} makes here`,
  );
}

/** Whether this very certificate stands at `path` already. */
function holdsAlready(path: string, certificate: X509Certificate, cluster: ClusterConfig): boolean {
  try {
    return exists(path) && readCertificate(cluster, path).raw.equals(certificate.raw);
  } catch {
    // Whatever it is, it is not this one, and is set aside.
    return false;
  }
}

export interface OwnCertificate {
  readonly party: PartyName;
  readonly certificate: string;
  readonly validTo: Date;
  /** Whole days left. */
  readonly days: number;
  readonly fingerprint: string;
  readonly caFingerprint: string;
}

/**
 * The certificate of the party `self`, with which it can run for `withinDays` more days. Throws `CERTIFICATE` when
 * it or the CA's ends sooner, and whatever would keep the party from starting now.
 */
export function checkOwnCertificate(
  cluster: ClusterConfig,
  self: PartyName,
  withinDays = 0,
  now = new Date(),
): OwnCertificate {
  const { caFingerprint } = loadIdentity(cluster, self, now);
  const { certPath } = clusterParty(cluster, self);
  const certificate = readCertificate(cluster, certPath);
  const authority = readCertificate(cluster, cluster.caCertPath);
  const daysLeft = ({ validTo }: X509Certificate): number =>
    Math.floor((Date.parse(validTo) - now.getTime()) / DAY_MILLIS);
  const checkLeft = (path: string, of: X509Certificate, hint: string): void => {
    if (daysLeft(of) < withinDays)
      throw fault(`${displayPath(path)} expires on ${certificateDate(of.validTo)}`, hint);
  };
  // A certificate cannot be renewed beyond the end of its CA.
  checkLeft(
    cluster.caCertPath,
    authority,
    'make a new CA, and new certificates of it for all parties, and exchange them between two runs',
  );
  checkLeft(certPath, certificate, renewHint(cluster, self));
  return {
    party: self,
    certificate: certPath,
    validTo: new Date(certificate.validTo),
    days: daysLeft(certificate),
    fingerprint: fingerprintOf(certificate),
    caFingerprint,
  };
}
