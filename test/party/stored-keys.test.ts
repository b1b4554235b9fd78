// Stored keys among three parties in memory: made, used, refreshed, cut off at every moment that matters, and
// completed by whatever comes next. Every signature is verified by OpenSSL.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { cpSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes, Secret, toHex } from '#src/core/bytes.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { Keystore, SharingInfo, StoredKey } from '#src/keystore/keystore.js';
import { makeKeyShare, makeSharing, type Sharing } from '#src/protocol/key-share.js';
import { decodeFrame, encodeFrame } from '#src/rounds/frames.js';
import { errorAt, garbled, type Intercept, outcomeOf, valuesOf } from '../support/memory-network.js';
import type { MultiplicationName } from '../support/protocols.js';
import { type CommandOptions, type Home, Homes } from '../support/stores.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const curve = curveByName('P-256');
const policy = parsePolicy({ threshold: 2, of: PARTIES }, PARTIES);

const made: Homes[] = [];
function newHomes(parties: readonly PartyName[] = PARTIES, by: MultiplicationName = 'ot'): Homes {
  const all = parties.length === 2;
  const homes = new Homes(parties, {
    curve,
    policy: all ? parsePolicy({ and: parties }, parties) : policy,
    by,
  });
  made.push(homes);
  return homes;
}
after(() => {
  for (const homes of made) homes.dispose();
});

async function generate(homes: Homes): Promise<Sharing> {
  const [sharing] = valuesOf(await homes.command(({ keys, work }) => keys.generate(work, 'keygen')));
  return sharing!;
}

/** Signs by `quorum`, and has OpenSSL verify the signature under the key. */
async function assertSigns(
  homes: Homes,
  { keyId, publicKey }: Sharing,
  quorum: readonly PartyName[],
): Promise<void> {
  const message = randomBytes(20);
  const request = { quorum, receivers: quorum.slice(0, 1), message };
  const outcomes = await homes.command(({ keys, work }) => keys.sign(work, 'sign', keyId, request), {
    parties: quorum,
  });
  const [der] = valuesOf(outcomes);
  assert.ok(verify('sha256', message, createPublicKey(publicKeyPem(curve, publicKey)), der!));
}

const refresh = (homes: Homes, { keyId }: Sharing, options: CommandOptions = {}) =>
  homes.command(({ keys, work }) => keys.refresh(work, 'refresh', keyId), options);

/** What each party holds: epoch, and whether confirmed, newest first. */
async function held(homes: Homes, { keyId }: Sharing): Promise<string[]> {
  const lists: string[] = [];
  for (const self of homes.parties) {
    using keystore = await homes.open(self);
    const sharings = keystore.key(keyId)?.sharings ?? [];
    lists.push(sharings.map(({ sharing, confirmed }) => `${sharing.epoch}${confirmed ? '' : '?'}`).join(' '));
  }
  return lists;
}

/** The newest sharing of the first key of a party's store. */
async function sharingAt(homes: Homes, self: PartyName): Promise<Sharing> {
  using keystore = await homes.open(self);
  return keystore.keys()[0]!.sharings[0]!.sharing;
}

/** A store of `victim` that fails at a call of `method`, the first one unless told, before or after it takes effect. */
const failing =
  (
    victim: PartyName,
    method: keyof Keystore,
    when: 'before' | 'after',
    nth = 1,
  ): NonNullable<CommandOptions['store']> =>
  (self, keystore) => {
    let calls = 0;
    if (self !== victim) return keystore;
    return new Proxy(keystore, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (name === method) calls += 1;
          const fails = name === method && calls === nth;
          if (fails && when === 'before') throw new MpcError('INTERRUPTED', 'the machine fails');
          const result = value.apply(target, args);
          if (fails) throw new MpcError('INTERRUPTED', 'the machine fails');
          return result;
        };
      },
    });
  };

/** A refresh after which every party has stored its share, and none noted that all have. */
const cutOffWhenStored = (homes: Homes, sharing: Sharing) =>
  refresh(homes, sharing, {
    store: (self, keystore) => failing(self, 'confirmSharing', 'before', 2)(self, keystore),
  });

