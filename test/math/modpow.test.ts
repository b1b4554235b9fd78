import assert from 'node:assert/strict';
import { createDiffieHellman, type DiffieHellman } from 'node:crypto';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { bigintToBytes, bytesToBigint, toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { Engine, engineName, FixedBase, FixedExponent, modPow, selfTest } from '#src/math/modpow.js';
import { mod, modInverse } from '#src/math/modular.js';
import { testSafePrimes } from '../support/primes.js';

/** base^exponent mod modulus by squaring and multiplying, for exponent ≥ 0: nothing in common with the engine. */
function reference(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = mod(1n, modulus);
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = mod(result * base, modulus);
  }
  return result;
}

const openSsl = (modulus: Uint8Array): DiffieHellman => createDiffieHellman(modulus, 2);

/** OpenSSL as some versions of Node.js show it: where it refuses or fails, nothing or 0 comes back, and no error. */
function silentOpenSsl(modulus: Uint8Array, length = 0): DiffieHellman {
  const group = openSsl(modulus);
  const compute = group.computeSecret.bind(group) as (base: Uint8Array) => Buffer;
  group.computeSecret = ((base: Uint8Array): Buffer => {
    try {
      return compute(base);
    } catch {
      return Buffer.alloc(length);
    }
  }) as DiffieHellman['computeSecret'];
  return group;
}

/** An engine without OpenSSL, as in a runtime that lacks it. */
const withoutOpenSsl = (): Engine =>
  new Engine(() => {
    throw new Error('not supported');
  });

/** An engine that shows the objects it makes, with their moduli and exponents, and how often OpenSSL refused. */
function observed() {
  const made: {
    readonly modulus: bigint;
    readonly group: DiffieHellman;
    readonly exponents: Uint8Array[];
  }[] = [];
  const seen = { refusals: 0 };
  const engine = new Engine((modulus) => {
    const group = openSsl(modulus);
    const compute = group.computeSecret.bind(group) as (base: Uint8Array) => Buffer;
    const watched = (base: Uint8Array): Buffer => {
      let power: Buffer | undefined;
      try {
        power = compute(base);
        return power;
      } finally {
        if (!power?.length) seen.refusals += 1;
      }
    };
    group.computeSecret = watched as DiffieHellman['computeSecret'];
    const exponents: Uint8Array[] = [];
    const setPrivateKey = group.setPrivateKey.bind(group);
    group.setPrivateKey = (key: NodeJS.ArrayBufferView | string) => {
      exponents.push(key as Uint8Array);
      setPrivateKey(key as Uint8Array);
    };
    made.push({ modulus: bytesToBigint(modulus), group, exponents });
    return group;
  });
  assert.equal(engine.name, 'openssl'); // so that the self-test's modulus is not counted later
  made.length = 0;
  return { engine, made, seen };
}

const isBug = (error: unknown): boolean => error instanceof MpcError && error.code === 'BUG';
const [prime] = testSafePrimes[1024];
assert(prime !== undefined);
const N = prime * testSafePrimes[1024][1]!;

test('3^5 mod 7 is 5', () => {
  assert.equal(modPow(3n, 5n, 7n), 5n);
});

test('OpenSSL does the work here, and the self-test passes', () => {
  assert.equal(engineName(), 'openssl');
  assert.equal(selfTest(), true);
});

test('powers equal those by squaring and multiplying, for odd and even moduli of all lengths', () => {
  const small = fc.bigInt({ min: 1n, max: 1n << 80n });
  const large = fc.bigInt({ min: 1n << 480n, max: 1n << 700n });
  const base = fc.bigInt({ min: -(1n << 750n), max: 1n << 750n });
  const exponent = fc.bigInt({ min: 0n, max: 1n << 800n });
  const engines = [new Engine(), withoutOpenSsl()];
  fc.assert(
    fc.property(fc.oneof(small, large), base, exponent, (modulus, b, e) => {
      const expected = reference(b, e, modulus);
      for (const engine of engines) assert.equal(engine.power(b, e, modulus), expected);
    }),
    { numRuns: 150 },
  );
});

