/** Backup files and recovery keys from anywhere: what they say, or a BACKUP or FILE error. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { decode, encode, type Plain } from '#src/core/codec.js';
import type { MpcError } from '#src/core/errors.js';
import {
  backupToText,
  describeBackup,
  parseBackup,
  recoverShare,
  verifyBackup,
} from '#src/pve/backup-file.js';
import { privateKeyFromPem, recipientFromPem, SCHEMES, type Scheme } from '#src/pve/recipient.js';
import { backupOf, newRecoveryKey, type RecoveryKey, sharedKey } from '../support/backups.js';
import {
  allocatedBy,
  anythingFor,
  cases,
  cborNoise,
  plainData,
  refusalWith,
  spoiled,
  spoiledData,
  spoiledText,
  unlessRefused,
} from '../support/fuzz.js';
import { spoiledPem } from '../support/fuzz-pem.js';

const MIB = 1024 * 1024;
const isRefusal = refusalWith('BACKUP');
const shared = sharedKey('secp256k1');

const keys = new Map<Scheme, RecoveryKey>();
const files = new Map<Scheme, Uint8Array>();

before(async () => {
  for (const scheme of SCHEMES) {
    const key = await newRecoveryKey(scheme);
    keys.set(scheme, key);
    files.set(scheme, backupOf(shared, key.recipient));
  }
});

function encodeOrNothing(plain: Plain): Uint8Array {
  try {
    return encode(plain);
  } catch {
    return new Uint8Array();
  }
}

for (const scheme of SCHEMES) {
  const spoiledFiles = (): fc.Arbitrary<Uint8Array> => {
    const file = files.get(scheme)!;
    const plain = decode(file, 1 << 16) as { readonly [name: string]: Plain };
    const shapes = spoiledData(fc.constant(plain), plainData as fc.Arbitrary<typeof plain>);
    // The long parts are most of the places in the file: the others get their turn, too.
    const { rows: _rows, seeds: _seeds, ...head } = plain;
    const heads = spoiledData(fc.constant(head as typeof plain), plainData as fc.Arbitrary<typeof plain>);
    return fc.oneof(
      { weight: 3, arbitrary: anythingFor(fc.constant(file)) },
      shapes.map(encodeOrNothing),
      heads.map((changed) => encodeOrNothing({ ...plain, ...changed })),
    );
  };

  test(`a spoiled ${scheme} backup is refused, or read, shown and judged`, () => {
    let read = 0;
    fc.assert(
      fc.property(spoiledFiles(), (file) => {
        const backup = unlessRefused(() => parseBackup(file), isRefusal);
        assert.equal(
          unlessRefused(() => parseBackup(backupToText(file)), isRefusal) === undefined,
          backup === undefined,
        );
        if (backup === undefined) return;
        read += 1;
        assert.ok(JSON.stringify(describeBackup(backup)).length > 0);
        const x = unlessRefused(() => recoverShare(backup, keys.get(scheme)!.privateKey), isRefusal);
        x?.dispose();
        // Verifying takes long: some of them.
        if (read % 16 !== 0) return;
        const verified = unlessRefused(() => verifyBackup(backup), isRefusal);
        assert.equal(verified !== undefined, Buffer.compare(file, files.get(scheme)!) === 0);
      }),
      cases(100),
    );
    assert.ok(read > 0);
  });
}

test('the text of a backup is read from one form only', () => {
  const honest = fc.constantFrom(...SCHEMES).map((scheme) => backupToText(files.get(scheme)!));
  const others = fc.oneof(
    spoiledText(honest),
    honest.map((text) => text.toUpperCase()),
    honest.map((text) => `${text}\n`),
    honest.map((text) => text.replace('\n', '\r\n')),
    cborNoise.map(backupToText),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constant('a1'.repeat(MIB / 2)),
  );
  const originals = SCHEMES.map((scheme) => backupToText(files.get(scheme)!));
  fc.assert(
    fc.property(others, (text) => {
      const backup = unlessRefused(() => parseBackup(text), isRefusal);
      if (backup) assert.ok(text.length === 2 * backup.bytes + 1 && /^[0-9a-f]+\n$/.test(text));
      if (originals.includes(text)) assert.ok(backup);
    }),
    cases(),
  );
});

test('a backup that announces 4 GiB of anything allocates nothing near it', () => {
  for (const scheme of SCHEMES) {
    const file = files.get(scheme)!;
    for (const head of [0x5a, 0x7a, 0x9a, 0xba]) {
      for (let at = 0; at < 200; at += 19) {
        const bytes = Uint8Array.from(file);
        bytes.set([head, 0xff, 0xff, 0xff, 0xff], at);
        const allocated = allocatedBy(() => unlessRefused(() => parseBackup(bytes), isRefusal));
        assert.ok(allocated < MIB, `byte ${at}: ${allocated} bytes`);
      }
    }
  }
});

/** Keys of every kind that OpenSSL makes, good and bad ones, as PEM. */
function keyPems(): { publicPems: string[]; privatePems: string[] } {
  const pairs = [
    generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 65537 }),
    generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 3 }),
    generateKeyPairSync('rsa-pss', {
      modulusLength: 1024,
      hashAlgorithm: 'sha256',
      mgf1HashAlgorithm: 'sha256',
    }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    generateKeyPairSync('x25519'),
    generateKeyPairSync('ed448'),
  ];
  const encrypted = pairs[3]!.privateKey.export({
    ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
  });
  return {
    publicPems: pairs.map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' }).toString()),
    privatePems: [
      ...pairs.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      pairs[0]!.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
      pairs[3]!.privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
      encrypted.toString(),
    ],
  };
}

const { publicPems, privatePems } = keyPems();

test('a spoiled recovery key is refused, or can be used', () => {
  const pems = spoiledPem([...publicPems, ...privatePems]);
  const plaintext = new Uint8Array(32).fill(7);
  const info = new Uint8Array(32);
  const seen = { public: 0, private: 0 };
  fc.assert(
    fc.property(pems, (pem) => {
      const recipient = unlessRefused(() => recipientFromPem(pem), refusalWith('FILE'));
      if (recipient) {
        seen.public += 1;
        recipient.encryptor(info)(plaintext, new Uint8Array(32).fill(9));
      }
      const bytes = Buffer.from(pem, 'latin1');
      const privateKey = unlessRefused(() => privateKeyFromPem(bytes), refusalWith('FILE'));
      if (privateKey) {
        seen.private += 1;
        privateKey
          .decrypt(info, privateKey.recipient.encryptor(info)(plaintext, new Uint8Array(32)))
          ?.dispose();
      }
      unlessRefused(() => privateKeyFromPem(bytes, 'secret'), refusalWith('FILE'));
    }),
    cases(),
  );
  assert.ok(seen.public > 0 && seen.private > 0);
});

test('a private key that was spoiled is not quoted in the error', () => {
  const { privatePems } = keyPems();
  fc.assert(
    fc.property(fc.constantFrom(...privatePems), spoiled(fc.constant(new Uint8Array(60))), (pem, noise) => {
      const lines = pem.split('\n');
      lines[2] = Buffer.from(noise).toString('base64');
      // Here and there it is a key all the same, if another one.
      unlessRefused(
        () => privateKeyFromPem(Buffer.from(lines.join('\n'))),
        (error) =>
          refusalWith('FILE')(error) &&
          (error as MpcError).cause === undefined &&
          !(error as MpcError).message.includes(lines[1]!.slice(0, 16)),
      );
    }),
    cases(20),
  );
});
