/**
 * One line of an audit log: a record in its one text, JSON with the fields in the order of the schema, which ends with
 * the hash of the record before and its own.
 *
 *     {"n":2,"time":"2026-11-22T10:02:03.456Z","event":"requested", …,"previous":"<64 hex>","hash":"<64 hex>"}
 *
 * `hash` is H("audit"; previous, the text without `hash`), and `previous` of the first record H("audit start"; format
 * version, party): a record says all that stands before it, in whose log. Records hold no secret.
 */
import { z } from 'zod';
import { isPartyName, MAX_PARTIES } from '../access/policy.js';
import { fromHex, toHex } from '../core/bytes.js';
import { invariant, type PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';

export const FORMAT_VERSION = 1;

/** Longest line: far above the longest record, of 64 parties with the longest names. */
export const MAX_RECORD_BYTES = 16 * 1024;

const MAX_REASON = 500;

/**
 * What would move the cursor, hide text or reverse it, and halves of characters. Ranges, because what Unicode says of a
 * character differs between versions of Node, and a log must be readable to all.
 */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
  /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** `text` as a record may hold it: bounded, and printable. */
const bounded = (text: string): string => text.slice(0, MAX_REASON).replace(UNPRINTABLE, '?');

// Fields

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`), 'not its hex');
const party = z.string().refine(isPartyName, 'not the name of a party');
const parties = z
  .array(party)
  .min(1)
  .max(MAX_PARTIES)
  .refine((names) => new Set(names).size === names.length, 'a party is named twice');
/** Of a request: whoever asks for something makes one up. */
const id = z.string().regex(/^(?:[0-9a-f]{2}){4,32}$/, 'not an id');
const key = hex(16);
const epoch = z.int().min(0).max(0xffffffff);
const digest = hex(32);
const count = z.int().min(1);
const reason = z
  .string()
  .max(MAX_REASON)
  .refine((text) => text === bounded(text), 'not printable');

/** What happened, and what is recorded of it. */
const EVENTS = {
  /** The daemon has started. First of every log. */
  opened: { party, version: z.string().regex(/^[0-9A-Za-z.+-]{1,64}$/) },
  /** It has stopped, cleanly. */
  closed: {},
  /** Somebody has asked for something, this party's user or a peer. */
  requested: {
    id,
    from: party,
    operation: z.enum(['sign', 'refresh', 'keygen']),
    key: key.optional(),
    quorum: parties.optional(),
    receivers: parties.optional(),
    messageHash: digest.optional(),
    messageBytes: z.int().min(0).optional(),
  },
  /** This party takes part, or does not. */
  decided: {
    id,
    decision: z.enum(['approved', 'rejected']),
    by: z.enum(['asker', 'user', 'rule', 'command']),
    reason: reason.optional(),
  },
  /** This party is about to give out its share of the signature: whatever happens next, the request has been used. */
  signing: {
    id,
    key,
    epoch,
    quorum: parties,
    receivers: parties,
    messageHash: digest,
    /** Session that made the presignature. */
    presignature: digest,
  },
  signed: {
    id,
    /** DER; on receivers. */
    signature: z
      .string()
      .regex(/^(?:[0-9a-f]{2}){8,72}$/, 'not a signature')
      .optional(),
  },
  refreshed: { id, key, epoch },
  generated: { id, key },
  /** The request has ended without a result. */
  failed: { id, code: z.string().regex(/^[A-Z][A-Z_]{0,31}$/), reason },
  /** The pool has got presignatures, which `by` led to. */
  presigned: { key, epoch, quorum: parties, count, by: party },
  /** What a crash had left of a last line was cut off; it was never acted on. */
  repaired: { bytes: count },
} satisfies Record<string, Record<string, z.ZodType>>;

type EventName = keyof typeof EVENTS;

const recordOf = <E extends EventName>(event: E) =>
  z.strictObject({
    n: count,
    time: z.iso.datetime({ precision: 3 }),
    event: z.literal(event),
    ...(EVENTS[event] as (typeof EVENTS)[E]),
    previous: digest,
    hash: digest,
  });

const recordSchema = z.discriminatedUnion('event', [
  recordOf('opened'),
  recordOf('closed'),
  recordOf('requested'),
  recordOf('decided'),
  recordOf('signing'),
  recordOf('signed'),
  recordOf('refreshed'),
  recordOf('generated'),
  recordOf('failed'),
  recordOf('presigned'),
  recordOf('repaired'),
]);

export type AuditRecord = z.output<typeof recordSchema>;

type WithoutChain<R> = R extends unknown ? Omit<R, 'n' | 'time' | 'previous' | 'hash'> : never;
/** A record before it gets its place in a log. */
export type AuditEvent = WithoutChain<AuditRecord>;
export type AuditEventOf<E extends EventName> = Extract<AuditEvent, { event: E }>;

/** The last record of a log: its number, 0 when there is none, and its hash. */
export interface Head {
  readonly n: number;
  /** Hex. */
  readonly hash: string;
}

/** What comes before the first record of the log of `party`. */
export const startOf = (party: PartyName): Head => ({
  n: 0,
  hash: toHex(hash('audit start', [BigInt(FORMAT_VERSION), party])),
});

/** What follows the text of a record without its hash, which ends with a brace. */
const ending = (digest: string): string => `,"hash":"${digest}"}`;
const NO_HASH = '0'.repeat(64);

const hashOf = (previous: string, text: string): string => toHex(hash('audit', [fromHex(previous)!, text]));

/** The text of a record of which all but the hash is known, and that hash. */
function hashed(text: string, previous: string): string {
  return hashOf(previous, `${text.slice(0, -ending(NO_HASH).length)}}`);
}

/** The line, without its newline, of the record of `event` that follows `head`, and the head that it makes. */
export function recordLine(event: AuditEvent, head: Head, time: Date): { line: Uint8Array; head: Head } {
  const parsed = recordSchema.safeParse({
    ...{ n: head.n + 1, time: time.toISOString(), ...event, previous: head.hash, hash: NO_HASH },
    ...('reason' in event && event.reason !== undefined && { reason: bounded(event.reason) }),
  });
  invariant(parsed.success, `not an event of the audit log: ${whatIsWrong(parsed.error)}`);
  const text = JSON.stringify(parsed.data);
  const own = hashed(text, head.hash);
  const line = new TextEncoder().encode(text.slice(0, -ending(own).length) + ending(own));
  return { line, head: { n: head.n + 1, hash: own } };
}

const whatIsWrong = (error: z.ZodError | undefined): string => {
  const issue = error?.issues[0];
  return bounded(`${issue?.path.join('.') || 'record'}: ${issue?.message ?? 'does not fit'}`).slice(0, 200);
};

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The record in a line without its newline, or in words why there is none. Its place in a log is not looked at. */
export function readRecord(line: Uint8Array): AuditRecord | string {
  const read = parse(line);
  if (read === undefined) return 'is no record: not JSON of such a shape';
  const { text, parsed } = read;
  if (!parsed.success) return `is no record: ${whatIsWrong(parsed.error)}`;
  const record = parsed.data;
  if (JSON.stringify(record) !== text) return 'is no record as this program writes it';
  return hashed(text, record.previous) === record.hash
    ? record
    : 'has another hash than it says: it was changed';
}

/** The text of a line, and zod's verdict on it; `undefined`: not even JSON. */
function parse(line: Uint8Array) {
  try {
    const text = decoder.decode(line);
    return { text, parsed: recordSchema.safeParse(JSON.parse(text)) };
  } catch {
    // zod itself throws at a length that cannot be compared, such as {"length":{"toString":1}} for a list.
    return undefined;
  }
}
