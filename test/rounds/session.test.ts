import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { toHex } from '#src/core/bytes.js';
import { bytesField, naturalField } from '#src/core/codec.js';
import {
  broadcastRound,
  confirmRound,
  directRound,
  mixedRound,
  ofPeer,
  peerMap,
  type Run,
} from '#src/rounds/run.js';
import { runParties, valuesOf } from '../support/memory-network.js';

const PARTIES = ['alice', 'bob', 'charlie', 'dave'];

const commit = broadcastRound({ step: 'toss', name: '1', maxBytes: 64, broadcast: bytesField(32) });
const send = mixedRound({
  step: 'toss',
  name: '2',
  maxBytes: 256,
  broadcast: z.strictObject({ x: naturalField(256) }),
  direct: z.strictObject({ y: naturalField(64), to: z.string() }),
  echo: 'rides',
});
const ride = directRound({ step: 'toss', name: '3', maxBytes: 64, direct: bytesField(32) });
const confirm = confirmRound('toss', 'confirm');
const ROUNDS = [commit, send, ride, confirm];

async function toss(run: Run): Promise<string> {
  const commits = await run.broadcast(commit, run.random(32));
  const sent = await run.broadcastAndExchange(
    send,
    { x: BigInt(run.parties.indexOf(run.self)) },
    peerMap(run.peers, (peer) => ({ y: 5n, to: peer })),
  );
  await run.check('addressee', (peer) => ofPeer(sent, peer).direct.to === run.self);
  const echoes = await run.exchange(
    ride,
    peerMap(run.peers, () => run.echo(send)),
  );
  run.checkEcho(send, echoes);
  await run.confirm(confirm, run.sid);
  assert.deepEqual([...commits.keys()], run.peers);
  for (const peer of run.peers)
    assert.equal(ofPeer(sent, peer).broadcast.x, BigInt(run.parties.indexOf(peer)));
  return toHex(run.sid);
}

test('a session of every kind of round', async () => {
  const outcomes = await runParties(PARTIES, (party) => party.session({ rounds: ROUNDS }, toss));
  assert.equal(new Set(valuesOf(outcomes)).size, 1);
});
