/** DER (X.690) as far as it takes to find what a request signs: elements of definite, shortest length. */

export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

/** The elements of the one SEQUENCE that `der` is, or `undefined` when it is not DER, or not just that. */
export function sequenceOf(der: Uint8Array): readonly DerElement[] | undefined {
  const sequence = firstElement(der);
  if (sequence?.tag !== 0x30 || sequence.whole.length !== der.length) return undefined;
  const elements: DerElement[] = [];
  for (let rest = sequence.content; rest.length > 0; ) {
    const element = firstElement(rest);
    if (element === undefined) return undefined;
    elements.push(element);
    rest = rest.subarray(element.whole.length);
  }
  return elements;
}

/** The element at the beginning of `der`, of less than 64 KiB. */
function firstElement(der: Uint8Array): DerElement | undefined {
  const [tag, first, second, third] = der;
  if (tag === undefined || first === undefined) return undefined;
  let start = 2;
  let length = first;
  if (first === 0x81) {
    start = 3;
    length = second ?? 0;
    if (length < 0x80) return undefined;
  } else if (first === 0x82) {
    start = 4;
    length = ((second ?? 0) << 8) | (third ?? 0);
    if (length < 0x100) return undefined;
  } else if (first >= 0x80) return undefined;
  const end = start + length;
  if (der.length < end) return undefined;
  return { tag, content: der.subarray(start, end), whole: der.subarray(0, end) };
}
