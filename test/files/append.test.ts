import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { AppendedFile, readLines } from '#src/files/append.js';
import { allocatedBy } from '../support/fuzz.js';

const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-append-'));
after(() => rmSync(folder, { recursive: true }));

const MAX_BYTES = 1000;
const path = join(folder, 'lines');

/** What {@link readLines} gives of a file with those contents; lines as text. */
function linesOf(contents: string) {
  writeFileSync(path, contents);
  // Each before the next one is asked for.
  return Array.from(readLines(path, MAX_BYTES), ({ bytes, ...rest }) => ({
    ...rest,
    text: bytes && Buffer.from(bytes).toString('latin1'),
  }));
}

/** The same from the whole text. */
function expectedOf(contents: string) {
  const texts = contents.split('\n');
  let end = 0;
  return texts
    .map((text, index) => {
      const isWhole = index < texts.length - 1;
      end += text.length + (isWhole ? 1 : 0);
      return { number: index + 1, end, isWhole, text: text.length > MAX_BYTES ? undefined : text };
    })
    .filter(({ isWhole, text }) => isWhole || text !== '');
}

test('lines are read as they stand, whatever their number and lengths', () => {
  const length = fc.oneof(
    fc.nat(3),
    fc.nat(2 * MAX_BYTES),
    fc.constantFrom(MAX_BYTES, MAX_BYTES + 1),
    fc.nat(600_000),
  );
  fc.assert(
    fc.property(fc.array(length, { maxLength: 12 }), fc.boolean(), (lengths, isWhole) => {
      const contents = lengths.map((each) => 'x'.repeat(each)).join('\n') + (isWhole ? '\n' : '');
      assert.deepEqual(linesOf(contents), expectedOf(contents));
    }),
    { numRuns: 60 },
  );
});

test('lines that cross the pieces in which a file is read are whole', () => {
  const contents = Array.from({ length: 2500 }, (_line, index) => `${index}`.padEnd(index % 997, '.')).join(
    '\n',
  );
  assert.ok(contents.length > 1_000_000);
  assert.deepEqual(linesOf(contents), expectedOf(contents));
});

test('a long file takes no more memory than a short one', () => {
  const line = `${'x'.repeat(MAX_BYTES)}\n`;
  const [short, long] = [1, 50_000].map((count) => {
    writeFileSync(path, line.repeat(count));
    return allocatedBy(() => {
      for (const { bytes } of readLines(path, MAX_BYTES)) assert.equal(bytes?.length, MAX_BYTES);
    });
  });
  assert.equal(long, short);
});

test('what is read is read once more when the file has grown', () => {
  const file = AppendedFile.open(join(folder, 'grows'));
  const texts = (): string[] =>
    Array.from(readLines(file.path, MAX_BYTES), ({ bytes }) => Buffer.from(bytes!).toString());
  file.append(Buffer.from('one\n'));
  assert.deepEqual([texts(), file.length], [['one'], 4]);
  file.append(Buffer.from('two'));
  assert.deepEqual([texts(), file.length], [['one', 'two'], 7]);
  file.cut(4);
  assert.deepEqual([texts(), file.length], [['one'], 4]);
  file[Symbol.dispose]();
  assert.throws(() => file.append(Buffer.from('x')), { code: 'BUG', message: 'a closed file was used' });
  assert.equal(readFileSync(file.path, 'utf8'), 'one\n');
});

test('failures say which file and why', () => {
  const nowhere = join(folder, 'no', 'such');
  assert.throws(() => [...readLines(nowhere, 1)], { code: 'FILE', message: `${nowhere} does not exist` });
  assert.throws(() => [...readLines(folder, 1)], {
    code: 'FILE',
    message: `${folder} is a folder, not a file`,
  });
  const inner = join(folder, 'inner');
  mkdirSync(inner);
  assert.throws(() => AppendedFile.open(inner), {
    code: 'FILE',
    message: `${inner} is a folder, not a file`,
  });
  assert.throws(() => AppendedFile.open('/dev/null'), {
    code: 'FILE',
    message: '/dev/null is not a plain file',
  });
});
