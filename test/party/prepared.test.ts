// Presignatures made ahead and signatures made of them, by three parties in memory with stored keys; and what is told
// of a share of a signature before it is given out.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes, Secret } from '#src/core/bytes.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { messageDigest } from '#src/curve/digest.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { ShareFacts, SigningRequest } from '#src/party/operations.js';
import type { Presignature } from '#src/protocol/presign.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { errorAt, type Intercept, outcomeOf, valuesOf } from '../support/memory-network.js';
import { type Home, Homes } from '../support/stores.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const QUORUM = ['alice', 'bob'];
const curve = curveByName('P-256');
const policy = parsePolicy({ threshold: 2, of: PARTIES }, PARTIES);
const homes = new Homes(PARTIES, { curve, policy, by: 'ot' });
after(() => homes.dispose());

const [sharing] = valuesOf(await homes.command(({ keys, work }) => keys.generate(work, 'keygen')));
const { keyId, publicKey } = sharing!;

const requestOf = (
  receivers: readonly PartyName[],
  quorum: readonly PartyName[] = QUORUM,
): SigningRequest => ({
  ...{ quorum, receivers },
  message: randomBytes(20),
});

function assertSigned({ message }: SigningRequest, der: Uint8Array | undefined): void {
  assert.ok(der && verify('sha256', message, createPublicKey(publicKeyPem(curve, publicKey)), der));
}

/** Each party of the quorum with presignatures of its own. */
type Stock = ReadonlyMap<PartyName, readonly Presignature[]>;

async function presigned(count: number): Promise<Stock> {
  const presign = ({ keys, work }: Home) => keys.presign(work, 'presign', keyId, QUORUM, count);
  const made = valuesOf(await homes.command(presign, { parties: QUORUM }));
  return new Map(QUORUM.map((self, at) => [self, made[at]!]));
}

const next = (stock: Stock, { self }: Home, at = 0): Presignature => stock.get(self)![at]!;

/** Notes who sends what, as `party step round` or the kind of the frame. */
function recorder(): { readonly sent: string[]; readonly intercept: Intercept } {
  const sent: string[] = [];
  const intercept: Intercept = (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    sent.push(`${from} ${frame.kind === 'round' ? `${frame.step} ${frame.round}` : frame.kind}`);
    return undefined;
  };
  return { sent, intercept };
}

describe('presignatures made ahead', () => {
  test('each signs one message, in one session and with one message of each signer', async () => {
    const stock = await presigned(3);
    const names = [...stock.values()].map((made) =>
      made.map(({ binding }) => Buffer.from(binding.sid).toString('hex')),
    );
    assert.deepEqual(names[0], names[1]);
    assert.equal(new Set(names[0]).size, 3);
    const requests = [requestOf(['alice']), requestOf(['bob']), requestOf(QUORUM)];
    const { sent, intercept } = recorder();
    const sign = (home: Home) =>
      Promise.all(
        requests.map((request, at) =>
          home.keys.signPrepared(home.work, `sign ${at}`, next(stock, home, at), request),
        ),
      );
    const signatures = valuesOf(await homes.command(sign, { parties: QUORUM, intercept }));
    requests.forEach((request, at) => {
      QUORUM.forEach((self, who) => {
        const der = signatures[who]![at];
        if (request.receivers.includes(self)) assertSigned(request, der);
        else assert.equal(der, undefined);
      });
    });
    const rounds = sent.filter((what) => !what.includes('hello')).sort();
    assert.deepEqual(
      rounds,
      QUORUM.flatMap((self) => [
        ...Array(2).fill(`${self} sign answer`),
        ...Array(2).fill(`${self} sign partial signature`),
      ]),
    );
    assert.equal(Secret.live, 0);
  });

  test('the participants agree on how many', async () => {
    const presign = ({ self, keys, work }: Home) =>
      keys.presign(work, 'presign', keyId, QUORUM, self === 'alice' ? 1 : 2);
    const outcomes = await homes.command(presign, { parties: QUORUM });
    for (const self of QUORUM) {
      const { code, message } = errorAt(outcomes, self);
      assert.equal(code, 'DISAGREEMENT');
      assert.match(message, /disagree: count: /);
    }
  });

  test('when one fails, those made before it are wiped', async () => {
    let begun = 0;
    const intercept: Intercept = (_from, _to, bytes) => {
      const frame = decodeFrame(bytes);
      if (frame.kind === 'letter' || frame.operation !== 'presign 2') return undefined;
      begun = Math.max(begun, Secret.live);
      throw new MpcError('INTERRUPTED', 'the machine fails');
    };
    const presign = ({ keys, work }: Home) => keys.presign(work, 'presign', keyId, QUORUM, 3);
    const outcomes = await homes.command(presign, { parties: QUORUM, intercept });
    for (const self of QUORUM) assert.equal(errorAt(outcomes, self).code, 'INTERRUPTED');
    assert.ok(begun >= 6, 'no first presignature was made');
    assert.equal(Secret.live, 0);
  });

  test('one that was used is refused, and nothing is sent', async () => {
    const stock = await presigned(1);
    const { sent, intercept } = recorder();
    const request = requestOf(QUORUM);
    const sign = async (home: Home) => {
      const { keys, work } = home;
      assertSigned(request, await keys.signPrepared(work, 'first', next(stock, home), request));
      const before = sent.length;
      const second = keys.signPrepared(work, 'second', next(stock, home), requestOf(QUORUM));
      await assert.rejects(second, { code: 'BUG', message: 'a presignature was used twice' });
      return sent.length - before;
    };
    const outcomes = await homes.command(sign, { parties: QUORUM, intercept });
    assert.deepEqual(valuesOf(outcomes), [0, 0]);
  });

  test('another quorum gets nothing from it, and it is gone', async () => {
    const stock = await presigned(1);
    const { sent, intercept } = recorder();
    const others = ['alice', 'charlie'];
    const sign = (home: Home) =>
      home.keys.signPrepared(home.work, 'sign', next(stock, home), requestOf(others, others));
    const outcomes = await homes.command(sign, { parties: ['alice'], intercept });
    assert.deepEqual(
      [errorAt(outcomes, 'alice').message, sent],
      ['a presignature was used with another quorum', []],
    );
    assert.throws(() => stock.get('alice')![0]!.reserve(), { code: 'BUG' });
    for (const presignature of stock.get('bob')!) presignature[Symbol.dispose]();
    assert.equal(Secret.live, 0);
  });
});

