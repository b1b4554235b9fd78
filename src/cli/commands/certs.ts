/** `ecdsa-mpc certs`: makes, signs, installs and checks the TLS certificates of the cluster. */
import { Command, InvalidArgumentError } from 'commander';
import type { CertificateFile } from '../../config/certs.js';
import { MpcError, type PartyName } from '../../core/errors.js';
import { addExamples } from '../help.js';
import type { SharedOptions } from '../options.js';
import { printLine } from '../ui.js';

interface CertsOptions extends SharedOptions {
  readonly ifNone?: boolean;
}

const EXAMPLES = `  $ ecdsa-mpc certs                      all of a cluster, on one machine, to try it out
  made certs/rootCA.pem, valid until 2035-11-20
  made certs/rootCA-key.pem
  made certs/alice-cert.pem, valid until 2028-02-25
  made certs/alice-key.pem
  …
  $ ecdsa-mpc certs --config production.json

  Without any key leaving its machine:
  $ ecdsa-mpc certs ca                                    where the CA is
  $ ecdsa-mpc certs request --self alice                  on alice's machine
  $ ecdsa-mpc certs sign alice.csr                        where the CA is
  $ ecdsa-mpc certs install alice-cert.pem --self alice   on alice's machine, with the CA's certificate`;

export function certsCommand(): Command {
  const command = new Command('certs')
    .summary('make a CA and one certificate per party; or request, sign, install them')
    .description(
      'Make a certificate authority (CA) and one certificate per party of the cluster file, P-256, ' +
        'private keys readable by their owner only. Files that exist already are checked and kept; one that ' +
        'is expired or does not match is reported and never replaced. Give each party its own certificate ' +
        "and key and the CA's certificate, and keep the CA's key to yourself: whoever holds it can admit " +
        'parties to the cluster. The subcommands do the same without any key leaving its machine, and renew ' +
        'certificates.',
    )
    .option('--if-none', "without a subcommand: do nothing when the CA's certificate exists already")
    .hook('preSubcommand', (parent) => {
      if (parent.opts<CertsOptions>().ifNone)
        throw new MpcError('USAGE', '--if-none is not for the subcommands of certs', {
          hint: 'leave it out: none of them replaces anything that is in the way',
        });
    })
    .addCommand(caCommand())
    .addCommand(requestCommand())
    .addCommand(signCommand())
    .addCommand(installCommand())
    .addCommand(checkCommand())
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
  return `${outcome} ${displayPath(path)}${validTo === undefined ? '' : `, ${until(validTo)}`}`;
}

const until = (date: Date): string => `valid until ${date.toISOString().slice(0, 10)}`;

// ca

