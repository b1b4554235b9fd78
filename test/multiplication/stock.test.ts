import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STOCK_LIMIT, Stock } from '#src/multiplication/stock.js';

class Item implements Disposable {
  disposed = false;
  constructor(readonly id: number) {}
  [Symbol.dispose](): void {
    this.disposed = true;
  }
}

/** Makes items when they are let come. */
function maker() {
  const made: Item[] = [];
  const waiting: (() => void)[] = [];
  const make = async (): Promise<Item> => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    const item = new Item(made.length);
    made.push(item);
    return item;
  };
  const letAllCome = async (): Promise<void> => {
    while (waiting.length > 0) {
      for (const resolve of waiting.splice(0)) resolve();
      await new Promise(setImmediate);
    }
  };
  return { made, make, letAllCome };
}

test('each item is taken once, the oldest first, and what is taken is not the stock’s any more', async () => {
  const stock = new Stock<Item>();
  const { made, make, letAllCome } = maker();
  await Promise.all([stock.fill(3, make), letAllCome()]);
  assert.equal(stock.size, 3);
  const first = stock.take();
  assert.deepEqual([first, stock.take()], made.slice(0, 2));
  stock[Symbol.dispose]();
  assert.deepEqual(
    made.map(({ disposed }) => disposed),
    [false, false, true],
  );
  assert.equal(stock.take(), undefined);
});

test('a stock is filled up to what is wanted and no further than its limit, also by several at once', async () => {
  const stock = new Stock<Item>();
  const { made, make, letAllCome } = maker();
  await Promise.all([stock.fill(2, make), stock.fill(3, make), stock.fill(3, make), letAllCome()]);
  assert.deepEqual([stock.size, made.length], [3, 3]);
  await stock.fill(3, make);
  assert.equal(made.length, 3);
  await Promise.all([stock.fill(10 * STOCK_LIMIT, make), letAllCome()]);
  assert.deepEqual([stock.size, made.length], [STOCK_LIMIT, STOCK_LIMIT]);
});

test('what cannot be made does not count', async () => {
  const stock = new Stock<Item>();
  const failing = async (): Promise<Item> => {
    throw new Error('no');
  };
  await assert.rejects(stock.fill(2, failing), /no/);
  const { make, letAllCome } = maker();
  await Promise.all([stock.fill(2, make), letAllCome()]);
  assert.equal(stock.size, 2);
});

test('what comes after the stock was disposed is disposed, too, and nothing more is made', async () => {
  const stock = new Stock<Item>();
  const { made, make, letAllCome } = maker();
  const filled = stock.fill(5, make);
  stock[Symbol.dispose]();
  await letAllCome();
  await filled;
  assert.deepEqual(
    made.map(({ disposed }) => disposed),
    [true],
  );
  await stock.fill(5, make);
  assert.deepEqual([stock.size, made.length], [0, 1]);
});
