/** What a monitor may read of a daemon, in the format of Prometheus: numbers, and never a message or a signature. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { PartyEvent } from '../party/events.js';
import type { RunningOperation } from './running.js';
import type { StatusEvent } from './status.js';

const PREFIX = 'ecdsa_mpc_';
const BUCKETS_SECONDS = [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const seconds = (iso: string): number => Date.parse(iso) / 1000;

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'operation' | 'asker'>;
  readonly #decisions: Counter<'decision'>;
  readonly #ended: Counter<'operation' | 'result'>;
  readonly #took: Histogram<'operation'>;

  /** What there is at a time is read from `status` when it is asked for; what happens is counted as it does. */
  constructor(status: () => StatusEvent) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      ...{ registers, name: `${PREFIX}requests_total`, help: 'Requests, by operation and asker' },
      labelNames: ['operation', 'asker'],
    });
    this.#decisions = new Counter({
      ...{
        registers,
        name: `${PREFIX}decisions_total`,
        help: 'Decisions of this party on requests of its peers',
      },
      labelNames: ['decision'],
    });
    this.#ended = new Counter({
      ...{
        registers,
        name: `${PREFIX}requests_ended_total`,
        help: 'Requests that have ended, by operation and result',
      },
      labelNames: ['operation', 'result'],
    });
    this.#took = new Histogram({
      ...{
        registers,
        name: `${PREFIX}operation_seconds`,
        help: 'Time that operations ran, without waiting for approval',
      },
      labelNames: ['operation'],
      buckets: BUCKETS_SECONDS,
    });
    const gauge = <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[],
      read: Reader<L>,
    ): void => {
      new Gauge({
        ...{ registers, name: `${PREFIX}${name}`, help, labelNames },
        collect() {
          this.reset();
          read(status(), (value, labels) => this.set(labels, value));
        },
      });
    };
    gauge('info', 'The version of the program', ['version'], ({ version }, set) => set(1, { version }));
    gauge('started_timestamp_seconds', 'When this daemon started', [], ({ since }, set) =>
      set(seconds(since), {}),
    );
    gauge('link_up', 'Whether the link to a peer is up', ['peer'], ({ links }, set) => {
      for (const { peer, up } of links) set(up ? 1 : 0, { peer });
    });
    gauge('link_round_trip_seconds', 'Time to a peer and back', ['peer'], ({ links }, set) => {
      for (const { peer, roundTripMillis } of links)
        if (roundTripMillis !== undefined) set(roundTripMillis / 1000, { peer });
    });
    const expiry = 'When the TLS certificate of a party expires';
    gauge(
      'certificate_expiry_timestamp_seconds',
      expiry,
      ['name'],
      ({ party, certificateExpires, links }, set) => {
        set(seconds(certificateExpires), { name: party });
        for (const { peer, certificateExpires: expires } of links)
          if (expires !== undefined) set(seconds(expires), { name: peer });
      },
    );
    gauge(
      'requests_waiting_here',
      'Requests that wait for a decision of this party',
      [],
      ({ waitingHere }, set) => set(waitingHere, {}),
    );
    gauge('requests_open', 'Requests that have not ended', [], ({ requests }, set) => set(requests, {}));
    gauge('operations_running', 'Operations that run', [], ({ operations }, set) =>
      set(operations.length, {}),
    );
    gauge(
      'presignatures_ready',
      'Presignatures ready for use',
      ['key', 'quorum'],
      ({ presignatures }, set) => {
        for (const { key, quorum, ready } of presignatures) set(ready, { key, quorum: quorum.join(',') });
      },
    );
    gauge('key_epoch', 'Epoch of a stored key', ['key'], ({ keys }, set) => {
      for (const { keyId, epoch } of keys) set(epoch, { key: keyId });
    });
    gauge('audit_records', 'Records in the audit log', [], ({ audit }, set) => set(audit.n, {}));
  }

  /** Counts what `event` tells. */
  count(event: PartyEvent): void {
    if (event.event === 'request') this.#requests.inc({ operation: event.operation, asker: event.from });
    else if (event.event === 'decision' && event.peer === undefined)
      this.#decisions.inc({ decision: event.decision });
    else if (event.event === 'request-ended')
      this.#ended.inc({ operation: event.operation, result: event.done ? 'done' : 'failed' });
  }

  took(operation: RunningOperation['operation'], millis: number): void {
    this.#took.observe({ operation }, millis / 1000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

/** Reads values out of a status, each with its labels. */
type Reader<L extends string> = (
  status: StatusEvent,
  set: (value: number, labels: Partial<Record<L, string>>) => void,
) => void;
