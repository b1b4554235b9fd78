// Presignatures in memory: whose they are, how many there are, and that nobody can use what is given up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, randomBytes, toHex } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import { Presignatures } from '#src/daemon/presignatures.js';
import { Presignature } from '#src/protocol/presign.js';

const curve = curveByName('P-256');
const keyId = randomBytes(16);
const otherKey = randomBytes(16);
const QUORUM = ['alice', 'bob'];
const stock = { keyId, quorum: QUORUM };

function presignature(of: { readonly keyId?: Uint8Array; readonly quorum?: string[] } = {}): Presignature {
  const binding = { sid: randomBytes(32), shid: randomBytes(32), keyId, quorum: QUORUM, ...of };
  return new Presignature(curve, binding, curve.G, { phi: 1n, u: 2n, v: 3n });
}

/** Whether it can still be used; it cannot any more after that. */
function isUsable(one: Presignature): boolean {
  try {
    one.reserve()[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

const assertWiped = (...all: readonly Presignature[]): void =>
  assert.deepEqual(
    all.map(isUsable),
    all.map(() => false),
  );

test('a stock gives what was put into it, the oldest first, each once', () => {
  using presignatures = new Presignatures();
  assert.equal(presignatures.take(stock), undefined);
  presignatures.want(stock);
  assert.deepEqual(presignatures.stocks, [stock]);
  const [one, two, three] = [presignature(), presignature(), presignature()];
  presignatures.add(stock, [one, two]);
  presignatures.add({ keyId: Uint8Array.from(keyId), quorum: [...QUORUM] }, [three]);
  assert.deepEqual(presignatures.levels(), [{ key: toHex(keyId), quorum: QUORUM, ready: 3 }]);
  assert.deepEqual(
    [0, 0, 0, 0].map(() => presignatures.take(stock)),
    [one, two, three, undefined],
  );
  assert.ok([one, two, three].every(isUsable));
});

test('stocks of other keys and quorums are other stocks', () => {
  using presignatures = new Presignatures();
  const others = [
    { keyId: otherKey, quorum: QUORUM },
    { keyId, quorum: ['alice', 'charlie'] },
  ];
  for (const each of [stock, ...others]) presignatures.want(each);
  presignatures.add(stock, [presignature()]);
  for (const other of others) {
    assert.equal(presignatures.level(other), 0);
    assert.equal(presignatures.take(other), undefined);
  }
  assert.equal(presignatures.level(stock), 1);
});

test('what nobody has wanted for long is given up, and so is what comes for it later', ({ mock }) => {
  let now = 0;
  mock.method(performance, 'now', () => now);
  using presignatures = new Presignatures();
  const used = { keyId: otherKey, quorum: QUORUM };
  for (const each of [stock, used]) presignatures.want(each);
  const [old, young, late] = [presignature(), presignature({ keyId: otherKey }), presignature()];
  presignatures.add(stock, [old]);
  presignatures.add(used, [young]);
  now = 999;
  presignatures.want(used);
  presignatures.forget(1000);
  assert.equal(presignatures.stocks.length, 2);
  now = 1000;
  presignatures.forget(1000);
  assert.deepEqual(presignatures.stocks, [used]);
  presignatures.add(stock, [late]);
  assertWiped(old, late);
  assert.equal(presignatures.take(used), young);
});

test('a part is held for whoever had it made, and goes to nobody else', () => {
  using presignatures = new Presignatures();
  const part = presignature();
  presignatures.hold('bob', [part]);
  const { sid } = part.binding;
  assert.equal(presignatures.takeHeld('charlie', sid), undefined);
  assert.equal(presignatures.takeHeld('bob', randomBytes(32)), undefined);
  assert.equal(presignatures.heldFor('bob'), 1);
  assert.equal(presignatures.takeHeld('bob', sid), part);
  assert.equal(presignatures.takeHeld('bob', sid), undefined);
  assert.equal(presignatures.heldFor('bob'), 0);
  assert.equal(presignatures.level(stock), 0);
});

test('of one name there is one, and of one peer no more than 2048, of which the oldest give way', () => {
  using presignatures = new Presignatures();
  const parts = Array.from({ length: 2050 }, () => presignature());
  presignatures.hold('bob', parts.slice(0, 2048));
  assert.throws(() => presignatures.hold('bob', [parts[7]!]), { code: 'BUG' });
  presignatures.hold('charlie', [presignature()]);
  presignatures.hold('bob', parts.slice(2048));
  assert.equal(presignatures.heldFor('bob'), 2048);
  assert.equal(presignatures.heldFor('charlie'), 1);
  assertWiped(parts[0]!, parts[1]!);
  assert.equal(presignatures.takeHeld('bob', parts[2]!.binding.sid), parts[2]);
  assert.equal(presignatures.takeHeld('bob', parts[2049]!.binding.sid), parts[2049]);
});

test('with a peer goes all that was made with it, for whomever', () => {
  using presignatures = new Presignatures();
  const three = ['alice', 'bob', 'charlie'];
  const without = { keyId, quorum: ['alice', 'charlie'] };
  for (const each of [stock, without]) presignatures.want(each);
  const [mine, kept] = [presignature(), presignature({ quorum: without.quorum })];
  const [his, hers] = [presignature(), presignature({ quorum: three })];
  presignatures.add(stock, [mine]);
  presignatures.add(without, [kept]);
  presignatures.hold('bob', [his]);
  presignatures.hold('charlie', [hers]);
  presignatures.dropPeer('bob');
  assertWiped(mine, his, hers);
  assert.deepEqual([presignatures.heldFor('bob'), presignatures.heldFor('charlie')], [0, 0]);
  // It is still of use, once the peer is back.
  assert.equal(presignatures.stocks.length, 2);
  assert.equal(presignatures.take(without), kept);
});

test('with the shares of a key goes all that was made of them', () => {
  using presignatures = new Presignatures();
  presignatures.want(stock);
  const [mine, his] = [presignature(), presignature()];
  const kept = presignature({ keyId: otherKey });
  presignatures.add(stock, [mine]);
  presignatures.hold('bob', [his, kept]);
  presignatures.keep(fromHex(toHex(keyId))!, [mine.binding.shid]);
  assert.equal(presignatures.level(stock), 1);
  presignatures.keep(fromHex(toHex(keyId))!, [new Uint8Array(32).fill(9)]);
  assertWiped(mine, his);
  assert.equal(presignatures.takeHeld('bob', kept.binding.sid), kept);
});

test('in the end all are wiped', () => {
  const presignatures = new Presignatures();
  presignatures.want(stock);
  const [mine, his] = [presignature(), presignature()];
  presignatures.add(stock, [mine]);
  presignatures.hold('bob', [his]);
  presignatures[Symbol.dispose]();
  const late = presignature();
  presignatures.add(stock, [late]);
  assertWiped(mine, his, late);
});
