import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import {
  APPLICATION_PROTOCOL,
  decodeRefusal,
  encodeRefusal,
  judge,
  namesIn,
  REFUSALS,
  type Refusal,
  refusalByPeer,
  refusalOfPeer,
} from '#src/transport/identity.js';
import { daysFromNow, TestAuthority } from '../support/certs.js';

const PARTIES = [{ name: 'alice' }, { name: 'bob' }, { name: 'bob-2' }];

let authority: TestAuthority;
let bob: X509Certificate;
/** Certificates count in seconds. */
const expires = new Date(Math.floor(daysFromNow(9).getTime() / 1000) * 1000);

before(async () => {
  authority = await TestAuthority.create();
  bob = new X509Certificate((await authority.issue(['bob'], { notAfter: expires })).cert);
});

interface Seen {
  protocol?: string;
  reused?: boolean;
  alpn?: string | false;
  authorized?: boolean;
  error?: string;
  certificate?: X509Certificate;
}

/** A socket after its handshake that has seen a good certificate of bob's, but for what is given. */
const socketThat = (seen: Seen): TLSSocket =>
  ({
    getPeerX509Certificate: () => ('certificate' in seen ? seen.certificate : bob),
    getProtocol: () => seen.protocol ?? 'TLSv1.3',
    isSessionReused: () => seen.reused ?? false,
    alpnProtocol: seen.alpn ?? APPLICATION_PROTOCOL,
    authorized: seen.authorized ?? true,
    authorizationError: seen.error ?? null,
  }) as unknown as TLSSocket;

test('a good certificate names its party, and says how long', () => {
  assert.deepEqual(judge(socketThat({}), 'alice', PARTIES), { party: 'bob', expires });
});

test('each doubt about the connection is a refusal of its own', () => {
  const cases: [Refusal, Seen][] = [
    ['tls', { protocol: 'TLSv1.2' }],
    ['tls', { reused: true }],
    ['tls', { alpn: false }],
    ['tls', { alpn: 'h2' }],
    ['untrusted', { authorized: false, error: 'CERT_REVOKED' }],
    ['untrusted', { authorized: false }],
    ['expired', { authorized: false, error: 'CERT_HAS_EXPIRED' }],
    ['other-authority', { authorized: false, error: 'CERT_SIGNATURE_FAILURE' }],
  ];
  for (const [refusal, seen] of cases) {
    assert.deepEqual(judge(socketThat(seen), 'alice', PARTIES), { refusal, claimed: 'bob' }, refusal);
  }
  assert.deepEqual(judge(socketThat({ certificate: undefined as never }), 'alice', PARTIES), {
    refusal: 'no-certificate',
  });
});

test('a pin must match, whatever its colons and case', () => {
  const pinned = (fingerprint: string) =>
    judge(socketThat({}), 'alice', [{ name: 'alice' }, { name: 'bob', fingerprint }]);
  const pin = bob.fingerprint256;
  for (const same of [pin, pin.replaceAll(':', '').toLowerCase()])
    assert.deepEqual(pinned(same), { party: 'bob', expires });
  const altered = `${pin.slice(0, -1)}${pin.endsWith('0') ? '1' : '0'}`;
  for (const wrong of [altered, pin.slice(0, -3), '']) {
    assert.deepEqual(pinned(wrong), { refusal: 'fingerprint', claimed: 'bob' });
  }
});

test('names are whole DNS names: no part, no wildcard, no address, no common name', async () => {
  const names = async (dns: readonly string[], commonName?: string) => {
    const { cert } = await authority.issue(dns, commonName === undefined ? {} : { commonName });
    return namesIn(new X509Certificate(cert), PARTIES);
  };
  assert.deepEqual(await names(['bob', 'localhost']), ['bob']);
  assert.deepEqual(await names(['bob-2']), ['bob-2']);
  assert.deepEqual(await names(['bob', 'bob-2', 'alice']), ['alice', 'bob', 'bob-2']);
  for (const dns of [['bob.example.com'], ['xbob'], ['b*'], ['*'], ['bob, DNS:alice']]) {
    assert.deepEqual(await names(dns, 'bob'), [], dns[0]);
  }
});

test('each side is told whose certificate is refused', () => {
  assert.equal(refusalOfPeer('expired'), 'its certificate has expired');
  assert.equal(refusalByPeer('expired'), "it refuses this party: this party's certificate has expired");
  assert.equal(refusalOfPeer('superseded'), REFUSALS.superseded);
  assert.equal(refusalByPeer('superseded'), `it refuses this party: ${REFUSALS.superseded}`);
  assert.equal(refusalByPeer(undefined), 'it refuses this party: for an unknown reason');
});

test('every refusal survives the wire, and unknown ones are undefined', () => {
  for (const refusal of Object.keys(REFUSALS) as Refusal[]) {
    assert.ok(encodeRefusal(refusal).length <= 64);
    assert.equal(decodeRefusal(encodeRefusal(refusal)), refusal);
  }
  for (const text of ['', 'constructor', 'toString', 'EXPIRED', '\u001b[2J']) {
    assert.equal(decodeRefusal(new Uint8Array(Buffer.from(text, 'latin1'))), undefined);
  }
});
