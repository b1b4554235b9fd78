/** Keeps the layout of the sources: who may import whom, and what each floor must not touch. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Folders of src from the ground up: one may import itself and the rows above it, not its neighbours in a row. */
const FLOORS: readonly (readonly string[])[] = [
  ['core'],
  ['math'],
  ['curve'],
  ['access'],
  ['paillier'],
  ['zk', 'rounds'],
  ['work'],
  ['multiplication'],
  ['protocol', 'pve'],
  ['files'],
  ['config', 'transport', 'keystore', 'audit', 'control'],
  ['party'],
  ['daemon'],
  ['cli'],
];
const floorOf = (folder: string): number => FLOORS.findIndex((row) => row.includes(folder));
/** Up to here code is given its randomness, and reads no clock, file, log or environment. */
const PURE = floorOf('pve');

/** Modules that only some folders or files may import. */
const RESERVED: readonly (readonly [module: RegExp, ...owners: string[]])[] = [
  [/^node:fs/, 'files', 'keystore', 'cli'],
  [/^node:(tls|net|https?|http2|dgram|dns)/, 'transport', 'control'],
  [/^node:child_process$/, 'cli', 'party/recovery-key.ts', 'daemon/approval.ts'],
  [/^(node:worker_threads|piscina)$/, 'work'],
  [/^@noble\//, 'curve', 'core'],
  [/^cborg$/, 'core/codec.ts'],
  [/^bigint-crypto-utils$/, 'math'],
  [/^(@peculiar\/x509|reflect-metadata)$/, 'config'],
  [/^(commander|listr2|read)$/, 'cli'],
  [/^prom-client$/, 'daemon'],
];

/** Words that only some folders or files may hold; no owner: nobody. */
const WORDS: readonly (readonly [what: string, word: RegExp, ...owners: string[]])[] = [
  [
    'a modular power',
    /createDiffieHellman|getDiffieHellman|import \{[^}]*\bmodPow\b[^}]*\} from 'bigint-crypto-utils'/,
    'math/modpow.ts',
  ],
  // RSA without padding is one: encryption in time that depends on what it computes with, decryption in constant time.
  ['a power by RSA', /RSA_NO_PADDING/, 'math/roots.ts', 'math/rsa-power.ts', 'pve/recipient.ts'],
  [
    'a power in time that depends on the exponent',
    /\brsaPower\b/,
    'math/prime.ts',
    'math/public-power.ts',
    'math/rsa-power.ts',
  ],
  [
    'a fast power where nothing is verified',
    /\bpublicPowers?\b/,
    'math/public-power.ts',
    'zk/aff.ts',
    'zk/enc.ts',
    'zk/fac.ts',
    'zk/mod.ts',
    'zk/prm.ts',
  ],
  [
    'a multiple in time that depends on the scalar',
    /\bmultiply(Base)?Public\b/,
    'curve/curve.ts',
    'access/sharing.ts',
    'pve/pve.ts',
    'zk/dlog.ts',
  ],
  ['the end of the process', /process\.(exit|abort)\b/, 'cli/main.ts'],
  ['a computed import', /\bimport\((?!')/, 'work'],
  ['Math.random', /Math\.random/],
  // Hellos of other versions are read for their version only.
  [
    'a schema that ignores unknown fields',
    /\bz\.(object|looseObject)\(/,
    'rounds/frames.ts',
    'transport/hello.ts',
  ],
  // It throws on a byte string where it expects a list: what a peer sent would look like a bug of this program.
  ['a schema that freezes its value', /\.readonly\(\)/],
];
const IMPURE: readonly (readonly [what: string, word: RegExp, ...owners: string[]])[] = [
  ['a log', /\bconsole\b|'pino'/],
  ['a clock or timer', /\bDate\b|\bperformance\b|\bset(Timeout|Interval)\b|'node:(timers|perf_hooks)/],
  ['the process', /\bprocess\.|'node:process'/],
  [
    'the system’s generator',
    /\brandomBytes\b|\bgetRandomValues\b|\brandomUUID\b|Secret\.random\b/,
    'core/bytes.ts',
    'work',
    // To blind a scalar: nothing that comes out depends on it.
    'curve/secp256k1-multiple.ts',
  ],
];

const withoutComments = (source: string): string =>
  source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '');

const owns = (path: string, owners: readonly string[]): boolean =>
  owners.some((owner) => path === owner || path.startsWith(`${owner}/`));

/** What is wrong with the file at `path` below src. */
function faults(path: string, source: string, dependencies: readonly string[]): string[] {
  const found: string[] = [];
  const folder = path.split('/')[0]!;
  const floor = floorOf(folder);
  const code = withoutComments(source);
  if (floor < 0) found.push('stands in no folder of the layout');
  if (basename(path) === 'index.ts') found.push('is a barrel');
  if (path.split('/').includes('utils')) found.push('stands in a folder named utils');

  for (const [, module = ''] of code.matchAll(/\b(?:from|import)\s*\(?\s*'([^']+)'/g)) {
    if (module.startsWith('.')) {
      const target = normalize(join(dirname(path), module)).split('/')[0]!;
      if (target !== folder && !(floorOf(target) >= 0 && floorOf(target) < floor))
        found.push(`imports ${module}`);
    } else {
      const owners = RESERVED.find(([reserved]) => reserved.test(module))?.slice(1) as string[] | undefined;
      const known =
        module.startsWith('node:') || dependencies.some((name) => `${module}/`.startsWith(`${name}/`));
      if (!known || (owners !== undefined && !owns(path, owners))) found.push(`imports ${module}`);
    }
  }
  for (const [what, word, ...owners] of [...WORDS, ...(floor <= PURE ? IMPURE : [])]) {
    if (word.test(code) && !owns(path, owners)) found.push(`uses ${what}`);
  }
  return found;
}

const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};
const judge = (path: string, source: string): string[] => faults(path, source, Object.keys(dependencies));

test('every source file keeps to the layout', () => {
  const src = join(root, 'src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  assert.ok(files.length > 10);
  const all = files.flatMap((path) =>
    judge(path, readFileSync(join(src, path), 'utf8')).map((fault) => `src/${path} ${fault}`),
  );
  assert.deepEqual(all, []);
});

test('each rule is tripped by what it forbids, and by nothing else', () => {
  const refused: readonly (readonly [path: string, source: string, fault: string])[] = [
    ['core/a.ts', "import { mod } from '../math/modular.js';", 'imports ../math/modular.js'],
    ['curve/a.ts', "import type { Policy } from '../access/policy.js';", 'imports ../access/policy.js'],
    ['pve/a.ts', "export { x } from '../protocol/dkg.js';", 'imports ../protocol/dkg.js'],
    ['protocol/a.ts', "import '../pve/pve.js';", 'imports ../pve/pve.js'],
    ['zk/a.ts', "import {\n  type Run,\n} from '../rounds/run.js';", 'imports ../rounds/run.js'],
    ['rounds/a.ts', "import { x } from '../zk/mod.js';", 'imports ../zk/mod.js'],
    ['config/a.ts', "const x = await import('../transport/tls.js');", 'imports ../transport/tls.js'],
    ['party/a.ts', "import { x } from '../cli/main.js';", 'imports ../cli/main.js'],
    [
      'party/a.ts',
      "import { x } from '../../test/support/tamper.js';",
      'imports ../../test/support/tamper.js',
    ],
    ['party/a.ts', "import { x } from '#src/core/bytes.js';", 'imports #src/core/bytes.js'],
    ['party/a.ts', "import fc from 'fast-check';", 'imports fast-check'],
    ['party/a.ts', "import { readFileSync } from 'node:fs';", 'imports node:fs'],
    ['config/a.ts', "import { readFileSync } from 'node:fs';", 'imports node:fs'],
    ['keystore/a.ts', "import { loadCluster } from '../config/cluster.js';", 'imports ../config/cluster.js'],
    ['rounds/a.ts', "import { connect } from 'node:tls';", 'imports node:tls'],
    ['party/a.ts', "import { createServer } from 'node:net';", 'imports node:net'],
    ['zk/a.ts', "import { p256 } from '@noble/curves/nist.js';", 'imports @noble/curves/nist.js'],
    ['zk/a.ts', "import { gcd } from 'bigint-crypto-utils';", 'imports bigint-crypto-utils'],
    ['math/a.ts', "import { gcd, modPow } from 'bigint-crypto-utils';", 'uses a modular power'],
    ['paillier/a.ts', "import { createDiffieHellman } from 'node:crypto';", 'uses a modular power'],
    ['math/a.ts', 'const padding = constants.RSA_NO_PADDING;', 'uses a power by RSA'],
    [
      'math/a.ts',
      "import { rsaPower } from './rsa-power.js';",
      'uses a power in time that depends on the exponent',
    ],
    [
      'paillier/a.ts',
      "import { publicPower } from '../math/public-power.js';",
      'uses a fast power where nothing is verified',
    ],
    [
      'protocol/a.ts',
      'const R = curve.multiplyBasePublic(r);',
      'uses a multiple in time that depends on the scalar',
    ],
    ['cli/ui.ts', 'process.exit(1);', 'uses the end of the process'],
    ['party/a.ts', 'const x = await import(name);', 'uses a computed import'],
    ['cli/ui.ts', 'const x = Math.random();', 'uses Math.random'],
    [
      'rounds/a.ts',
      'const message = z.object({ a: z.string() });',
      'uses a schema that ignores unknown fields',
    ],
    ['zk/a.ts', 'const A = listField(item, 128).readonly();', 'uses a schema that freezes its value'],
    ['zk/a.ts', "console.log('x');", 'uses a log'],
    ['pve/a.ts', 'const now = Date.now();', 'uses a clock or timer'],
    ['protocol/a.ts', 'const now = performance.now();', 'uses a clock or timer'],
    ['work/a.ts', 'setTimeout(f, 10);', 'uses a clock or timer'],
    ['work/a.ts', "process.stdout.write('x');", 'uses the process'],
    ['math/a.ts', 'const x = randomBytes(32);', 'uses the system’s generator'],
    ['helpers/a.ts', '', 'stands in no folder of the layout'],
    ['main.ts', '', 'stands in no folder of the layout'],
    ['core/index.ts', '', 'is a barrel'],
    ['core/utils/a.ts', '', 'stands in a folder named utils'],
  ];
  for (const [path, source, fault] of refused) assert.deepEqual(judge(path, source), [fault], source);

  const accepted: readonly (readonly [path: string, source: string])[] = [
    ['access/a.ts', "import type { Curve } from '../curve/curve.js';\nimport { x } from './policy.js';"],
    ['cli/commands/a.ts', "import { x } from '../../pve/pve.js';\nimport { y } from '../ui.js';"],
    ['keystore/a.ts', "import { openSync } from 'node:fs';"],
    ['control/a.ts', "import { createServer } from 'node:net';"],
    [
      'math/modpow.ts',
      "import { modPow } from 'bigint-crypto-utils';\nimport { createDiffieHellman } from 'node:crypto';",
    ],
    ['paillier/a.ts', "import { modPow } from '../math/modpow.js';"],
    ['zk/a.ts', '/** No Date here. */ // nor console.log\nconst processed = update;'],
    ['transport/a.ts', 'setTimeout(f, Date.now());'],
    ['cli/main.ts', 'process.exit(1);'],
  ];
  for (const [path, source] of accepted) assert.deepEqual(judge(path, source), [], source);
});
