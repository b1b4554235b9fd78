/**
 * Whatever a peer sends: a session ends well or with a known error, no honest party is named, nothing is thrown at the
 * network, nothing else breaks, and what is kept stays within bounds. (node:test fails a test for whose sake a
 * rejection goes unhandled.)
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { encode, UndecodableError } from '#src/core/codec.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import {
  decodeFrame,
  encodeFrame,
  type HelloFrame,
  type LetterFrame,
  type SentFrame,
} from '#src/rounds/frames.js';
import { Mailbox } from '#src/rounds/mailbox.js';
import type { Network, NetworkHandler } from '#src/rounds/network.js';
import { withSession } from '#src/rounds/session.js';
import { inlineCompute } from '#src/work/inline.js';
import { converse, ROUNDS } from '../rounds/protocol.js';
import { seededRandom } from '../support/backups.js';
import {
  anythingFor,
  cases,
  cborNoise,
  keptBy,
  plainData,
  spoiled,
  spoiledData,
  unlessRefused,
} from '../support/fuzz.js';
import {
  type Intercept,
  MemoryCluster,
  type Outcome,
  outcomeOf,
  runParties,
  testParty,
  valueAt,
} from '../support/memory-network.js';

const MIB = 1024 * 1024;
const PARTIES = ['alice', 'bob', 'charlie'];
const HONEST = ['alice', 'charlie'];
const KNOWN = ['PROTOCOL', 'EQUIVOCATION', 'DISAGREEMENT', 'PEER_ABORTED', 'PEER_LEFT', 'TIMEOUT'];

/** That `error` is one of those that peers cause, names nobody but the `hostile`, and can be shown. */
function assertFair(error: MpcError, hostile: readonly PartyName[]): void {
  assert.ok(KNOWN.includes(error.code), `${error.code}: ${error.message}`);
  assert.match(error.message, /^[\x20-\x7e]+$/);
  if (error.code !== 'PROTOCOL') return;
  assert.ok(error.culprits.length > 0 && error.culprits.every((name) => hostile.includes(name)));
}

// One frame

const label = fc.stringMatching(/^[ -~]{1,80}$/);
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const part = fc.option(fc.uint8Array({ maxLength: 60 }));

const frames: fc.Arbitrary<SentFrame | LetterFrame> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    operation: label,
    version: fc.constant(1 as const),
    descriptor: fc.dictionary(label, fc.oneof(fc.string(), fc.maxSafeInteger()), { maxKeys: 5 }),
    sharings: fc.array(fc.record({ epoch: fc.nat(), shid: digest }), { maxLength: 3 }),
    nonce: digest,
  }),
  fc.record({ kind: fc.constant('hello echo' as const), operation: label, digest }),
  fc.record({
    kind: fc.constant('round' as const),
    ...{ operation: label, sid: digest, step: label, round: label, broadcast: part, direct: part },
  }),
  fc.record({
    kind: fc.constant('abort' as const),
    ...{ operation: label, code: label, culprits: fc.array(label, { maxLength: 4 }), reason: label },
  }),
  fc.record({
    kind: fc.constant('waiting' as const),
    ...{ operation: label, place: label, peers: fc.array(label, { maxLength: 4 }) },
  }),
  fc.record({
    kind: fc.constant('letter' as const),
    ...{ subject: label, body: fc.uint8Array({ maxLength: 60 }) },
  }),
);

const honestHeaders = frames.map((frame) => {
  if (frame.kind === 'letter') return { kind: frame.kind, subject: frame.subject, length: frame.body.length };
  if (frame.kind !== 'round') return frame;
  return { ...frame, broadcast: frame.broadcast?.length ?? null, direct: frame.direct?.length ?? null };
});

/** The header `head`, its length before it. */
function framed(head: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(4 + head.length);
  bytes.writeUInt32BE(head.length);
  bytes.set(head, 4);
  return new Uint8Array(bytes);
}

function encodeOrNothing(plain: Parameters<typeof encode>[0]): Uint8Array {
  try {
    return encode(plain);
  } catch {
    return new Uint8Array();
  }
}

test('a spoiled frame is another frame, or undecodable', () => {
  const headers = spoiledData(honestHeaders as fc.Arbitrary<Parameters<typeof encode>[0]>, plainData);
  const bytes = fc.oneof(
    anythingFor(frames.map(encodeFrame)),
    headers.map((header) => framed(encodeOrNothing(header))),
    cborNoise.map(framed),
  );
  fc.assert(
    fc.property(bytes, (frame) => {
      const decoded = unlessRefused(
        () => decodeFrame(frame),
        (error) => error instanceof UndecodableError,
      );
      if (decoded && decoded.kind !== 'foreign hello')
        assert.deepEqual(encodeFrame(decoded), Uint8Array.from(frame));
    }),
    cases(),
  );
});

