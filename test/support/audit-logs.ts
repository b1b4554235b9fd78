/** Audit logs for tests: what three parties record of what they do together, and logs forged as a daemon never would. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AUDIT_FILE, AuditLog } from '#src/audit/log.js';
import { type AuditEvent, type AuditEventOf, recordLine, startOf } from '#src/audit/record.js';
import type { PartyName } from '#src/core/errors.js';

export const KEY = '00112233445566778899aabbccddeeff';
export const QUORUM = ['alice', 'bob'];

/** An id of a request, or of a session, of which the test needs only that it differs from others. */
export const requestId = (number: number): string => number.toString(16).padStart(32, '0');
export const sessionId = (number: number): string => `aa${number.toString(16).padStart(62, '0')}`;

export const opened = (party: PartyName): AuditEvent => ({ event: 'opened', party, version: '0.1.0' });

/** That alice asks for a signature. */
export const asksToSign = (number: number): AuditEventOf<'requested'> => ({
  ...{ event: 'requested', id: requestId(number), from: 'alice', operation: 'sign' },
  ...{ key: KEY, quorum: QUORUM, receivers: ['alice'], messageHash: sessionId(number), messageBytes: 11 },
});

export const approved = (number: number): AuditEvent => ({
  ...{ event: 'decided', id: requestId(number), decision: 'approved', by: 'rule' },
});

export const signing = (number: number): AuditEventOf<'signing'> => ({
  ...{ event: 'signing', id: requestId(number), key: KEY, epoch: 1, quorum: QUORUM, receivers: ['alice'] },
  ...{ messageHash: sessionId(number), presignature: sessionId(1000 + number) },
});

export const signed = (number: number, party: PartyName): AuditEventOf<'signed'> => ({
  ...{ event: 'signed', id: requestId(number) },
  ...(party === 'alice' && { signature: `3006020101${number.toString(16).padStart(6, '0')}` }),
});

/** All that `party` records of a signature. */
export const signature = (number: number, party: PartyName): AuditEvent[] => [
  ...[asksToSign(number), approved(number), signing(number), signed(number, party)],
];

/** One of each event, in an order that a daemon could write. */
export const everything = (party: PartyName): AuditEvent[] => [
  opened(party),
  { event: 'presigned', key: KEY, epoch: 1, quorum: QUORUM, count: 4, by: 'bob' },
  ...signature(1, party),
  { event: 'requested', id: requestId(2), from: 'bob', operation: 'refresh', key: KEY },
  { event: 'decided', id: requestId(2), decision: 'approved', by: 'user', reason: 'it’s “time”' },
  { event: 'refreshed', id: requestId(2), key: KEY, epoch: 2 },
  { event: 'requested', id: requestId(3), from: 'bob', operation: 'keygen' },
  { event: 'decided', id: requestId(3), decision: 'approved', by: 'asker' },
  { event: 'generated', id: requestId(3), key: KEY },
  asksToSign(4),
  { event: 'decided', id: requestId(4), decision: 'rejected', by: 'command', reason: 'not today' },
  asksToSign(5),
  { event: 'failed', id: requestId(5), code: 'TIMEOUT', reason: 'withdrawn' },
  { event: 'closed' },
];

/** Writes `events` to the log in `folder` as a daemon does; returns its lines without their newlines. */
export function writeLog(folder: string, party: PartyName, events: readonly AuditEvent[]): string[] {
  using log = AuditLog.open(folder, party);
  for (const event of events) log.append(event);
  return linesIn(folder);
}

export const linesIn = (folder: string): string[] =>
  readFileSync(join(folder, AUDIT_FILE), 'utf8').split('\n').slice(0, -1);

/** The lines of a log whose chain is sound, whatever its records say. */
export function forgedLines(party: PartyName, events: readonly AuditEvent[]): string[] {
  let head = startOf(party);
  return events.map((event) => {
    const made = recordLine(event, head, new Date(0));
    head = made.head;
    return Buffer.from(made.line).toString();
  });
}

export const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

/** Writes those lines as the log in `folder`, or as the file `name` in it. */
export function putLog(folder: string, lines: readonly string[], name = AUDIT_FILE): string {
  const path = join(folder, name);
  writeFileSync(path, textOf(lines), { mode: 0o600 });
  return path;
}
