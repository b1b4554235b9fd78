/** Files of JSON that users write: what is wrong with one is told in one line that names the field and the fix. */
import type { z } from 'zod';
import { MpcError } from '../core/errors.js';

/** A fault of the file, its field first, and what to do about it. */
export interface Fault {
  readonly what: string;
  readonly hint: string;
}

/** What is said of one kind of file only. */
export interface FileWords {
  /** The fields of the object at `path`. */
  readonly fieldsAt: (path: readonly PropertyKey[]) => readonly string[];
  /** Of a list or text that is too short or too long. */
  readonly size: (field: string, issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig) => Fault;
  /** Where the file is described. */
  readonly documentation: string;
}

/** A check with a message and what to do about it. */
export const rule = (error: string, hint: string) => ({ error, params: { hint } });

/** `parties[2].address` of `['parties', 2, 'address']`. */
const fieldName = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (name, key) =>
      typeof key === 'number' ? `${name}[${key}]` : name === '' ? String(key) : `${name}.${String(key)}`,
    '',
  );

/** A short rendering of a value of the file. */
export function show(value: unknown): string {
  const text = jsonOf(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** JSON of what was read from JSON: JSON.parse reads deeper nesting than JSON.stringify can write. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing';
  } catch {
    return 'nested too deeply';
  }
}

/** The issue of zod in the words of the file. */
function describeIssue(issue: z.core.$ZodIssue, words: FileWords): Fault {
  const field = fieldName(issue.path) || 'the file';
  switch (issue.code) {
    case 'unrecognized_keys':
      return {
        what: `${fieldName([...issue.path, issue.keys[0] ?? ''])} is not a known field`,
        hint: `remove it; the fields here are ${words.fieldsAt(issue.path).join(', ')}`,
      };
    case 'invalid_type':
      return issue.input === undefined
        ? { what: `${field} is missing`, hint: 'add it' }
        : { what: `${field} is ${show(issue.input)}`, hint: `make it a JSON ${issue.expected}` };
    case 'invalid_value':
      return {
        what: `${field} is ${show(issue.input)}`,
        hint: `use ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`,
      };
    case 'too_small':
    case 'too_big':
      return words.size(field, issue);
    case 'custom':
      return { what: `${field} ${show(issue.input)} ${issue.message}`, hint: String(issue.params?.hint) };
    default:
      return { what: `${field}: ${issue.message}`, hint: `see ${words.documentation}` };
  }
}

/** The JSON value of `text`; throws `CONFIG` that says in which line it stops being JSON. */
export function parseJson(text: string, shown: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = String(error instanceof Error ? error.message : error).replace(/\s+/g, ' ');
    const position = /at position (\d+)/.exec(message)?.[1];
    const line = position === undefined ? undefined : text.slice(0, Number(position)).split('\n').length;
    throw new MpcError('CONFIG', `${shown}${line === undefined ? '' : `:${line}`}: not valid JSON`, {
      hint: `correct it there (${message})`,
      cause: error,
    });
  }
}

export const faultyFile = (shown: string, { what, hint }: Fault): MpcError =>
  new MpcError('CONFIG', `${shown}: ${what}`, { hint });

/** What `schema` makes of a file; throws `CONFIG` that names the first field at fault. */
export function parseFields<T>(schema: z.ZodType<T>, json: unknown, shown: string, words: FileWords): T {
  const parsed = judge(schema, json, shown, words);
  if (!parsed.success) throw faultyFile(shown, describeIssue(parsed.error.issues[0]!, words));
  return parsed.data;
}

/** zod's verdict; it throws on some values that no field has, such as an object for a list whose length is no number. */
function judge<T>(schema: z.ZodType<T>, json: unknown, shown: string, words: FileWords) {
  try {
    return schema.safeParse(json, { reportInput: true });
  } catch (cause) {
    throw new MpcError('CONFIG', `${shown}: a field is of the wrong kind`, {
      hint: `compare it with ${words.documentation}`,
      cause,
    });
  }
}
