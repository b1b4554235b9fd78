// The table of cheats: every field of every message of every protocol, falsified in every way, and every message as a
// whole dropped, repeated, held back, brought forward or replaced. Whoever can see it aborts and names the cheat, or
// nobody where docs/protocol.md §11 says that nobody can be named; those who end well agree, and have lost nothing.
//
// The rows are made from the schemas of the rounds, so that a new field is covered without anybody remembering. An
// ordinary run takes a sample with every field in it; with TORTURE in the environment all rows are run.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertRefused, counts, Delivery, each, play, report, sample } from '../support/attacks.js';
import { keyOf, type MessagePlace } from '../support/cheat.js';
import { allScenarios, CHEAT, type Scenario } from '../support/scenarios.js';
import { fieldsOfRound, printField, type Row, Table, type WholeRow, wireRounds } from '../support/table.js';
import { TORTURE } from '../support/torture.js';

async function falsify(scenario: Scenario, row: Row): Promise<void> {
  const cheat = row.cheat();
  const failed = await play(scenario, cheat);
  assert.equal(cheat.hits, row.messages, 'the cheat did not come to act');
  counts.altered += cheat.hits;
  if (row.codes.length > 0) assertRefused(failed, row.receivers, row.codes);
  else
    for (const { code, culprits } of failed.values())
      assert.deepEqual([code, culprits], ['TIMEOUT', [CHEAT]]);
  if (row.kind !== 'undecodable') return;
  for (const { code, message } of failed.values())
    if (code === 'PROTOCOL') assert.match(message, /undecodable|at most|without the parts/);
}

async function deliver(scenario: Scenario, place: MessagePlace, { deed, expect }: WholeRow): Promise<void> {
  const attack = new Delivery((frame) => frame.kind === 'round' && keyOf(frame) === keyOf(place), deed);
  const failed = await play(scenario, attack);
  assert.equal(attack.hits, 1, 'the cheat did not come to act');
  counts.altered += 1;
  expect(failed);
}

const scenarios = await allScenarios();

for (const scenario of scenarios) {
  describe(scenario.name, async () => {
    const table = await Table.of(scenario);
    const covered = new Set<string>();
    const rounds = wireRounds(scenario.rounds).filter(
      ({ step }) => TORTURE || !scenario.asElsewhere?.includes(step),
    );

    for (const round of rounds) {
      for (const field of fieldsOfRound(round)) {
        const name = printField(field);
        test(name, async () => {
          const rows = table.rows(field);
          assert.notEqual(rows.length, 0, 'a field of the schema without a row');
          const some = sample(name, [...rows, ...table.committedRows(field)], ({ kind }) => kind, 1);
          await each(some, (row) => falsify(scenario, row));
          covered.add(name);
        });
      }
      const place = { step: round.step, round: round.name };
      test(`${keyOf(place)}, the whole message`, async () => {
        const rows = sample(`${keyOf(place)}`, table.wholeRows(place), () => 'all', 2);
        await each(rows, (row) => deliver(scenario, place, row));
      });
    }

    test('every field that an honest run sends is in a schema, and has been falsified', () => {
      const sent = rounds.flatMap(({ step, name }) => table.sentFields({ step, round: name }));
      assert.notEqual(sent.length, 0);
      assert.deepEqual(
        sent.filter((name) => !covered.has(name)),
        [],
      );
    });
  });
}

test('every file that declares rounds has its place in the table', () => {
  // Compiled tests run from dist/test/adversary.
  const src = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'src');
  const declaring = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('rounds'))
    .filter((name) =>
      /\b(broadcast|direct|mixed|confirm)Round\(/.test(readFileSync(join(src, name), 'utf8')),
    );
  assert.deepEqual(declaring.sort(), [
    'multiplication/ot.ts',
    'multiplication/paillier.ts',
    'party/operations.ts',
    'protocol/dealing.ts',
    'protocol/dkg.ts',
    'protocol/pending.ts',
    'protocol/presign.ts',
    'protocol/refresh.ts',
    'protocol/settle.ts',
    'protocol/setup.ts',
    'protocol/sign.ts',
  ]);
});

test('what was done', (t) => {
  for (const line of report()) t.diagnostic(line);
});
