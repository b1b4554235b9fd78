/** Durations as Go writes them: `90s`, `2m`, `1m30s`, `1.5h`, `250ms`. */

const UNIT_MILLIS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** Longest duration, milliseconds: Node's timers fire at once when asked for more than 2^31 − 1. */
export const MAX_DURATION_MILLIS = 2 ** 31 - 1;

/**
 * Milliseconds (a whole number, 1 … 2^31 − 1) of a Go duration in hours, minutes, seconds and milliseconds;
 * `undefined` when `text` is not one, or not in that range.
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined;
  let millis = 0;
  for (const [, value, unit] of text.matchAll(/([\d.]+)(h|ms|m|s)/g))
    millis += Number(value) * UNIT_MILLIS[unit as keyof typeof UNIT_MILLIS];
  millis = Math.round(millis);
  return millis >= 1 && millis <= MAX_DURATION_MILLIS ? millis : undefined;
}

/** A duration for people: `85ms`, `1.4s`, `38s`, `1m30s`, `125m`. */
export function formatDuration(millis: number): string {
  if (millis < 999.5) return `${Math.round(millis)}ms`;
  if (millis < 9_950) return `${(millis / 1_000).toFixed(1)}s`;
  const seconds = Math.round(millis / 1_000);
  if (seconds < 60) return `${seconds}s`;
  const rest = seconds % 60;
  return `${Math.floor(seconds / 60)}m${rest === 0 ? '' : `${rest}s`}`;
}
