// Keeps the documents and the sources together: what one lists, the other has.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '#src/core/errors.js';
import { STEPS } from '#src/party/events.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const DOCUMENTS = [
  'README.md',
  'docs/protocol.md',
  'docs/security.md',
  'docs/operations.md',
  'docs/reliability.md',
  'docs/performance.md',
  'docs/dependencies.md',
];
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: read(join('src', name)) }));
const allSources = sources.map(({ text }) => text).join('\n');

/** What the groups of `pattern` match, sorted and without repeats. */
const matches = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map((match) => match[1]!))].sort();

/** The part of a document from the heading `title` to the next of the same or a higher level. */
function section(document: string, title: string): string {
  const level = /^#+/.exec(title)![0].length;
  const [, rest = ''] = read(document).split(`\n${title}\n`);
  assert.notEqual(rest, '', `${document} has no heading "${title}"`);
  return rest.split(new RegExp(`^#{1,${level}} `, 'm'))[0]!;
}

/** The rows of the tables in `text`, as their cells. */
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

test('README lists every error code with its exit status and meaning', () => {
  const listed = rows(section('README.md', '## Exit status')).slice(2);
  const codes = Object.entries(ERROR_CODES).map(([code, { exit, meaning }]) => [
    String(exit),
    `\`${code}\``,
    meaning,
  ]);
  assert.deepEqual(listed, codes);
});

test('README lists every event and every step', () => {
  const output = section('README.md', '## Output');
  const events = matches(read('src/party/events.ts'), /readonly event: '([a-z-]+)'/g);
  const listed = rows(output)
    .slice(1)
    .map(([event]) => event!.replaceAll('`', ''));
  assert.deepEqual([...listed].sort(), events);
  assert.ok(output.includes(`Steps: ${STEPS.map((step) => `\`${step}\``).join(', ')}.`));
});

test('README lists every option and command', () => {
  const text = section('README.md', '## Commands and options');
  const options = matches(allSources, /(?:\.option|\.requiredOption|new Option)\(\s*'(--[a-z-]+)/g);
  const commands = matches(allSources, /new Command\('([a-z-]+)'\)/g);
  assert.ok(options.length > 0 && commands.length > 0);
  assert.deepEqual(matches(text, /(--[a-z][a-z-]+)/g), [...options, '--help'].sort());
  for (const command of commands) assert.match(text, new RegExp(`ecdsa-mpc .*${command}\\b`), command);
});

test('README lists every field of settings.json; docs/operations.md what a program that decides is given', () => {
  const source = read('src/config/settings.ts');
  const shape = /^const shape = \{\n(.*?)^\};/ms.exec(source)![1]!;
  const fields = ['approval', ...matches(shape, /^ {2}([a-zA-Z]+): /gm)];
  const listed = rows(section('README.md', '### Settings')).slice(1);
  assert.deepEqual(listed.map(([field]) => field!.replaceAll('`', '')).sort(), fields.sort());

  const request = /^export interface ApprovalRequest \{\n(.*?)^\}/ms.exec(
    read('src/daemon/approval-request.ts'),
  )![1]!;
  const given = section('docs/operations.md', '## Who decides');
  for (const field of matches(request, /^ {2}readonly (\w+)/gm))
    assert.ok(given.includes(`\`${field}\``), field);
});

