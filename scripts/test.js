// Runs every compiled test file under dist/test with node:test, and fails when fewer files ran than exist.
// `node scripts/test.js [substring ...]` runs only the files whose path contains one of the substrings.
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
const stream = run({ files, concurrency: Number(process.env.TEST_CONCURRENCY ?? 2) });
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
stream.compose(new spec()).pipe(process.stdout);
