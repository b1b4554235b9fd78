/** Messages that are held back until nothing else moves, in runs of rehearsed.ts. */
import type { Intercept } from './memory-network.js';
import type { Held } from './rehearsed.js';
import { type Target, tamper } from './tamper.js';

/** For ever, or until `meanwhile` has looked at how far everybody has come without them. */
export function holdBack(
  target: Target,
  meanwhile: () => void,
  { forGood = false } = {},
): { readonly intercept: Intercept; readonly heldBack: () => readonly Held[] } {
  const held: Held[] = [];
  const { intercept } = tamper(target, (bytes, { from, to }) => {
    held.push({ from, to, bytes });
    return [];
  });
  const heldBack = () => {
    if (held.length === 0) throw new Error('nothing was held back');
    meanwhile();
    return forGood ? [] : held;
  };
  return { intercept, heldBack };
}