// A session of three, whose bob is spoiled on the way

/** A way to spoil the frame that bob sends as his `at`-th. */
type Spoil = {
  readonly at: number;
  readonly change: (bytes: Uint8Array, earlier: Uint8Array[]) => Uint8Array[];
};

const changes: fc.Arbitrary<Spoil['change']> = fc.oneof(
  fc.constant(() => []),
  fc.constant((bytes: Uint8Array) => [bytes, bytes]),
  fc.uint8Array({ maxLength: 200 }).map((junk) => () => [junk]),
  fc.uint8Array({ maxLength: 200 }).map((junk) => (bytes: Uint8Array) => [bytes, junk]),
  fc.nat().map((at) => (bytes: Uint8Array) => [bytes.subarray(0, at % bytes.length)]),
  fc
    .nat()
    .map((at) => (bytes: Uint8Array, earlier: Uint8Array[]) => [
      bytes,
      earlier[at % earlier.length] ?? bytes,
    ]),
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => (bytes: Uint8Array) => {
    const changed = Uint8Array.from(bytes);
    changed[at % bytes.length]! ^= flip;
    return [changed];
  }),
);

const spoils = fc.array(fc.record({ at: fc.nat(14), change: changes }), { minLength: 1, maxLength: 3 });

/** Applies each spoil to the frames that bob sends in the operation among all. */
function spoiler(list: readonly Spoil[]): Intercept {
  const earlier: Uint8Array[] = [];
  return (from, _to, bytes) => {
    const frame = decodeFrame(bytes);
    if (from !== 'bob' || frame.kind === 'letter' || frame.operation !== 'test') return undefined;
    const now = list.filter(({ at }) => at === earlier.length);
    earlier.push(bytes);
    return now.reduce<Uint8Array[]>(
      (sent, { change }) => sent.flatMap((each) => change(each, earlier)),
      [bytes],
    );
  };
}

test('spoiled frames of one party', async () => {
  await fc.assert(
    fc.asyncProperty(spoils, async (list) => {
      const timer = new AbortController();
      const outcomes = runParties(
        PARTIES,
        async (party) => {
          const pair = HONEST.includes(party.self)
            ? party.session({ operation: 'pair', parties: HONEST, rounds: ROUNDS }, converse)
            : undefined;
          const all = await outcomeOf(party.session({ rounds: ROUNDS, signal: timer.signal }, converse));
          return { all, pair: (await pair)?.sum };
        },
        { intercept: spoiler(list) },
      );
      for (let turn = 0; turn < 60; turn += 1) await new Promise(setImmediate);
      timer.abort(new MpcError('TIMEOUT', 'timed out'));
      const results = await outcomes;
      for (const name of HONEST) {
        const { all, pair } = valueAt(results, name);
        if ('error' in all) assertFair(all.error, ['bob']);
        assert.equal(pair, 1n);
      }
    }),
    cases(40),
  );
});

// Alice alone among hostile peers, who know all that honest ones would have sent her

interface Arrival {
  readonly from: PartyName;
  readonly bytes: Uint8Array;
}

/** What arrives at alice in a session in which everybody is honest; the same every time, as her randomness is. */
const honestly: Arrival[] = [];

const PEERS = ['bob', 'charlie'];

before(async () => {
  const cluster = new MemoryCluster(PARTIES, (from, to, bytes) => {
    if (to === 'alice') honestly.push({ from, bytes });
    return undefined;
  });
  const all = PARTIES.map((name) => testParty(cluster, name, { random: seededRandom(name) }));
  await Promise.all(all.map((party) => party.session({ rounds: ROUNDS }, converse)));
  assert.deepEqual(await aliceAmong(honestly), { value: 3n });
});

/** A network of which only alice's end is real: what arrives is said by the test. */
function arrivalsAt(self: PartyName): { network: Network; handler: () => NetworkHandler } {
  let subscribed: NetworkHandler | undefined;
  const network: Network = {
    self,
    parties: PARTIES,
    send: async () => {},
    subscribe: (handler) => {
      subscribed = handler;
      return () => {};
    },
  };
  return { network, handler: () => subscribed! };
}

