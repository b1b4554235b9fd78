/** What the commands that run one party, `--self`, have in common. */
import { createRequire } from 'node:module';
import type { ClusterConfig } from '../config/cluster.js';
import { asMpcError, describeError, MpcError, type PartyName } from '../core/errors.js';
import type { EventSink } from '../party/events.js';
import type { PartyOptions } from '../party/party.js';
import type { TransportLogger } from '../transport/log.js';
import { type CommandContext, LOG_LEVELS, type LogLevel, type SharedOptions } from './options.js';
import { humanSink, jsonSink } from './ui.js';

/** Default of `--timeout` by security level: safe primes take most of it. */
const TIMEOUT_MILLIS = { 112: 90_000, 128: 300_000 } as const;

/** The party that `--self` names; throws `USAGE` when it is missing. */
export function requireSelf({ self }: SharedOptions, alternative = ''): PartyName {
  if (self !== undefined) return self;
  throw new MpcError('USAGE', 'which party is this? --self is missing', {
    hint: `say for example --self alice${alternative}`,
  });
}

/** Runs `body` with a sink for the events of `self`, and tells there, too, why it failed. */
export async function asParty(
  self: PartyName,
  { json }: SharedOptions,
  body: (emit: EventSink) => Promise<void>,
): Promise<void> {
  const emit = json ? jsonSink : humanSink(self);
  try {
    await body(emit);
  } catch (cause) {
    const error = asMpcError(cause);
    emit({ event: 'error', party: self, ...describeError(error) });
    throw error;
  }
}

/** The options of a party that the command line gives. */
export function partyOptions(
  { self, cluster, emit }: { self: PartyName; cluster: ClusterConfig; emit: EventSink },
  { timeout, connectTimeout, logLevel }: SharedOptions,
  { signal }: CommandContext,
): PartyOptions {
  return {
    ...{ cluster, self, signal, emit },
    timeoutMillis: timeout ?? TIMEOUT_MILLIS[cluster.security],
    connectTimeoutMillis: connectTimeout,
    logger: createLogger(self, logLevel),
  };
}

const require = createRequire(import.meta.url);

/** A logger of lines that are no less severe than `level`. Pino is loaded for the first of them: often there is none. */
function createLogger(party: PartyName, level: LogLevel): TransportLogger {
  let pino: TransportLogger | undefined;
  const writer =
    (severity: keyof TransportLogger): TransportLogger['warn'] =>
    (fields, message) => {
      if (LOG_LEVELS.indexOf(severity) > LOG_LEVELS.indexOf(level)) return;
      pino ??= startPino(party, level);
      pino[severity](fields, message);
    };
  return { error: writer('error'), warn: writer('warn'), info: writer('info'), debug: writer('debug') };
}

function startPino(party: PartyName, level: LogLevel): TransportLogger {
  const { pino } = require('pino') as typeof import('pino');
  const options = { level, base: { party }, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, pino.destination({ fd: 2, sync: true }));
}
