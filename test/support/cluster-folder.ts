/** Folders with a cluster file, its certificates and keys, for tests that run whole processes. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { makeCertificates } from '#src/config/certs.js';
import { loadCluster } from '#src/config/cluster.js';
import type { PartyEvent } from '#src/party/events.js';
import { freePort, HOST } from '../transport/node.js';

export interface ClusterFolder {
  readonly cwd: string;
  /** Of each party, in their order. */
  readonly ports: readonly number[];
}

/** The text of a cluster file for parties at these ports. */
export const clusterJson = (
  parties: readonly string[],
  ports: readonly number[],
  fields: object = {},
): string =>
  JSON.stringify({
    ca_cert: 'certs/rootCA.pem',
    parties: parties.map((party, index) => ({
      name: party,
      address: `${HOST}:${ports[index]}`,
      cert: `certs/${party}-cert.pem`,
      key: `certs/${party}-key.pem`,
    })),
    ...fields,
  });

/** Makes cluster folders below one that is removed when the test file has ended. */
export function clusterFolders(): (
  name: string,
  parties: readonly string[],
  fields?: object,
) => Promise<ClusterFolder> {
  const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-test-'));
  after(() => rmSync(folder, { recursive: true }));
  return async (name, parties, fields) => {
    const cwd = join(folder, name);
    mkdirSync(cwd);
    const ports = await Promise.all(parties.map(freePort));
    const path = join(cwd, 'cluster.json');
    writeFileSync(path, clusterJson(parties, ports, fields));
    await makeCertificates(loadCluster(path));
    return { cwd, ports };
  };
}

/** The events of `--json` output. */
export const eventsIn = (stdout: string): PartyEvent[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
