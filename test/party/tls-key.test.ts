/** The TLS key of a party that stays up is nowhere in the JavaScript heap: OpenSSL has it, and nobody else needs it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { getHeapSnapshot } from 'node:v8';
import { loadCluster } from '#src/config/cluster.js';
import { withParty } from '#src/party/party.js';
import { clusterFolders } from '../support/cluster-folder.js';

const clusterFolder = clusterFolders();
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Every string that is alive in this thread's heap, or its beginning. */
async function livingStrings(): Promise<readonly string[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of getHeapSnapshot()) chunks.push(chunk as Buffer);
  return (JSON.parse(Buffer.concat(chunks).toString()) as { strings: string[] }).strings;
}

test('neither after the start nor after a renewal is the key alive as a string', async () => {
  const { cwd } = await clusterFolder('key', ['alice', 'bob']);
  const cluster = loadCluster(join(cwd, 'cluster.json'));
  const options = {
    ...{ cluster, self: 'alice', logger, emit: () => {}, signal: new AbortController().signal },
    ...{ timeoutMillis: 60_000, connectTimeoutMillis: 60_000 },
  };
  const found = await withParty(options, async (party) => {
    const started = await livingStrings();
    await party.renew();
    return [started, await livingStrings()];
  });
  const { keyPath, certPath } = cluster.parties[0]!;
  const bodyOf = (path: string) => readFileSync(path, 'utf8').split('\n')[1]!;
  const [key, certificate] = [bodyOf(keyPath), bodyOf(certPath)];
  for (const strings of found) {
    assert(
      strings.some((text) => text.includes(certificate)),
      'the certificate would have been found',
    );
    assert.deepEqual(strings.filter((text) => text.includes(key)).length, 0);
  }
});
