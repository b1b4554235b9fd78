// Parties that are up for many operations, as daemons are, over TLS in one process: what they hear of one another
// outside of sessions, and operations at once that each end in their own way.
import assert from 'node:assert/strict';
import { EventEmitter, getEventListeners, once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeCertificates } from '#src/config/certs.js';
import { loadCluster } from '#src/config/cluster.js';
import { MpcError, type PartyName } from '#src/core/errors.js';
import { curveByName } from '#src/curve/curve.js';
import { complete, type Resources } from '#src/party/operations.js';
import { type OperationLimits, type Party, withParty } from '#src/party/party.js';
import { clusterFolders } from '../support/cluster-folder.js';
import { outcomeOf } from '../support/memory-network.js';

const clusterFolder = clusterFolders();
const { cwd } = await clusterFolder('parties', ['alice', 'bob']);
const cluster = loadCluster(join(cwd, 'cluster.json'));
const kind = { curve: curveByName('P-256'), policy: cluster.policy };
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A party that stays up until it is stopped. */
class Staying {
  readonly heard: string[] = [];
  /** 'heard', whenever there is more of it. */
  readonly events = new EventEmitter();
  readonly stopping = new AbortController();
  readonly ended: Promise<void>;
  party: Party | undefined;

  constructor(readonly self: PartyName) {
    const note = (what: string): void => {
      this.heard.push(what);
      this.events.emit('heard');
    };
    const options = {
      ...{ cluster, self, logger, emit: () => {}, signal: this.stopping.signal },
      ...{ timeoutMillis: 60_000, connectTimeoutMillis: 60_000 },
    };
    this.ended = withParty(options, async (party) => {
      this.party = party;
      party.hear({
        letter: (from, subject, body) => note(`${from}: ${subject} ${Buffer.from(body)}`),
        lost: (peer, { code }) => note(`${peer}: ${code}`),
        link: (peer, up) => note(`${peer} is ${up ? 'up' : 'down'}`),
        refuse: (operation) =>
          operation === 'unwanted' ? new MpcError('USAGE', 'this is not wanted here') : undefined,
      });
      await once(this.stopping.signal, 'abort');
    });
  }

  async hears(what: string): Promise<void> {
    while (!this.heard.includes(what)) await once(this.events, 'heard');
  }

  /** Runs an operation of both parties that takes no time. */
  operation(name: string, limits: OperationLimits = {}): Promise<Uint8Array | undefined> {
    const nothing = { pending: [], holds: () => false };
    return this.party!.during(
      kind,
      (resources) => complete({ ...resources, progress: () => {} } satisfies Resources, name, nothing),
      limits,
    );
  }

  async stop(): Promise<void> {
    this.stopping.abort(new MpcError('INTERRUPTED', 'stopped'));
    await this.ended;
  }
}

describe('two parties that stay up', async () => {
  const [alice, bob] = [new Staying('alice'), new Staying('bob')];
  await Promise.all([alice.hears('bob is up'), bob.hears('alice is up')]);

  test('hear letters outside of sessions', async () => {
    await alice.party!.sendLetter('bob', 'greeting', Buffer.from('hello'));
    await bob.hears('alice: greeting hello');
  });

  test('run many operations at once, each of which ends in its own way', async () => {
    const listening = () => getEventListeners(alice.stopping.signal, 'abort').length;
    const before = listening();
    const names = Array.from({ length: 20 }, (_, k) => `operation ${k}`);
    const ending = new AbortController();
    // Only alice takes part in these: they end by what ends nothing else.
    const alone = [
      alice.operation('given up', { signal: ending.signal }),
      alice.operation('too long', { timeoutMillis: 1 }),
      alice.operation('unwanted'),
    ].map(outcomeOf);
    const together = names.flatMap((name) => [alice.operation(name), bob.operation(name)]);
    ending.abort(new MpcError('INTERRUPTED', 'no longer wanted'));
    const errors = (await Promise.all(alone)).map((outcome) =>
      'error' in outcome ? outcome.error : undefined,
    );
    assert.deepEqual(
      errors.map((error) => error?.code),
      ['INTERRUPTED', 'TIMEOUT', 'PEER_ABORTED'],
    );
    assert.match(errors[1]!.message, /^the operation took longer than 1ms: not heard from bob/);
    assert.deepEqual(new Set(await Promise.all(together)), new Set([undefined]));
    assert.equal(listening(), before, 'ended operations still listen');
  });

  test('make their links anew with a renewed certificate, by the same CA only', async () => {
    const linkAtBob = () => bob.party!.peerFacts('alice');
    const before = linkAtBob();
    assert.ok(before.up && before.certificateExpires);
    rmSync(join(cwd, 'certs/alice-cert.pem'));
    rmSync(join(cwd, 'certs/alice-key.pem'));
    await assert.rejects(alice.party!.renew(), { code: 'CERTIFICATE' });
    assert.deepEqual(linkAtBob().connectedSince, before.connectedSince);
    await makeCertificates(cluster);
    bob.heard.length = 0;
    await alice.party!.renew();
    await bob.hears('alice is up');
    assert.notDeepEqual(linkAtBob().connectedSince, before.connectedSince);
    await Promise.all([alice.operation('renewed'), bob.operation('renewed')]);

    rmSync(join(cwd, 'certs'), { recursive: true });
    await makeCertificates(cluster);
    await assert.rejects(alice.party!.renew(), { code: 'CERTIFICATE', message: /is not the CA that/ });
    await Promise.all([alice.operation('still up'), bob.operation('still up')]);
  });

  test('hear that one is gone', async () => {
    await bob.stop();
    await alice.hears('bob: PEER_LEFT');
    await alice.stop();
    assert.ok(alice.heard.includes('bob is down'));
  });
});
