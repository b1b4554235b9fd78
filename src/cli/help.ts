/** What the help of every command ends with: examples with their output, and the exit statuses. */
import type { Command } from 'commander';
import { ERROR_CODES, type ErrorCode, exitStatus } from '../core/errors.js';

/** The exit statuses, one line per error code that leads to one; made from the table of core/errors.ts. */
export function exitStatusTable(): string {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  const lines = [line(0, 'done')];
  for (const status of new Set(codes.map(exitStatus)))
    codes
      .filter((code) => exitStatus(code) === status)
      .forEach((code, index) => {
        lines.push(line(index === 0 ? status : '', ERROR_CODES[code].meaning));
      });
  return lines.join('\n');
}

const line = (status: number | '', meaning: string): string => `  ${String(status).padEnd(5)}${meaning}`;

/** Appends examples and the exit statuses to the help of `command`. */
export const addExamples = (command: Command, examples: string): Command =>
  command.addHelpText('after', `\nExamples:\n${examples}\n\nExit status:\n${exitStatusTable()}`);
