import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import type { Keystore } from '#src/keystore/keystore.js';
import { chooseKey } from '#src/party/choose-key.js';

/** A store of keys with these ids. */
const storeOf = (...ids: string[]): Keystore => {
  const keys = ids.map((hex) => ({ keyId: fromHex(hex)!, sharings: [], backups: [] }));
  return { folder: 'state/alice', keys: () => keys } as unknown as Keystore;
};

const chosen = (keystore: Keystore, wanted?: string): string => toHex(chooseKey(keystore, wanted).keyId);

const refuses = (keystore: Keystore, wanted: string | undefined, message: RegExp, hint: RegExp): void => {
  assert.throws(
    () => chooseKey(keystore, wanted),
    (error: Error) => {
      assert.ok(error instanceof MpcError && error.code === 'USAGE');
      assert.match(error.message, message);
      assert.match(error.hint ?? '', hint);
      return true;
    },
  );
};

test('a key is named by its id or the first digits of it, or not at all where there is one', () => {
  const [a, b] = ['1f6c7d0a', '1f6c8e00'];
  assert.equal(chosen(storeOf(a)), a);
  assert.equal(chosen(storeOf(a, b), '1f6c7'), a);
  assert.equal(chosen(storeOf(a, b), '1F6C8E00'), b);
});

test('what names no key, or several, is refused with the list of keys', () => {
  const [a, b] = ['1f6c7d0a', '1f6c8e00'];
  const list = /^the keys in state\/alice: 1f6c7d0a, 1f6c8e00$/;
  refuses(storeOf(a, b), undefined, /^there are 2 keys: which one\? --key is missing$/, list);
  refuses(storeOf(a, b), '1f6c', /^several keys begin with 1f6c$/, list);
  refuses(storeOf(a, b), '1f6c9', /^there is no key 1f6c9$/, list);
  refuses(storeOf(a, b), '1f6', /^"1f6" is no key id: give at least its first 4 hex digits$/, list);
  refuses(storeOf(a), '1f6c7d0g', /is no key id/, /1f6c7d0a/);
  refuses(storeOf(a), '1f6c7d0a00', /there is no key/, /1f6c7d0a/);
  refuses(storeOf(), undefined, /holds no key yet/, /keygen/);
});
