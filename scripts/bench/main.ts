/**
 * `make bench`: every benchmark in one run, so that its figures can be compared with one another on a noisy machine.
 * With names as arguments, only those: arithmetic, proofs, profile, protocols, late, backups, ceremony; and growth and memory,
 * which take many minutes and run only when they are named.
 */
import { cpus } from 'node:os';
import { benchArithmetic } from './arithmetic.js';
import { benchCeremony } from './ceremony.js';
import { benchGrowth } from './growth.js';
import { benchLate } from './late.js';
import { benchMemory } from './memory.js';
import { benchProfile } from './profile.js';
import { benchProfileOt } from './profile-ot.js';
import { benchProofs } from './proofs.js';
import { benchProtocols } from './protocols.js';
import { benchPve } from './pve.js';

async function benchProfiles(): Promise<void> {
  await benchProfile();
  await benchProfileOt();
}

type Benches = Readonly<Record<string, () => void | Promise<void>>>;

const BENCHES: Benches = {
  arithmetic: benchArithmetic,
  proofs: benchProofs,
  profile: benchProfiles,
  protocols: benchProtocols,
  late: benchLate,
  backups: benchPve,
  ceremony: benchCeremony,
};
const LONG: Benches = { growth: benchGrowth, memory: benchMemory };
const ALL = { ...BENCHES, ...LONG };

const named = process.argv.slice(2);
const unknown = named.filter((name) => !(name in ALL));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(ALL).join(', ')}`);
  process.exitCode = 2;
} else {
  console.log(`Node ${process.version}, OpenSSL ${process.versions.openssl}, ${cpus().length} cores`);
  for (const name of named.length > 0 ? named : Object.keys(BENCHES)) await ALL[name]?.();
}