describe('a key lives', async () => {
  const homes = newHomes(PARTIES, 'paillier');
  const sharing = await generate(homes);

  test('it is confirmed and set up everywhere', async () => {
    assert.deepEqual(await held(homes, sharing), ['0', '0', '0']);
    using keystore = await homes.open('bob');
    const [info] = keystore.key(sharing.keyId)!.sharings;
    assert.deepEqual(
      info!.setups.map(({ parties }) => parties),
      [PARTIES],
    );
  });

  test('any quorum signs with what is stored', async () => {
    await assertSigns(homes, sharing, ['alice', 'bob']);
    await assertSigns(homes, sharing, ['bob', 'charlie']);
  });

  test('a refresh leaves the new sharing alone, under the same key, by the multiplication of now', async () => {
    homes.multiplyBy('ot');
    const refreshed = valuesOf(await refresh(homes, sharing));
    for (const { epoch, publicKey } of refreshed) {
      assert.equal(epoch, 1);
      assert.ok(publicKey.equals(sharing.publicKey));
    }
    assert.deepEqual(await held(homes, sharing), ['1', '1', '1']);
    await assertSigns(homes, sharing, ['alice', 'charlie']);
    using keystore = await homes.open('bob');
    const { setups } = keystore.key(sharing.keyId)!.sharings[0]!;
    assert.deepEqual(
      setups.map(({ multiplication }) => multiplication),
      ['ot'],
    );
  });

  test('a party without a set-up gets a new one with those it signs with, and its older ones are erased', async () => {
    const setupsOf = async (self: PartyName) => {
      using keystore = await homes.open(self);
      return keystore.key(sharing.keyId)!.sharings[0]!.setups.map(({ parties }) => parties.join());
    };
    {
      using keystore = await homes.open('alice');
      const { sharing: newest, setups } = keystore.key(sharing.keyId)!.sharings[0]!;
      for (const { id } of setups) keystore.eraseSetup(newest.keyId, newest.shid, id);
    }
    await assertSigns(homes, sharing, ['alice', 'bob']);
    assert.deepEqual(await setupsOf('alice'), ['alice,bob']);
    assert.deepEqual(await setupsOf('bob'), ['alice,bob'], 'its half may be in other hands');
    assert.deepEqual(await setupsOf('charlie'), [PARTIES.join()]);
  });
});

