/**
 * Who is at the other end of a TLS connection, by its certificate alone: signed by the cluster's authority, in
 * force, and with exactly one of the cluster's names among its DNS names. The common name (CN) counts for nothing.
 *
 * Both sides judge here, after the handshake, instead of leaving it to `rejectUnauthorized`: that option closes the
 * connection without a word, and the user at the other end would never learn what is wrong with the certificate.
 * Until it has been judged, nothing that the peer sends is read.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { PartyName } from '../core/errors.js';

/** Spoken on every connection (RFC 7301), so that a server of another kind cannot be mistaken for a party. */
export const APPLICATION_PROTOCOL = 'ecdsa-mpc';

/**
 * Why a connection is refused; the key travels in a `refusal` frame, the text is shown on both sides. Where it begins
 * with the certificate, each side says whose that is.
 */
export const REFUSALS = {
  tls: 'not TLS 1.3 with the protocol of this program',
  'no-certificate': 'no certificate was shown',
  expired: 'the certificate has expired',
  'not-yet-valid': 'the certificate is not valid yet; compare the clocks',
  'other-authority': "the certificate is not signed by the cluster's CA",
  purpose: 'the certificate is not made for both TLS roles',
  untrusted: 'the certificate is not valid',
  'no-name': "none of the certificate's DNS names is a party of the cluster",
  'several-names': "the certificate's DNS names include several parties of the cluster",
  self: 'the certificate is of the party that it was shown to',
  'other-party': 'the certificate is of another party',
  fingerprint: 'the certificate is not the one whose fingerprint cluster.json gives',
  direction: 'the other side should have waited to be dialled: the order of parties in cluster.json differs',
  'other-name': 'the name in the first frame is not the one in the certificate',
  malformed: 'what it sends is not the protocol of this program',
  superseded: 'another process has been started under the same name',
  inconsistent: 'it leaves out or repeats messages, or acknowledges some that were never sent',
} as const;

export type Refusal = keyof typeof REFUSALS;

/** The refusal that `body` of a `refusal` frame names; `undefined` for one that this version does not know. */
export function decodeRefusal(body: Uint8Array): Refusal | undefined {
  const text = Buffer.from(body).toString('latin1');
  return Object.hasOwn(REFUSALS, text) ? (text as Refusal) : undefined;
}

/** How this party's user is told that it refuses a peer. */
export const refusalOfPeer = (refusal: Refusal): string =>
  REFUSALS[refusal].replace(/^the certificate/, 'its certificate');

/** How this party's user is told that a peer refuses it, for a reason that this version may not know. */
export function refusalByPeer(refusal: Refusal | undefined): string {
  const reason = refusal === undefined ? 'for an unknown reason' : REFUSALS[refusal];
  return `it refuses this party: ${reason.replace(/^the certificate/, "this party's certificate")}`;
}

export const encodeRefusal = (refusal: Refusal): Uint8Array => new Uint8Array(Buffer.from(refusal, 'latin1'));

/** A party as far as its certificate is concerned. */
export interface Identity {
  readonly name: PartyName;
  /** SHA-256 of its certificate in hex, colons and case ignored; pins the certificate. */
  readonly fingerprint?: string;
}

export type Verdict =
  /** `expires`: when the certificate does. */
  | { readonly party: PartyName; readonly expires: Date; readonly refusal?: undefined }
  /** `claimed`: the name that a refused certificate bears. Anybody can make such a certificate. */
  | { readonly refusal: Refusal; readonly claimed?: PartyName };

/** OpenSSL's verification errors that have a text of their own. */
const CHAIN_REFUSALS: Readonly<Record<string, Refusal>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
  UNABLE_TO_GET_ISSUER_CERT: 'other-authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'other-authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'other-authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'other-authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'other-authority',
  CERT_SIGNATURE_FAILURE: 'other-authority',
  INVALID_PURPOSE: 'purpose',
};

/** The cluster's names among the DNS names of `certificate`. OpenSSL compares, so no text is parsed here. */
export const namesIn = (certificate: X509Certificate, parties: readonly Identity[]): PartyName[] =>
  parties
    .map((party) => party.name)
    .filter((name) => certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined);

const plainFingerprint = (text: string): string => text.replaceAll(':', '').toLowerCase();

/** The party at the other end of `socket`, whose handshake is done, or why it is none. */
export function judge(socket: TLSSocket, self: PartyName, parties: readonly Identity[]): Verdict {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { refusal: 'no-certificate' };
  const names = namesIn(certificate, parties);
  const [party] = names;
  const claim = party === undefined || names.length > 1 ? {} : { claimed: party };
  const refusal =
    judgeConnection(socket) ??
    judgeNames(names, self) ??
    judgePin(certificate, parties.find((known) => known.name === party)?.fingerprint);
  if (refusal !== undefined) return { refusal, ...claim };
  return { party: party as PartyName, expires: new Date(certificate.validTo) };
}

function judgeConnection(socket: TLSSocket): Refusal | undefined {
  // A resumed TLS session skips the certificate checks. None is ever offered; none is accepted either.
  if (socket.getProtocol() !== 'TLSv1.3' || socket.isSessionReused()) return 'tls';
  if (socket.alpnProtocol !== APPLICATION_PROTOCOL) return 'tls';
  if (socket.authorized) return undefined;
  // At run time this is OpenSSL's code, whatever the declared type says.
  return CHAIN_REFUSALS[String(socket.authorizationError)] ?? 'untrusted';
}

function judgeNames(names: readonly PartyName[], self: PartyName): Refusal | undefined {
  if (names.length === 0) return 'no-name';
  if (names.length > 1) return 'several-names';
  return names[0] === self ? 'self' : undefined;
}

const judgePin = (certificate: X509Certificate, pin: string | undefined): Refusal | undefined =>
  pin === undefined || plainFingerprint(certificate.fingerprint256) === plainFingerprint(pin)
    ? undefined
    : 'fingerprint';