describe('before a share of a signature is given out', () => {
  const SENT = 'sign partial signature';

  test('it is told of, once all have said hello', async () => {
    const stock = await presigned(1);
    const { sent, intercept } = recorder();
    const request = requestOf(['alice']);
    const told = new Map<PartyName, { facts: ShareFacts; sent: readonly string[] }>();
    const sign = (home: Home) => {
      const { self, keys, work } = home;
      const beforeShare = (facts: ShareFacts) => told.set(self, { facts, sent: [...sent] });
      return keys.signPrepared({ ...work, beforeShare }, 'sign', next(stock, home), request);
    };
    const [der] = valuesOf(await homes.command(sign, { parties: QUORUM, intercept }));
    assertSigned(request, der);
    for (const self of QUORUM) {
      const { facts, sent: before } = told.get(self)!;
      assert.deepEqual(facts, {
        ...{ keyId, epoch: 0, quorum: QUORUM, receivers: ['alice'] },
        messageHash: messageDigest(request.message),
        presignature: stock.get(self)![0]!.binding.sid,
      });
      for (const party of QUORUM) assert.ok(before.includes(`${party} hello`));
      assert.ok(!before.includes(`${self} ${SENT}`));
    }
    // alice, the only receiver, sends none, and is asked all the same.
    assert.deepEqual(
      sent.filter((what) => what.endsWith(SENT)),
      [`bob ${SENT}`],
    );
  });

  for (const [refusing, receivers] of [
    ['bob', ['alice']],
    ['alice', ['alice']],
    ['alice', QUORUM],
  ] as const)
    test(`what ${refusing} throws, with ${receivers.join(' and ')} to receive, keeps its share here`, async () => {
      const { sent, intercept } = recorder();
      const request = requestOf(receivers);
      const sign = ({ self, keys, work }: Home) => {
        const beforeShare = () => {
          if (self === refusing) throw new MpcError('FILE', 'the record cannot be written');
        };
        return keys.sign({ ...work, beforeShare }, 'sign', keyId, request);
      };
      const outcomes = await homes.command(sign, { parties: QUORUM, intercept });
      for (const self of QUORUM)
        assert.equal(errorAt(outcomes, self).code, self === refusing ? 'FILE' : 'PEER_ABORTED');
      assert.ok(!sent.includes(`${refusing} ${SENT}`));
      assert.ok(!sent.some((what) => what.endsWith('sign answer')));
      assert.equal(Secret.live, 0);
    });
});

test('a presignature dies with the sharing that it is of', async () => {
  const stock = await presigned(2);
  const { sent, intercept } = recorder();
  valuesOf(await homes.command(({ keys, work }) => keys.refresh(work, 'refresh', keyId)));
  const sign = (home: Home) =>
    outcomeOf(home.keys.signPrepared(home.work, 'sign', next(stock, home), requestOf(QUORUM)));
  for (const outcome of valuesOf(await homes.command(sign, { parties: QUORUM, intercept }))) {
    assert.ok('error' in outcome);
    assert.equal(outcome.error.code, 'USAGE');
    assert.match(outcome.error.message, /^the presignature is of a share of the key [0-9a-f]+ that is gone$/);
  }
  assert.deepEqual(sent, []);
  for (const [first, second] of stock.values()) {
    assert.throws(() => first!.reserve(), { code: 'BUG' });
    second![Symbol.dispose]();
  }
  assert.equal(Secret.live, 0);
});
