// What a monitor reads of a daemon, and what `status` tells of it: names, labels and values, each as documented.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { encodeLetter } from '#src/daemon/letters.js';
import { Metrics } from '#src/daemon/metrics.js';
import { type StatusEvent, statusOf } from '#src/daemon/status.js';
import { printId } from '#src/protocol/key-share.js';
import { DaemonsWithKey, refreshContent, signContent, undecided, until } from '../support/daemons.js';

const shared = new DaemonsWithKey(['alice', 'bob', 'charlie'], 2);
after(() => shared[Symbol.dispose]());

const KEY = 'ab'.repeat(16);
const STATUS: StatusEvent = {
  ...{ event: 'status', party: 'alice', running: true, version: '1.2.3', approval: 'manual' },
  ...{ since: '2030-01-01T00:00:00.000Z', address: '127.0.0.1:9001' },
  certificateExpires: '2031-01-01T00:00:00.000Z',
  links: [
    {
      ...{ peer: 'bob', up: true, version: '1.2.3', roundTripMillis: 12 },
      certificateExpires: '2032-01-01T00:00:00.000Z',
    },
    { peer: 'charlie', up: false, problem: 'no connection yet' },
  ],
  operations: [
    {
      ...{ id: 'cd'.repeat(32), operation: 'sign', key: KEY, since: '2030-01-01T00:00:01.000Z' },
      ...{ stage: 'presign', done: 1, total: 2 },
    },
  ],
  requests: 3,
  waitingHere: 2,
  keys: [
    {
      ...{ keyId: KEY, state: 'complete', publicKey: '04', curve: 'P-256', policy: 'all of alice, bob' },
      ...{ parties: ['alice', 'bob', 'charlie'], epoch: 7, backups: [] },
    },
  ],
  presignatures: [{ key: KEY, quorum: ['alice', 'bob'], ready: 4, wanted: 8 }],
  audit: { n: 42, hash: 'ef'.repeat(32) },
};

/** Every metric with its type, and every sample of STATUS. */
const TYPES = {
  requests_total: 'counter',
  decisions_total: 'counter',
  requests_ended_total: 'counter',
  operation_seconds: 'histogram',
  info: 'gauge',
  started_timestamp_seconds: 'gauge',
  link_up: 'gauge',
  link_round_trip_seconds: 'gauge',
  certificate_expiry_timestamp_seconds: 'gauge',
  requests_waiting_here: 'gauge',
  requests_open: 'gauge',
  operations_running: 'gauge',
  presignatures_ready: 'gauge',
  key_epoch: 'gauge',
  audit_records: 'gauge',
};
const GAUGES = [
  'info{version="1.2.3"} 1',
  'started_timestamp_seconds 1893456000',
  'link_up{peer="bob"} 1',
  'link_up{peer="charlie"} 0',
  'link_round_trip_seconds{peer="bob"} 0.012',
  'certificate_expiry_timestamp_seconds{name="alice"} 1924992000',
  'certificate_expiry_timestamp_seconds{name="bob"} 1956528000',
  'requests_waiting_here 2',
  'requests_open 3',
  'operations_running 1',
  `presignatures_ready{key="${KEY}",quorum="alice,bob"} 4`,
  `key_epoch{key="${KEY}"} 7`,
  'audit_records 42',
];

