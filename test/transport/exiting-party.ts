/** Run as a process of its own: a party that links up, sends, closes, and must then end by itself. */
import type { TransportOptions } from '#src/transport/tls-transport.js';
import { TlsTransport } from '#src/transport/tls-transport.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

process.once('message', async (given: Omit<TransportOptions, 'self' | 'logger'> & { stay?: boolean }) => {
  const transport = await TlsTransport.start({ ...given, self: 'bob', logger: quiet });
  transport.subscribe({ message: () => {}, lost: () => {} });
  await transport.ready(new AbortController().signal);
  if (given.stay) return;
  void transport.send('alice', new Uint8Array(Buffer.from('last words')));
  await transport.close();
  process.disconnect();
});
