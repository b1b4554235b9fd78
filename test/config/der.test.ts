import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sequenceOf } from '#src/config/der.js';

const read = (hex: string) =>
  sequenceOf(Buffer.from(hex, 'hex'))?.map(({ tag, content, whole }) => [tag, content.length, whole.length]);

test('the elements of a sequence, by X.690 §8.1 and §10.1', () => {
  assert.deepEqual(read('3000'), []);
  assert.deepEqual(read('3005020107 0500'.replace(' ', '')), [
    [2, 1, 3],
    [5, 0, 2],
  ]);
  assert.deepEqual(read(`308183048180${'ab'.repeat(128)}`), [[4, 128, 131]]);
  assert.deepEqual(read(`3082010404820100${'ab'.repeat(256)}`), [[4, 256, 260]]);
});

test('anything else is no sequence', () => {
  const refused = [
    '',
    '30',
    '3100', // another tag
    'b000',
    '300005', // something follows
    '3001', // cut off
    '3003020107ff',
    '30030201', // cut off inside
    '3002020107', // the element is longer than the sequence
    '30800000', // indefinite length
    '308103020107', // lengths that are not the shortest
    '30820003020107',
    `308200830481${'80'}${'ab'.repeat(128)}`,
    '3083000003020107',
    '30820005',
    '3081',
    '3082',
    '308201',
    '30ff',
  ];
  for (const hex of refused) assert.equal(read(hex), undefined, hex);
});
