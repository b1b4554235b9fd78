/**
 * Certificates whose keys never leave their machines: a party makes its key and a request (PKCS#10), the CA's holder
 * signs the request. The request proves who holds the key and which party it is meant for, by exactly one DNS name;
 * nothing else of it goes into the certificate.
 */
import { createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import type { Pkcs10CertificateRequest } from '@peculiar/x509';
import { equalBytes } from '../core/bytes.js';
import { MpcError, type PartyName } from '../core/errors.js';
import {
  displayPath,
  exists,
  makeFolder,
  PUBLIC,
  putInPlace,
  readText,
  writeNewFile,
} from '../files/files.js';
import { quoted } from '../rounds/untrusted.js';
import { newKey } from './certs.js';
import { type ClusterConfig, type ClusterParty, clusterParty } from './cluster.js';
import { sequenceOf } from './der.js';
import {
  caKeyPath,
  checkAuthority,
  checkKeyMatches,
  fingerprintOf,
  invocation,
  readCertificate,
  readPrivateKey,
} from './identity.js';
import {
  isP256,
  isPlainP256,
  issueParty,
  issueRequest,
  keyFingerprint,
  loadX509,
  nameExtension,
  type Signer,
  type X509Library,
} from './issue.js';

const fault = (message: string, hint: string, cause?: unknown): MpcError =>
  new MpcError('CERTIFICATE', message, { hint, cause });

// The party's machine

/** Where the next key of `party` waits for its certificate; `certs install` puts both into force together. */
export const nextKeyPath = (party: ClusterParty): string => `${party.keyPath}.new`;

export interface RequestOptions {
  /** Where to write the request; default NAME.csr beside the certificate. */
  readonly out?: string;
  /** Ask for a certificate of another key than the one in use, which stays until `certs install`. */
  readonly newKey?: boolean;
}

export interface MadeRequest {
  readonly party: PartyName;
  readonly request: string;
  readonly key: { readonly path: string; readonly outcome: 'made' | 'kept' };
  /** See {@link keyFingerprint}: what both sides compare. */
  readonly publicKey: string;
}

/**
 * Makes a request for the certificate of the party `self`, and its key unless that is here already. An earlier
 * request is replaced, nothing else ever is. Throws `CERTIFICATE` for a key at fault, `FILE`, or `USAGE`.
 */
export async function makeRequest(
  cluster: ClusterConfig,
  self: PartyName,
  options: RequestOptions = {},
): Promise<MadeRequest> {
  const party = clusterParty(cluster, self);
  const path = resolve(options.out ?? join(dirname(party.certPath), `${self}.csr`));
  const replaces = holds(path, 'CERTIFICATE REQUEST');
  const keyPath = options.newKey && exists(party.keyPath) ? nextKeyPath(party) : party.keyPath;
  const outcome = exists(keyPath) ? 'kept' : 'made';
  const key = outcome === 'made' ? newKey(keyPath) : readOwnKey(cluster, party, keyPath);
  const pem = await issueRequest(self, key);
  makeFolder(dirname(path));
  if (replaces) putInPlace(path, pem, PUBLIC);
  else writeNewFile(path, pem, PUBLIC);
  return { party: self, request: path, key: { path: keyPath, outcome }, publicKey: keyFingerprint(key) };
}

function readOwnKey(cluster: ClusterConfig, party: ClusterParty, path: string): KeyObject {
  const again =
    path === party.keyPath
      ? `make another with ${invocation(cluster, `certs request --self ${party.name} --new-key`)}`
      : `delete ${displayPath(path)} and run it again`;
  const key = readPrivateKey(cluster, path, again);
  if (!isP256(key)) throw fault(`${displayPath(path)} is not a P-256 key`, again);
  return key;
}

/** Whether a PEM file of this kind stands at `path`; throws `FILE` when something else does. */
function holds(path: string, kind: 'CERTIFICATE' | 'CERTIFICATE REQUEST'): boolean {
  if (!exists(path)) return false;
  if (readText(path).includes(`-----BEGIN ${kind}-----`)) return true;
  throw new MpcError('FILE', `${displayPath(path)} exists, and is no ${kind.toLowerCase()}`, {
    hint: 'name another file with --out',
  });
}

// The CA's machine

export interface SignOptions {
  /** Where to write the certificate; default the party's `cert` of the cluster file. */
  readonly out?: string;
  readonly days?: number;
  /** What the party says its {@link keyFingerprint} is, over another channel. */
  readonly publicKey?: string;
}

export interface SignedCertificate {
  readonly party: PartyName;
  readonly certificate: string;
  /** The name that the certificate which stood there before has now. */
  readonly kept?: string;
  readonly validTo: Date;
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly caFingerprint: string;
}

/**
 * Signs the request in `file` with the cluster's CA. The certificate says what {@link issueParty} says of the one
 * party that the request names. An earlier certificate gets the time into its name.
 *
 * Throws `CERTIFICATE` for a request or a CA at fault, with nothing written; `FILE` when a file cannot be read or
 * written.
 */
export async function signRequest(
  cluster: ClusterConfig,
  file: string,
  options: SignOptions = {},
  now = new Date(),
): Promise<SignedCertificate> {
  const signer = loadSigner(cluster, now);
  const { party, key } = await readRequest(cluster, file);
  checkKey(cluster, file, key, signer, options.publicKey);
  const path = resolve(options.out ?? party.certPath);
  const kept = holds(path, 'CERTIFICATE') ? asidePath(path, now) : undefined;
  const { days } = options;
  const pem = await issueParty(party, key, signer, { now, ...(days !== undefined && { days }) });
  makeFolder(dirname(path));
  if (kept === undefined) writeNewFile(path, pem, PUBLIC);
  else putInPlace(path, pem, PUBLIC, kept);
  const certificate = new X509Certificate(pem);
  return {
    party: party.name,
    certificate: path,
    ...(kept !== undefined && { kept }),
    validTo: new Date(certificate.validTo),
    publicKey: keyFingerprint(key),
    fingerprint: fingerprintOf(certificate),
    caFingerprint: fingerprintOf(signer.certificate),
  };
}

/** `path` with the time before its ending: the name of what `certs` sets aside. */
export const asidePath = (path: string, now: Date): string =>
  path.replace(/(\.[^./\\]+)?$/, `-until-${now.toISOString().replace(/[-:]|\.\d+/g, '')}$1`);

/** The CA of this cluster, in force and able to sign. Throws `CERTIFICATE`. */
function loadSigner(cluster: ClusterConfig, now: Date): Signer {
  const certPath = cluster.caCertPath;
  const keyPath = caKeyPath(cluster);
  if (!exists(certPath))
    throw fault(
      `there is no CA here: ${displayPath(certPath)} does not exist`,
      `run it on the machine that holds the CA's key, or make a CA with ${invocation(cluster, 'certs ca')}`,
    );
  const certificate = readCertificate(cluster, certPath);
  checkAuthority(cluster, certificate, now);
  if (!exists(keyPath))
    throw fault(
      `the CA's key ${displayPath(keyPath)} is not here`,
      "run it on the machine that holds the CA's key",
    );
  const key = readPrivateKey(cluster, keyPath);
  checkKeyMatches(certificate, certPath, key, keyPath);
  if (!isP256(key))
    throw fault(
      `${displayPath(keyPath)} is not a P-256 key`,
      'sign the request with the tools that made the CA: this program signs with P-256 only',
    );
  return { certificate, key };
}

/** Throws `CERTIFICATE` when the request's key is not the one that the party told, or somebody else's. */
function checkKey(
  cluster: ClusterConfig,
  file: string,
  key: KeyObject,
  { certificate }: Signer,
  told: string | undefined,
): void {
  const shown = displayPath(resolve(file));
  const found = keyFingerprint(key);
  if (told !== undefined && told !== found)
    throw fault(
      `${shown} is for the public key with SHA-256 ${found}, not for the one that --public-key gives`,
      'compare with what `certs request` printed; if that was right, the request was exchanged on its way',
    );
  if (found === keyFingerprint(certificate.publicKey))
    throw fault(
      `${shown} is for the CA's own key`,
      `have the party make a key of its own with ${invocation(cluster, 'certs request')}`,
    );
}

/** The party that the request in `file` names, and the public key of which it proves the possession. */
async function readRequest(
  cluster: ClusterConfig,
  file: string,
): Promise<{ party: ClusterParty; key: KeyObject }> {
  const path = resolve(file);
  const shown = displayPath(path);
  const pem = readText(path);
  const again = `have the party make another with ${invocation(cluster, 'certs request')}`;
  const count = pem.split('-----BEGIN CERTIFICATE REQUEST-----').length - 1;
  if (count !== 1) throw fault(`${shown} holds ${count} certificate requests, not one`, again);
  const x509 = await loadX509();
  let request: Pkcs10CertificateRequest;
  let key: KeyObject;
  let wish: Wish;
  try {
    request = new x509.Pkcs10CertificateRequest(pem);
    key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), type: 'spki', format: 'der' });
    wish = wishOf(request, cluster, x509);
  } catch (error) {
    throw fault(`${shown} is not a readable certificate request`, again, error);
  }
  if (!isPlainP256(new Uint8Array(request.publicKey.rawData)))
    throw fault(`the key of ${shown} is not a P-256 key as this program makes it`, again);
  if (!isSignedRequest(new Uint8Array(request.rawData), key))
    throw fault(`${shown} is not signed with the key that it asks a certificate for`, again);
  if (wish.party === undefined)
    throw fault(
      `${shown} asks for ${wish.names}, not for one party of ${displayPath(cluster.path)} and nothing else`,
      `${again}; it must have the party's name as its only alternative name, and no other as common name`,
    );
  return { party: wish.party, key };
}

