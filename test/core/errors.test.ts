import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  asMpcError,
  ERROR_CODES,
  type ErrorCode,
  exitStatus,
  invariant,
  MpcError,
  throwIfAborted,
} from '#src/core/errors.js';

/** Codes and exit statuses are read by scripts around this program: changing one is changing the interface. */
const EXIT: Readonly<Record<ErrorCode, number>> = {
  BUG: 1,
  USAGE: 2,
  CONFIG: 2,
  CERTIFICATE: 2,
  FILE: 2,
  PORT: 2,
  NOT_ALONE: 3,
  UNREACHABLE: 3,
  TIMEOUT: 3,
  PEER_LEFT: 3,
  DISAGREEMENT: 4,
  PROTOCOL: 4,
  EQUIVOCATION: 4,
  PEER_ABORTED: 4,
  BACKUP: 5,
  INTERRUPTED: 130,
};

test('the table of codes and exit statuses', () => {
  assert.deepEqual(
    Object.fromEntries(Object.entries(ERROR_CODES).map(([code, { exit }]) => [code, exit])),
    EXIT,
  );
  for (const [code, { exit, meaning }] of Object.entries(ERROR_CODES)) {
    assert.equal(exitStatus(code as ErrorCode), exit);
    assert.match(meaning, /^[a-z].*[^.]$/, code);
  }
  const meanings = Object.values(ERROR_CODES).map(({ meaning }) => meaning);
  assert.equal(new Set(meanings).size, meanings.length);
});

test('an error carries code, message, hint, culprits and cause', () => {
  const cause = new Error('below');
  const error = new MpcError('PROTOCOL', 'bob lies', { hint: 'ask bob', culprits: ['bob'], cause });
  assert.ok(error instanceof Error);
  assert.equal(error.name, 'MpcError');
  assert.equal(error.exitStatus, 4);
  assert.equal(error.hint, 'ask bob');
  assert.deepEqual(error.culprits, ['bob']);
  assert.equal(error.cause, cause);
  const bare = new MpcError('EQUIVOCATION', 'views differ');
  assert.deepEqual(bare.culprits, []);
  assert.equal(bare.hint, undefined);
  assert.ok(!('cause' in bare));
});

test('an invariant that holds is silent, one that breaks is a bug', () => {
  invariant(true, 'fine');
  for (const broken of [false, undefined, null, 0, '']) {
    assert.throws(() => invariant(broken, 'broken'), { name: 'MpcError', code: 'BUG', message: 'broken' });
  }
});

test('whatever was thrown becomes one of ours', () => {
  const own = new MpcError('TIMEOUT', 'late');
  assert.equal(asMpcError(own), own);
  const foreign = new TypeError('x is not a function');
  const bug = asMpcError(foreign);
  assert.deepEqual([bug.code, bug.message, bug.cause], ['BUG', 'x is not a function', foreign]);
  assert.deepEqual([asMpcError('text').code, asMpcError('text').message], ['BUG', 'text']);
  assert.equal(asMpcError(undefined).code, 'BUG');
});

test('an aborted signal throws its own reason', () => {
  throwIfAborted(undefined);
  const controller = new AbortController();
  throwIfAborted(controller.signal);
  const reason = new MpcError('INTERRUPTED', 'interrupted');
  controller.abort(reason);
  assert.throws(
    () => throwIfAborted(controller.signal),
    (error) => error === reason,
  );
  assert.throws(() => throwIfAborted(AbortSignal.abort('why')), { code: 'BUG', message: 'why' });
});
