/**
 * For `node --import`: writes `loads WHAT` to standard output for every module that the process loads, before it does.
 * Standard output, so that the lines stand in order with the program's own.
 */
import { writeSync } from 'node:fs';
import { Module, register } from 'node:module';

const HOOKS = `
  import { writeSync } from 'node:fs';
  export function load(url, context, next) {
    writeSync(1, \`loads \${url}\\n\`);
    return next(url, context);
  }
`;

register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);

// The hooks see what is imported; this sees what is required.
const { require: original } = Module.prototype;
Module.prototype.require = Object.assign(function required(this: NodeModule, id: string) {
  writeSync(1, `loads ${this.filename} ${id}\n`);
  return original.call(this, id);
}, original);
