/** `ecdsa-mpc certs`: makes the TLS certificates of the cluster. */
import { Command } from 'commander';
import type { CertificateFile } from '../../config/certs.js';
import { addExamples } from '../help.js';
import type { SharedOptions } from '../options.js';
import { printLine } from '../ui.js';

interface CertsOptions extends SharedOptions {
  readonly ifNone?: boolean;
}

const EXAMPLES = `  $ ecdsa-mpc certs
  made certs/rootCA.pem, valid until 2035-11-20
  made certs/rootCA-key.pem
  made certs/alice-cert.pem, valid until 2028-02-25
  made certs/alice-key.pem
  …
  $ ecdsa-mpc certs --config production.json`;

export function certsCommand(): Command {
  const command = new Command('certs')
    .summary('make a CA and one certificate per party')
    .description(
      'Make a certificate authority (CA) and one certificate per party of the cluster file, P-256, ' +
        'private keys readable by their owner only. Files that exist already are checked and kept; one that ' +
        'is expired or does not match is reported and never replaced. Give each party its own certificate ' +
        "and key and the CA's certificate, and keep the CA's key to yourself: whoever holds it can admit " +
        'parties to the cluster.',
    )
    .option('--if-none', "do nothing when the CA's certificate exists already")
    .action(async (_options, self: Command) => makeCerts(self.optsWithGlobals<CertsOptions>()));
  return addExamples(command, EXAMPLES);
}

async function makeCerts(options: CertsOptions): Promise<void> {
  const [{ loadCluster }, { exists }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../files/files.js'),
  ]);
  const cluster = loadCluster(options.config);
  if (options.ifNone && exists(cluster.caCertPath)) return;
  const { makeCertificates } = await import('../../config/certs.js');
  const files = await makeCertificates(cluster);
  if (options.json) printLine(JSON.stringify({ event: 'certs', files }));
  else for (const file of files) printLine(await describe(file));
}

async function describe({ outcome, path, validTo }: CertificateFile): Promise<string> {
  const { displayPath } = await import('../../files/files.js');
  if (outcome === 'absent') return `not here: ${displayPath(path)}`;
  const until = validTo === undefined ? '' : `, valid until ${validTo.toISOString().slice(0, 10)}`;
  return `${outcome} ${displayPath(path)}${until}`;
}
