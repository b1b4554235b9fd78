import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '#src/core/bytes.js';
import { defineJob } from '#src/work/job.js';
import { secretsIn, transferOf, wipeSecrets, withCopiedSecrets } from '#src/work/secrets.js';
import work from '#src/work/worker.js';

const bytes = (value: number) => new Uint8Array(4).fill(value);

const sample = () => ({
  open: bytes(1),
  secret: bytes(2),
  deep: [{ secret: { p: bytes(3), list: [bytes(4), 5] }, n: 6n }],
  byPeer: new Map([['bob', { secret: bytes(7), none: null }]]),
});

test('secrets are the byte arrays under a key of that name, however deep', () => {
  assert.deepEqual(
    secretsIn(sample()).map(([first]) => first),
    [2, 3, 4, 7],
  );
  for (const none of [null, undefined, 1, 'secret', bytes(1), [], new Set([1])])
    assert.deepEqual(secretsIn(none), []);
});

test('a copy has secrets of its own, each alone in its buffer, and shares all else', () => {
  const value = sample();
  const copy = withCopiedSecrets(value);
  assert.deepEqual(copy, value);
  assert.equal(copy.open, value.open);
  wipeSecrets(copy);
  assert.deepEqual(value, sample());
  assert.ok(secretsIn(copy).every((secret) => secret.every((byte) => byte === 0)));
  assert.deepEqual(
    transferOf(copy).map((buffer) => buffer.byteLength),
    [4, 4, 4, 4],
  );
  const pooled = { secret: Buffer.from('pooled') };
  assert.equal(withCopiedSecrets(pooled).secret.buffer.byteLength, 6);
});

test('one buffer is moved once', () => {
  const { buffer } = bytes(1);
  const halves = { secret: [new Uint8Array(buffer, 0, 2), new Uint8Array(buffer, 2, 2)] };
  assert.deepEqual(transferOf(halves), [buffer]);
});

test('an owner of secrets is no plain data: cloning it gives nothing away', () => {
  using secret = Secret.own(bytes(1));
  assert.deepEqual(structuredClone(withCopiedSecrets({ secret })), { secret: {} });
});

test('a worker wipes the secrets also of a job that it never begins', async () => {
  const unwanted = Int32Array.of(1);
  const wanted = Int32Array.of(0);
  for (const [flag, code] of [
    [unwanted, 'INTERRUPTED'],
    [wanted, 'BUG'],
  ] as const) {
    const input = { secret: bytes(1) };
    const outcome = await work({ module: import.meta.url, name: 'nobody defined this', input, flag });
    assert.equal('error' in outcome && outcome.error.code, code);
    assert.deepEqual(input.secret, bytes(0));
  }
});

test('a job is defined once', () => {
  defineJob(import.meta.url, 'secrets test once', () => 1);
  assert.throws(() => defineJob(import.meta.url, 'secrets test once', () => 2), { code: 'BUG' });
});