describe('key generation cut off', () => {
  const two = ['alice', 'bob'];

  /** What the parties hold once the key has been completed, or another one made. */
  async function afterwards(homes: Homes): Promise<Sharing> {
    const sharing = await generate(homes);
    assert.deepEqual(await held(homes, sharing), ['0', '0']);
    await assertSigns(homes, sharing, two);
    return sharing;
  }

  async function pendingKeys(homes: Homes): Promise<string[]> {
    const all: string[] = [];
    for (const self of homes.parties) {
      using keystore = await homes.open(self);
      all.push(
        keystore
          .keys()
          .map(({ keyId }) => toHex(keyId))
          .join(),
      );
    }
    return all;
  }

  test('before one party has stored it: another key is made, and nothing is dropped', async () => {
    const homes = newHomes(two);
    await homes.command(({ keys, work }) => keys.generate(work, 'keygen'), {
      store: failing('bob', 'addSharing', 'before'),
    });
    const [pending = '', none] = await pendingKeys(homes);
    assert.equal(none, '');
    const sharing = await afterwards(homes);
    assert.notEqual(toHex(sharing.keyId), pending);
    assert.match((await pendingKeys(homes))[0]!, new RegExp(pending));
  });

  for (const [method, when] of [
    ['addSharing', 'after'],
    ['confirmSharing', 'before'],
    ['confirmSharing', 'after'],
    ['addSetup', 'before'],
    ['addSetup', 'after'],
  ] as const)
    test(`${when} ${method}: the same key is completed`, async () => {
      const homes = newHomes(two);
      await homes.command(({ keys, work }) => keys.generate(work, 'keygen'), {
        store: failing('bob', method, when),
      });
      const [key] = await pendingKeys(homes);
      assert.ok(key);
      if (method === 'addSharing' || (method === 'confirmSharing' && when === 'before')) {
        const sharing = await afterwards(homes);
        assert.equal(toHex(sharing.keyId), key);
      } else {
        await assertSigns(homes, await sharingAt(homes, 'alice'), two);
      }
    });

  test('a pending key is used by no quorum, and completed by all', async () => {
    const homes = newHomes();
    await homes.command(({ keys, work }) => keys.generate(work, 'keygen'), {
      store: failing('bob', 'confirmSharing', 'before'),
    });
    const sharing = await sharingAt(homes, 'bob');
    const request = { quorum: ['alice', 'bob'], receivers: ['alice'], message: randomBytes(4) };
    const sign = ({ keys, work }: Home) => keys.sign(work, 'sign', sharing.keyId, request);
    const outcomes = await homes.command(sign, { parties: request.quorum });
    assert.match(errorAt(outcomes, 'bob').message, /pending/);
    assert.match(errorAt(outcomes, 'alice').message, /pending/);
    valuesOf(await refresh(homes, sharing));
    assert.deepEqual(await held(homes, sharing), ['1', '1', '1']);
  });

  test('a pending key is completed by signing, where that takes all', async () => {
    const homes = newHomes(two);
    await homes.command(({ keys, work }) => keys.generate(work, 'keygen'), {
      store: failing('bob', 'confirmSharing', 'before'),
    });
    const sharing = await sharingAt(homes, 'bob');
    assert.deepEqual(await held(homes, sharing), ['0', '0?']);
    const copy = `${homes.folderOf('bob')}-copy`;
    cpSync(homes.folderOf('bob'), copy, { recursive: true });
    await assertSigns(homes, sharing, two);
    assert.deepEqual(await held(homes, sharing), ['0', '0']);

    // bob's folder is put back as it was: pending, and without the set-up that alice has.
    rmSync(homes.folderOf('bob'), { recursive: true });
    renameSync(copy, homes.folderOf('bob'));
    const completed = await afterwards(homes);
    assert.deepEqual(completed.keyId, sharing.keyId);
  });
});

describe('a refresh cut off', async () => {
  const homes = newHomes();
  const sharing = await generate(homes);

  test('before one party has stored its share: all stay with the old one, and with what they hold', async () => {
    const outcomes = await refresh(homes, sharing, { store: failing('charlie', 'addSharing', 'before') });
    assert.equal(errorAt(outcomes, 'charlie').code, 'INTERRUPTED');
    assert.deepEqual(await held(homes, sharing), ['1? 0', '1? 0', '0']);
    await assertSigns(homes, sharing, ['alice', 'charlie']);
    await assertSigns(homes, sharing, ['alice', 'bob']);
  });

  test('again, elsewhere: two sharings call themselves epoch 1, and the parties end on one', async () => {
    await refresh(homes, sharing, { store: failing('alice', 'addSharing', 'before') });
    assert.deepEqual(await held(homes, sharing), ['1? 0', '1? 1? 0', '1? 0']);
    for (const quorum of [
      ['alice', 'bob'],
      ['bob', 'charlie'],
      ['alice', 'charlie'],
    ])
      await assertSigns(homes, sharing, quorum);
    const [{ shid }] = valuesOf(await refresh(homes, sharing)) as [Sharing];
    assert.deepEqual(await held(homes, sharing), ['1', '1', '1']);
    assert.deepEqual((await sharingAt(homes, 'bob')).shid, shid);
    await assertSigns(homes, sharing, ['bob', 'charlie']);
  });

  test('before one party has seen it confirmed: the others have it, and it is used', async () => {
    await refresh(homes, sharing, { store: failing('bob', 'confirmSharing', 'before', 2) });
    assert.deepEqual(await held(homes, sharing), ['2', '2? 1', '2']);
    await assertSigns(homes, sharing, ['alice', 'bob']);
  });

  test('when the backup of the new share fails: the old one stays in force, and no use of the key changes that', async () => {
    const outcomes = await homes.command(({ self, keys, work }) =>
      keys.refresh(work, 'refresh', sharing.keyId, async () => {
        if (self === 'alice') throw new MpcError('FILE', 'the disk is full');
      }),
    );
    assert.equal(errorAt(outcomes, 'alice').code, 'FILE');
    // What had been cut off before has been completed first.
    assert.deepEqual(await held(homes, sharing), ['2', '3? 2', '3? 2']);
    await assertSigns(homes, sharing, ['alice', 'charlie']);
    assert.deepEqual(await held(homes, sharing), ['2', '3? 2', '3? 2']);
  });
});