/** The samples in a text, which has nothing else in it but what explains them. */
function samplesIn(text: string): string[] {
  const lines = text.split('\n').filter((line) => line !== '');
  for (const line of lines)
    assert.match(
      line,
      /^(# (HELP|TYPE) ecdsa_mpc_[a-z_]+ .+|ecdsa_mpc_[a-z_]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? [0-9.e+-]+|.*le="\+Inf".* [0-9]+)$/,
    );
  return lines.filter((line) => !line.startsWith('#')).map((line) => line.replace('ecdsa_mpc_', ''));
}

test('every metric has its type and a word on what it is, and every gauge its values and labels', async () => {
  const metrics = new Metrics(() => STATUS);
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
  const text = await metrics.text();
  const types = [...text.matchAll(/^# TYPE ecdsa_mpc_(\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
  assert.deepEqual(Object.fromEntries(types), TYPES);
  const helps = [...text.matchAll(/^# HELP ecdsa_mpc_(\S+) (.+)$/gm)].map(([, name]) => name);
  assert.deepEqual(helps, Object.keys(TYPES));
  assert.deepEqual(samplesIn(text), GAUGES);
});

test('what there is no more is told no more', async () => {
  let status = STATUS;
  const metrics = new Metrics(() => status);
  await metrics.text();
  status = { ...STATUS, keys: [], presignatures: [], links: [], operations: [] };
  const samples = samplesIn(await metrics.text());
  assert.ok(samples.includes('operations_running 0'));
  assert.deepEqual(
    samples.filter((line) => /^(link|key_epoch|presignatures)|bob|charlie/.test(line)),
    [],
  );
});

test('what happens is counted, by what it was', async () => {
  const metrics = new Metrics(() => STATUS);
  const id = 'cd'.repeat(32);
  const party = 'alice';
  const asked = { event: 'request', party, id, operation: 'sign' } as const;
  const ended = { event: 'request-ended', party, id, from: 'bob' } as const;
  for (const event of [
    { ...asked, from: 'bob' },
    { ...asked, from: 'bob' },
    { ...asked, from: 'alice' },
    { event: 'decision', party, id, decision: 'approved', by: 'user' },
    { event: 'decision', party, id, decision: 'rejected', by: 'rule' },
    // Of a peer: that one counts it.
    { event: 'decision', party, id, peer: 'bob', decision: 'approved' },
    { ...ended, operation: 'sign', done: true },
    { ...ended, operation: 'refresh', done: false, code: 'TIMEOUT', reason: 'late' },
    { event: 'link', party, peer: 'bob', up: true },
  ] as const)
    metrics.count(event);
  metrics.took('sign', 70);
  metrics.took('sign', 700);
  const samples = samplesIn(await metrics.text()).filter((line) => !GAUGES.includes(line));
  const buckets = samples.filter((line) => line.includes('bucket'));
  assert.deepEqual(
    samples.filter((line) => !buckets.includes(line)),
    [
      'requests_total{operation="sign",asker="bob"} 2',
      'requests_total{operation="sign",asker="alice"} 1',
      'decisions_total{decision="approved"} 1',
      'decisions_total{decision="rejected"} 1',
      'requests_ended_total{operation="sign",result="done"} 1',
      'requests_ended_total{operation="refresh",result="failed"} 1',
      'operation_seconds_sum{operation="sign"} 0.77',
      'operation_seconds_count{operation="sign"} 2',
    ],
  );
  assert.deepEqual(
    buckets.map((line) => /le="([^"]+)".* (\d+)$/.exec(line)!.slice(1).join(' ')),
    [
      ...['0.02 0', '0.05 0', '0.1 1', '0.25 1', '0.5 1', '1 2'],
      ...['2.5 2', '5 2', '10 2', '30 2', '60 2', '+Inf 2'],
    ],
  );
});

test('a status tells of links, operations, requests, keys, stocks and the log as they are', async () => {
  const { daemons, sharing } = await shared.make();
  await daemons.start('alice', { approval: undecided });
  await daemons.start('bob', { approval: undecided });
  const { tools, daemon } = daemons.at('alice');
  const stock = { keyId: sharing.keyId, quorum: ['alice', 'bob'] };
  tools.presignatures.want(stock);
  await until(() => daemon.versionOf('bob') !== undefined);
  const caller = new AbortController();
  const asked = daemon
    .ask(refreshContent(sharing), { emit: () => {}, signal: caller.signal })
    .catch(() => {});
  const content = signContent(sharing, { quorum: ['alice', 'charlie'], receivers: ['charlie'] });
  daemon.receive('charlie', 'request', encodeLetter('request', { content }));
  const expires = new Date(1e12);
  const link = { up: true, problem: undefined, roundTripMillis: 5, connectedSince: new Date(0) };
  const down = { problem: 'no connection yet', roundTripMillis: undefined, connectedSince: undefined };
  const status = () => {
    using _running = tools.running.enter({ id: 'x', operation: 'sign' });
    return statusOf({
      tools: {
        ...tools,
        settings: { ...tools.settings, presignatures: 2 },
        cluster: {
          parties: ['alice', 'bob', 'charlie'].map((name) => ({ name, address: `${name}:1` })),
        } as never,
      },
      daemon,
      party: {
        certificateExpires: expires,
        peerFacts: (peer) =>
          peer === 'bob'
            ? { ...link, certificateExpires: expires }
            : { ...down, up: false, certificateExpires: undefined },
      },
      ...{ version: '1.2.3', since: new Date(0), approval: 'auto' },
    });
  };
  const { operations, keys, audit, ...rest } = status();
  assert.deepEqual(rest, {
    ...{ event: 'status', party: 'alice', running: true, version: '1.2.3', approval: 'auto' },
    ...{ since: new Date(0).toISOString(), address: 'alice:1', certificateExpires: expires.toISOString() },
    links: [
      {
        ...{ peer: 'bob', up: true, version: '0.0.0', roundTripMillis: 5 },
        certificateExpires: expires.toISOString(),
      },
      { peer: 'charlie', up: false, problem: 'no connection yet' },
    ],
    requests: 2,
    waitingHere: 1,
    presignatures: [{ key: printId(sharing.keyId), quorum: ['alice', 'bob'], ready: 0, wanted: 2 }],
  });
  assert.deepEqual(
    operations.map(({ id, operation, stage }) => [id, operation, stage]),
    [['x', 'sign', 'beginning']],
  );
  assert.deepEqual(
    keys.map(({ keyId, state, epoch }) => [keyId, state, epoch]),
    [[printId(sharing.keyId), 'complete', 0]],
  );
  assert.deepEqual(audit, { n: tools.audit.head.n, hash: tools.audit.head.hash });
  caller.abort(new Error('enough'));
  await asked;
});
