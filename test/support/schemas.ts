/** The fields of a message, read off its schema: what a message can hold is known before any has been sent. */
import type { z } from 'zod';

export type FieldPath = readonly (string | number)[];

/** A place in a message of which a case is made. */
export interface SchemaField {
  readonly path: FieldPath;
  /** A leaf has no fields of its own; of a list, the first and the last item are fields; of a record, none. */
  readonly kind: 'leaf' | 'list' | 'object' | 'record';
}

/** What is used here of zod's own description of a schema. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly checks?: readonly {
    readonly _zod: { readonly def: { readonly check: string; readonly length?: number } };
  }[];
}

const definitionOf = (schema: z.core.$ZodType): Definition => schema._zod.def as unknown as Definition;

/** Schemas whose value is one thing on the wire. */
const LEAVES = new Set(['custom', 'pipe', 'literal', 'string', 'number', 'boolean', 'union']);

/** A list whose length the schema does not fix counts as one item: where that is missing, the table says so. */
function lengthOf({ checks = [] }: Definition): number {
  const fixed = checks.find(({ _zod }) => _zod.def.check === 'length_equals');
  return fixed?._zod.def.length ?? 1;
}

/** Every field of `schema`, outermost first. Throws for a kind of schema that the cases do not know how to change. */
export function fieldsOf(schema: z.core.$ZodType, path: FieldPath = []): readonly SchemaField[] {
  const definition = definitionOf(schema);
  const { type, shape, element, innerType } = definition;
  if (innerType && (type === 'readonly' || type === 'nullable')) return fieldsOf(innerType, path);
  if (type === 'record') return [{ path, kind: 'record' }];
  if (shape && type === 'object') {
    const inner = Object.entries(shape).flatMap(([key, item]) => fieldsOf(item, [...path, key]));
    return [{ path, kind: 'object' }, ...inner];
  }
  if (element && type === 'array') {
    const length = lengthOf(definition);
    const ends = length === 0 ? [] : [...new Set([0, length - 1])];
    return [{ path, kind: 'list' }, ...ends.flatMap((index) => fieldsOf(element, [...path, index]))];
  }
  if (!LEAVES.has(type))
    throw new Error(`a schema of type ${type} at ${path.join('.')}: the table has no cases for it`);
  return [{ path, kind: 'leaf' }];
}
