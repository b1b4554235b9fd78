/**
 * `cluster.json`: the parties, where they listen, their certificates, and what they compute. The type on disk is
 * parsed here, once, into {@link ClusterConfig}, whose paths are absolute and whose defaults are filled in.
 */
import { dirname, normalize, resolve } from 'node:path';
import { z } from 'zod';
import { allOf, isPartyName, MAX_PARTIES, type Policy, parsePolicy } from '../access/policy.js';
import { MpcError, type PartyName } from '../core/errors.js';
import type { CurveName } from '../curve/curve.js';
import { displayPath, readText } from '../files/files.js';
import type { SecurityBits } from '../math/params.js';
import type { Multiplication } from '../multiplication/multiplication.js';
import { type Fault, type FileWords, faultyFile, parseFields, parseJson, rule, show } from './json-file.js';

export interface ClusterParty {
  readonly name: PartyName;
  /** IP address, without brackets, or DNS name: where this party listens, and where its peers dial it. */
  readonly host: string;
  readonly port: number;
  /** `host:port`, an IPv6 host in brackets. */
  readonly address: string;
  readonly certPath: string;
  /** Only one's own key file need exist. */
  readonly keyPath: string;
  /** SHA-256 of the party's certificate (DER), 64 lower-case hex digits; pins the certificate. */
  readonly fingerprint?: string;
}

/** A cluster file, read and checked. Parties stand in the file's order, which is the canonical one. */
export interface ClusterConfig {
  /** Absolute path of the cluster file. */
  readonly path: string;
  readonly caCertPath: string;
  readonly parties: readonly ClusterParty[];
  readonly curve: CurveName;
  readonly security: SecurityBits;
  readonly multiplication: Multiplication['name'];
  /** The policy in force: the file's, or And of all parties. */
  readonly policy: Policy;
  /** Whether the file gave a policy. */
  readonly policyGiven: boolean;
}

const nameField = z
  .string()
  .refine(
    isPartyName,
    rule(
      'is not a valid party name',
      'use 1 to 32 lower-case letters, digits and inner hyphens, such as "alice", and not "localhost"',
    ),
  );

/** The host as peers dial it, in one spelling, or `undefined` when it is neither an IP address nor a DNS name. */
function parseHost(text: string): string | undefined {
  if (z.ipv4().safeParse(text).success) return text === '0.0.0.0' ? undefined : text;
  if (text.startsWith('[') && text.endsWith(']')) {
    if (!z.ipv6().safeParse(text.slice(1, -1)).success) return undefined;
    const canonical = new URL(`http://${text}`).hostname.slice(1, -1);
    return canonical === '::' ? undefined : canonical;
  }
  const host = text.toLowerCase();
  const topLabel = host.slice(host.lastIndexOf('.') + 1);
  // A last label of digits only would be taken for an IPv4 address by some resolvers.
  return z.hostname().safeParse(host).success && !/^\d*$/.test(topLabel) ? host : undefined;
}

/** Host and port of `host:port` or `[ipv6]:port`, or `undefined`. */
function parseAddress(text: string): { host: string; port: number; address: string } | undefined {
  const [, hostText, portText] = /^(.*):([1-9]\d{0,4})$/.exec(text) ?? [];
  const host = hostText === undefined ? undefined : parseHost(hostText);
  const port = Number(portText);
  if (host === undefined || port > 65_535) return undefined;
  return { host, port, address: `${host.includes(':') ? `[${host}]` : host}:${port}` };
}

const addressField = z.string().transform((text, context) => {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  context.addIssue({
    code: 'custom',
    message: 'is not an address that peers can dial',
    params: {
      hint: 'write host:port, for example "127.0.0.1:8001", "[2001:db8::1]:8001" or "mpc1.example.org:8001"',
    },
  });
  return z.NEVER;
});

const fingerprintField = z
  .string()
  .refine(
    (text) => /^[0-9a-f]{64}$/.test(plainFingerprint(text)),
    rule(
      'is not a SHA-256 fingerprint',
      'write the 64 hex digits that `openssl x509 -noout -fingerprint -sha256` prints',
    ),
  )
  .transform(plainFingerprint);

