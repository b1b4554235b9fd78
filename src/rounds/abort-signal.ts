/** Listening to abort signals. */
import { setMaxListeners } from 'node:events';
import { asMpcError, type MpcError } from '../core/errors.js';

/**
 * Calls `act` with the reason when `signal` is aborted, at once if it has been. Returns what ends the listening.
 * A signal may have any number of listeners here: one for every open session and running job.
 */
export function whenAborted(signal: AbortSignal | undefined, act: (reason: MpcError) => void): () => void {
  if (!signal) return () => {};
  const listener = () => act(asMpcError(signal.reason));
  if (signal.aborted) {
    listener();
    return () => {};
  }
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

export interface Aborting extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * A signal that is aborted as the first of `sources` is, with its reason, as long as it is not disposed. Other than
 * `AbortSignal.any` it then leaves nothing behind at its sources, one of which may live for months.
 */
export function anyOf(...sources: readonly (AbortSignal | undefined)[]): Aborting {
  const controller = new AbortController();
  const stops = sources.map((source) => whenAborted(source, (reason) => controller.abort(reason)));
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const stop of stops) stop();
    },
  };
}