test('a share that is older than the others’ is explained and not used', async () => {
  const homes = newHomes();
  const sharing = await generate(homes);
  const store = await homes.open('alice');
  const stale = store.loadShare(sharing.keyId, sharing.shid);
  store[Symbol.dispose]();
  valuesOf(await refresh(homes, sharing));
  const another = new Homes(PARTIES, { curve, policy });
  made.push(another);
  const old = await another.open('alice');
  old.addSharing(stale, 'backup');
  stale[Symbol.dispose]();
  old[Symbol.dispose]();
  // alice's state folder is the old one, the others' are not.
  const folders = homes.folderOf.bind(homes);
  homes.folderOf = (self) => (self === 'alice' ? another.folderOf(self) : folders(self));
  const request = { quorum: ['alice', 'bob'], receivers: ['bob'], message: randomBytes(4) };
  const sign = ({ keys, work }: Home) => outcomeOf(keys.sign(work, 'sign', sharing.keyId, request));
  for (const outcome of valuesOf(await homes.command(sign, { parties: request.quorum }))) {
    assert.ok('error' in outcome);
    assert.equal(outcome.error.code, 'DISAGREEMENT');
    assert.match(outcome.error.message, /no sharing is held by every party/);
    assert.match(outcome.error.hint ?? '', /what alice holds is older than epoch 1/);
  }
});

test('a set-up whose check has failed is erased before anybody hears of it, and the next use makes another', async () => {
  const parties = ['alice', 'bob'];
  const homes = newHomes(parties, 'ot');
  const sharing = await generate(homes);
  const setupsOf = (self: PartyName) =>
    readdirSync(homes.folderOf(self), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.setup'),
    );
  const first = setupsOf('bob');
  await assertSigns(homes, sharing, parties);
  assert.deepEqual([first.length, setupsOf('bob')], [1, first]);

  const spoilt: string[] = [];
  const atAbort: number[] = [];
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind === 'abort' && from === 'bob') atAbort.push(setupsOf('bob').length);
    if (frame.kind !== 'round' || from !== 'alice' || frame.step !== 'presign') return undefined;
    spoilt.push(frame.round);
    // The last byte is one of the sums of the columns.
    return [garbled(frame)];
  };
  const request = { quorum: parties, receivers: ['bob'], message: randomBytes(20) };
  const outcomes = await homes.command(({ keys, work }) => keys.sign(work, 'sign', sharing.keyId, request), {
    intercept,
  });
  const { code, culprits, message } = errorAt(outcomes, 'bob');
  assert.deepEqual([code, culprits], ['PROTOCOL', ['alice']]);
  assert.match(message, /makes the set-up void$/);
  assert.equal(spoilt[0], 'commit');
  assert.ok(atAbort.length > 0 && atAbort.every((count) => count === 0), 'bob told before it had erased');
  assert.deepEqual(setupsOf('bob'), []);

  await assertSigns(homes, sharing, parties);
  assert.equal(setupsOf('bob').length, 1);
  assert.notDeepEqual(setupsOf('bob'), first);
});

