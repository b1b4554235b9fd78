/** A small protocol with every kind of round, for the tests of this folder. */
import { z } from 'zod';
import { bytesField, naturalField } from '#src/core/codec.js';
import type { MpcError } from '#src/core/errors.js';
import {
  broadcastRound,
  confirmRound,
  directRound,
  mixedRound,
  ofPeer,
  type PeerMap,
  peerMap,
  type Run,
} from '#src/rounds/run.js';

export const PARTIES = ['alice', 'bob', 'charlie', 'dave'];

export const first = broadcastRound({ step: 'test', name: '1', maxBytes: 64, broadcast: bytesField(32) });

export const second = mixedRound({
  step: 'test',
  name: '2',
  maxBytes: 256,
  broadcast: z.strictObject({ x: naturalField(64) }),
  direct: z.strictObject({ y: naturalField(64), to: z.string() }),
  echo: 'rides',
});

export const third = directRound({
  step: 'test',
  name: '3',
  maxBytes: 64,
  direct: z.strictObject({ echo: bytesField(32) }),
});

export const last = confirmRound('test', 'confirm');

export const ROUNDS = [first, second, third, last];

/** For what needs no more than a broadcast and a confirmation. */
export const BRIEF = [first, last];

/** What each party learns: the session identifier, and the sum of all x. */
export async function converse(run: Run): Promise<{ readonly sid: Uint8Array; readonly sum: bigint }> {
  // Round 1
  await run.broadcast(first, run.random(32));

  // Round 2
  const x = BigInt(run.parties.indexOf(run.self));
  const direct = peerMap(run.peers, (peer) => ({ y: x, to: peer }));
  const messages = await run.broadcastAndExchange(second, { x }, direct);

  // Round 3
  const echo = run.echo(second);
  const thirds = await run.exchange(
    third,
    peerMap(run.peers, () => ({ echo })),
  );
  run.checkEcho(
    second,
    peerMap(run.peers, (peer) => ofPeer(thirds, peer).echo),
  );
  await run.check('addressee', (peer) => ofPeer(messages, peer).direct.to === run.self);
  await run.check('sender', (peer) => ofPeer(messages, peer).direct.y === ofPeer(messages, peer).broadcast.x);

  await run.confirm(last, run.sid);
  return { sid: run.sid, sum: x + total(messages) };
}

const total = (messages: PeerMap<{ readonly broadcast: { readonly x: bigint } }>): bigint =>
  [...messages.values()].reduce((sum, message) => sum + message.broadcast.x, 0n);

/** `error` in one line, as an assertion shows it best. */
export const summary = (error: MpcError): string =>
  `${error.code} [${error.culprits.join(', ')}] ${error.message}`;
