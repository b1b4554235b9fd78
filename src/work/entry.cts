/**
 * What piscina loads in a thread. CommonJS, because piscina requires its file, and a thread that is ended while Node
 * requires an ES module takes the whole process with it (an assertion of Node 20 fails); while it imports one, not.
 */
import type { Outcome, Task } from './worker.js' with { 'resolution-mode': 'import' };

const work = async (task: Task): Promise<Outcome> => (await import('./worker.js')).default(task);

export = work;