/** A fingerprint without the colons and capitals of openssl. */
function plainFingerprint(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

const pathField = z.string().min(1);

const partySchema = z.strictObject({
  name: nameField,
  address: addressField,
  cert: pathField,
  key: pathField,
  fingerprint: fingerprintField.optional(),
});

/** The file, but for `policy`, whose grammar is access/policy.ts's. */
const fileSchema = z.strictObject({
  ca_cert: pathField,
  parties: z.array(partySchema).min(2).max(MAX_PARTIES),
  curve: z.enum(['P-256', 'secp256k1']).default('P-256'),
  security: z.literal([112, 128]).default(112),
  multiplication: z.enum(['paillier', 'ot']).default('paillier'),
  policy: z.unknown().optional(),
});

/** What only a cluster file has: lists of parties, and files that are named. */
const words: FileWords = {
  fieldsAt: (path) => Object.keys((path.length === 0 ? fileSchema : partySchema).shape),
  size: (field, { origin, input }) =>
    origin === 'array'
      ? {
          what: `${field} has ${(input as unknown[]).length}`,
          hint: `list 2 to ${MAX_PARTIES} parties`,
        }
      : { what: `${field} is empty`, hint: 'name a file' },
  documentation: 'the configuration section of README.md',
};

/** The first value that stands twice in `values`, which are [field, value] pairs. */
function duplicate(values: readonly (readonly [string, string])[]): Fault | undefined {
  const seen = new Map<string, string>();
  for (const [field, value] of values) {
    const earlier = seen.get(value);
    if (earlier !== undefined)
      return { what: `${field} is ${show(value)}, as ${earlier} is`, hint: 'make them different' };
    seen.set(value, field);
  }
  return undefined;
}

/** What no single field shows: values used twice, and a host that is another party's name. */
function crossCheck(file: z.output<typeof fileSchema>): Fault | undefined {
  const parties = file.parties.map((party, index) => ({ ...party, field: `parties[${index}]` }));
  const repeated =
    duplicate(parties.map((party) => [`${party.field}.name`, party.name])) ??
    duplicate(parties.map((party) => [`${party.field}.address`, party.address.address])) ??
    duplicate([
      ['ca_cert', normalize(file.ca_cert)],
      ...parties.flatMap((party): [string, string][] => [
        [`${party.field}.cert`, normalize(party.cert)],
        [`${party.field}.key`, normalize(party.key)],
      ]),
    ]);
  if (repeated !== undefined) return repeated;
  // The host goes into the party's certificate beside its name, and would make it the certificate of two parties.
  for (const party of parties)
    if (parties.some((other) => other !== party && other.name === party.address.host))
      return {
        what: `${party.field}.address has the host ${show(party.address.host)}, which is another party's name`,
        hint: 'use its IP address, or rename that party',
      };
  return undefined;
}

/** The policy in force; throws `CONFIG`. */
function readPolicy(json: unknown, names: readonly PartyName[], shown: string): Policy {
  if (json === undefined) return allOf(names);
  try {
    return parsePolicy(json, names);
  } catch (error) {
    if (!(error instanceof MpcError) || error.code !== 'CONFIG') throw error;
    throw new MpcError('CONFIG', `${shown}: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}

/** What the command line says instead of the cluster file. */
export interface ClusterOverrides {
  readonly multiplication?: Multiplication['name'];
}

/**
 * Reads the cluster file at `path`; paths in it are relative to its folder.
 * Throws `CONFIG`, one line that names the field and the fix, or `FILE` when the file cannot be read.
 */
export function loadCluster(path: string, overrides: ClusterOverrides = {}): ClusterConfig {
  const absolute = resolve(path);
  const shown = displayPath(absolute);
  const text = readText(absolute, { hint: 'name the cluster file with --config' });
  const file = parseFields(fileSchema, parseJson(text, shown), shown, words);
  const fault = crossCheck(file);
  if (fault !== undefined) throw faultyFile(shown, fault);
  const fromFile = (name: string): string => resolve(dirname(absolute), name);
  return {
    path: absolute,
    caCertPath: fromFile(file.ca_cert),
    parties: file.parties.map(({ name, address, cert, key, fingerprint }) => ({
      name,
      ...address,
      certPath: fromFile(cert),
      keyPath: fromFile(key),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    })),
    curve: file.curve,
    security: file.security,
    multiplication: overrides.multiplication ?? file.multiplication,
    policy: readPolicy(
      file.policy,
      file.parties.map((party) => party.name),
      shown,
    ),
    policyGiven: file.policy !== undefined,
  };
}

/** The party called `name`; throws `USAGE` when the cluster has none. */
export function clusterParty(cluster: ClusterConfig, name: PartyName): ClusterParty {
  const party = cluster.parties.find((candidate) => candidate.name === name);
  if (party !== undefined) return party;
  const names = cluster.parties.map((candidate) => candidate.name).join(', ');
  throw new MpcError('USAGE', `${show(name)} is not a party of ${displayPath(cluster.path)}`, {
    hint: `say --self with one of: ${names}`,
  });
}
