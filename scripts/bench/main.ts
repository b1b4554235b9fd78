/**
 * `make bench`: every benchmark in one run, so that its figures can be compared with one another on a noisy machine.
 * With names as arguments, only those: arithmetic, proofs, protocols, backups, ceremony.
 */
import { cpus } from 'node:os';
import { benchArithmetic } from './arithmetic.js';
import { benchCeremony } from './ceremony.js';
import { benchProofs } from './proofs.js';
import { benchProtocols } from './protocols.js';
import { benchPve } from './pve.js';

const BENCHES: Readonly<Record<string, () => void | Promise<void>>> = {
  arithmetic: benchArithmetic,
  proofs: benchProofs,
  protocols: benchProtocols,
  backups: benchPve,
  ceremony: benchCeremony,
};

const named = process.argv.slice(2);
const unknown = named.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  console.log(`Node ${process.version}, OpenSSL ${process.versions.openssl}, ${cpus().length} cores`);
  for (const name of named.length > 0 ? named : Object.keys(BENCHES)) await BENCHES[name]?.();
}
