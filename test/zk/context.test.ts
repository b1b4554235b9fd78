import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '#src/core/bytes.js';
import { hash } from '#src/core/transcript.js';
import { contextFields, type ProofContext } from '#src/zk/context.js';
import { ALTERED_CONTEXTS, CONTEXT } from '../support/proofs.js';

test('contexts that differ in anything hash differently', () => {
  const hashOf = (ctx: ProofContext) => toHex(hash('test', contextFields(ctx)));
  const hashes = [CONTEXT, ...ALTERED_CONTEXTS.values()].map(hashOf);
  assert.equal(new Set(hashes).size, 1 + ALTERED_CONTEXTS.size);
});