test('negative powers are powers of the inverse', () => {
  const base = fc.bigInt({ min: 2n, max: N - 2n });
  fc.assert(
    fc.property(base, fc.bigInt({ min: 1n, max: 1n << 500n }), (b, e) => {
      const inverse = modInverse(b, N);
      fc.pre(inverse !== undefined);
      const power = modPow(b, -e, N);
      assert.equal(power, modPow(inverse, e, N));
      assert.equal((power * modPow(b, e, N)) % N, 1n);
    }),
    { numRuns: 20 },
  );
});

test('powers obey the laws of exponents at every size in use', () => {
  const [p, q] = [testSafePrimes[1536][0]!, testSafePrimes[1536][1]!];
  for (const modulus of [prime, prime ** 2n, N, N ** 2n, p, p * q, (p * q) ** 2n]) {
    const [base, a, b] = [modulus / 3n, modulus / 5n, modulus / 7n];
    const product = (modPow(base, a, modulus) * modPow(base, b, modulus)) % modulus;
    assert.equal(modPow(base, a + b, modulus), product);
    assert.equal(modPow(modPow(base, a, modulus), 65537n, modulus), modPow(base, a * 65537n, modulus));
  }
});

test('Fermat and Euler: the results 1 and m − 1', () => {
  const half = (prime - 1n) / 2n;
  assert.equal(modPow(2n, prime - 1n, prime), 1n);
  assert.equal(modPow(4n, half, prime), 1n);
  assert.equal(modPow(-4n, half, prime), prime - 1n); // −1 is no square modulo a prime ≡ 3 mod 4
  assert.equal(modPow(2n, 600n, 2n ** 600n - 1n), 1n);
  assert.equal(modPow(2n, 600n, 2n ** 600n + 1n), 2n ** 600n);
});

test('the result 0, which OpenSSL refuses to return', () => {
  const factor = 2n ** 300n + 157n;
  assert.equal(modPow(factor, 2n, factor ** 2n), 0n);
  assert.equal(modPow(factor, 3n, factor ** 2n), 0n);
});

test('bases 0, 1 and m − 1, and all that are congruent to them', () => {
  for (const modulus of [N, 2n ** 64n - 59n, 2n ** 600n]) {
    for (const shift of [0n, modulus, 5n * modulus, -modulus]) {
      assert.equal(modPow(shift, 5n, modulus), 0n);
      assert.equal(modPow(shift + 1n, 5n, modulus), 1n);
      assert.equal(modPow(shift + 1n, -5n, modulus), 1n);
      assert.equal(modPow(shift - 1n, 5n, modulus), modulus - 1n);
      assert.equal(modPow(shift - 1n, -5n, modulus), modulus - 1n);
      assert.equal(modPow(shift - 1n, 6n, modulus), 1n);
    }
  }
});

test('exponents 0, 1 and −1', () => {
  for (const modulus of [N, 2n ** 64n - 59n]) {
    for (const base of [0n, 1n, 3n, modulus - 1n, modulus, modulus + 3n]) {
      assert.equal(modPow(base, 0n, modulus), 1n);
      assert.equal(modPow(base, 1n, modulus), base % modulus);
    }
    assert.equal(modPow(3n, -1n, modulus), modInverse(3n, modulus));
  }
});

test('the moduli 1, 2 and 3', () => {
  assert.deepEqual(
    [1n, 2n, 3n].map((modulus) => modPow(5n, -1n, modulus)),
    [0n, 1n, 2n],
  );
  for (const modulus of [1n, 2n, 3n]) {
    for (const base of [-4n, 0n, 1n, 2n, 7n]) {
      for (const exponent of [0n, 1n, 2n, 9n]) {
        assert.equal(modPow(base, exponent, modulus), mod(base ** exponent, modulus));
      }
    }
  }
});

test('a negative power of a non-unit, and a modulus that is not positive, are bugs of the caller', () => {
  assert.throws(() => modPow(prime, -1n, N), isBug);
  assert.throws(() => modPow(0n, -1n, N), isBug);
  assert.throws(() => modPow(2n, 3n, 0n), isBug);
  assert.throws(() => modPow(2n, 3n, -7n), isBug);
});

test('OpenSSL computes for moduli of at most 9,488 bits that neither 2 nor 3 divides, and for no others', () => {
  const { engine, made } = observed();
  const longest = 2n ** 9488n - 3n;
  const moduli = [7n, 2n ** 61n - 1n, longest, longest + 6n, 2n ** 600n, 2n ** 600n - 1n];
  for (const modulus of moduli) assert.equal(engine.power(12_345n, 77n, modulus), 12_345n ** 77n % modulus);
  assert.deepEqual(
    made.map(({ modulus }) => modulus / 3n ** 323n),
    moduli.slice(0, 3),
  );
});

