import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import * as fc from 'fast-check';
import {
  bigintToBytes,
  bitLength,
  bytesToBigint,
  concatBytes,
  equalBytes,
  fromHex,
  randomBytes,
  Secret,
  toHex,
} from '#src/core/bytes.js';

const naturals = fc.bigInt({ min: 0n, max: 2n ** 600n });

test('hex: known values, and both directions', () => {
  assert.equal(toHex(Uint8Array.of(0, 1, 0xab, 0xff)), '0001abff');
  assert.deepEqual(fromHex('0001ABff'), Uint8Array.of(0, 1, 0xab, 0xff));
  assert.deepEqual(fromHex(''), new Uint8Array(0));
  for (const text of ['0', 'abc', 'zz', '0x00', ' 00', '00 ', '0g', '00\n']) {
    assert.equal(fromHex(text), undefined, text);
  }
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(fromHex(toHex(bytes)), Uint8Array.from(bytes));
      assert.match(toHex(bytes), /^[0-9a-f]*$/);
    }),
  );
});

test('hex of a view shows the view, not the buffer under it', () => {
  assert.equal(toHex(Uint8Array.of(1, 2, 3, 4).subarray(1, 3)), '0203');
});

test('concatenation', () => {
  assert.deepEqual(concatBytes(), new Uint8Array(0));
  const parts = [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)];
  const joined = concatBytes(...parts);
  assert.deepEqual(joined, Uint8Array.of(1, 2, 3));
  joined.fill(9);
  assert.deepEqual(parts[0], Uint8Array.of(1, 2));
});

test('equality looks at every byte and at the length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), (bytes, at) => {
      assert.ok(equalBytes(bytes, Uint8Array.from(bytes)));
      const altered = Uint8Array.from(bytes);
      altered[at % bytes.length]! ^= 0x80;
      assert.ok(!equalBytes(bytes, altered));
      assert.ok(!equalBytes(bytes, bytes.subarray(1)));
    }),
  );
  assert.ok(equalBytes(new Uint8Array(0), new Uint8Array(0)));
});

test('integers: big-endian, minimal or of a given length', () => {
  assert.deepEqual(bigintToBytes(0n), new Uint8Array(0));
  assert.deepEqual(bigintToBytes(0n, 2), Uint8Array.of(0, 0));
  assert.deepEqual(bigintToBytes(255n), Uint8Array.of(255));
  assert.deepEqual(bigintToBytes(256n), Uint8Array.of(1, 0));
  assert.deepEqual(bigintToBytes(256n, 3), Uint8Array.of(0, 1, 0));
  assert.equal(bytesToBigint(new Uint8Array(0)), 0n);
  fc.assert(
    fc.property(naturals, fc.nat(3), (value, more) => {
      const minimal = bigintToBytes(value);
      assert.notEqual(minimal[0], 0);
      assert.equal(bytesToBigint(minimal), value);
      const padded = bigintToBytes(value, minimal.length + more);
      assert.equal(padded.length, minimal.length + more);
      assert.equal(bytesToBigint(padded), value);
    }),
  );
});

test('integers that have no such bytes are refused', () => {
  assert.throws(() => bigintToBytes(-1n), { code: 'BUG' });
  assert.throws(() => bigintToBytes(256n, 1), { code: 'BUG' });
  assert.throws(() => bigintToBytes(1n, 0), { code: 'BUG' });
});

test('bit length of either sign', () => {
  fc.assert(
    fc.property(naturals, (value) => {
      const expected = value === 0n ? 0 : value.toString(2).length;
      assert.equal(bitLength(value), expected);
      assert.equal(bitLength(-value), expected);
    }),
  );
  for (const bits of [1, 3, 4, 5, 8, 64, 1000]) {
    assert.equal(bitLength(2n ** BigInt(bits)), bits + 1);
    assert.equal(bitLength(2n ** BigInt(bits) - 1n), bits);
  }
});

test('random bytes are as many as asked for, and differ', () => {
  assert.equal(randomBytes(0).length, 0);
  assert.equal(randomBytes(33).length, 33);
  assert.ok(!equalBytes(randomBytes(16), randomBytes(16)));
});

