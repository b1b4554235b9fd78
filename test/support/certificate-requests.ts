/** Certificate requests as other programs, and enemies, make them; and their DER taken apart. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export interface RequestFields {
  /** Alternative names; none: no such extension. */
  readonly names?: x509.JsonGeneralNames;
  readonly subject?: string;
  /** How the key is made; default P-256. */
  readonly algorithm?: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams;
  readonly hash?: string;
  /** Instead of a new key. */
  readonly keys?: webcrypto.CryptoKeyPair;
  readonly extensions?: readonly x509.Extension[];
}

export const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export const newKeys = (
  algorithm: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams = P256,
): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

/** A request, PEM. */
export async function requestFor({
  names,
  subject = 'CN=alice',
  algorithm = P256,
  hash = 'SHA-256',
  keys,
  extensions = [],
}: RequestFields): Promise<string> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subject,
    keys: keys ?? (await newKeys(algorithm)),
    signingAlgorithm: { name: algorithm.name, hash },
    extensions: [
      ...(names === undefined ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      ...extensions,
    ],
  });
  return request.toString('pem');
}

/** The DER in a PEM text, and back. */
export const derOf = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
export const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;

/** The elements inside the outermost one of `der`: their content, and all of them with their headers. */
export function elementsOf(der: Buffer): { readonly content: Buffer; readonly whole: Buffer }[] {
  const elements = [];
  for (let rest = contentOf(der).content; rest.length > 0; ) {
    const { content, length } = contentOf(rest);
    elements.push({ content, whole: rest.subarray(0, length) });
    rest = rest.subarray(length);
  }
  return elements;
}

/** The content of the first element of `der`, and the length of all of that element. */
function contentOf(der: Buffer): { content: Buffer; length: number } {
  const first = der[1]!;
  const digits = first < 0x80 ? 0 : first & 0x7f;
  const size = digits === 0 ? first : der.readUIntBE(2, digits);
  const start = 2 + digits;
  return { content: der.subarray(start, start + size), length: start + size };
}

/**
 * For alice, by OpenSSL 3.0 (`openssl req -new`), with a challenge password, as an organisation, and with the wish
 * to be a CA that signs code; its public key has the SHA-256 {@link OPENSSL_KEY}.
 */
export const OPENSSL_REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIIBTzCB9wIBADAiMRAwDgYDVQQKDAdFeGFtcGxlMQ4wDAYDVQQDDAVhbGljZTBZ
MBMGByqGSM49AgEGCCqGSM49AwEHA0IABOz5HSQuj7llHBk5wZfacB4SEj7txNaq
v0EBJge1xcTRyUcfNfb23tcJOuvZYwVjzsliMTnT7hZkN39fGfXG5eqgczAbBgkq
hkiG9w0BCQcxDgwMbmV2ZXIgY29waWVkMFQGCSqGSIb3DQEJDjFHMEUwDwYDVR0T
AQH/BAUwAwEB/zALBgNVHQ8EBAMCAgQwEwYDVR0lBAwwCgYIKwYBBQUHAwMwEAYD
VR0RBAkwB4IFYWxpY2UwCgYIKoZIzj0EAwIDRwAwRAIgTD6lzCXR45YXbkU9P224
8YCRbAwlILZPx9CR6uEo8bUCIAxvkzouSS2PI1R8y7il/30ujTm9ekhbeJ4fburu
vQGo
-----END CERTIFICATE REQUEST-----
`;
export const OPENSSL_KEY = 'eab72adbee4ccd9ff14643f22224eae33b593748da546bb932fc13a26465d125';

/** For alice, by OpenSSL, the curve P-256 spelt out by its parameters. */
export const SPELT_OUT_REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIIB4zCCAYkCAQAwEDEOMAwGA1UEAwwFYWxpY2UwggFLMIIBAwYHKoZIzj0CATCB
9wIBATAsBgcqhkjOPQEBAiEA/////wAAAAEAAAAAAAAAAAAAAAD/////////////
//8wWwQg/////wAAAAEAAAAAAAAAAAAAAAD///////////////wEIFrGNdiqOpPn
s+u9VXaYhrxlHQawzFOw9jvOPD4n0mBLAxUAxJ02CIbnBJNqZnjhE50mt4GffpAE
QQRrF9Hy4SxCR/i85uVjpEDydwN9gS3rM6D0oTlF2JjClk/jQuL+Gn+bjufrSnwP
nhYrzjNXazFezsu2QGg3v1H1AiEA/////wAAAAD//////////7zm+q2nF56E87nK
wvxjJVECAQEDQgAEazod9Xg67SSRYxewq/HOeM2qOFQ/GPCjY87rwnaZBPFfN3+t
rf1vGbb9Oj6yFAyqmheSKqm+p3xrNppcuYEn1aAjMCEGCSqGSIb3DQEJDjEUMBIw
EAYDVR0RBAkwB4IFYWxpY2UwCgYIKoZIzj0EAwIDSAAwRQIhAOOsFLqA+R3puvet
3jFkXXhAXF7YHLavzIAyR9qpR3pPAiBottwFwLMYyY8Yrc8VOiRsmwJTaFFvjdBO
GejRwNEjXg==
-----END CERTIFICATE REQUEST-----
`;
