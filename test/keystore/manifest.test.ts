/** A manifest is believed only where it fits the key, the party and itself, however it was encrypted. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { randomBytes, toHex } from '#src/core/bytes.js';
import { decode, encode, type Plain, UndecodableError } from '#src/core/codec.js';
import {
  decodeManifest,
  emptyManifest,
  encodeManifest,
  type Manifest,
  shareFile,
} from '#src/keystore/manifest.js';
import { PARTIES, testBackup, testKey, testSetup } from '../support/stored-keys.js';

const share = testKey().share(1);
const setup = testSetup();
after(() => {
  share[Symbol.dispose]();
  setup[Symbol.dispose]();
});
const { sharing } = share;
const { keyId } = sharing;
const info = { sharing, confirmed: true, origin: 'refresh', setups: [setup.info] } as const;
const condemned = [shareFile(keyId, randomBytes(32))];
const manifest: Manifest = {
  ...{ ...emptyManifest(sharing), sharings: [info], backups: [testBackup(share)], condemned },
};
const refused = (bytes: Uint8Array, party = 'alice', id = keyId): void =>
  assert.throws(() => decodeManifest(bytes, id, party), UndecodableError);

test('a manifest is read as it was written', () => {
  const read = decodeManifest(encodeManifest(manifest), keyId, 'alice');
  assert.deepEqual(encodeManifest(read), encodeManifest(manifest));
  assert.deepEqual(read.sharings[0]!.sharing.parties, PARTIES);
  assert.deepEqual(read.sharings[0]!.sharing.policy, sharing.policy);
});

test('of another key, or of a key that this party has no share of, it is refused', () => {
  const bytes = encodeManifest(manifest);
  refused(bytes, 'alice', randomBytes(16));
  refused(encodeManifest(emptyManifest(sharing)), 'alice', randomBytes(16));
  refused(bytes, 'dave');
});

test('public shares that do not add up to the public key are refused', () => {
  const { curve, publicShares } = sharing;
  const other = new Map([...publicShares, ['alice', curve.G]]);
  refused(
    encodeManifest({ ...manifest, sharings: [{ ...info, sharing: { ...sharing, publicShares: other } }] }),
  );
  using stranger = testKey().share(1);
  refused(encodeManifest({ ...manifest, publicKey: stranger.sharing.publicKey }));
});

test('parties and set-ups that do not belong together are refused', () => {
  const withSetup = (parties: readonly string[]) =>
    encodeManifest({ ...manifest, sharings: [{ ...info, setups: [{ ...setup.info, parties }] }] });
  refused(withSetup(['bob', 'charlie']));
  refused(withSetup(['alice', 'dave']));
  const plain = decode(encodeManifest(manifest), 100_000) as { sharings: { [key: string]: Plain }[] };
  const withFields = (fields: { [key: string]: Plain }) =>
    encode({ ...plain, sharings: [{ ...plain.sharings[0]!, ...fields }] } as unknown as Plain);
  decodeManifest(withFields({}), keyId, 'alice');
  refused(withFields({ parties: ['alice', 'bob'] }));
  refused(withFields({ parties: ['alice', 'bob', 'bob'] }));
  refused(withFields({ parties: ['alice', 'bob', 'dave'] }));
  refused(withFields({ policy: encode('alice') }));
  refused(withFields({ policy: randomBytes(9000) }));
  refused(withFields({ publicShares: (plain.sharings[0]!.publicShares as Plain[]).slice(1) }));
  refused(withFields({ epoch: -1 }));
  refused(withFields({ origin: 'thin air' }));
  refused(withFields({ more: 1 }));
  for (const fields of [{ curve: 'P-384' }, { curve: 'secp256k1' }, { more: 1 }])
    refused(encode({ ...plain, ...fields } as unknown as Plain));
});

test('only files of secrets of this key can be condemned, and none that is in use', () => {
  const condemning = (...names: string[]) => encodeManifest({ ...manifest, condemned: names });
  refused(condemning(shareFile(randomBytes(16), randomBytes(32))));
  refused(condemning(shareFile(keyId, sharing.shid)));
  refused(condemning(condemned[0]!, condemned[0]!));
  for (const name of ['keystore.json', `${toHex(keyId)}.key`, `../${condemned[0]}`, `${condemned[0]}/..`])
    assert.throws(() => condemning(name), name);
});
