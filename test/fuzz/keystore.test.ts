/**
 * The files of a state folder, spoiled: the header, which anybody can read and write, and what lies behind the
 * encryption, which only a fault here or a holder of the passphrase could spoil.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { randomBytes, Secret } from '#src/core/bytes.js';
import { decode, encode, UndecodableError } from '#src/core/codec.js';
import { newHeader, parseHeader } from '#src/keystore/header.js';
import { decodeManifest, emptyManifest, encodeManifest } from '#src/keystore/manifest.js';
import { open, seal } from '#src/keystore/sealed.js';
import { anythingFor, cases, plainData, refusalWith, spoiledData, unlessRefused } from '../support/fuzz.js';
import { testBackup, testKey, testSetup } from '../support/stored-keys.js';

const share = testKey().share(1);
const setup = testSetup();
after(() => {
  share[Symbol.dispose]();
  setup[Symbol.dispose]();
});
const { sharing } = share;
const info = { sharing, confirmed: true, origin: 'refresh', setups: [setup.info] } as const;
const manifest = { ...emptyManifest(sharing), sharings: [info], backups: [testBackup(share)] };

test('a manifest', () => {
  const honest = encodeManifest(manifest);
  const shapes = spoiledData(fc.constant(decode(honest, honest.length)), plainData).map((plain) => {
    try {
      return encode(plain);
    } catch {
      return new Uint8Array();
    }
  });
  fc.assert(
    fc.property(fc.oneof(anythingFor(fc.constant(honest)), shapes), (bytes) => {
      const read = unlessRefused(
        () => decodeManifest(bytes, sharing.keyId, 'alice'),
        (error) => error instanceof UndecodableError,
      );
      if (read !== undefined) assert.deepEqual(encodeManifest(read), bytes);
    }),
    cases(100),
  );
});

test('a header', async () => {
  using passphrase = Secret.own(new TextEncoder().encode('a passphrase of tests'));
  const { text, fileKey } = await newHeader('alice', passphrase, { N: 2 ** 14, r: 8, p: 1 });
  fileKey.dispose();
  const honest = new TextEncoder().encode(text);
  fc.assert(
    fc.property(anythingFor(fc.constant(honest)), (bytes) => {
      unlessRefused(() => parseHeader(bytes, 'state/alice/keystore.json'), refusalWith('FILE'));
    }),
    cases(100),
  );
});

test('a sealed file', () => {
  using key = Secret.own(randomBytes(32));
  const place = { party: 'alice', keyId: sharing.keyId, file: 'a.share' };
  const honest = seal(key, place, share.x.bytes);
  fc.assert(
    fc.property(anythingFor(fc.constant(honest)), (bytes) => {
      const content = open(key, place, bytes);
      assert.equal(content !== undefined, Buffer.compare(bytes, honest) === 0);
      content?.dispose();
    }),
    cases(300),
  );
});
