/**
 * What daemons tell each other outside of sessions (docs/protocol.md §12): they ask, answer and begin. Letters agree
 * on *when* something is done and who wants it; *what* is done its session agrees on anew, and checks.
 */
import { z } from 'zod';
import { isPartyName, MAX_PARTIES } from '../access/policy.js';
import { toHex } from '../core/bytes.js';
import { bytesField, decodeAs, encodeAs, UndecodableError } from '../core/codec.js';
import type { PartyName } from '../core/errors.js';
import { hash } from '../core/transcript.js';

/** Longest message that daemons sign: it travels to every signer, who shows it to whoever approves. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Longest letter: a message, and what is said of it. */
const MAX_LETTER_BYTES = MAX_MESSAGE_BYTES + 8 * 1024;

/** Most attempts at one request, each of which has ended before this party's share was given out. */
export const MAX_ATTEMPTS = 64;

/** Most presignatures made at a time. */
export const MAX_BATCH = 8;

export const MAX_REASON = 300;

/** An id must stand for its content even where its asker searches for two contents of one id. */
const ID_BYTES = 32;
const NONCE_BYTES = 16;

const id = bytesField(ID_BYTES);
const keyId = bytesField(16);
const name = z.string().refine(isPartyName, 'not a party’s name');
const names = z
  .array(name)
  .min(1)
  .max(MAX_PARTIES)
  .refine((list) => new Set(list).size === list.length, 'a party is named twice');
const message = z.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length <= MAX_MESSAGE_BYTES,
  'not a message',
);
const code = z.string().max(40);
const reason = z.string().max(MAX_REASON);
const attempt = z.int().min(1).max(MAX_ATTEMPTS);
/** Counts the times that a request has its key held: what answers an earlier one is no answer to the next. */
const turn = z.int().min(1);
const nonce = bytesField(NONCE_BYTES);

/** What is asked for. The nonce makes two requests of the same content two requests. */
const content = z.discriminatedUnion('operation', [
  z.strictObject({
    operation: z.literal('sign'),
    nonce,
    key: keyId,
    quorum: names,
    receivers: names,
    message,
  }),
  z.strictObject({ operation: z.literal('refresh'), nonce, key: keyId }),
  z.strictObject({ operation: z.literal('keygen'), nonce }),
]);

const SCHEMAS = {
  /** First letter on every new link. */
  greeting: z.strictObject({ version: z.string().regex(/^[0-9A-Za-z.+-]{1,40}$/) }),
  /** Asks its receiver to take part. */
  request: z.strictObject({ content }),
  /** Whether the sender takes part in a request of the receiver. */
  answer: z.strictObject({ id, approved: z.boolean(), reason }),
  /** All have approved: open the session of this attempt now, alone on its key or side by side with others. */
  begin: z.strictObject({ id, attempt, alone: z.boolean(), presignature: bytesField(32).nullable() }),
  /** The sender could not take up, or go on with, what `id` has begun. */
  failed: z.strictObject({ id, attempt: z.int().min(0).max(MAX_ATTEMPTS), code, reason }),
  /** Start nothing new on the key of this request, and say when what you have started on it is over; or go on again. */
  hold: z.strictObject({ id, turn, on: z.boolean() }),
  /** That is over; or another request holds the key (`busy`), or this one is not approved, or known, here (`unknown`). */
  held: z.strictObject({ id, turn, answer: z.enum(['held', 'busy', 'unknown']) }),
  /** The sender's request is over: `done`, or given up. */
  end: z.strictObject({ id, done: z.boolean(), code, reason }),
  /** Make presignatures now, for the sender to use. */
  presign: z.strictObject({ id, key: keyId, quorum: names, count: z.int().min(1).max(MAX_BATCH) }),
} as const;

export type Subject = keyof typeof SCHEMAS;
export type LetterBody<S extends Subject> = z.output<(typeof SCHEMAS)[S]>;
export type Letter = { [S in Subject]: { readonly subject: S; readonly body: LetterBody<S> } }[Subject];
export type RequestContent = z.output<typeof content>;
export type SignContent = Extract<RequestContent, { operation: 'sign' }>;

export const encodeLetter = <S extends Subject>(subject: S, body: LetterBody<S>): Uint8Array =>
  encodeAs<z.ZodType>(SCHEMAS[subject], body);

/** The letter in `bytes`. Throws {@link UndecodableError}. */
export function decodeLetter(subject: string, bytes: Uint8Array): Letter {
  if (!Object.hasOwn(SCHEMAS, subject)) throw new UndecodableError('a letter of an unknown subject');
  const body = decodeAs<z.ZodType>(SCHEMAS[subject as Subject], bytes, MAX_LETTER_BYTES);
  return { subject, body } as Letter;
}

/**
 * Name of a request, hex: H("request"; who asks, content), 32 bytes. Whoever approves it approves this content, asked
 * for by this party; a changed message is another request.
 */
export const requestId = (from: PartyName, asked: RequestContent): string =>
  toHex(hash('request', [from, encodeAs(content, asked)]));