test('random bytes have no twin: the generator fills the very array that is handed out', (context) => {
  const fill = context.mock.method(crypto, 'randomFillSync');
  syncBuiltinESMExports();
  try {
    const bytes = randomBytes(16);
    assert.equal(fill.mock.calls[0]?.arguments[0], bytes);
  } finally {
    fill.mock.restore();
    syncBuiltinESMExports();
  }
});

test('the bytes of an integer or of hex leave no copy in the pool that buffers share', () => {
  const pool = () => Buffer.from(Buffer.from('00', 'hex').buffer);
  for (const convert of [bigintToBytes, (value: bigint) => fromHex(value.toString(16))!]) {
    const before = pool();
    const bytes = convert(bytesToBigint(randomBytes(32)) | (1n << 255n));
    assert.equal(bytes.buffer.byteLength, 32);
    for (const buffer of [before, pool()]) {
      assert.ok(buffer.length > 32);
      assert.ok(!buffer.includes(Buffer.from(bytes.buffer)));
    }
  }
});

// Secret

test('a secret is wiped on dispose and refuses use afterwards', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const secret = Secret.own(bytes);
  assert.equal(secret.disposed, false);
  secret.dispose();
  assert.deepEqual(bytes, Uint8Array.of(0, 0, 0));
  assert.equal(secret.disposed, true);
  for (const use of [() => secret.bytes, () => secret.toBigint(), () => secret.clone()]) {
    assert.throws(use, { code: 'BUG', message: /wiped/ });
  }
});

test('disposing twice is disposing once', () => {
  const before = Secret.live;
  const secret = Secret.own(Uint8Array.of(1));
  assert.equal(Secret.live, before + 1);
  secret.dispose();
  secret.dispose();
  assert.equal(Secret.live, before);
});

test('a scope wipes its secret when it ends, and when it throws', () => {
  const ended = Uint8Array.of(1, 2, 3);
  {
    using secret = Secret.own(ended);
    assert.equal(secret.bytes, ended);
  }
  assert.deepEqual(ended, new Uint8Array(3));

  const thrown = Uint8Array.of(4, 5, 6);
  assert.throws(() => {
    using _secret = Secret.own(thrown);
    throw new Error('midway');
  }, /midway/);
  assert.deepEqual(thrown, new Uint8Array(3));
});

test('an asynchronous scope wipes its secret when it is rejected', async () => {
  const bytes = Uint8Array.of(7, 8);
  await assert.rejects(async () => {
    using _secret = Secret.own(bytes);
    await Promise.reject(new Error('midway'));
  }, /midway/);
  assert.deepEqual(bytes, new Uint8Array(2));
});

test('secrets from integers and from the generator; a clone lives on its own', () => {
  using secret = Secret.fromBigint(258n, 4);
  assert.deepEqual(secret.bytes, Uint8Array.of(0, 0, 1, 2));
  assert.equal(secret.toBigint(), 258n);
  const clone = secret.clone();
  clone.dispose();
  assert.equal(secret.toBigint(), 258n);
  assert.throws(() => Secret.fromBigint(256n, 1), { code: 'BUG' });
  using random = Secret.random(32);
  assert.equal(random.bytes.length, 32);
});

test('no way of printing or copying a secret shows its content', () => {
  const content = Uint8Array.of(0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe);
  using secret = Secret.own(Uint8Array.from(content));
  const holder = { name: 'alice', secret };
  const printed = [
    `${secret}`,
    String(secret),
    JSON.stringify(secret),
    JSON.stringify(holder),
    inspect(secret),
    inspect(holder, { depth: 10, showHidden: true, getters: false }),
    inspect(secret, { customInspect: false, showHidden: true }),
    format('%s %o %O %j', secret, secret, secret, secret),
    new Error(`with ${secret}`).message,
    JSON.stringify({ ...secret }),
    JSON.stringify(Object.entries(secret)),
    inspect(structuredClone(secret)),
  ];
  for (const text of printed) {
    for (const form of ['deadbeef', '222', '173', 'de, ad', '244837814094590']) {
      assert.ok(!text.toLowerCase().includes(form), text);
    }
  }
  assert.equal(printed[0], '[Secret]');
  assert.deepEqual(JSON.parse(JSON.stringify(holder)), { name: 'alice', secret: '[Secret]' });
});
