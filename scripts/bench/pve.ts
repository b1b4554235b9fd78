/** Backups: making, verifying and opening one at four parties, and its size, per curve and kind of recipient. */
import type { CurveName } from '#src/curve/curve.js';
import { backupToText, parseBackup, recoverShare, verifyBackup } from '#src/pve/backup-file.js';
import { SCHEMES } from '#src/pve/recipient.js';
import { backupOf, newRecoveryKey, sharedKey } from '#test/support/backups.js';
import { cpuMillis, millis, printTable } from './measure.js';

const CURVES: readonly CurveName[] = ['P-256', 'secp256k1'];
const TIMES = 15;

export async function benchPve(): Promise<void> {
  const rows: string[][] = [];
  for (const scheme of SCHEMES) {
    const { recipient, privateKey } = await newRecoveryKey(scheme);
    for (const curve of CURVES) {
      const shared = sharedKey(curve);
      const file = backupOf(shared, recipient);
      const times = [
        () => backupOf(shared, recipient),
        () => parseBackup(file),
        () => verifyBackup(parseBackup(file)),
        () => recoverShare(parseBackup(file), privateKey).dispose(),
      ].map((act) => millis(cpuMillis(act, TIMES)));
      rows.push([`${scheme}, ${curve}`, ...times, `${file.length}`, `${backupToText(file).length}`]);
    }
  }
  printTable('Backups of a share at four parties', [
    ['recipient, curve', 'create', 'read', 'read and verify', 'recover', 'bytes', 'bytes as hex'],
    ...rows,
  ]);
}
