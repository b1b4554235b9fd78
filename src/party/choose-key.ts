/** Which stored key a command is about, and whether it can be used. */
import type { ClusterConfig } from '../config/cluster.js';
import { MpcError } from '../core/errors.js';
import { displayPath } from '../files/files.js';
import type { Keystore, StoredKey } from '../keystore/keystore.js';
import { printId, type Sharing } from '../protocol/key-share.js';
import { isPending, newestOf } from './stored-keys.js';

/** Fewest digits of a key id that name a key. */
const MIN_DIGITS = 4;

/**
 * The key whose id, in hex, begins with `wanted`; without it the only one that there is.
 * Throws `USAGE`, listing the keys, unless exactly one fits.
 */
export function chooseKey(keystore: Keystore, wanted: string | undefined): StoredKey {
  const keys = keystore.keys();
  const ids = keys.map(({ keyId }) => printId(keyId));
  const fault = (message: string): MpcError =>
    new MpcError('USAGE', message, {
      hint: `the keys in ${displayPath(keystore.folder)}: ${ids.join(', ')}`,
    });
  if (keys.length === 0)
    throw new MpcError('USAGE', `${displayPath(keystore.folder)} holds no key yet`, {
      hint: 'make one with `ecdsa-mpc keygen`, or recover one with `ecdsa-mpc backup recover`',
    });
  const [only, another] = keys;
  if (wanted === undefined) {
    if (another === undefined) return only!;
    throw fault(`there are ${keys.length} keys: which one? --key is missing`);
  }
  const digits = wanted.toLowerCase();
  if (!/^[0-9a-f]*$/.test(digits) || digits.length < MIN_DIGITS)
    throw fault(`${JSON.stringify(wanted)} is no key id: give at least its first ${MIN_DIGITS} hex digits`);
  const [found, second] = keys.filter((_key, index) => ids[index]!.startsWith(digits));
  if (found === undefined) throw fault(`there is no key ${digits}`);
  if (second !== undefined) throw fault(`several keys begin with ${digits}`);
  return found;
}

/** Throws `USAGE` for a key that is pending: not all of its parties are known to have stored it. */
export function checkComplete(key: StoredKey): void {
  if (!isPending(newestOf(key))) return;
  throw new MpcError('USAGE', `the key ${printId(key.keyId)} is pending: its generation was cut off`, {
    hint: 'complete it first: run `ecdsa-mpc keygen` at all of its parties',
  });
}

/** Throws `CONFIG` unless the parties of the key are parties of the cluster, in the same order. */
export function checkParties({ path, parties }: ClusterConfig, { keyId, parties: own }: Sharing): void {
  const names = parties.map(({ name }) => name);
  if (names.filter((name) => own.includes(name)).join() === own.join()) return;
  throw new MpcError(
    'CONFIG',
    `the key ${printId(keyId)} belongs to ${own.join(', ')}, and ${displayPath(path)} lists ${names.join(', ')}`,
    { hint: 'name the cluster file of these parties with --config, in the order in which the key was made' },
  );
}
