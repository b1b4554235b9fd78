/**
 * The secrets in the input or output of a job: byte arrays under a key `secret`, at any depth. Each job gets copies of
 * its own, which move with it from thread to thread and are wiped where they end.
 */

/** Every byte array under a key `secret` in plain data. */
export function secretsIn(value: unknown, secret = false): Uint8Array<ArrayBuffer>[] {
  if (value instanceof Uint8Array) return secret ? [value as Uint8Array<ArrayBuffer>] : [];
  return entriesOf(value).flatMap(([key, item]) => secretsIn(item, secret || key === 'secret'));
}

/** `value` with a copy of every secret, each alone in its buffer, so that it can be moved; all else is shared. */
export function withCopiedSecrets<T>(value: T, secret = false): T {
  if (value instanceof Uint8Array) return (secret ? Uint8Array.from(value) : value) as T;
  const copy = (key: unknown, item: unknown) => withCopiedSecrets(item, secret || key === 'secret');
  if (Array.isArray(value)) return value.map((item) => copy(undefined, item)) as T;
  if (value instanceof Map)
    return new Map(entriesOf(value).map(([key, item]) => [key, copy(key, item)])) as T;
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(key, item)])) as T;
}

/** Overwrites every secret in `value`, but those that have moved elsewhere: they are empty here, and refuse it. */
export function wipeSecrets(value: unknown): void {
  for (const bytes of secretsIn(value)) if (bytes.length > 0) bytes.fill(0);
}

/** What another thread would receive of `value`: a clone, with copies of the secrets. Throws when it cannot be cloned. */
export function cloneAcross<T>(value: T): T {
  const copied = withCopiedSecrets(value);
  try {
    return structuredClone(copied, { transfer: transferOf(copied) });
  } finally {
    wipeSecrets(copied);
  }
}

/** The buffers to move along with `value`. */
export const transferOf = (value: unknown): ArrayBuffer[] => [
  ...new Set(secretsIn(value).map(({ buffer }) => buffer)),
];

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' &&
  value !== null &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value));

function entriesOf(value: unknown): [unknown, unknown][] {
  if (Array.isArray(value)) return value.map((item) => [undefined, item]);
  if (value instanceof Map) return [...value];
  return isRecord(value) ? Object.entries(value) : [];
}
