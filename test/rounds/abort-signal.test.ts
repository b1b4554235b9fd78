import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import { anyOf } from '#src/rounds/abort-signal.js';

const first = new MpcError('INTERRUPTED', 'first');
const second = new MpcError('TIMEOUT', 'second');

test('a signal of several is aborted with the first of them, for its reason', () => {
  const sources = [new AbortController(), new AbortController()] as const;
  using either = anyOf(sources[0].signal, undefined, sources[1].signal);
  assert.equal(either.signal.aborted, false);
  sources[1].abort(first);
  sources[0].abort(second);
  assert.equal(either.signal.reason, first);
  using late = anyOf(...sources.map(({ signal }) => signal));
  assert.equal(late.signal.reason, second);
});

test('it leaves nothing behind at its sources', () => {
  const source = new AbortController();
  const either = anyOf(source.signal);
  either[Symbol.dispose]();
  assert.equal(getEventListeners(source.signal, 'abort').length, 0);
  source.abort(first);
  assert.equal(either.signal.aborted, false);
});
