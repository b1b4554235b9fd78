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

/** A check with a message and what to do about it. */
const rule = (error: string, hint: string) => ({ error, params: { hint } });

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

/** A fault of the file, its field first, and what to do about it. */
interface Fault {
  readonly what: string;
  readonly hint: string;
}

/** `parties[2].address` of `['parties', 2, 'address']`. */
const fieldName = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (name, key) =>
      typeof key === 'number' ? `${name}[${key}]` : name === '' ? String(key) : `${name}.${String(key)}`,
    '',
  );

/** A short rendering of a value of the file. */
function show(value: unknown): string {
  const text = jsonOf(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** JSON of what was read from JSON: JSON.parse reads deeper nesting than JSON.stringify can write. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing';
  } catch {
    return 'nested too deeply';
  }
}

/** The issue of zod in the words of a cluster file. */
function describeIssue(issue: z.core.$ZodIssue): Fault {
  const field = fieldName(issue.path) || 'the file';
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = issue.path.length === 0 ? fileSchema : partySchema;
      return {
        what: `${fieldName([...issue.path, issue.keys[0] ?? ''])} is not a known field`,
        hint: `remove it; the fields here are ${Object.keys(known.shape).join(', ')}`,
      };
    }
    case 'invalid_type':
      return issue.input === undefined
        ? { what: `${field} is missing`, hint: 'add it' }
        : { what: `${field} is ${show(issue.input)}`, hint: `make it a JSON ${issue.expected}` };
    case 'invalid_value':
      return {
        what: `${field} is ${show(issue.input)}`,
        hint: `use ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`,
      };
    case 'too_small':
    case 'too_big':
      return issue.origin === 'array'
        ? {
            what: `${field} has ${(issue.input as unknown[]).length}`,
            hint: `list 2 to ${MAX_PARTIES} parties`,
          }
        : { what: `${field} is empty`, hint: 'name a file' };
    case 'custom':
      return { what: `${field} ${show(issue.input)} ${issue.message}`, hint: String(issue.params?.hint) };
    default:
      return { what: `${field}: ${issue.message}`, hint: 'see the configuration section of README.md' };
  }
}

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

/** The JSON value of `text`; throws `CONFIG` that says in which line it stops being JSON. */
function parseJson(text: string, shown: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = String(error instanceof Error ? error.message : error).replace(/\s+/g, ' ');
    const position = /at position (\d+)/.exec(message)?.[1];
    const line = position === undefined ? undefined : text.slice(0, Number(position)).split('\n').length;
    throw new MpcError('CONFIG', `${shown}${line === undefined ? '' : `:${line}`}: not valid JSON`, {
      hint: `correct it there (${message})`,
      cause: error,
    });
  }
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

const faultyFile = (shown: string, { what, hint }: Fault): MpcError =>
  new MpcError('CONFIG', `${shown}: ${what}`, { hint });

/** zod's verdict; it throws on some values that no field has, such as an object for a list whose length is no number. */
function parseFile(json: unknown, shown: string) {
  try {
    return fileSchema.safeParse(json, { reportInput: true });
  } catch (cause) {
    throw new MpcError('CONFIG', `${shown}: a field is of the wrong kind`, {
      hint: 'compare it with the configuration section of README.md',
      cause,
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
  const parsed = parseFile(parseJson(text, shown), shown);
  if (!parsed.success) throw faultyFile(shown, describeIssue(parsed.error.issues[0]!));
  const fault = crossCheck(parsed.data);
  if (fault !== undefined) throw faultyFile(shown, fault);
  const file = parsed.data;
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
