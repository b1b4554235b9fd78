/**
 * Writes down every secret of a process and of its threads, for a test that searches what the process has put out.
 * Loaded before the program with `--import`, it watches the places that every secret passes: the system's generator,
 * the making of a {@link Secret}, and the wiping of an array. Some of what it records is public all the same, such as
 * the salt of a backup.
 */
import crypto from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Secret } from '#src/core/bytes.js';

/** Shorter values are too likely to turn up by chance; longer ones are files and tables, not single values. */
const LENGTHS = { least: 16, most: 4096 };

const file = process.env.SECRET_RECORD;
const recorded = new Set<string>();
const { fill } = Uint8Array.prototype;

function record(bytes: Uint8Array): void {
  if (file === undefined || bytes.length < LENGTHS.least || bytes.length > LENGTHS.most) return;
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
  if (/^0*$/.test(hex) || recorded.has(hex)) return;
  recorded.add(hex);
  appendFileSync(file, `${hex}\n`);
}

const { randomFillSync } = crypto;
crypto.randomFillSync = ((bytes: Uint8Array) => {
  randomFillSync(bytes);
  record(bytes);
  return bytes;
}) as typeof randomFillSync;
syncBuiltinESMExports();

const { own, fromBigint } = Secret;
Secret.own = (bytes) => {
  record(bytes);
  return own.call(Secret, bytes);
};
Secret.fromBigint = (value, length) => {
  const secret = fromBigint.call(Secret, value, length);
  record(secret.bytes);
  return secret;
};

Uint8Array.prototype.fill = function (this: Uint8Array, ...args: Parameters<typeof fill>) {
  if (args[0] === 0) record(this);
  return fill.apply(this, args);
} as typeof fill;
