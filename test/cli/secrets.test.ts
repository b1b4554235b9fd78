/**
 * What a party prints, logs and writes, at the level that logs most, holds none of the secrets that it had: searched in
 * hex, decimal, base64 and as bytes for everything that the process and its threads drew at random, held as a secret or
 * wiped. Only the files that are meant for a secret hold it.
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { bigintToBytes, bytesToBigint, concatBytes } from '#src/core/bytes.js';
import { curveByName } from '#src/curve/curve.js';
import { decodeDer } from '#src/curve/ecdsa.js';
import type { DoneEvent } from '#src/party/events.js';
import { type Backup, parseBackup, recoverShare } from '#src/pve/backup-file.js';
import { privateKeyFromPem } from '#src/pve/recipient.js';
import { clusterFolders, eventsIn } from '../support/cluster-folder.js';
import { type Ended, startCommand } from '../support/command.js';
import { Searched, soughtOf } from '../support/secret-search.js';

const PARTIES = ['alice', 'bob'];
const RECORDER = pathToFileURL(join(import.meta.dirname, '..', 'support', 'secret-recorder.js')).href;

const makeFolder = clusterFolders();
const records = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-secrets-'));
after(() => rmSync(records, { recursive: true }));

interface Run {
  /** Everything that was put out, by what it is: `alice stdout`, or a file's path. */
  readonly output: ReadonlyMap<string, Uint8Array | string>;
  readonly ended: readonly Ended[];
  /** What the recorder found, as hex. */
  readonly secrets: ReadonlySet<string>;
}

/** A ceremony of both parties that logs all it can. */
async function run(name: string, cwd: string, ...args: readonly string[]): Promise<Run> {
  const record = (party: string) => join(records, `${name}-${party}`);
  const ended = await Promise.all(
    PARTIES.map((party) => {
      const recording = { NODE_OPTIONS: `--import=${RECORDER}`, SECRET_RECORD: record(party) };
      const env = { ...process.env, ...recording, SAVE_BACKUP: '1' };
      const options = [`--self=${party}`, '--json', '--log-level=trace', '--timeout=10m', ...args];
      return startCommand(options, { cwd, env, storedPrimes: true }).ended;
    }),
  );
  const printed = ended.flatMap(({ stdout, stderr }, index): [string, string][] => [
    [`${PARTIES[index]} stdout`, stdout],
    [`${PARTIES[index]} stderr`, stderr],
  ]);
  const files = readdirSync(cwd, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path): [string, Uint8Array] => [relative(cwd, path), readFileSync(path)]);
  const secrets = PARTIES.flatMap((party) => readFileSync(record(party), 'utf8').trim().split('\n'));
  return {
    output: new Map<string, Uint8Array | string>([...printed, ...files]),
    ended,
    secrets: new Set(secrets),
  };
}

/** Where the secrets stand, as `what: where, how`. */
function sightings(
  secrets: Iterable<readonly [what: string, secret: Uint8Array]>,
  { output }: Run,
): string[] {
  const searched = [...output].map(([where, contents]) => [where, new Searched(contents)] as const);
  return [...secrets].flatMap(([what, secret]) => {
    const sought = soughtOf(secret);
    return searched.flatMap(([where, text]) => {
      const form = text.find(sought);
      return form === undefined ? [] : [`${what}: ${where}, ${form}`];
    });
  });
}

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/** The input of a transcript hash, which is wiped: much of it is public, and its secrets are recorded by themselves. */
const isHashInput = (hex: string): boolean => hex.includes(hexOf(Buffer.from('ecdsa-mpc/v1/')));

const recordedIn = ({ secrets }: Run, except: ReadonlySet<string> = new Set()) =>
  [...secrets]
    .filter((hex) => !except.has(hex) && !isHashInput(hex))
    .map((hex) => [hex, fromHex(hex)] as const);

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (run: Run, where: string): string =>
  Buffer.from(run.output.get(where)! as Uint8Array).toString();

/** The secret number of a private key in PEM: that of the curve, or a prime. */
function numbersOf(pem: string): Uint8Array[] {
  const { d, p, q } = createPrivateKey(pem).export({ format: 'jwk' });
  return [d, p, q].flatMap((value) =>
    value === undefined ? [] : [new Uint8Array(Buffer.from(value, 'base64url'))],
  );
}

/** A whole ceremony, and its parts. */
let whole: Run;
let backups: readonly Backup[];

before(async () => {
  const { cwd } = await makeFolder('whole', PARTIES);
  whole = await run('whole', cwd);
  for (const { status, stderr } of whole.ended) assert.equal(status, 0, stderr);
  backups = PARTIES.map((party) => parseBackup(text(whole, `backup-${party}.hex`)));
});

/** Values that the recorder meets and that stand in the files of a party: what its backup publishes, its recovery key. */
const writtenBy = ({ subject, ciphertext }: Backup): string[] => [
  hexOf(ciphertext.salt),
  ...ciphertext.rows.map(({ z }) => hexOf(subject.curve.scalarBytes(z))),
  hexOf(whole.output.get(`backup-${subject.party}.key.pem`) as Uint8Array),
];

