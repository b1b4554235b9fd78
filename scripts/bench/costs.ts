/**
 * The program that against.ts runs in both versions: measures one step of a key of four parties whenever it is asked
 * to, so that the versions take turns.
 */
import { availableParallelism } from 'node:os';
import { WorkerPool } from '#src/work/pool.js';
import { type MultiplicationName, testMultiplication } from '#test/support/protocols.js';
import { type Cost, CURVE, MemoryKey, NAMES } from './memory-key.js';

const PARTIES = 4;

export type Step = 'keygen' | 'setUp' | 'presign' | 'sign' | 'refresh';

/** A step of the key at hand; with keygen a new key begins. */
export interface Question {
  readonly multiplication: MultiplicationName;
  readonly step: Step;
}

export type Answer = Cost;

const pool = new WorkerPool(availableParallelism());
let key: MemoryKey | undefined;

async function answer({ multiplication, step }: Question): Promise<Answer> {
  if (step === 'keygen' || key === undefined) {
    key?.[Symbol.dispose]();
    key = new MemoryKey(
      NAMES.slice(0, PARTIES),
      (index) => testMultiplication(CURVE, index, multiplication),
      { compute: pool.compute },
    );
  }
  return await key[step]();
}

process.on('message', (question: Question) => {
  void answer(question).then((cost) => process.send?.(cost));
});
process.on('disconnect', () => void pool.close());