/** DER of the AlgorithmIdentifier ecdsa-with-SHA256 (RFC 5758 §3.2). */
const ECDSA_WITH_SHA256 = Uint8Array.of(0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2);

/**
 * Whether a request (RFC 2986 §4.2) is signed with `key`, ECDSA and SHA-256, and is DER to the last byte. The
 * library's own check overlooks altered tags and lengths, and what follows the request.
 */
export function isSignedRequest(request: Uint8Array, key: KeyObject): boolean {
  const [info, algorithm, bits, ...more] = sequenceOf(request) ?? [];
  if (info === undefined || algorithm === undefined || bits === undefined || more.length > 0) return false;
  // A bit string without unused bits.
  if (bits.tag !== 0x03 || bits.content[0] !== 0) return false;
  if (!equalBytes(algorithm.whole, ECDSA_WITH_SHA256)) return false;
  return verify('sha256', info.whole, key, bits.content.subarray(1));
}

/** Whom a request names. */
interface Wish {
  /** For people, not trusted. */
  readonly names: string;
  readonly party: ClusterParty | undefined;
}

function wishOf(request: Pkcs10CertificateRequest, cluster: ClusterConfig, x509: X509Library): Wish {
  const alternatives = request.attributes
    .flatMap((attribute) => (attribute instanceof x509.ExtensionsAttribute ? attribute.items : []))
    .filter((extension) => extension instanceof x509.SubjectAlternativeNameExtension);
  const commonNames = request.subjectName.getField('CN');
  const names = [
    ...alternatives.flatMap(({ names }) =>
      names.toJSON().map(({ type, value }) => `${type} ${quoted(value, 80)}`),
    ),
    ...commonNames.map((name) => `common name ${quoted(name, 80)}`),
  ];
  // Compared as DER: what the library might overlook among the names is a difference, too.
  const isWished = ({ name }: ClusterParty): boolean =>
    alternatives.length === 1 &&
    equalBytes(new Uint8Array(alternatives[0]!.value), new Uint8Array(nameExtension(name, x509).value)) &&
    commonNames.every((commonName) => commonName === name);
  return {
    names: names.length === 0 ? 'no name' : names.slice(0, 5).join(', '),
    party: cluster.parties.find(isWished),
  };
}
