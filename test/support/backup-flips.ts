/**
 * Alters every byte of a backup, one at a time, and sees each refused.
 *
 * Verifying a whole backup some ten thousand times would take a quarter of an hour, nearly all of it spent on
 * computing the same instances again. So the work that an altered byte cannot change is taken from the unaltered
 * backup: verification is cut at the seams that `verify` itself has (info, reopen, complete, challenge). At the
 * ends of some parts, and at one header byte in 32, the altered file also goes the whole way.
 */
import assert from 'node:assert/strict';
import { bytesToBigint, equalBytes, toHex } from '#src/core/bytes.js';
import { MpcError } from '#src/core/errors.js';
import { POINT_BYTES } from '#src/curve/curve.js';
import { type Backup, parseBackup, statementOf, verifyBackup } from '#src/pve/backup-file.js';
import {
  type Ciphertext,
  challenge,
  complete,
  cover,
  type FirstMessage,
  INSTANCES,
  infoHash,
  reopen,
} from '#src/pve/pve.js';
import { CIPHERTEXT_BYTES } from '#src/pve/recipient.js';

/** A run of bytes in the file, and whether a verifier who finds `bytes` there refuses the backup. */
interface Part {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly refused: (altered: Uint8Array) => boolean;
}

/** The parts that only the proof covers: seeds, and c and z of every row. */
function proofParts(file: Uint8Array, backup: Backup): Part[] {
  const { ciphertext } = backup;
  const { salt, closed, seeds, rows } = ciphertext;
  const statement = statementOf(backup.subject, backup.recipient);
  const info = infoHash(statement, salt);
  const message = complete(statement, ciphertext, reopen(statement, info, ciphertext))!;
  const differs = (altered: FirstMessage) => challenge(info, altered).some((j, index) => j !== closed[index]);
  assert.equal(differs(message), false, 'unaltered, it verifies');

  const nodes = cover(closed);
  const withSeeds = (bytes: Uint8Array): boolean => {
    const index = seeds.findIndex((seed, k) => !equalBytes(seed, seedAt(bytes, k)));
    // Only the instances below the altered seed are reopened: all others count as closed.
    const others = range(INSTANCES).filter((j) => !isBelow(nodes[index]!, j));
    const reopened = reopen(statement, info, { closed: others, seeds: [seedAt(bytes, index)] });
    return differs(withInstances(reopened, message, others, CIPHERTEXT_BYTES[statement.recipient.scheme]));
  };
  const withRow = (index: number, row: Ciphertext['rows'][number]): boolean =>
    row.z >= statement.curve.q ||
    differs(complete(statement, { closed: [closed[index]!], rows: [row] }, message)!);

  const at = (bytes: Uint8Array): number => Buffer.from(file).indexOf(bytes);
  const allSeeds = Buffer.concat(seeds);
  return [
    { name: 'seeds', offset: at(allSeeds), bytes: allSeeds, refused: withSeeds },
    ...rows.flatMap(({ c, z }, index): Part[] => {
      const zBytes = statement.curve.scalarBytes(z);
      return [
        { name: `c ${index}`, offset: at(c), bytes: c, refused: (bytes) => withRow(index, { c: bytes, z }) },
        {
          name: `z ${index}`,
          offset: at(zBytes),
          bytes: zBytes,
          refused: (bytes) => withRow(index, { c, z: bytesToBigint(bytes) }),
        },
      ];
    }),
  ];
}

const range = (length: number): number[] => Array.from({ length }, (_, k) => k);
const seedAt = (seeds: Uint8Array, index: number): Uint8Array => seeds.slice(16 * index, 16 * index + 16);

/** Whether node v of the seed tree is instance j or above it. */
function isBelow(v: number, j: number): boolean {
  let node = INSTANCES + j;
  while (node > v) node >>= 1;
  return node === v;
}

/** `message` with the instances `which` of `source`. */
function withInstances(
  message: FirstMessage,
  source: FirstMessage,
  which: readonly number[],
  ciphertextBytes: number,
): FirstMessage {
  const copy = (from: Uint8Array, to: Uint8Array, size: number, j: number) =>
    to.set(from.subarray(size * j, size * (j + 1)), size * j);
  for (const j of which) {
    copy(source.R, message.R, POINT_BYTES, j);
    copy(source.c, message.c, ciphertextBytes, j);
  }
  return message;
}

const flipped = (bytes: Uint8Array, i: number): Uint8Array => bytes.with(i, bytes[i]! ^ (1 << (i % 8)));

const isRefusal = (error: unknown): boolean => error instanceof MpcError && error.code === 'BACKUP';

function readUnlessRefused(file: Uint8Array): Backup | undefined {
  try {
    return parseBackup(file);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** The altered file, the whole way: read and verified. */
const assertFileRefused = (file: Uint8Array, i: number): void =>
  assert.throws(() => verifyBackup(parseBackup(flipped(file, i))), isRefusal, `byte ${i}`);

/** Parts at whose ends the altered file is verified as a whole. */
const WHOLE_WAY = new Set(['seeds', 'c 0', 'z 0', 'c 29', 'z 29']);

/** Flips one bit in each byte of `file`; throws when one goes unnoticed. Returns how many bytes it altered. */
export function flipEveryByte(file: Uint8Array): number {
  const backup = parseBackup(file);
  const covered = new Uint8Array(file.length);
  for (const { name, offset, bytes, refused } of proofParts(file, backup)) {
    assert.ok(offset > 0, name);
    for (let i = 0; i < bytes.length; i++) {
      assert.ok(refused(flipped(bytes, i)), `${name}, byte ${i}`);
      covered[offset + i] = 1;
    }
    if (!WHOLE_WAY.has(name)) continue;
    assertFileRefused(file, offset);
    assertFileRefused(file, offset + bytes.length - 1);
  }
  for (let i = 0; i < file.length; i++) {
    if (covered[i] === 0) flipHeaderByte(file, backup, i);
    covered[i] = 1;
  }
  return covered.reduce((sum, one) => sum + one, 0);
}

/** A byte of the statement, of the salt, of T, or of CBOR's own: refused when read, or info is another. */
function flipHeaderByte(file: Uint8Array, original: Backup, i: number): void {
  const altered = readUnlessRefused(flipped(file, i));
  if (altered === undefined) return;
  const infoOf = (backup: Backup) =>
    toHex(infoHash(statementOf(backup.subject, backup.recipient), backup.ciphertext.salt));
  const sameInfo = infoOf(altered) === infoOf(original);
  if (sameInfo) assert.notDeepEqual(altered.ciphertext.closed, original.ciphertext.closed, `byte ${i}`);
  if (sameInfo || i % 32 === 0) assertFileRefused(file, i);
}
