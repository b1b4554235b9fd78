/** Text from a peer, made fit for a message to the user: printable ASCII of bounded length, nothing that escapes. */

const QUOTE_MAX = 300;

/** At most `max` characters of `text`; what is not printable ASCII becomes `?`, and double quotes single ones. */
export function printable(text: string, max = QUOTE_MAX): string {
  const safe = text.replace(/[^\x20-\x7e]/g, '?').replaceAll('"', "'");
  return safe.length <= max ? safe : `${safe.slice(0, max - 3)}...`;
}

/** `text` as a quotation. */
export const quoted = (text: string, max = QUOTE_MAX): string => `"${printable(text, max)}"`;

/**
 * Two differing texts as quotations. When they are long, both start shortly before their first difference,
 * so that it shows.
 */
export function quotedPair(one: string, other: string, max = QUOTE_MAX): readonly [string, string] {
  if (one.length <= max && other.length <= max) return [quoted(one, max), quoted(other, max)];
  let same = 0;
  while (same < one.length && one[same] === other[same]) same += 1;
  const start = Math.max(0, same - 20);
  const from = (text: string) => quoted(start === 0 ? text : `...${text.slice(start)}`, max);
  return [from(one), from(other)];
}
