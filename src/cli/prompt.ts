/** Asking for a passphrase on the terminal, without showing it. */
import { Secret } from '../core/bytes.js';
import { MpcError } from '../core/errors.js';

export type Prompt = (question: string) => Promise<Secret>;

/**
 * Asks on standard error and reads the answer from standard input; `undefined` where one of them is no terminal.
 * Rejects with `INTERRUPTED` on Ctrl-C and Ctrl-D, and with the reason of `signal` once that is aborted.
 */
export function terminalPrompt(signal: AbortSignal): Prompt | undefined {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY) return undefined;
  return async (question) => {
    const { read } = await import('read');
    const reading = read({ prompt: `${question}:`, silent: true, input: stdin, output: stderr });
    const answered = reading.catch(() => {
      throw interrupted();
    });
    try {
      return Secret.own(new TextEncoder().encode(await Promise.race([answered, unanswered(signal)])));
    } finally {
      stderr.write('\n');
    }
  };
}

const interrupted = (): MpcError => new MpcError('INTERRUPTED', 'interrupted');

/** Rejects when no answer will come: the reader is told neither of the end of its input nor of `signal`. */
function unanswered(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    // After an answer the input is paused, too.
    process.stdin.once('pause', () => setImmediate(() => reject(interrupted())));
  });
}
