// Operations on stored keys at once, in the same processes: signatures and presignings that share set-ups, and what of
// it is left to an operation that runs alone.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { parsePolicy } from '#src/access/policy.js';
import { randomBytes, Secret, toHex } from '#src/core/bytes.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { publicKeyPem } from '#src/curve/ecdsa.js';
import type { UseOptions } from '#src/party/stored-keys.js';
import type { Sharing } from '#src/protocol/key-share.js';
import { decodeFrame } from '#src/rounds/frames.js';
import { errorAt, garbled, type Intercept, outcomeOf, valuesOf } from '../support/memory-network.js';
import { type CommandOptions, type Home, Homes } from '../support/stores.js';

const PARTIES = ['alice', 'bob', 'charlie'];
const curve = curveByName('P-256');
const SHARED = { shared: true };

const made: Homes[] = [];
after(() => {
  for (const homes of made) homes.dispose();
});

function newHomes(threshold: number): Homes {
  const policy = parsePolicy({ threshold, of: PARTIES }, PARTIES);
  const homes = new Homes(PARTIES, { curve, policy, by: 'ot' });
  made.push(homes);
  return homes;
}

async function generate(homes: Homes): Promise<Sharing> {
  const [sharing] = valuesOf(await homes.command(({ keys, work }) => keys.generate(work, 'keygen')));
  return sharing!;
}

const requestOf = (quorum: readonly PartyName[]) => ({ quorum, receivers: quorum, message: randomBytes(20) });

function assertSigned({ publicKey }: Sharing, message: Uint8Array, der: Uint8Array | undefined): void {
  assert.ok(der && verify('sha256', message, createPublicKey(publicKeyPem(curve, publicKey)), der));
}

/** Epochs, whether confirmed, and set-ups of everything that the parties hold of a key. */
async function held(homes: Homes, { keyId }: Sharing): Promise<unknown[]> {
  const lists: unknown[] = [];
  for (const self of homes.parties) {
    using keystore = await homes.open(self);
    lists.push(
      keystore.key(keyId)!.sharings.map(({ sharing, confirmed, setups }) => ({
        ...{ shid: toHex(sharing.shid), confirmed },
        setups: setups.map(({ id }) => toHex(id)),
      })),
    );
  }
  return lists;
}

test('signatures at once, on one key and on two, by several quorums', async () => {
  const homes = newHomes(2);
  const keys = [await generate(homes), await generate(homes)] as const;
  const quorums = [['alice', 'bob'], ['bob', 'charlie'], PARTIES.slice(0, 2)];
  const all = quorums.flatMap((quorum, at) =>
    keys.map((sharing, key) => ({ sharing, name: `${at} of ${key}`, request: requestOf(quorum) })),
  );
  const signatures = valuesOf(
    await homes.command(({ self, keys, work }) =>
      Promise.all(
        all.map(({ sharing, name, request }) =>
          request.quorum.includes(self) ? keys.sign(work, name, sharing.keyId, request, SHARED) : undefined,
        ),
      ),
    ),
  );
  for (const [at, { sharing, request }] of all.entries())
    for (const self of request.quorum)
      assertSigned(sharing, request.message, signatures[PARTIES.indexOf(self)]![at]);
});

const homes = newHomes(3);
const sharing = await generate(homes);
const { keyId } = sharing;

test('signatures beside a presigning, and with what it makes', async () => {
  const requests = PARTIES.map(() => requestOf(PARTIES));
  const signatures = valuesOf(
    await homes.command(async ({ keys, work }) => {
      const presigning = keys.presign(work, 'presign', keyId, PARTIES, 2, SHARED);
      const signed = await keys.sign(work, 'sign', keyId, requests[0]!, SHARED);
      const others = (await presigning).map((presignature, k) =>
        keys.signPrepared(work, `prepared ${k}`, presignature, requests[k + 1]!),
      );
      return [signed, ...(await Promise.all(others))];
    }),
  );
  for (const ders of signatures)
    requests.forEach(({ message }, at) => {
      assertSigned(sharing, message, ders[at]);
    });
});

describe('what is not done beside others', () => {
  /** All participants end with `NOT_ALONE`, whatever they would do, hold what they held and have confirmed nothing. */
  async function assertNotAlone(): Promise<void> {
    const before = await held(homes, sharing);
    const request = requestOf(PARTIES);
    const acts = [
      ({ keys, work }: Home) => keys.sign(work, 'sign', keyId, request, SHARED),
      ({ keys, work }: Home) => keys.presign(work, 'presign', keyId, PARTIES, 1, SHARED),
    ];
    const intercept: Intercept = (_from, _to, bytes) => {
      const frame = decodeFrame(bytes);
      assert.ok(frame.kind !== 'round' || `${frame.step} ${frame.round}` !== 'settle confirm');
      return undefined;
    };
    for (const act of acts) {
      const outcomes = await homes.command<unknown>(act, { intercept });
      for (const self of PARTIES) assert.equal(errorAt(outcomes, self).code, 'NOT_ALONE', self);
    }
    assert.deepEqual(await held(homes, sharing), before);
  }

  async function assertSigns(options: UseOptions): Promise<void> {
    const request = requestOf(PARTIES);
    const sign = ({ keys, work }: Home) => keys.sign(work, 'sign', keyId, request, options);
    for (const der of valuesOf(await homes.command(sign))) assertSigned(sharing, request.message, der);
  }

  test('a set-up, where a failed check has made the one there void', async () => {
    const intercept: Intercept = (from, _to, bytes) => {
      const frame = decodeFrame(bytes);
      if (frame.kind !== 'round' || from !== 'alice' || frame.step !== 'presign') return undefined;
      if (frame.operation !== 'one presign') return [];
      return [garbled(frame)];
    };
    const request = requestOf(PARTIES);
    const both = ({ keys, work }: Home) =>
      Promise.all(['one', 'two'].map((name) => outcomeOf(keys.sign(work, name, keyId, request, SHARED))));
    for (const outcomes of valuesOf(await homes.command(both, { intercept })))
      for (const outcome of outcomes) assert.ok('error' in outcome && outcome.error.code !== 'NOT_ALONE');
    await assertNotAlone();
    await assertSigns({});
    await assertSigns(SHARED);
  });

  test('a confirmation that was cut off, where all take part', async () => {
    const failing: NonNullable<CommandOptions['store']> = (_self, keystore) => {
      let confirmed = 0;
      return new Proxy(keystore, {
        get(target, name) {
          const value = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            if (name === 'confirmSharing' && ++confirmed === 2)
              throw new MpcError('INTERRUPTED', 'the machine fails');
            return value.apply(target, args);
          };
        },
      });
    };
    await homes.command(({ keys, work }) => keys.refresh(work, 'refresh', keyId), { store: failing });
    await assertNotAlone();
    await assertSigns({});
    await assertSigns(SHARED);
  });

  test('and all know whether others may be there', async () => {
    const request = requestOf(PARTIES);
    const outcomes = await homes.command(({ self, keys, work }) =>
      keys.sign(work, 'sign', keyId, request, { shared: self !== 'bob' }),
    );
    for (const self of PARTIES) {
      const { code, message } = errorAt(outcomes, self);
      assert.equal(code, 'DISAGREEMENT');
      assert.match(message, /disagree: alone: /);
    }
  });
});

test('no secret is alive after all that', () => {
  assert.equal(Secret.live, 0);
});