function caCommand(): Command {
  const command = new Command('ca')
    .summary("make the cluster's CA and nothing else")
    .description(
      "Make the certificate authority of the cluster: its certificate, at the cluster file's ca_cert, for all " +
        'parties, and its key, beside it (mode 0600), for nobody: whoever holds it can admit parties to the ' +
        'cluster. What exists already is checked and kept.',
    )
    .action((_options, self: Command) => makeCa(self.optsWithGlobals<SharedOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc certs ca
  made certs/rootCA.pem, valid until 2035-11-20
  made certs/rootCA-key.pem
    CA:          SHA-256 52d1…b3, which every party compares`,
  );
}

async function makeCa({ config, json }: SharedOptions): Promise<void> {
  const [{ loadCluster }, { makeAuthorityAlone }, { fingerprintOf, readCertificate }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/certs.js'),
    import('../../config/identity.js'),
  ]);
  const cluster = loadCluster(config);
  const files = await makeAuthorityAlone(cluster);
  const caFingerprint = fingerprintOf(readCertificate(cluster, cluster.caCertPath));
  if (json) return printLine(JSON.stringify({ event: 'certs-ca', files, caFingerprint }));
  for (const file of files) printLine(await describe(file));
  printLine(`${fingerprintLine('CA', caFingerprint)}, which every party compares`);
}

/** The SHA-256 of something, as people compare it. */
const fingerprintLine = (what: string, fingerprint: string): string =>
  `  ${`${what}:`.padEnd(12)} SHA-256 ${fingerprint}`;

// request

interface RequestOptions extends SharedOptions {
  readonly out?: string;
  readonly newKey?: boolean;
}

function requestCommand(): Command {
  const command = new Command('request')
    .summary("make the key of the party --self, and a request for its certificate, on the party's machine")
    .description(
      'Make the private key of the party --self at its key path of the cluster file (mode 0600), unless one is ' +
        "there, and a certificate request (PKCS#10) for the holder of the CA's key. The key stays where it is; " +
        'the request is no secret, but tell the holder of the CA over another channel what the line "Public ' +
        'key" says. To renew a certificate, run it again: it keeps the key, or with --new-key makes another ' +
        'beside it, NAME-key.pem.new, which `certs install` puts into force together with its certificate. ' +
        'Nothing in use is touched before.',
    )
    .option('--out <file>', 'where to write the request (default: NAME.csr beside the certificate)')
    .option('--new-key', 'ask for a certificate of a new key; the one in use stays until `certs install`')
    .action((_options, self: Command) => request(self.optsWithGlobals<RequestOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc certs request --self alice
  made certs/alice-key.pem
  made certs/alice.csr: have it signed with \`certs sign\` where the CA's key is
    Party:       alice
    Public key:  SHA-256 9f86…08, to be compared there

  Renewing, with another key:
  $ ecdsa-mpc certs request --self alice --new-key
  made certs/alice-key.pem.new
  made certs/alice.csr: have it signed with \`certs sign\` where the CA's key is
  …`,
  );
}

async function request(options: RequestOptions): Promise<void> {
  const self = partyOf(options, 'request');
  const [{ loadCluster }, { makeRequest }, { displayPath }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/requests.js'),
    import('../../files/files.js'),
  ]);
  const { out, newKey } = options;
  const made = await makeRequest(loadCluster(options.config), self, {
    ...(out !== undefined && { out }),
    ...(newKey !== undefined && { newKey }),
  });
  if (options.json) return printLine(JSON.stringify({ event: 'certs-request', ...made }));
  printLine(`${made.key.outcome} ${displayPath(made.key.path)}`);
  printLine(`made ${displayPath(made.request)}: have it signed with \`certs sign\` where the CA's key is`);
  printLine(`  ${'Party:'.padEnd(12)} ${self}`);
  printLine(`${fingerprintLine('Public key', made.publicKey)}, to be compared there`);
}

/** The party --self, which the subcommand `name` needs. */
function partyOf({ self }: SharedOptions, name: string): PartyName {
  if (self !== undefined) return self;
  throw new MpcError('USAGE', 'which party is this? --self is missing', {
    hint: `say for example ecdsa-mpc certs ${name} --self alice`,
  });
}

// sign

interface SignOptions extends SharedOptions {
  readonly out?: string;
  readonly days?: number;
  readonly publicKey?: string;
}

const LONGEST_DAYS = 3_650;

/** A number of days, `90` or `90d`. */
function daysOption(text: string): number {
  const days = /^\d{1,4}d?$/.test(text) ? Number.parseInt(text, 10) : 0;
  if (days < 1 || days > LONGEST_DAYS)
    throw new InvalidArgumentError(`write a number of days from 1 to ${LONGEST_DAYS}, such as 30d`);
  return days;
}

/** A SHA-256 in hex, as this program or openssl writes it. */
function sha256Option(text: string): string {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex))
    throw new InvalidArgumentError('write the 64 hex digits that `certs request` printed');
  return hex;
}