test('who sends what fails a check that voids the set-up is named for it, also when it aborts before that is found', async () => {
  const parties = ['alice', 'bob'];
  const homes = newHomes(parties, 'ot');
  const { keyId } = await generate(homes);
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind !== 'round' || from !== 'alice' || frame.step !== 'presign') return undefined;
    const { operation } = frame;
    return [
      garbled(frame),
      encodeFrame({ kind: 'abort', operation, code: 'INTERRUPTED', culprits: [], reason: 'gone' }),
    ];
  };
  const request = { quorum: parties, receivers: ['bob'], message: randomBytes(20) };
  const outcomes = await homes.command(({ keys, work }) => keys.sign(work, 'sign', keyId, request), {
    intercept,
    store: failing('bob', 'eraseSetup', 'before'),
  });
  const { code, culprits, message, hint } = errorAt(outcomes, 'bob');
  assert.deepEqual([code, culprits], ['PROTOCOL', ['alice']]);
  assert.match(message, /makes the set-up void$/);
  assert.match(hint ?? '', /erasing it failed: the machine fails$/);
});

test('a set-up whose check has failed in one session is void in all others on it, too', async () => {
  const parties = ['alice', 'bob'];
  const homes = newHomes(parties, 'ot');
  const { keyId } = await generate(homes);
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (frame.kind !== 'round' || from !== 'alice' || frame.step !== 'presign') return undefined;
    // To the one session bob gets something wrong, to the other nothing, of which its end could be a consequence.
    if (frame.operation !== 'one presign') return [];
    return [garbled(frame)];
  };
  const request = { quorum: parties, receivers: ['bob'], message: randomBytes(20) };
  const both = ({ keys, work }: Home) =>
    Promise.all(['one', 'two'].map((name) => outcomeOf(keys.sign(work, name, keyId, request))));
  const outcomes = valuesOf(await homes.command(both, { intercept }));
  for (const outcome of outcomes[1]!) {
    assert.ok('error' in outcome);
    assert.equal(outcome.error.code, 'PROTOCOL');
  }
});

test('an operation that is given up leaves the set-up that it has loaded to the others', async () => {
  const parties = ['alice', 'bob'];
  for (const by of ['ot', 'paillier'] as const) {
    const homes = newHomes(parties, by);
    const { keyId } = await generate(homes);
    const stopping = new AbortController();
    const intercept: Intercept = (_from, _to, bytes) => {
      const frame = decodeFrame(bytes);
      if (frame.kind === 'round' && frame.step === 'presign' && frame.operation.startsWith('one'))
        stopping.abort(new MpcError('INTERRUPTED', 'the user of one has had enough'));
      return undefined;
    };
    const request = { quorum: parties, receivers: parties, message: randomBytes(20) };
    const both = ({ keys, work }: Home) => {
      const first = { ...work, resources: { ...work.resources, signal: stopping.signal } };
      const one = keys.sign(first, 'one', keyId, request);
      return Promise.all([outcomeOf(one), keys.sign(work, 'two', keyId, request)]);
    };
    for (const [one, two] of valuesOf(await homes.command(both, { intercept }))) {
      assert.ok('error' in one && one.error.code === 'INTERRUPTED');
      assert.ok(two);
    }
  }
});