test('nothing that was recorded is put out', () => {
  assert.ok(whole.secrets.size > 1000, `${whole.secrets.size} were recorded`);
  const written = new Set(backups.flatMap(writtenBy));
  assert.deepEqual(sightings(recordedIn(whole, written), whole), []);
});

test('the recorder saw the shares, the primes and κ; neither they nor what follows from them is put out', () => {
  const shares = backups.map((backup) => {
    const key = privateKeyFromPem(Buffer.from(text(whole, `backup-${backup.subject.party}.key.pem`)));
    using share = recoverShare(backup, key);
    return Uint8Array.from(share.bytes);
  });
  for (const share of shares) assert.ok(whole.secrets.has(hexOf(share)));

  // p₁ ‖ p₂ ‖ s ‖ t ‖ κ, of both set-ups of both parties.
  const ownKeys = [...whole.secrets].filter((hex) => hex.length === 2 * 1024).map(fromHex);
  assert.ok(ownKeys.length >= 4);
  const paillier = ownKeys.flatMap((bytes) => {
    const [p1, p2] = [bytes.subarray(0, 128), bytes.subarray(128, 256)];
    assert.ok(whole.secrets.has(hexOf(p1)) && whole.secrets.has(hexOf(p2)));
    const phi = (bytesToBigint(p1) - 1n) * (bytesToBigint(p2) - 1n);
    return [p1, p2, bytes.subarray(768), bigintToBytes(phi)];
  });

  // Under And of two the key is 2·x_alice − x_bob, and each signature's nonce k = (h + r·x)/s.
  const curve = curveByName('P-256');
  const [xAlice, xBob] = shares.map(bytesToBigint) as [bigint, bigint];
  const x = curve.mod(2n * xAlice - xBob);
  assert.ok(curve.multiplyBase(x).equals(backups[0]!.subject.publicKey));
  const done = eventsIn(whole.ended[0]!.stdout).at(-1) as DoneEvent;
  const nonces = done.signatures.map(({ der }) => {
    const { r, s } = decodeDer(fromHex(der))!;
    const k = curve.mod((bytesToBigint(fromHex(done.messageHash)) + r * x) * curve.invert(s));
    assert.equal(curve.mod(curve.multiplyBase(k).x), r);
    return k;
  });
  assert.equal(nonces.length, 2);
  const derived = [x, ...nonces].flatMap((k) => [k, curve.q - k]).map((k) => curve.scalarBytes(k));
  const all = [...shares, ...paillier, ...derived];
  assert.deepEqual(
    sightings(
      all.map((secret) => [hexOf(secret), secret]),
      whole,
    ),
    [],
  );
});

test('TLS keys and recovery keys stand in their own files, where they are found, and nowhere else', () => {
  for (const party of PARTIES) {
    for (const file of [`certs/${party}-key.pem`, `backup-${party}.key.pem`]) {
      const found = numbersOf(text(whole, file)).flatMap((number) => sightings([['it', number]], whole));
      assert.ok(found.length > 0);
      assert.deepEqual([...new Set(found)], [`it: ${file}, base64`]);
    }
  }
});

test('a run that fails puts nothing out either', async () => {
  const { cwd } = await makeFolder('failing', PARTIES);
  const failing = await run('failing', cwd, '--timeout=900ms');
  for (const { status, stderr } of failing.ended) assert.equal(status, 3, stderr);
  assert.ok(
    failing.ended.some(({ stderr }) => /\n +at /.test(stderr)),
    'with a stack trace',
  );
  assert.ok(failing.secrets.size > 20);
  assert.deepEqual(sightings(recordedIn(failing), failing), []);
});

test('a secret is found in whatever form it is put out', () => {
  const secret = fromHex('00c3d2e1f0a9b8877665544332211f0e1d2c3b4a59687f8e9dacbbcad9e8f701');
  const other = secret.map((byte) => byte ^ 0x5a);
  const base64 = (shift: number) =>
    Buffer.from(concatBytes(new Uint8Array(shift), secret)).toString('base64');
  const forms: readonly (readonly [form: string, text: string | Uint8Array])[] = [
    ['hex', hexOf(secret)],
    ['hex', hexOf(secret).toUpperCase()],
    ['hex', `0x${bytesToBigint(secret).toString(16)}n`],
    ['hex', hexOf(secret).replaceAll(/(.{24})/g, '$1\n')],
    ['decimal', `{"value":${bytesToBigint(secret)}}`],
    ['base64', base64(0)],
    ['base64', base64(1)],
    ['base64', base64(2)],
    ['base64', JSON.stringify(base64(0).replaceAll(/(.{16})/g, '$1\n'))],
    ['base64', Buffer.from(secret).toString('base64url')],
    ['bytes', secret],
    ['numbers', JSON.stringify({ type: 'Buffer', data: [...secret] })],
  ];
  for (const [form, contents] of forms) {
    const around = concatBytes(
      Buffer.from('before '),
      Buffer.from(contents as string),
      Buffer.from(' after'),
    );
    assert.equal(new Searched(around).find(soughtOf(secret)), form, String(contents));
    assert.equal(new Searched(around).find(soughtOf(other)), undefined);
  }
});