test('OpenSSL refuses no power of a unit, whatever its order: none takes longer than another', () => {
  const { engine, seen } = observed();
  // 2 has order 1155 = 3·5·7·11 modulo this; its powers have every order that divides it.
  const modulus = 2n ** 1155n - 1n;
  for (const order of [1n, 3n, 5n, 7n, 11n, 15n]) {
    const base = 2n ** (1155n / order);
    for (const sign of [1n, -1n]) {
      for (const e of [1n, 2n, order, 2n * order, order + 1n, order << 250n, (order << 250n) + 1n]) {
        const expected = mod(sign ** (e % 2n) * base ** (e % order), modulus);
        assert.equal(engine.power(sign * base, e, modulus), expected);
        assert.equal(engine.power(sign * base, -e, modulus), modInverse(expected, modulus));
      }
    }
  }
  engine.power(4n, (prime - 1n) / 2n, prime);
  engine.power(-4n, (prime - 1n) / 2n, prime);
  assert.equal(seen.refusals, 0);
  // Only of non-units is there a power that is 0.
  const factor = 2n ** 385n - 1n;
  assert.equal(engine.power(factor, 400n, factor ** 2n), 0n);
  assert.equal(seen.refusals, 1);
});

test('without OpenSSL, and with one that computes wrongly, the fallback takes over', () => {
  const wrong = new Engine(() => openSsl(bigintToBytes(2n ** 512n - 569n)));
  for (const engine of [withoutOpenSsl(), wrong]) {
    assert.equal(engine.selfTest(), false);
    assert.equal(engine.name, 'bigint');
    assert.equal(engine.power(N / 3n, 65537n, N), modPow(N / 3n, 65537n, N));
  }
});

test('an OpenSSL that passes the self-test and fails later costs time only', () => {
  let calls = 0;
  const engine = new Engine((modulus) => {
    calls += 1;
    if (calls > 3) throw new Error('out of memory');
    return openSsl(modulus);
  });
  assert.equal(engine.name, 'openssl');
  assert.equal(engine.power(N / 3n, 65537n, N), modPow(N / 3n, 65537n, N));
});

test('one that gives nothing or 0 instead of a power, and no error either, costs time only', () => {
  for (const length of [0, 5]) {
    let calls = 0;
    const engine = new Engine((modulus) => {
      calls += 1;
      const group = openSsl(modulus);
      const nothing = (_base: Uint8Array): Buffer => Buffer.alloc(length);
      if (calls > 3) group.computeSecret = nothing as DiffieHellman['computeSecret'];
      return group;
    });
    assert.equal(engine.name, 'openssl');
    assert.equal(engine.power(N / 3n, 65537n, N), modPow(N / 3n, 65537n, N));
    assert.equal(calls, 4);
  }
});

test('each power has an object of its own, which keeps no exponent', () => {
  const { engine, made } = observed();
  for (let i = 2n; i < 6n; i += 1n) engine.power(i, N / 3n, N);
  assert.equal(engine.power(0n, N / 3n, N), 0n);
  const factor = 2n ** 521n - 1n;
  assert.equal(engine.power(factor, 400n, factor ** 2n), 0n); // refused
  assert.equal(made.length, 5);
  for (const { group, exponents } of made) {
    assert.equal(toHex(group.getPrivateKey()), '01');
    assert.deepEqual(exponents, [new Uint8Array(exponents[0]!.length), Uint8Array.of(1)]);
  }
});

test('nothing of a modulus, which may be secret, outlives its power', async () => {
  const groups: WeakRef<DiffieHellman>[] = [];
  const engine = new Engine((modulus) => {
    const group = openSsl(modulus);
    groups.push(new WeakRef(group));
    return group;
  });
  for (const modulus of [prime, prime ** 2n, N]) engine.power(3n, prime / 5n, modulus);
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  await new Promise(setImmediate); // what a WeakRef was made of lives on until the end of the turn
  collectGarbage();
  assert.ok(groups.length >= 3);
  assert.ok(groups.every((group) => group.deref() === undefined));
});

