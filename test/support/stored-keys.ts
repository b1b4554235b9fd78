/** Keys to store: sharings with their shares, set-ups with random secrets, and keystores in a folder of their own. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Policy, parsePolicy } from '#src/access/policy.js';
import { publicShares, share } from '#src/access/sharing.js';
import { randomBytes, Secret } from '#src/core/bytes.js';
import type { PartyName } from '#src/core/errors.js';
import { type CurveName, curveByName } from '#src/curve/curve.js';
import {
  type BackupRecord,
  Keystore,
  type KeystoreOptions,
  type NewSetup,
  type StoredKey,
} from '#src/keystore/keystore.js';
import { type KeyShare, makeKeyShare, makeSharing } from '#src/protocol/key-share.js';

/** In an order other than the policy's. */
export const PARTIES: readonly PartyName[] = ['charlie', 'alice', 'bob'];
export const POLICY: Policy = parsePolicy(
  { threshold: 2, of: ['alice', { or: ['bob', 'charlie'] }] },
  PARTIES,
);
export const PASSPHRASE = 'correct horse battery staple';
/** The least that is accepted: tests derive a key for each opening. */
export const COST = { N: 2 ** 14, r: 8, p: 1 };

export const secretOf = (text: string): Secret => Secret.own(new Uint8Array(Buffer.from(text)));

export interface TestKey {
  /** A share of another sharing of the same key. The caller disposes it. */
  share(epoch: number, self?: PartyName): KeyShare;
}

/** A fresh key, or the one with that private key. */
export function testKey(curveName: CurveName = 'P-256', policy = POLICY, parties = PARTIES): TestKey {
  const curve = curveByName(curveName);
  const secret = curve.randomScalar(randomBytes);
  return {
    share: (epoch, self = 'alice') => {
      const { shares, commitments } = share(curve, policy, secret, randomBytes);
      const sharing = makeSharing(
        {
          ...{ curve, policy, parties, epoch },
          publicKey: curve.multiplyBase(secret),
          publicShares: publicShares(curve, policy, commitments, { zero: false }),
        },
        randomBytes(32),
      );
      return makeKeyShare(sharing, self, Secret.fromBigint(shares.get(self)!, 32));
    },
  };
}

/** A set-up with random secrets; the multiplication's state is opaque here. */
export function testSetup(
  parties: readonly PartyName[] = PARTIES,
  self: PartyName = 'alice',
  stateBytes = 1000,
): NewSetup & Disposable {
  const peers = parties.filter((name) => name !== self);
  const seeds = new Map(peers.map((peer) => [peer, Secret.random(32)]));
  const state = Secret.random(stateBytes);
  return {
    info: { id: randomBytes(32), parties, multiplication: 'paillier', security: 112 },
    ...{ seeds, state },
    [Symbol.dispose]: () => {
      for (const secret of [...seeds.values(), state]) secret.dispose();
    },
  };
}

export const testBackup = (share: KeyShare, label = 'backup-alice-1'): BackupRecord => ({
  ...{ label, epoch: share.sharing.epoch, shid: share.sharing.shid },
  ...{ file: `${label}.hex`, recipient: 'ab'.repeat(32), madeAt: '2026-01-02T03:04:05.678Z' },
});

/** A folder for this test file, private, removed by `remove`. */
export function temporaryFolder(): { readonly folder: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-keystore-'));
  chmodSync(folder, 0o700);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Opens alice's folder, made if there is none. */
export async function openKeystore(
  folder: string,
  options: Partial<KeystoreOptions> = {},
): Promise<Keystore> {
  using passphrase = secretOf(PASSPHRASE);
  return await Keystore.open({ folder, party: 'alice', create: true, scrypt: COST, passphrase, ...options });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Everything that a keystore holds, secrets included, in a form that can be compared. */
export const contents = (keystore: Keystore): unknown =>
  keystore.keys().map((key) => keyContents(keystore, key));

const keyContents = (keystore: Keystore, { keyId, sharings, backups }: StoredKey) => ({
  keyId: hex(keyId),
  sharings: sharings.map(({ sharing, confirmed, origin, setups }) => {
    const { curve, policy, parties, epoch, shid, publicKey, publicShares } = sharing;
    using share = keystore.loadShare(keyId, shid);
    return {
      ...{ curve: curve.name, policy, parties, epoch, confirmed, origin },
      ...{ keyId: hex(sharing.keyId), shid: hex(shid), publicKey: hex(publicKey.toBytes()) },
      publicShares: parties.map((name) => hex(publicShares.get(name)!.toBytes())),
      x: hex(share.x.bytes),
      setups: setups.map(({ id, ...info }) => {
        using setup = keystore.loadSetup(keyId, shid, id);
        const seeds = [...setup.seeds].map(([peer, seed]) => [peer, hex(seed.bytes)]);
        return { ...info, id: hex(id), seeds, state: hex(setup.state.bytes) };
      }),
    };
  }),
  backups: backups.map((record) => ({ ...record, shid: hex(record.shid) })),
});
