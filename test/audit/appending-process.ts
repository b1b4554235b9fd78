/** A process that appends to the log in `state/alice` below its working directory, and says so after each record. */
import { join } from 'node:path';
import { AuditLog } from '#src/audit/log.js';
import { opened, signature } from '../support/audit-logs.js';

using log = AuditLog.open(join('state', 'alice'), 'alice');
for (const event of [opened('alice'), ...signature(1, 'alice')]) {
  log.append(event);
  process.stdout.write(`${log.head.hash}\n`);
}
