// Runs every compiled test file under dist/test with node:test, and fails when fewer files ran than exist.
// `node scripts/test.js [substring ...]` runs only the files whose path contains one of the substrings. No file takes
// longer than TEST_MINUTES (30). What tests count is added up at the end.
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const built = join(root, 'dist', 'test');
const wanted = process.argv.slice(2);

/** Names of the files under `folder` that end with `ending`, relative to it. */
const list = (folder, ending) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();

// Sources decide what must run: a stale compiled file of a deleted test is not run, a missing one is an error.
const sources = list(join(root, 'test'), '.test.ts');
const compiled = new Set(list(built, '.test.js'));
const missing = sources.filter((name) => !compiled.has(name));
if (missing.length > 0) {
  console.error(`not compiled: ${missing.join(', ')}. Run: npx tsc -b test`);
  process.exit(1);
}
const chosen = sources.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
if (chosen.length === 0) {
  console.error('no test file matches');
  process.exit(1);
}

const ran = new Set();
const files = chosen.map((name) => join(built, `${name}.test.js`));
const stream = run({
  files,
  concurrency: Number(process.env.TEST_CONCURRENCY ?? 2),
  timeout: Number(process.env.TEST_MINUTES ?? 30) * 60_000,
});
stream.on('test:fail', () => {
  process.exitCode = 1;
});
for (const event of ['test:pass', 'test:fail']) {
  stream.on(event, (data) => {
    if (data.file) ran.add(data.file);
  });
}
stream.on('end', () => {
  const silent = files.filter((file) => !ran.has(file)).map((file) => relative(built, file));
  if (silent.length > 0) {
    console.error(`test files that ran no test: ${silent.join(', ')}`);
    process.exitCode = 1;
  }
});

// What tests say that they have done, as `count: connections cut 12`, added up over all of them.
const sums = new Map();
stream.on('test:diagnostic', ({ message }) => {
  const [, what, number] = /^count: (.+) (\d+)$/.exec(message) ?? [];
  if (what !== undefined) sums.set(what, (sums.get(what) ?? 0) + Number(number));
});
const report = stream.compose(new spec());
report.on('end', () => {
  if (sums.size === 0) return;
  process.stdout.write('\nin all\n');
  for (const [what, sum] of [...sums].sort()) process.stdout.write(`  ${what}: ${sum}\n`);
});
report.pipe(process.stdout, { end: false });