test('docs/operations.md lists every metric', () => {
  const source = read('src/daemon/metrics.ts');
  const named = matches(source, /(?:name: `\$\{PREFIX\}|gauge\(\s*')([a-z_]+)/g);
  const listed = rows(section('docs/operations.md', '## Monitoring')).slice(1);
  assert.deepEqual(
    listed.map(([name]) => name!.replaceAll('`', '')).sort(),
    named.map((name) => `ecdsa_mpc_${name}`).sort(),
  );
});

test('docs/protocol.md lists every hash tag', () => {
  const used = matches(allSources, /\b(?:hash|hasher|hashToScalar|hashStream|challenge)\(\s*'([^']+)'/g);
  const listed = rows(section('docs/protocol.md', '## Appendix A: every hash'))
    .slice(1)
    .map(([tag]) => tag!.replaceAll('`', ''));
  assert.deepEqual([...listed].sort(), used);
});

test('sections of docs/protocol.md that sources cite exist', () => {
  const cited = matches(allSources, /docs\/protocol\.md §(\d+)/g);
  const sections = matches(read('docs/protocol.md'), /^## (\d+)\. /gm);
  assert.ok(cited.length > 0);
  assert.deepEqual(
    cited.filter((number) => !sections.includes(number)),
    [],
  );
});

test('docs/dependencies.md lists every dependency at its exact version', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'));
  const listed = rows(read('docs/dependencies.md'))
    .filter(([, version]) => /^\d/.test(version!))
    .map(([name, version]) => [name!.replaceAll('`', ''), version!]);
  assert.deepEqual(Object.fromEntries(listed), { ...dependencies, ...devDependencies });
});

interface Locked {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly integrity?: string;
  readonly license?: string;
}

test('no package needs an install script; docs/dependencies.md counts the packages and names their licences', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
  const locked = Object.entries(packages).filter(([path]) => path !== '');
  assert.deepEqual(
    locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path),
    [],
  );
  for (const [path, { integrity }] of locked) assert.match(integrity ?? '', /^sha512-/, path);
  assert.match(read('Makefile'), /npm ci --ignore-scripts /);
  for (const [name, version] of Object.entries<string>({
    ...JSON.parse(read('package.json')).dependencies,
    ...JSON.parse(read('package.json')).devDependencies,
  }))
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is given by a range`);

  const text = read('docs/dependencies.md').replace(/\s+/g, ' ');
  const atRunTime = locked.filter(([, { dev }]) => !dev);
  const needed = atRunTime.filter(([, { optional }]) => !optional);
  assert.ok(text.includes(`has ${locked.length} packages, of which ${atRunTime.length} at run time`));
  assert.ok(text.includes(`${needed.length} packages, none of them native`));
  const licences = section('docs/dependencies.md', '## State');
  for (const [path, { license = '' }] of atRunTime) {
    const name = path.split('node_modules/').at(-1)!;
    if (license !== 'MIT') assert.ok(licences.includes(`\`${name}\``) && licences.includes(license), name);
  }
});

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

test('links between the documents lead somewhere', () => {
  for (const document of DOCUMENTS) {
    for (const link of matches(read(document), /\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(root, target)), `${document}: ${link}`);
      if (anchor === undefined) continue;
      const anchors = matches(read(target), /^#+ (.+)$/gm).map(anchorOf);
      assert.ok(anchors.includes(anchor), `${document}: ${link}`);
    }
  }
});

test('docs/performance.md shows every plot, and names targets and benchmarks that exist', () => {
  const text = read('docs/performance.md');
  const plots = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.svg'));
  assert.ok(plots.length > 0);
  assert.deepEqual(matches(text, /!\[[^\]]+\]\(([^)]+\.svg)\)/g), plots.sort());

  const targets = matches(read('Makefile'), /^([a-z][a-z-]*):/gm);
  const namesIn = (source: string, kind: string) =>
    matches(read(`scripts/bench/${source}`), new RegExp(`\\b([a-z]+): ${kind}[A-Z]`, 'g'));
  const benches: Readonly<Record<string, readonly string[]>> = {
    bench: namesIn('main.ts', 'bench'),
    'bench-against': namesIn('against.ts', 'compare'),
  };
  const commands = matches(text, /(?:`|^)(make [^`\n]+)/gm);
  assert.ok(commands.length > 3);
  for (const command of commands) {
    const [, target = '', rest = ''] = /^make (\S+)(.*)$/.exec(command)!;
    assert.ok(targets.includes(target), command);
    const [, args = ''] = /ARGS="?([a-z ]+)/.exec(rest) ?? [];
    for (const name of args.split(' ').filter(Boolean)) assert.ok(benches[target]?.includes(name), command);
  }
});

/** Whether `source` declares a test called `name`, also by a template that `name` fits with words of the same file. */
function declaresTest(source: string, name: string): boolean {
  const quoted = matches(source, /\btest\(\s*'((?:[^'\\]|\\.)*)'/g);
  if (quoted.includes(name)) return true;
  return matches(source, /\btest\(\s*`([^`]*)`/g).some((template) => {
    const parts = template.split(/\$\{[^}]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const words = new RegExp(`^${parts.join('(.+)')}$`).exec(name)?.slice(1);
    return words?.every((word) => word.split('.').every((part) => source.includes(part))) ?? false;
  });
}

test('tests and sources that docs/security.md names for known pitfalls exist', () => {
  const [, ...entries] = rows(section('docs/security.md', '## Known pitfalls and past bugs'));
  const tested = entries.filter((cells) => cells.length === 3);
  assert.ok(tested.length > 20);
  for (const [what = '', defence = '', tests = ''] of tested) {
    const files = tests.split('; ').map((item) => /^`(test\/[^`]+)` (“.+”)$/.exec(item));
    for (const file of files) {
      assert.ok(file, `${what}: ${tests}`);
      const [, path = '', names = ''] = file;
      for (const name of matches(names, /“([^”]+)”/g))
        assert.ok(declaresTest(read(path), name), `${path} has no test “${name}”`);
    }
    for (const path of matches(defence, /`(src\/[^`]+)`/g)) assert.ok(existsSync(join(root, path)), path);
  }
});
