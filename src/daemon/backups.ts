/** Backs every refreshed share up, whoever has asked for the refresh: with it, all earlier backups become worthless. */
import { join } from 'node:path';
import type { BackupPlace } from '../config/settings.js';
import type { PartyName } from '../core/errors.js';
import { checkNewFile, readText } from '../files/files.js';
import type { EventSink } from '../party/events.js';
import { backUpStored } from '../party/stored-backup.js';
import { printId } from '../protocol/key-share.js';
import { recipientFromPem } from '../pve/recipient.js';
import type { BackUp } from './perform.js';

/**
 * Makes and verifies a backup in the place that the settings name, and tells `emit`. What it throws ends the refresh.
 * Throws `FILE` or `BACKUP` at once for a place that is none, or a key that is none.
 */
export function backUpIn({ to, folder }: BackupPlace, self: PartyName, emit: EventSink): BackUp {
  const recipient = recipientFromPem(readText(to));
  checkNewFile(join(folder, `${self}.backup`));
  return async (share, tools) => {
    const { keyId, epoch, shid } = share.sharing;
    const name = [self, printId(keyId).slice(0, 8), `epoch-${epoch}`, printId(shid).slice(0, 8)].join('-');
    await backUpStored(share, { recipient, file: join(folder, `${name}.backup`) }, { ...tools, emit });
  };
}
