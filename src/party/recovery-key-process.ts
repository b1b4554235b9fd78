/** What runs in the process that recovery-key.ts starts: makes a key, sends it, and waits for its end. */
import { generateRecipientKey, RECIPIENT_KEY_TYPES } from '../pve/recipient.js';
import type { MadeKey } from './recovery-key.js';

// Ctrl-C reaches every process of the terminal's group: the one that wants the key decides what becomes of this one.
process.on('SIGINT', () => {});
// Otherwise Node.js starts its debugger: see cli/main.ts.
process.on('SIGUSR1', () => {});
// That one has ended, however it ended.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

const type = RECIPIENT_KEY_TYPES.find((known) => known === process.argv[2])!;
const { publicPem, privatePem } = await generateRecipientKey(type);
process.send!({ publicPem, privatePem: privatePem.bytes } satisfies MadeKey, () => privatePem.dispose());
