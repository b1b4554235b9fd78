/**
 * The X.509 that this program makes: CA certificates, certificates of parties, and requests for them (PKCS#10), all
 * P-256 with ECDSA and SHA-256. What a certificate says comes from here and the cluster file alone.
 */
import { createHash, createPublicKey, type KeyObject, webcrypto, type X509Certificate } from 'node:crypto';
import type { Extension } from '@peculiar/x509';
import { equalBytes, fromHex, randomBytes, toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import type { ClusterParty } from './cluster.js';

const DAY_MILLIS = 24 * 60 * 60 * 1_000;
const CA_DAYS = 3_650;
/** How long a party's certificate is valid unless the user says otherwise. */
export const PARTY_DAYS = 825;
/** Certificates begin in the past, so that machines whose clocks are a little behind accept them. */
const CLOCK_SKEW_MILLIS = 60 * 60 * 1_000;

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A CA: its certificate and its private key. */
export interface Signer {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** Whether `key`, private or public, is of the one kind that this program makes and signs. */
export const isP256 = (key: KeyObject): boolean => key.asymmetricKeyDetails?.namedCurve === 'prime256v1';

/**
 * DER of a P-256 public key (RFC 5480 §2) up to its coordinates: the length of all, the curve by its name, the point
 * uncompressed.
 */
const P256_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d03010703420004')!;

/** Whether a SubjectPublicKeyInfo is of a P-256 key in the one form that this program makes. */
export const isPlainP256 = (spki: Uint8Array): boolean =>
  equalBytes(spki.subarray(0, P256_PREFIX.length), P256_PREFIX);

/** SHA-256 of the public half of `key` (SubjectPublicKeyInfo, DER), 64 lower-case hex digits. */
export const keyFingerprint = (key: KeyObject): string =>
  createHash('sha256').update(publicDer(key)).digest('hex');

/** The self-signed certificate of a CA with this private key, PEM. */
export async function issueAuthority(key: KeyObject, now: Date): Promise<string> {
  const x509 = await loadX509();
  const publicKey = await webPublicKey(key);
  // The subject differs from CA to CA, so that a mix-up reads as an unknown issuer and not as a bad signature.
  const subject = `CN=ecdsa-mpc CA ${keyFingerprint(key).slice(0, 8)}`;
  return issue({
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
}

/** The certificate of `party` for `key`, private or public, PEM; it ends with the CA's at the latest. */
export async function issueParty(
  party: ClusterParty,
  key: KeyObject,
  signer: Signer,
  { now, days = PARTY_DAYS }: { readonly now: Date; readonly days?: number },
): Promise<string> {
  const x509 = await loadX509();
  const publicKey = await webPublicKey(key);
  return issue({
    subject: subjectOf(party.name),
    publicKey,
    issuer: new x509.X509Certificate(signer.certificate.raw).subjectName,
    signingKey: signer.key,
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MILLIS),
    notAfter: new Date(Math.min(now.getTime() + days * DAY_MILLIS, Date.parse(signer.certificate.validTo))),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(alternativeNames(party)),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(await webPublicKey(signer.key)),
    ],
  });
}

/** A request for the certificate of the party `name`, signed with its private key, PEM. */
export async function issueRequest(name: PartyName, key: KeyObject): Promise<string> {
  const x509 = await loadX509();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subjectOf(name),
    keys: { publicKey: await webPublicKey(key), privateKey: await webPrivateKey(key) },
    signingAlgorithm: SIGNING,
    extensions: [nameExtension(name, x509)],
  });
  return `${request.toString('pem')}\n`;
}

/** The extension by which a request asks for the name of a party. */
export const nameExtension = (name: PartyName, x509: X509Library) =>
  new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]);

const subjectOf = (name: PartyName): string => `CN=${name}`;

/** The party's name, `localhost`, and the host that its peers dial. */
function alternativeNames({ name, host }: ClusterParty): { type: 'dns' | 'ip'; value: string }[] {
  const isIp = host.includes(':') || /^[\d.]+$/.test(host);
  const names = new Set([name, 'localhost', ...(isIp ? [] : [host])]);
  return [
    ...[...names].map((value) => ({ type: 'dns' as const, value })),
    ...(isIp ? [{ type: 'ip' as const, value: host }] : []),
  ];
}

export type X509Library = typeof import('@peculiar/x509');

/** @peculiar/x509, loaded here only: it takes half a second. */
export async function loadX509(): Promise<X509Library> {
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
    signingAlgorithm: SIGNING,
    signingKey: await webPrivateKey(signingKey),
  });
  return `${certificate.toString('pem')}\n`;
}

const publicDer = (key: KeyObject): Buffer =>
  (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' });

const webPublicKey = (key: KeyObject): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('spki', publicDer(key), P256, true, ['verify']);

const webPrivateKey = (key: KeyObject): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), P256, false, ['sign']);
