/**
 * A fresh recovery key, made in a process of its own: OpenSSL needs seconds for RSA now and then, nothing ends it
 * meanwhile, and a process whose threads are at it ends only with them. Another process can be killed.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Secret } from '../core/bytes.js';
import { asMpcError, MpcError, throwIfAborted } from '../core/errors.js';
import type { RecipientKeyPair, RecipientKeyType } from '../pve/recipient.js';

/** What the process sends, once. */
export interface MadeKey {
  readonly publicPem: string;
  /** The bytes of the private key's file. */
  readonly privatePem: Uint8Array;
}

const MAKER = fileURLToPath(new URL('./recovery-key-process.js', import.meta.url));

/** A new key pair. Rejects with the reason of `signal` as soon as that is aborted, and leaves nothing running. */
export async function makeKeyPair(type: RecipientKeyType, signal: AbortSignal): Promise<RecipientKeyPair> {
  throwIfAborted(signal);
  const maker = fork(MAKER, [type], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    serialization: 'advanced',
    signal,
    killSignal: 'SIGKILL',
  });
  try {
    return await new Promise((resolve, reject) => {
      maker.once('message', (made: MadeKey) => resolve(received(made)));
      maker.on('error', (cause) => reject(signal.aborted ? asMpcError(signal.reason) : notMade(cause)));
      maker.once('exit', (status, killed) =>
        reject(notMade(`it ended with ${killed ?? `status ${status}`}`)),
      );
    });
  } finally {
    maker.kill('SIGKILL');
  }
}

function received({ publicPem, privatePem }: MadeKey): RecipientKeyPair {
  // A copy, because what comes from another process may lie in memory that all of Node shares.
  const copy = Uint8Array.from(privatePem);
  privatePem.fill(0);
  return { publicPem, privatePem: Secret.own(copy) };
}

const notMade = (cause: unknown): MpcError =>
  new MpcError('BUG', 'the process that makes the recovery key has ended without one', { cause });
