import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, MAX_DURATION_MILLIS, parseDuration } from '#src/config/duration.js';

test('durations are read as Go reads them', () => {
  const cases: Readonly<Record<string, number>> = {
    '90s': 90_000,
    '2m': 120_000,
    '1m30s': 90_000,
    '1.5h': 5_400_000,
    '250ms': 250,
    '1h2m3s4ms': 3_723_004,
    '0.5s': 500,
  };
  for (const [text, millis] of Object.entries(cases)) assert.equal(parseDuration(text), millis, text);
});

test('what is not a duration, or not one that a timer can wait, is refused', () => {
  for (const text of [
    '',
    '90',
    's',
    '-1s',
    '+1s',
    '1,5s',
    '1 s',
    '1d',
    '1e3s',
    '.5s',
    '5.s',
    '90S',
    '1s ',
    'Infinitys',
  ])
    assert.equal(parseDuration(text), undefined, text);
  assert.equal(parseDuration('0s'), undefined);
  assert.equal(parseDuration(`${MAX_DURATION_MILLIS}ms`), MAX_DURATION_MILLIS);
  assert.equal(parseDuration(`${MAX_DURATION_MILLIS + 1}ms`), undefined);
  assert.equal(parseDuration('9'.repeat(400).concat('s')), undefined);
});

test('durations are printed for people', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0.4, '0ms'],
    [85, '85ms'],
    [999.6, '1.0s'],
    [1_440, '1.4s'],
    [9_960, '10s'],
    [38_200, '38s'],
    [59_700, '1m'],
    [90_000, '1m30s'],
    [7_500_000, '125m'],
  ];
  for (const [millis, text] of cases) assert.equal(formatDuration(millis), text);
});