/** A fixed base that shows the objects it makes, and what they hold. */
function observedBase(base: bigint, modulus: bigint) {
  const groups: DiffieHellman[] = [];
  const fixed = new FixedBase(base, modulus, (prime, generator) => {
    const group = createDiffieHellman(prime, generator);
    groups.push(group);
    return group;
  });
  return { fixed, groups };
}

test('powers of a fixed base equal those of the engine, also where exponents are longer than the modulus', () => {
  const [p, q] = [testSafePrimes[1536][0]!, testSafePrimes[1536][1]!];
  for (const modulus of [N, p * q]) {
    const { fixed, groups } = observedBase(modulus / 3n, modulus);
    const check = (e: bigint) => assert.equal(fixed.power(e), modPow(modulus / 3n, e, modulus));
    for (const e of [0n, 1n, 2n, 3n, modulus - 1n, modulus, (1n << 4608n) - 1n]) check(e);
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 1n << 2560n }), check), { numRuns: 8 });
    assert.equal(groups.length, 1);
  }
});

test('a fixed base gives the results 1, m − 1 and 0, and those of small order, as any other', () => {
  const modulus = 2n ** 1155n - 1n;
  for (const order of [3n, 5n, 7n, 11n]) {
    const base = 2n ** (1155n / order);
    const { fixed, groups } = observedBase(base, modulus);
    for (const e of [1n, order, order + 1n, order << 250n]) {
      assert.equal(fixed.power(e), base ** (e % order));
    }
    assert.equal(groups.length, 1);
  }
  assert.equal(observedBase(N - 1n, N).fixed.power(6n), 1n);
  assert.equal(observedBase(N - 1n, N).fixed.power(7n), N - 1n);
  const factor = 2n ** 521n - 1n;
  assert.equal(observedBase(factor, factor ** 2n).fixed.power(5n), 0n);
});

test('a fixed base keeps neither exponent nor power', () => {
  const { fixed, groups } = observedBase(N / 3n, N);
  fixed.power(N / 5n);
  assert.equal(toHex(groups[0]!.getPrivateKey()), '01');
  assert.equal(bytesToBigint(groups[0]!.getPublicKey()), 1n);

  const generateKeys = groups[0]!.generateKeys.bind(groups[0]!) as () => Buffer;
  groups[0]!.generateKeys = (() => {
    generateKeys();
    throw new Error('out of memory');
  }) as DiffieHellman['generateKeys'];
  assert.equal(fixed.power(N / 7n), modPow(N / 3n, N / 7n, N));
  assert.equal(toHex(groups[0]!.getPrivateKey()), '01');
  assert.equal(bytesToBigint(groups[0]!.getPublicKey()), 1n);
});

test('a fixed base that OpenSSL does not take, or computes wrongly, costs time only', () => {
  const failing = () => {
    throw new Error('not supported');
  };
  const wrong = (prime: Uint8Array) => createDiffieHellman(prime, 2);
  const shortLived = (prime: Uint8Array, generator: Uint8Array) => {
    const group = createDiffieHellman(prime, generator);
    let calls = 0;
    const generateKeys = group.generateKeys.bind(group) as () => Buffer;
    group.generateKeys = (() => {
      calls += 1;
      if (calls > 1) throw new Error('out of memory');
      return generateKeys();
    }) as DiffieHellman['generateKeys'];
    return group;
  };
  for (const makeGroup of [failing, wrong, shortLived]) {
    const fixed = new FixedBase(N / 3n, N, makeGroup);
    assert.equal(fixed.power(N / 5n), modPow(N / 3n, N / 5n, N));
  }
  for (const [base, modulus] of [
    [0n, N],
    [1n, N],
    [5n, 2n ** 600n],
    [5n, 101n],
  ] as const) {
    assert.equal(new FixedBase(base, modulus).power(77n), modPow(base, 77n, modulus));
  }
  assert.throws(() => new FixedBase(5n, N).power(-1n), isBug);
});

/** Powers without a group, before one is made. */
const WITHOUT_GROUP = 10;

/** A fixed exponent that shows the objects it makes, after `warmUps` powers. */
function observedExponent(
  exponent: bigint,
  modulus: bigint,
  { warmUps = WITHOUT_GROUP, makeGroup = openSsl } = {},
) {
  const groups: DiffieHellman[] = [];
  const fixed = new FixedExponent(exponent, modulus, (prime) => {
    const group = makeGroup(prime);
    groups.push(group);
    return group;
  });
  for (let k = 0; k < warmUps; k += 1) fixed.power(1n);
  return { fixed, groups };
}