/** charlie's store as it tells of what it holds of each sharing: something else. */
const lying =
  (lie: (info: SharingInfo) => SharingInfo): NonNullable<CommandOptions['store']> =>
  (self, keystore) => {
    if (self !== 'charlie') return keystore;
    const lies = (key: StoredKey): StoredKey => ({ ...key, sharings: key.sharings.map(lie) });
    return new Proxy(keystore, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (name === 'keys') return () => target.keys().map(lies);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };

describe('what others say of sharings', async () => {
  const homes = newHomes();
  const sharing = await generate(homes);
  await cutOffWhenStored(homes, sharing);

  /** charlie names something as a pending key that is none; another key is made, but for alice's disk. */
  async function assertNotCompleted(under: Homes, lie: (info: SharingInfo) => SharingInfo): Promise<void> {
    const [lies, fails] = [lying(lie), failing('alice', 'addSharing', 'before')];
    const outcomes = await under.command(({ keys, work }) => keys.generate(work, 'keygen'), {
      store: (self, keystore) => lies(self, fails(self, keystore)),
    });
    assert.equal(errorAt(outcomes, 'alice').code, 'INTERRUPTED', 'something was completed');
    assert.deepEqual(await held(homes, sharing), ['1? 0', '1? 0', '1? 0']);
  }
  const pending = { origin: 'keygen', confirmed: false } as const;

  test('a refresh that was cut off is not confirmed as a pending key', async () => {
    await assertNotCompleted(homes, (info) =>
      info.sharing.epoch === 1 ? { ...info, ...pending, sharing: { ...info.sharing, epoch: 0 } } : info,
    );
  });

  test('a key under another policy is not taken for the one that was asked for', async () => {
    const all = parsePolicy({ and: PARTIES }, PARTIES);
    const others = new Homes(PARTIES, { curve, policy: all });
    made.push(others);
    others.folderOf = (self) => homes.folderOf(self);
    await assertNotCompleted(others, (info) => ({
      ...{ ...info, ...pending },
      sharing: { ...info.sharing, policy: all },
    }));
  });

  test('a forged sharing of fewer parties does not make these all parties of the key', async () => {
    const two = ['alice', 'bob'];
    {
      // As if recovered from a backup that somebody else has made.
      const x = curve.randomScalar(randomBytes);
      const publicShares = new Map([
        ['alice', curve.multiplyBase(x)],
        ['bob', curve.multiplyBase(curve.mod(2n * x)).subtract(sharing.publicKey)],
      ]);
      const parts = {
        ...sharing,
        policy: parsePolicy({ and: two }, two),
        parties: two,
        epoch: 9,
        publicShares,
      };
      const forged = makeSharing(parts, randomBytes(32));
      using share = makeKeyShare(forged, 'alice', Secret.fromBigint(x, 32));
      using keystore = await homes.open('alice');
      keystore.addSharing(share, 'backup');
    }
    await assertSigns(homes, sharing, two);
    assert.deepEqual(await held(homes, sharing), ['9? 1? 0', '1? 0', '1? 0']);
  });
});

describe('two operations at once in one process', () => {
  const two = ['alice', 'bob'];
  const BUSY = /a new sharing of the key [0-9a-f]+ is being confirmed/;

  /** Starts both at every party, and checks that the first one ends well, and the second is refused. */
  async function onlyTheFirst(homes: Homes, acts: ((home: Home) => Promise<unknown>)[]): Promise<void> {
    const outcomes = await homes.command((home) => Promise.all(acts.map((act) => outcomeOf(act(home)))));
    for (const [first, second] of valuesOf(outcomes)) {
      assert.ok(first && 'value' in first);
      assert.ok(second && 'error' in second);
      assert.equal(second.error.code, 'USAGE');
      assert.match(second.error.message, BUSY);
    }
  }

  test('never confirm two siblings: a second refresh, or a signature that completes one, is refused', async () => {
    const homes = newHomes(two);
    const sharing = await generate(homes);
    const { keyId } = sharing;
    await onlyTheFirst(
      homes,
      ['one', 'two'].map(
        (name) =>
          ({ keys, work }) =>
            keys.refresh(work, name, keyId),
      ),
    );
    assert.deepEqual(await held(homes, sharing), ['1', '1']);
    const request = { quorum: two, receivers: two, message: randomBytes(4) };
    await cutOffWhenStored(homes, sharing);
    assert.deepEqual(await held(homes, sharing), ['2? 1', '2? 1']);
    await onlyTheFirst(
      homes,
      ['one', 'two'].map(
        (name) =>
          ({ keys, work }) =>
            keys.sign(work, name, keyId, request),
      ),
    );
    assert.deepEqual(await held(homes, sharing), ['2', '2']);
    // Where there is one sharing only, nothing can go wrong.
    const sign = ({ keys, work }: Home) =>
      Promise.all(['three', 'four'].map((name) => keys.sign(work, name, keyId, request)));
    for (const signatures of valuesOf(await homes.command(sign))) assert.equal(signatures.length, 2);
  });
});

test('no secret is alive after all that', () => {
  assert.equal(Secret.live, 0);
});