function signCommand(): Command {
  const command = new Command('sign')
    .summary("sign a party's certificate request, on the machine that holds the CA's key")
    .description(
      "Sign a certificate request with the cluster's CA. The request must name one party of the cluster file " +
        'and nothing else, be for a P-256 key, and be signed with that key; nothing but name and key of it goes ' +
        'into the certificate. Compare the line "Public key" with what the party saw, over another channel, ' +
        'before you hand the certificate out; or say it with --public-key, and no other request is signed. An ' +
        'earlier certificate gets the time into its name.',
    )
    .argument('<file>', 'certificate request')
    .option('--out <file>', "where to write the certificate (default: the party's cert of the cluster file)")
    .option('--days <days>', "how long it is valid, at most as long as the CA's (default: 825)", daysOption)
    .option('--public-key <sha256>', 'what the party says that `certs request` printed', sha256Option)
    .action((file: string, _options, self: Command) => sign(file, self.optsWithGlobals<SignOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc certs sign alice.csr
  made certs/alice-cert.pem, valid until 2028-02-25
    Party:       alice
    Public key:  SHA-256 9f86…08, to be compared with what alice saw
    Certificate: SHA-256 60b3…75, to be pinned in cluster.json
    CA:          SHA-256 52d1…b3
  $ ecdsa-mpc certs sign alice.csr --public-key 9f86…08 --days 90 --out alice-2027.pem`,
  );
}

async function sign(file: string, options: SignOptions): Promise<void> {
  const [{ loadCluster }, { signRequest }, { displayPath }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/requests.js'),
    import('../../files/files.js'),
  ]);
  const { out, days, publicKey } = options;
  const signed = await signRequest(loadCluster(options.config), file, {
    ...(out !== undefined && { out }),
    ...(days !== undefined && { days }),
    ...(publicKey !== undefined && { publicKey }),
  });
  if (options.json) return printLine(JSON.stringify({ event: 'certs-sign', ...signed }));
  if (signed.kept !== undefined) printLine(`earlier one kept as ${displayPath(signed.kept)}`);
  printLine(`made ${displayPath(signed.certificate)}, ${until(signed.validTo)}`);
  printLine(`  ${'Party:'.padEnd(12)} ${signed.party}`);
  const compared = publicKey === undefined ? `, to be compared with what ${signed.party} saw` : '';
  printLine(`${fingerprintLine('Public key', signed.publicKey)}${compared}`);
  printLine(`${fingerprintLine('Certificate', signed.fingerprint)}, to be pinned in cluster.json`);
  printLine(fingerprintLine('CA', signed.caFingerprint));
}

// install

function installCommand(): Command {
  const command = new Command('install')
    .summary("put a signed certificate of the party --self into force, on the party's machine")
    .description(
      'Put a certificate of the party --self where the cluster file wants it, once it is known that the party ' +
        "can run with it: issued by the CA whose certificate is at the cluster file's ca_cert, which must be " +
        'here already, in force, of this party alone, and for the key in use or the one of `certs request ' +
        '--new-key`, which then comes into use, too. The certificate and key that were in use get the time into ' +
        "their names. A daemon takes them up within a minute, anything else when it starts. Compare the CA's " +
        'fingerprint with the other parties.',
    )
    .argument('<file>', 'certificate')
    .action((file: string, _options, self: Command) => install(file, self.optsWithGlobals<SharedOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc certs install alice-cert.pem --self alice
  installed certs/alice-cert.pem, valid until 2028-02-25
    Certificate: SHA-256 60b3…75
    CA:          SHA-256 52d1…b3, the same for every party`,
  );
}

async function install(file: string, options: SharedOptions): Promise<void> {
  const self = partyOf(options, `install ${file}`);
  const [{ loadCluster }, { installCertificate }, { displayPath }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/own-certificate.js'),
    import('../../files/files.js'),
  ]);
  const installed = installCertificate(loadCluster(options.config), self, file);
  if (options.json) return printLine(JSON.stringify({ event: 'certs-install', ...installed }));
  for (const kept of installed.kept)
    printLine(`earlier one kept as ${displayPath(kept)}: delete it when the new one has been used`);
  printLine(`installed ${displayPath(installed.certificate)}, ${until(installed.validTo)}`);
  printLine(fingerprintLine('Certificate', installed.fingerprint));
  printLine(`${fingerprintLine('CA', installed.caFingerprint)}, the same for every party`);
}

// check

interface CheckOptions extends SharedOptions {
  readonly within?: number;
}

function checkCommand(): Command {
  const command = new Command('check')
    .summary('say whether the party --self can run with its certificate, and until when')
    .description(
      "Check the certificate and key of the party --self and the CA's certificate as a run does at its start, " +
        'and say how long they are valid. With --within it fails, exit status 2, some days before they expire: ' +
        'run it every day from cron and be told.',
    )
    .option('--within <days>', 'fail when it expires sooner than this, such as 30d', daysOption)
    .action((_options, self: Command) => check(self.optsWithGlobals<CheckOptions>()));
  return addExamples(
    command,
    `  $ ecdsa-mpc certs check --self alice --within 30d
  certs/alice-cert.pem is valid until 2028-02-25 (825 days)
    Certificate: SHA-256 60b3…75
    CA:          SHA-256 52d1…b3`,
  );
}

async function check(options: CheckOptions): Promise<void> {
  const self = partyOf(options, 'check');
  const [{ loadCluster }, { checkOwnCertificate }, { displayPath }] = await Promise.all([
    import('../../config/cluster.js'),
    import('../../config/own-certificate.js'),
    import('../../files/files.js'),
  ]);
  const own = checkOwnCertificate(loadCluster(options.config), self, options.within);
  if (options.json) return printLine(JSON.stringify({ event: 'certs-check', ...own }));
  printLine(`${displayPath(own.certificate)} is ${until(own.validTo)} (${own.days} days)`);
  printLine(fingerprintLine('Certificate', own.fingerprint));
  printLine(fingerprintLine('CA', own.caFingerprint));
}
