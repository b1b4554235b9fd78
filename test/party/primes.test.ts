// The stock of safe primes: gives each prime once, two different ones at a time, and lets none escape unwiped.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { PrimeStock } from '#src/party/primes.js';
import type { Compute } from '#src/rounds/run.js';

const { signal } = new AbortController();
const settled = () => new Promise(setImmediate);

/** A stock whose k-th search ends when the test says so. */
function stockOf() {
  const searches: PromiseWithResolvers[] = [];
  const compute: Compute = <_, O>() => {
    const search = {} as PromiseWithResolvers;
    const promise = new Promise((resolve, reject) => Object.assign(search, { resolve, reject }));
    searches.push(search);
    return promise as Promise<O>;
  };
  const stock = new PrimeStock(compute, 112, signal);
  return {
    stock,
    searches,
    found: (k: number, value = k + 1) => {
      const prime = new Uint8Array(4).fill(value);
      searches[k]!.resolve({ secret: { prime } });
      return prime;
    },
  };
}

interface PromiseWithResolvers {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const wiped = new Uint8Array(4);

test('primes are given in the order of their searches, and looked for when there are none', async () => {
  const { stock, searches, found } = stockOf();
  stock.prepare(3);
  for (const k of [2, 0, 1]) found(k);
  const [first, second] = await stock.take(signal);
  assert.deepEqual([first.bytes[0], second.bytes[0]], [1, 2]);
  const taking = stock.take(signal);
  await settled();
  assert.equal(searches.length, 4);
  found(3);
  const [third, fourth] = await taking;
  assert.deepEqual([third.bytes[0], fourth.bytes[0]], [3, 4]);
  for (const prime of [first, second, third, fourth]) prime.dispose();
});

test('two equal primes are not given together; the second is wiped', async () => {
  const { stock, found } = stockOf();
  stock.prepare(3);
  const [, twin] = [found(0, 7), found(1, 7), found(2, 8)];
  const [first, second] = await stock.take(signal);
  assert.deepEqual([first.bytes[0], second.bytes[0]], [7, 8]);
  assert.deepEqual(twin, wiped);
  for (const prime of [first, second]) prime.dispose();
});

test('the first prime is wiped when the search for the second fails', async () => {
  const live = Secret.live;
  const { stock, searches, found } = stockOf();
  stock.prepare(2);
  const first = found(0);
  searches[1]!.reject(new MpcError('INTERRUPTED', 'no time'));
  await assert.rejects(stock.take(signal), { code: 'INTERRUPTED', message: 'no time' });
  assert.deepEqual(first, wiped);
  assert.equal(Secret.live, live);
});

test('who gives up waits for no prime, and all that it would have got are wiped', async () => {
  const live = Secret.live;
  const { stock, found } = stockOf();
  stock.prepare(2);
  const giveUp = new AbortController();
  const first = found(0);
  const taking = stock.take(giveUp.signal);
  await settled();
  giveUp.abort(new MpcError('TIMEOUT', 'too late'));
  await assert.rejects(taking, { code: 'TIMEOUT' });
  const second = found(1);
  await settled();
  assert.deepEqual([first, second], [wiped, wiped]);
  assert.equal(Secret.live, live);
});

test('what nobody has taken is wiped with the stock, also when it is found later', async () => {
  const live = Secret.live;
  const { stock, found } = stockOf();
  stock.prepare(2);
  const early = found(0);
  await settled();
  stock[Symbol.dispose]();
  const late = found(1);
  await settled();
  assert.deepEqual([early, late], [wiped, wiped]);
  assert.equal(Secret.live, live);
});
