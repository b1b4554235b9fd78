/** The other side of the control socket (see server.ts): a command that asks a running daemon. */
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import {
  ERROR_CODES,
  type ErrorCode,
  invariant,
  MpcError,
  type PartyName,
  throwIfAborted,
} from '../core/errors.js';
import { displayPath } from '../files/files.js';
import { whenAborted } from '../rounds/abort-signal.js';
import { Lines } from './lines.js';
import { isAnswered, judgeConnect, MAX_REQUEST_BYTES, socketOf } from './socket.js';

/** Longest event that is read. */
const MAX_EVENT_BYTES = 64 * 1024 * 1024;

/** An event of a daemon, of whatever kind. */
export type DaemonEvent = Readonly<Record<string, unknown>>;

/** Whether a daemon answers at `path`. Throws `FILE` when something else stands there, or it is another user's. */
export const isDaemonUp = async (path: string): Promise<boolean> =>
  socketOf(path) !== undefined && (await isAnswered(path));

/**
 * Asks the daemon at `path`, and gives each event of its answer to `onEvent`. Returns when the answer is complete.
 *
 * Throws the error that the daemon answered with, of the same code; `UNREACHABLE` when no daemon answers, or when
 * it goes before its answer is complete: then nothing is known of what it still does; `USAGE` when the request is
 * too long; and the reason of `signal`, whose abortion makes the daemon know that nobody waits any more.
 */
export async function ask(
  path: string,
  request: object,
  onEvent: (event: DaemonEvent) => void,
  signal?: AbortSignal,
): Promise<void> {
  throwIfAborted(signal);
  const line = Buffer.from(`${JSON.stringify(request)}\n`);
  if (line.length > MAX_REQUEST_BYTES)
    throw new MpcError('USAGE', `the request has more than ${MAX_REQUEST_BYTES} bytes`, {
      hint: 'a message for the daemon has at most 2 MiB: end the daemon to sign this one',
    });
  if (socketOf(path) === undefined) throw noDaemon(path);
  const socket = connect({ path });
  try {
    await connected(path, socket, signal);
    await answer(socket, line, onEvent, signal);
  } finally {
    socket.destroy();
  }
}

function connected(path: string, socket: Socket, signal: AbortSignal | undefined): Promise<void> {
  let listening = () => {};
  return new Promise<void>((resolve, reject) => {
    listening = whenAborted(signal, reject);
    socket.once('connect', resolve);
    socket.once('error', reject);
  })
    .catch((cause) => {
      if (cause instanceof MpcError) throw cause;
      throw judgeConnect(path, cause) === 'busy' ? busy(path) : noDaemon(path);
    })
    .finally(() => listening());
}

/** Sends the request and reads until the last line of the answer. */
function answer(
  socket: Socket,
  request: Uint8Array,
  onEvent: (event: DaemonEvent) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const lines = new Lines(MAX_EVENT_BYTES);
  let listening = () => {};
  return new Promise<void>((resolve, reject) => {
    listening = whenAborted(signal, reject);
    let over = false;
    socket.on('data', (chunk) => {
      try {
        for (const line of lines.push(chunk)) {
          if (over || line === '') continue;
          const event = parseEvent(line);
          over = event.event === 'end';
          if (over) resolve();
          else onEvent(event);
        }
      } catch (error) {
        over = true;
        reject(error instanceof RangeError ? strangeAnswer(error) : error);
      }
    });
    socket.once('error', (cause) => reject(gone(cause)));
    socket.once('close', () => reject(gone()));
    socket.write(request);
  }).finally(() => listening());
}

const errorSchema = z.strictObject({
  event: z.literal('error'),
  party: z.string(),
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  culprits: z.array(z.string()),
  exit: z.int(),
});

/** The event of a line; throws the error that it tells. */
function parseEvent(line: string): DaemonEvent {
  const event = parseObject(line);
  if (event.event !== 'error') return event;
  const { data } = errorSchema.safeParse(event);
  if (data === undefined) throw strangeAnswer();
  throw new MpcError(isErrorCode(data.code) ? data.code : 'BUG', data.message, {
    culprits: data.culprits as PartyName[],
    ...(data.hint !== undefined && { hint: data.hint }),
  });
}

function parseObject(line: string): DaemonEvent {
  try {
    const value: unknown = JSON.parse(line);
    invariant(typeof value === 'object' && value !== null, 'not an object');
    return value as DaemonEvent;
  } catch (cause) {
    throw strangeAnswer(cause);
  }
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);

const noDaemon = (path: string): MpcError =>
  new MpcError('UNREACHABLE', `no daemon of this party answers at ${displayPath(path)}`, {
    hint: 'start one: ecdsa-mpc serve --self NAME',
  });

const busy = (path: string): MpcError =>
  new MpcError('UNREACHABLE', `the daemon at ${displayPath(path)} has too many clients at present`, {
    hint: 'try again later',
  });

const gone = (cause?: unknown): MpcError =>
  new MpcError('UNREACHABLE', 'the daemon has gone before its answer was complete', {
    hint: 'look at its log, and with `ecdsa-mpc audit show` at what became of the request',
    cause,
  });

const strangeAnswer = (cause?: unknown): MpcError =>
  new MpcError('BUG', 'the daemon gives an answer that this version does not understand', {
    hint: 'restart it after an upgrade; what became of the request, `ecdsa-mpc audit show` tells',
    cause,
  });
