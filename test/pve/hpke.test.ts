import assert from 'node:assert/strict';
import { createECDH, createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core';
import { Secret, toHex } from '#src/core/bytes.js';
import {
  derivePrivateKey,
  extractAndExpand,
  keySchedule,
  keyScheduleContext,
  NENC,
  open,
  seal,
} from '#src/pve/hpke.js';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const NO_AAD = new Uint8Array(0);

/**
 * Mode 0, KEM 0x0010, KDF 0x0001, AEAD 0x0002 of the test-vectors.json from which RFC 9180's appendix was made
 * (cfrg/draft-irtf-cfrg-hpke); the appendix itself prints this KEM with AES-128-GCM only.
 */
const SUITE = {
  info: '4f6465206f6e2061204772656369616e2055726e',
  ikmE: 'a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c',
  ikmR: 'a0ce15d49e28bd47a18a97e147582d814b08cbe00109fed5ec27d1b4e9f6f5e3',
  pkR:
    '04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f' +
    '853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c',
  skR: '317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2',
  enc:
    '04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e' +
    '0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0',
  sharedSecret: '48893fecd82f7c3456af6a42d8f56325d21e08c10fa81299986aaff54cde7b49',
  key: 'ee16802a936d5f544771131900ee6973d0551de9e852ece2ef34bf0d5f9e1d1d',
  nonce: '9bc50980832a7b4b58c40161',
  aad: '436f756e742d30',
  plaintext: '4265617574792069732074727574682c20747275746820626561757479',
  ciphertext: '58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f',
};

/** RFC 9180 §A.3.1: the same KEM. */
const APPENDIX = {
  ikmE: '4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e',
  skE: '4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb',
  enc:
    '04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9' +
    '8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4',
  ikmR: '668b37171f1072f3cf12ea8a236a45df23fc13b82af3609ad1e354f6ef817550',
  skR: 'f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2',
  pkR:
    '04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82' +
    '6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0',
  sharedSecret: 'c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8',
};

const derived = (ikm: string): string => {
  using sk = derivePrivateKey(hex(ikm));
  return toHex(sk.bytes);
};

/** Diffie–Hellman of a private key given as a scalar. */
const agreeWith = (sk: string) => (enc: Uint8Array) => {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(sk, 'hex');
  return ecdh.computeSecret(enc);
};

const opened = (secret: Secret | undefined): string | undefined => secret && toHex(secret.bytes);

test('DeriveKeyPair gives the published keys', () => {
  assert.equal(derived(APPENDIX.ikmE), APPENDIX.skE);
  assert.equal(derived(APPENDIX.ikmR), APPENDIX.skR);
  assert.equal(derived(SUITE.ikmR), SUITE.skR);
});

test('the KEM gives the published shared secrets', () => {
  for (const { skR, pkR, enc, sharedSecret } of [APPENDIX, SUITE]) {
    const dh = Secret.own(agreeWith(skR)(hex(enc)));
    assert.equal(opened(extractAndExpand(dh, hex(enc), hex(pkR))), sharedSecret);
  }
});

test('the key schedule gives the published key and nonce', () => {
  const sharedSecret = Secret.own(hex(SUITE.sharedSecret));
  const { key, nonce } = keySchedule(sharedSecret, keyScheduleContext(hex(SUITE.info)));
  assert.equal(toHex(key.bytes), SUITE.key);
  assert.equal(toHex(nonce), SUITE.nonce);
});

test('sealing gives the published ciphertext, and opening undoes it', () => {
  const context = keyScheduleContext(hex(SUITE.info));
  const { pkR, aad, plaintext, ikmE } = SUITE;
  const sealed = seal(hex(pkR), context, hex(aad), hex(plaintext), hex(ikmE));
  assert.equal(toHex(sealed), SUITE.enc + SUITE.ciphertext);
  assert.equal(opened(open(agreeWith(SUITE.skR), hex(pkR), context, hex(aad), sealed)), plaintext);
});

test('whatever differs from what was sealed does not open', () => {
  const context = keyScheduleContext(hex(SUITE.info));
  const agree = agreeWith(SUITE.skR);
  const pkR = hex(SUITE.pkR);
  const sealed = hex(SUITE.enc + SUITE.ciphertext);
  const aad = hex(SUITE.aad);
  for (let i = 0; i < sealed.length; i++) {
    const altered = Uint8Array.from(sealed);
    altered[i]! ^= 1;
    assert.equal(open(agree, pkR, context, aad, altered), undefined, `byte ${i}`);
  }
  assert.equal(open(agree, pkR, context, NO_AAD, sealed), undefined);
  assert.equal(open(agree, pkR, keyScheduleContext(hex('00')), aad, sealed), undefined);
  assert.equal(open(agreeWith(APPENDIX.skR), pkR, context, aad, sealed), undefined);
  for (const length of [0, 1, NENC, NENC + 15, sealed.length - 1]) {
    assert.equal(open(agree, pkR, context, aad, sealed.subarray(0, length)), undefined);
  }
});

// Another implementation

const suite = new CipherSuite({
  kem: new DhkemP256HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

/** A fixed key in the forms that the two sides want. */
function bothForms(sk: string, pk: string) {
  const point = Buffer.from(pk, 'hex');
  const jwk = {
    ...{ kty: 'EC', crv: 'P-256', d: Buffer.from(sk, 'hex').toString('base64url') },
    x: point.toString('base64url', 1, 33),
    y: point.toString('base64url', 33),
  };
  const algorithm = { name: 'ECDH', namedCurve: 'P-256' };
  return {
    privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
    webPrivateKey: crypto.subtle.importKey('jwk', jwk, algorithm, true, ['deriveBits']),
    webPublicKey: crypto.subtle.importKey('raw', point, algorithm, true, []),
  };
}

/** Diffie–Hellman of a key object, as the recovery key does it. */
const agreeByKeyObject = (privateKey: KeyObject) => (enc: Uint8Array) => {
  const point = Buffer.from(enc);
  const key = {
    kty: 'EC',
    crv: 'P-256',
    x: point.toString('base64url', 1, 33),
    y: point.toString('base64url', 33),
  };
  return diffieHellman({ privateKey, publicKey: createPublicKey({ key, format: 'jwk' }) });
};

test('@hpke/core opens what is sealed here, and the other way round', async () => {
  const { privateKey, webPrivateKey, webPublicKey } = bothForms(SUITE.skR, SUITE.pkR);
  const info = hex('0102');
  const context = keyScheduleContext(info);
  for (let round = 0; round < 8; round++) {
    const plaintext = crypto.getRandomValues(new Uint8Array(32));
    const sealed = seal(
      hex(SUITE.pkR),
      context,
      NO_AAD,
      plaintext,
      crypto.getRandomValues(new Uint8Array(32)),
    );
    const theirs = await suite.open(
      { recipientKey: await webPrivateKey, enc: sealed.slice(0, NENC).buffer, info: info.slice().buffer },
      sealed.slice(NENC).buffer,
    );
    assert.deepEqual(new Uint8Array(theirs), plaintext);

    const { enc, ct } = await suite.seal(
      { recipientPublicKey: await webPublicKey, info: info.slice().buffer },
      plaintext.buffer,
    );
    const both = Buffer.concat([Buffer.from(enc), Buffer.from(ct)]);
    const ours = open(agreeByKeyObject(privateKey), hex(SUITE.pkR), context, NO_AAD, both);
    assert.equal(opened(ours), toHex(plaintext));
  }
});
