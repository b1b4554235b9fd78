/**
 * Memory of one party of a key of sixteen, in a process of its own (memory-party.ts); the other fifteen live in this
 * one, and are its network. Some minutes of CPU.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { allOf } from '#src/access/policy.js';
import type { PartyName } from '#src/core/errors.js';
import type { Multiplication } from '#src/multiplication/multiplication.js';
import { sharingState } from '#src/protocol/refresh.js';
import { WorkerPool } from '#src/work/pool.js';
import { MemoryCluster, type TestParty, testParty } from '#test/support/memory-network.js';
import { keygenAt, type MultiplicationName, presignAt, setUpAt, signAt } from '#test/support/protocols.js';
import { multiplicationOf, primesOf } from './key-material.js';
import { printTable } from './measure.js';
import { CURVE, NAMES } from './memory-key.js';

/** What the party in the other process is told first. */
export interface Task {
  readonly self: PartyName;
  readonly parties: readonly PartyName[];
  readonly multiplication: MultiplicationName;
}

/** A frame to or from another party. */
export interface Letter {
  readonly peer: PartyName;
  readonly bytes: Uint8Array;
}

/** What a party holds after a step, in bytes. */
export interface Held {
  readonly after: string;
  /** Of the main thread, garbage collected: JavaScript objects, and the bytes of arrays. */
  readonly heap: number;
  readonly arrays: number;
  /** Of the whole process, worker threads included: now, and the most until now. */
  readonly resident: number;
  readonly peak: number;
}

/** A key's life at one party, from keygen to the first signature; `tell` is called after each step. */
export async function life(
  party: TestParty,
  multiplication: Multiplication,
  tell: (after: string) => Promise<void>,
): Promise<void> {
  const { parties } = party;
  await tell('start');
  const share = await keygenAt(party, CURVE, allOf(parties));
  await tell('keygen');
  using state = sharingState(share, await setUpAt(party, multiplication));
  await tell('set-up');
  using presignature = await presignAt(party, parties, state, multiplication);
  await tell('presign');
  await signAt(party, presignature, share, Uint8Array.of(1), parties);
  await tell('sign');
}

/** What the first of `parties` holds after each step. */
async function heldBy(
  parties: readonly PartyName[],
  name: MultiplicationName,
  multiplicationAt: (index: number) => Multiplication,
  pool: WorkerPool,
): Promise<readonly Held[]> {
  const cluster = new MemoryCluster(parties);
  const [self = '', ...others] = parties;
  const child = fork(fileURLToPath(new URL('memory-party.js', import.meta.url)), {
    execArgv: ['--expose-gc'],
    serialization: 'advanced',
  });
  const ended = once(child, 'exit');
  const network = cluster.network(self);
  network.subscribe({
    message: (peer, bytes) => void child.send({ peer, bytes } satisfies Letter),
    lost: () => {},
  });
  const held: Held[] = [];
  child.on('message', (message: Letter | Held) => {
    if ('after' in message) held.push(message);
    else void network.send(message.peer, message.bytes);
  });
  child.send({ self, parties, multiplication: name } satisfies Task);
  const nothing = async (): Promise<void> => {};
  await Promise.all(
    others.map((other, i) =>
      life(testParty(cluster, other, { compute: pool.compute }), multiplicationAt(i + 1), nothing),
    ),
  );
  await ended;
  return held;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)}`;

export async function benchMemory(): Promise<void> {
  const pool = new WorkerPool();
  try {
    const primes = await primesOf(NAMES.length, pool);
    for (const count of [2, 16])
      for (const name of ['paillier', 'ot'] as const) {
        const names = NAMES.slice(0, count);
        const held = await heldBy(names, name, multiplicationOf(name, primes), pool);
        printTable(`Memory of one of ${count} parties, ${name}, MB`, [
          ['after', 'objects', 'arrays', 'process', 'at most'],
          ...held.map(({ after, heap, arrays, resident, peak }) => [
            after,
            ...[heap, arrays, resident, peak].map(megabytes),
          ]),
        ]);
      }
  } finally {
    await pool.close();
  }
}