test('powers by a fixed exponent equal those of the engine, before there is a group and with it', () => {
  for (const [exponent, modulus] of [
    [N, N ** 2n],
    [N / 3n, N],
    [N ** 2n, N],
    [1n, N],
  ] as const) {
    const { fixed, groups } = observedExponent(exponent, modulus, { warmUps: 0 });
    const base = fc.bigInt({ min: -modulus, max: 2n * modulus });
    fc.assert(
      fc.property(base, (b) => assert.equal(fixed.power(b), modPow(b, exponent, modulus))),
      { numRuns: WITHOUT_GROUP + 5 },
    );
    assert.equal(groups.length, 1);
  }
});

test('a group is made for the power after the first ten, once', () => {
  const { fixed, groups } = observedExponent(N, N ** 2n);
  assert.equal(groups.length, 0);
  for (let k = 2n; k < 5n; k += 1n) {
    fixed.power(k);
    assert.equal(groups.length, 1);
  }
});

test('by a fixed exponent, too, there are the results 0, 1 and m − 1, which OpenSSL refuses', () => {
  const zeros = (modulus: Uint8Array) => silentOpenSsl(modulus, modulus.length);
  for (const makeGroup of [openSsl, (modulus: Uint8Array) => silentOpenSsl(modulus), zeros]) {
    const { fixed, groups } = observedExponent(N, N ** 2n, { makeGroup });
    for (const [base, power] of [
      [0n, 0n],
      [1n, 1n],
      [-1n, N ** 2n - 1n],
      [N ** 2n - 1n, N ** 2n - 1n],
      [N, 0n],
      [N + 1n, 1n],
      [2n * N - 1n, N ** 2n - 1n],
    ] as const) {
      assert.equal(fixed.power(base), power);
    }
    assert.equal(groups.length, 1);
  }
});

test('a fixed exponent keeps neither base nor power', () => {
  const { fixed, groups } = observedExponent(N, N ** 2n);
  fixed.power(2n);
  const [group] = groups as [DiffieHellman];
  const computeSecret = group.computeSecret.bind(group) as (base: Uint8Array) => Buffer;
  const seen: Uint8Array[] = [];
  group.computeSecret = ((base: Uint8Array) => {
    const power = computeSecret(base);
    seen.push(base, power);
    return power;
  }) as DiffieHellman['computeSecret'];
  fixed.power(N / 3n);
  assert.equal(seen.length, 2);
  assert.ok(seen.every((bytes) => bytes.every((byte) => byte === 0)));
  assert.equal(bytesToBigint(group.getPrivateKey()), N);
  assert.throws(() => group.getPublicKey());
});

test('a fixed exponent that OpenSSL does not take, or computes wrongly, costs time only', () => {
  const failing = () => {
    throw new Error('not supported');
  };
  const wrong = () => openSsl(bigintToBytes(prime));
  const shortLived = (modulus: Uint8Array) => {
    const group = openSsl(modulus);
    let calls = 0;
    const computeSecret = group.computeSecret.bind(group) as (base: Uint8Array) => Buffer;
    group.computeSecret = ((base: Uint8Array) => {
      calls += 1;
      if (calls > 1) throw new Error('out of memory');
      return computeSecret(base);
    }) as DiffieHellman['computeSecret'];
    return group;
  };
  for (const makeGroup of [failing, wrong, shortLived]) {
    const fixed = new FixedExponent(N / 5n, N, makeGroup);
    for (let k = 0n; k < WITHOUT_GROUP + 2; k += 1n) assert.equal(fixed.power(k), modPow(k, N / 5n, N));
  }
  for (const modulus of [2n ** 600n, 2n ** 64n, 101n, 1n]) {
    const fixed = new FixedExponent(77n, modulus);
    for (let k = 0n; k < WITHOUT_GROUP + 2; k += 1n) assert.equal(fixed.power(k), modPow(k, 77n, modulus));
  }
  assert.throws(() => new FixedExponent(0n, N), isBug);
  assert.throws(() => new FixedExponent(-1n, N), isBug);
});
