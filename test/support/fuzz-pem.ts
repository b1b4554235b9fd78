/** Spoiled PEM: the text, the DER in it, or both; and blocks that should not stand together. */
import fc from 'fast-check';
import { spoiled, spoiledText } from './fuzz.js';

/** The DER in the first block of `pem` and its label. */
function unwrap(pem: string): { label: string; der: Uint8Array } {
  const [, label = 'NONE', base64 = ''] = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END/.exec(pem) ?? [];
  return { label, der: new Uint8Array(Buffer.from(base64, 'base64')) };
}

const wrap = (label: string, der: Uint8Array): string => {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
};

const labels = fc.constantFrom(
  'PUBLIC KEY',
  'PRIVATE KEY',
  'CERTIFICATE',
  'EC PRIVATE KEY',
  'RSA PRIVATE KEY',
  'ENCRYPTED PRIVATE KEY',
  'RSA PUBLIC KEY',
  'X',
);

/** One of `pems`, spoiled. */
export function spoiledPem(pems: readonly string[]): fc.Arbitrary<string> {
  const honest = fc.constantFrom(...pems);
  const inside = honest.chain((pem) => {
    const { label, der } = unwrap(pem);
    return spoiled(fc.constant(der)).map((bytes) => wrap(label, bytes));
  });
  const relabelled = fc.tuple(honest, labels).map(([pem, label]) => wrap(label, unwrap(pem).der));
  const joined = fc
    .tuple(fc.oneof(honest, inside, labels), fc.oneof(honest, inside))
    .map((parts) => parts.join(''));
  return fc.oneof(
    { weight: 6, arbitrary: inside },
    { weight: 3, arbitrary: spoiledText(honest) },
    { weight: 3, arbitrary: honest },
    relabelled,
    joined,
    fc.string({ maxLength: 100 }),
  );
}