/** How alice's session ends when these frames arrive; an arrival without bytes is the loss of its sender. */
async function aliceAmong(arrivals: readonly (Arrival | Omit<Arrival, 'bytes'>)[]): Promise<Outcome<bigint>> {
  const { network, handler } = arrivalsAt('alice');
  const failing = () => {
    throw new Error('a handler\nfails');
  };
  const mailbox = new Mailbox(network, {
    notice: (text) => assert.match(text, /^[\x20-\x7e]{1,1000}$/),
    ...{ letter: failing, lost: failing, refuse: failing },
  });
  const timer = new AbortController();
  const random = seededRandom('alice');
  const options = { operation: 'test', parties: PARTIES, descriptor: {}, rounds: ROUNDS, random };
  const outcome = outcomeOf(
    withSession(
      mailbox,
      { ...options, compute: inlineCompute(random), signal: timer.signal },
      async (run) => {
        const { sum } = await converse(run);
        return sum;
      },
    ),
  );
  for (const arrival of arrivals) {
    const { from } = arrival;
    if ('bytes' in arrival) handler().message(from, arrival.bytes);
    else handler().lost(from, new MpcError('PEER_LEFT', `${from} has restarted`, { culprits: [from] }));
    await new Promise(setImmediate);
  }
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  timer.abort(new MpcError('TIMEOUT', 'timed out'));
  const result = await outcome;
  mailbox.close();
  // Late ones are heard, too.
  for (const { from } of arrivals) handler().message(from, Uint8Array.of(1));
  return result;
}

test('whatever arrives, in whatever order, alice ends well or with a fair error', async () => {
  const arrival = fc.record({
    from: fc.constantFrom(...PEERS),
    bytes: fc.oneof(frames.map(encodeFrame), fc.uint8Array({ maxLength: 80 })),
  });
  const known = fc.nat().map((at) => honestly[at % honestly.length]!);
  const spoiledOne = known.chain(({ from, bytes }) =>
    spoiled(fc.constant(bytes)).map((spoilt): Arrival => ({ from, bytes: spoilt })),
  );
  const loss = fc.constantFrom(...PEERS).map((from) => ({ from }));
  const inserted = fc.oneof({ weight: 3, arbitrary: spoiledOne }, known, arrival, loss);
  const edits = fc.array(
    fc.record({
      at: fc.nat(),
      remove: fc.nat(2),
      insert: fc.oneof(fc.constant([]), fc.array(inserted, { maxLength: 3 })),
    }),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  const ends = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      const arrivals = list.reduce<(Arrival | Omit<Arrival, 'bytes'>)[]>(
        (all, { at, remove, insert }) => all.toSpliced(at % (all.length + 1), remove, ...insert),
        honestly,
      );
      const outcome = await aliceAmong(arrivals);
      const end = 'error' in outcome ? outcome.error.code : 'well';
      ends.set(end, (ends.get(end) ?? 0) + 1);
      if ('error' in outcome) assertFair(outcome.error, PEERS);
      else assert.equal(outcome.value, 3n);
    }),
    cases(150),
  );
  // Otherwise the generator no longer reaches what it is for.
  for (const end of ['well', 'PROTOCOL', 'TIMEOUT', 'PEER_LEFT'])
    assert.ok(ends.has(end), `${end} never came`);
});

// Memory

test('a peer that floods a party costs it no more than the bounds, open operations or not', () => {
  const { network, handler } = arrivalsAt('alice');
  const mailbox = new Mailbox(network);
  const random = seededRandom('alice');
  const hello = (): HelloFrame => ({
    ...{ kind: 'hello', operation: 'open', version: 1, descriptor: {}, sharings: [] },
    nonce: random(32),
  });
  const channel = mailbox.open({ parties: PARTIES, rounds: ROUNDS, hello: hello() });
  const opening = channel.open();
  opening.catch(() => {});
  const frame = (operation: string, size: number, round = '1'): Uint8Array =>
    encodeFrame({
      ...{ kind: 'round', operation, sid: random(32), step: 'test', round, direct: null },
      broadcast: new Uint8Array(size),
    });
  const flood = () => {
    for (const peer of PEERS) {
      const send = (bytes: Uint8Array) => handler().message(peer, bytes);
      if (peer === 'bob') {
        send(encodeFrame(hello()));
        send(encodeFrame({ kind: 'hello echo', operation: 'open', digest: random(32) }));
      }
      for (let k = 0; k < 12; k += 1) {
        send(frame(`closed ${k % 7}`, 4 * MIB - 1024, String(k)));
        if (peer === 'bob') send(frame('open', 4 * MIB - 1024));
      }
      for (let k = 0; k < 3000; k += 1) send(frame(`closed ${k}`, k % 4000));
    }
  };
  const kept = keptBy(flood);
  // 8 MiB per peer for what is not open here, and bob's one early message of the open operation.
  assert.ok(kept <= 2 * 8 * MIB + 4 * MIB + MIB, `${kept} bytes`);
  mailbox.close();
});
