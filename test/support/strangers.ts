/** Whoever knocks at a party's port without being the peer that it waits for, in every manner we know. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { PartyName } from '#src/core/errors.js';
import { encodeFrame, type Frame } from '#src/transport/frame.js';
import { encodeHello } from '#src/transport/hello.js';
import { APPLICATION_PROTOCOL } from '#src/transport/identity.js';
import { HOST } from '../transport/node.js';
import { type Credentials, daysFromNow, TestAuthority } from './certs.js';

/** How long a stranger waits to be thrown out. */
const PATIENCE_MILLIS = 300;

/** One visit: connects to `port`, does its worst, and goes, thrown out or not. */
export type Visit = (port: number) => Promise<void>;

async function stay(socket: Socket, say: () => void = () => {}): Promise<void> {
  socket.on('error', () => {});
  socket.resume();
  const closed = once(socket, 'close').catch(() => {});
  socket.once('encrypted' in socket ? 'secureConnect' : 'connect', say);
  await Promise.race([closed, sleep(PATIENCE_MILLIS, undefined, { ref: false })]);
  socket.destroy();
}

const saying =
  (bytes: string | Uint8Array): Visit =>
  (port) => {
    const socket = connectTcp(port, HOST);
    return stay(socket, () => void socket.write(bytes));
  };

const shaking =
  (options: ConnectionOptions, said: readonly Uint8Array[] = []): Visit =>
  (port) => {
    const common = { host: HOST, port, ALPNProtocols: [APPLICATION_PROTOCOL], rejectUnauthorized: false };
    const socket = connectTls({ ...common, ...options });
    return stay(socket, () => {
      for (const bytes of said) socket.write(bytes);
    });
  };

/** The first bytes of a TLS handshake, announcing a record that never comes to its end. */
const HALF_A_HANDSHAKE = Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03);
/** A frame of 4 GiB less one byte, as its first five bytes announce it. */
const HUGE_FRAME = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1);

const frame = (value: Frame): Uint8Array => Buffer.concat(encodeFrame(value));

/**
 * Every manner of visit to parties of a cluster, whose CA is `authority`, by name. `own` are the certificates of
 * parties: with another's certificate nobody passes for the owner of the door, nor for a third party.
 */
export async function visits(
  parties: readonly PartyName[],
  authority: TestAuthority,
  own: ReadonlyMap<PartyName, Credentials>,
): Promise<Readonly<Record<string, Visit>>> {
  const foreign = await TestAuthority.create('another authority');
  const expired = { notBefore: daysFromNow(-3), notAfter: daysFromNow(-1) };
  const some = parties.at(-1)!;
  const hello = (from: PartyName): Uint8Array => {
    const incarnation = new Uint8Array(16).fill(7);
    return frame({ kind: 'hello', body: encodeHello({ from, parties, incarnation, resume: null }) });
  };
  const asParty: Visit[] = [...own].flatMap(([name, credentials]) =>
    parties.filter((other) => other !== name).map((other) => shaking(credentials, [hello(other)])),
  );
  const oneOf =
    (choices: readonly Visit[]): Visit =>
    (port) =>
      choices[Math.floor(Math.random() * choices.length)]!(port);
  const credentials = own.get(some)!;
  return {
    'port scan': async (port) => {
      const socket = connectTcp(port, HOST).on('error', () => {});
      await once(socket, 'connect').catch(() => {});
      socket.destroy();
    },
    'plain TCP': saying('GET / HTTP/1.1\r\n\r\n'),
    'half a handshake': saying(HALF_A_HANDSHAKE),
    'no certificate': shaking({}, [hello(some)]),
    'another CA': shaking(await foreign.issue([some]), [hello(some)]),
    'expired certificate': shaking(await authority.issue([some], expired), [hello(some)]),
    'certificate of no party': shaking(await authority.issue(['mallory']), [hello(some)]),
    "another party's certificate": oneOf(asParty),
    'TLS 1.2': shaking({ ...credentials, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }),
    'TLS and then nothing': shaking(credentials),
    'frame of 4 GiB': shaking(credentials, [HUGE_FRAME, new Uint8Array(100_000)]),
    'message before its hello': shaking(credentials, [
      frame({ kind: 'message', number: 1, body: Uint8Array.of(1) }),
    ]),
    'bytes after the end': shaking(credentials, [
      frame({ kind: 'bye' }),
      frame({ kind: 'message', number: 1, body: Uint8Array.of(1) }),
      new Uint8Array(100_000),
    ]),
  };
}

/** So many connections at once that say nothing, until `stop` is aborted. */
export async function flood(port: number, connections: number, stop: AbortSignal): Promise<void> {
  const sockets = Array.from({ length: connections }, () =>
    connectTcp(port, HOST)
      .on('error', () => {})
      .resume(),
  );
  await once(stop, 'abort');
  for (const socket of sockets) socket.destroy();
}
