/** What every way to run jobs does alike: in this thread and in worker threads. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { randomBytes } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import type { Compute } from '#src/rounds/run.js';
import { inlineCompute } from '#src/work/inline.js';
import { WorkerPool } from '#src/work/pool.js';
import * as jobs from './jobs.js';

const behavesAlike = (name: string, compute: Compute): void => {
  describe(name, () => {
    test('input and output are data, with big integers', async () => {
      assert.deepEqual(await compute(jobs.double, { x: 1n << 3000n }), { y: 1n << 3001n });
    });

    test('randomness comes with the context', async () => {
      assert.equal((await compute(jobs.someRandom, 40)).length, 40);
    });

    test('a secret is copied for the job and wiped after it; the caller keeps its own', async () => {
      const secret = new Uint8Array(10).fill(3);
      const input = { key: { secret: secret.subarray(2) } };
      assert.equal(await compute(jobs.sumSecret, input), 24);
      assert.deepEqual(secret, new Uint8Array(10).fill(3));
      assert.deepEqual(await compute(jobs.leftover, null), new Array(8).fill(0));
    });

    test('a secret is wiped also when the job fails; the error keeps its code, hint and culprits', async () => {
      const secret = new Uint8Array(6).fill(3);
      await assert.rejects(compute(jobs.failWithSecret, { secret }), (error) => {
        assert(error instanceof MpcError);
        const { code, message, hint, culprits } = error;
        assert.deepEqual(
          { code, message, hint, culprits },
          { code: 'PROTOCOL', message: 'bob broke it', hint: 'try again', culprits: ['bob'] },
        );
        return true;
      });
      assert.deepEqual(await compute(jobs.leftover, null), new Array(6).fill(0));
      assert.deepEqual(secret, new Uint8Array(6).fill(3));
    });

    test('secrets of the output move: the job keeps none', async () => {
      const output = await compute(jobs.makeSecret, { secret: new Uint8Array(5).fill(4) });
      assert.deepEqual(output.made.secret, new Uint8Array(8).fill(7));
      assert.equal(output.made.secret.buffer.byteLength, 8);
      assert.deepEqual(output.secret, [new Uint8Array(5).fill(4)]);
      assert.deepEqual(output.public, new Uint8Array(4).fill(7));
      const left = await compute(jobs.leftover, null);
      assert.deepEqual(left.slice(8, 16), new Array(8).fill(0));
      assert.deepEqual(left.slice(0, 8), new Array(8).fill(7));
    });

    test('any other error is a bug, with its message', async () => {
      await assert.rejects(compute(jobs.fail, 'range'), { code: 'BUG', message: 'out of range' });
      await assert.rejects(compute(jobs.fail, 'text'), { code: 'BUG', message: 'a text' });
    });

    test('what cannot be cloned is a bug, on the way in and out', async () => {
      const secret = new Uint8Array(4).fill(5);
      const input = { key: { secret, extra: () => 1 } };
      await assert.rejects(compute(jobs.sumSecret, input), { code: 'BUG', message: /could not be cloned/ });
      assert.deepEqual(secret, new Uint8Array(4).fill(5));
      await assert.rejects(compute(jobs.returnFunction, null), {
        code: 'BUG',
        message: /could not be cloned/,
      });
      assert.deepEqual(await compute(jobs.double, { x: 1n }), { y: 2n });
    });

    test('a signal aborted before begins nothing', async () => {
      const reason = new MpcError('TIMEOUT', 'too late');
      await assert.rejects(compute(jobs.double, { x: 1n }, { signal: AbortSignal.abort(reason) }), reason);
    });

    test('a signal aborted meanwhile rejects with its reason, and the job is told', async () => {
      const controller = new AbortController();
      const reason = new MpcError('TIMEOUT', 'too late');
      const result = compute(jobs.waitBriefly, null, { signal: controller.signal });
      setImmediate(() => controller.abort(reason));
      await assert.rejects(result, reason);
      // The thread is free again only because the job has noticed.
      assert.deepEqual(await compute(jobs.double, { x: 1n }), { y: 2n });
    });

    test('many jobs on one signal warn of nothing, and leave no listener', async (context) => {
      const warned = context.mock.method(process, 'emitWarning', () => {});
      const { signal } = new AbortController();
      const results = Array.from({ length: 40 }, (_, x) =>
        compute(jobs.double, { x: BigInt(x) }, { signal }),
      );
      assert.equal((await Promise.all(results)).length, 40);
      assert.equal(warned.mock.callCount(), 0);
    });
  });
};

const pool = new WorkerPool(1); // some tests look at what a job left behind in its thread
after(() => pool.close());

behavesAlike('in this thread', inlineCompute(randomBytes));
behavesAlike('in worker threads', pool.compute);
