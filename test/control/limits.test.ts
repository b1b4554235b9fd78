/** What clients of a control socket that misbehave come to, and what they cannot do to the daemon. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  type ControlConnection,
  type ControlHandler,
  type ControlLimits,
  ControlServer,
} from '#src/control/server.js';
import { RawClient } from './raw-client.js';

const folder = mkdtempSync(join(tmpdir(), 'mpc-limits-'));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;

interface Open extends AsyncDisposable {
  readonly path: string;
  readonly server: ControlServer;
  readonly notices: string[];
}

/** A server of these limits. */
async function listening(handle: ControlHandler, limits: Partial<ControlLimits> = {}): Promise<Open> {
  const path = join(folder, `${++sockets}.sock`);
  const notices: string[] = [];
  const notice = (what: string) => void notices.push(what);
  const server = await ControlServer.listen({ path, party: 'alice', handle, notice, limits });
  return { path, server, notices, [Symbol.asyncDispose]: () => server.close() };
}

/** Handlers that wait until they are let go on, or their client has gone. */
class Gate {
  readonly waiting: ControlConnection[] = [];
  #open = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });
  #arrived = () => {};

  readonly handle: ControlHandler = async (_request, connection) => {
    this.waiting.push(connection);
    this.#arrived();
    await Promise.race([this.#opened, aborted(connection)]);
    connection.emit({ event: 'through' });
  };

  async arrivals(count: number): Promise<void> {
    while (this.waiting.length < count)
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
  }

  open(): void {
    this.#open();
  }
}

const aborted = ({ signal }: { signal: AbortSignal }): Promise<void> =>
  new Promise((resolve) =>
    signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }),
  );

const END = { event: 'end' };
const refusal = (code: string, message: RegExp) => (line: Record<string, unknown> | undefined) => {
  assert.equal(line?.event, 'error');
  assert.equal(line?.code, code);
  assert.match(String(line?.message), message);
};

test('requests that are none are refused in words', async () => {
  let handled = 0;
  const handle: ControlHandler = async () => {
    handled += 1;
  };
  await using open = await listening(handle, { requestBytes: 100 });
  const cases: readonly (readonly [text: string | Uint8Array, message: RegExp])[] = [
    ['{"do":\n', /^the request is not JSON$/],
    ['\n', /^the request is not JSON$/],
    [Uint8Array.of(0x22, 0xff, 0x22, 0x0a), /^the request is not UTF-8$/],
    [`"${'a'.repeat(99)}"\n`, /^the request has more than 100 bytes$/],
    ['a'.repeat(4_000_000), /^the request has more than 100 bytes$/],
  ];
  for (const [text, message] of cases) {
    using client = await RawClient.sending(open.path, text);
    const lines = await client.answer();
    assert.equal(lines.length, 1);
    refusal('USAGE', message)(lines[0]);
  }
  assert.equal(handled, 0);
  using client = await RawClient.sending(open.path, `"${'a'.repeat(98)}"\nand more\n`);
  assert.deepEqual(await client.answer(), [END]);
  assert.equal(handled, 1);
});

test('a request may come in pieces, but in time', async () => {
  const values: unknown[] = [];
  const handle: ControlHandler = async (request) => void values.push(request);
  await using patient = await listening(handle);
  using slow = await RawClient.sending(patient.path, '');
  for (const byte of Buffer.from('{"do":"ü"}\n')) {
    slow.socket.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await slow.answer(), [END]);
  assert.deepEqual(values, [{ do: 'ü' }]);

  await using open = await listening(handle, { requestMillis: 20 });
  for (const text of ['', '{"do":']) {
    using client = await RawClient.sending(open.path, text);
    const [line] = await client.answer();
    refusal('USAGE', /did not come in time/)(line);
  }
  assert.equal(values.length, 1);
});

test('a request that ends before its line does is none, and a client may ask for nothing', async () => {
  await using open = await listening(async () => assert.fail('handled'));
  using cut = await RawClient.sending(open.path, '{"do":"status"}');
  cut.socket.end();
  refusal('USAGE', /has no end/)((await cut.answer())[0]);
  using silent = await RawClient.sending(open.path, '');
  silent.socket.end();
  assert.deepEqual(await silent.answer(), [END]);
  assert.deepEqual(open.notices, []);
});

test('a client that has only ended its side is still answered', async () => {
  const gate = new Gate();
  await using open = await listening(gate.handle, { probeMillis: 1 });
  using client = await RawClient.sending(open.path, '{}\n');
  client.socket.end();
  // It has been asked several times whether it is there.
  await client.until((text) => text.length >= 3);
  assert.match(client.text, /^\n{3}/);
  assert.equal(gate.waiting[0]?.signal.aborted, false);
  gate.open();
  assert.deepEqual(await client.answer(), [{ event: 'through' }, END]);
});

test('a client that goes is missed, whether or not it had ended its side', async () => {
  for (const endsFirst of [false, true]) {
    const gate = new Gate();
    await using open = await listening(gate.handle, { probeMillis: 1 });
    using client = await RawClient.sending(open.path, '{}\n');
    if (endsFirst) {
      client.socket.end();
      await client.until((text) => text.length >= 1);
    }
    await gate.arrivals(1);
    client.socket.destroy();
    await aborted(gate.waiting[0]!);
    assert.match(String(gate.waiting[0]!.signal.reason), /the client has gone/);
  }
});

test('a client that is answered is not told of as gone', async () => {
  const seen: ControlConnection[] = [];
  const open = await listening(async (_request, connection) => void seen.push(connection));
  using client = await RawClient.sending(open.path, '{}\n');
  assert.deepEqual(await client.answer(), [END]);
  client.socket.destroy();
  await open.server.close();
  assert.equal(seen[0]?.signal.aborted, false);
});

test('a client that does not read costs a bounded amount of memory, and then its connection', async () => {
  let sent = 0;
  const gone = new AbortController();
  const text = 'x'.repeat(50_000);
  const handle: ControlHandler = async (_request, connection) => {
    // No end by itself, but for a test that fails.
    while (!connection.signal.aborted && sent < 100_000_000) {
      connection.emit({ event: 'progress', text });
      sent += text.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    gone.abort();
  };
  await using open = await listening(handle, { unreadBytes: 200_000 });
  using client = await RawClient.open(open.path);
  client.socket.write('{}\n');
  await aborted(gone);
  // What the system holds for both ends comes on top.
  assert.ok(sent < 10_000_000, `${sent} bytes`);
  assert.deepEqual(open.notices, ['dropped a client that does not read']);
});

/** Asks until there is room for one more client, and it is answered. */
async function untilLetIn({ path }: Open): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    const client = await RawClient.sending(path, '{}\n');
    const [last] = (await client.answer()).slice(-1);
    client.socket.destroy();
    if (last?.event === 'end') return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail('no place got free');
}

test('a client that never reads the end of its answer is dropped after a while', async () => {
  const text = 'x'.repeat(5_000_000);
  const handle: ControlHandler = async (request, { emit }) => {
    if (request === 'large') emit({ event: 'large', text });
  };
  await using patient = await listening(handle);
  using reader = await RawClient.sending(patient.path, '"large"\n');
  assert.deepEqual(await reader.answer(), [{ event: 'large', text }, END]);
  reader.socket.destroy();

  await using open = await listening(handle, { connections: 1, lingerMillis: 20 });
  using client = await RawClient.open(open.path);
  client.socket.write('"large"\n');
  await untilLetIn(open);
  client.read();
  await client.until(() => false);
  assert.ok(client.text.length < text.length);
});

test('so many clients at a time, as many more are told so, and the rest nothing', async () => {
  const gate = new Gate();
  await using open = await listening(gate.handle, { connections: 2 });
  using first = await RawClient.sending(open.path, '{}\n');
  using second = await RawClient.sending(open.path, '{}\n');
  await gate.arrivals(2);
  using third = await RawClient.sending(open.path, '{}\n');
  using fourth = await RawClient.sending(open.path, 'x'.repeat(1_000_000));
  for (const client of [third, fourth]) {
    const lines = await client.answer();
    assert.equal(lines.length, 1);
    refusal('UNREACHABLE', /too many clients/)(lines[0]);
  }
  using fifth = await RawClient.sending(open.path, '{}\n');
  assert.deepEqual(await fifth.answer(), []);
  gate.open();
  for (const client of [first, second]) {
    assert.deepEqual(await client.answer(), [{ event: 'through' }, END]);
    client.socket.end();
  }
  assert.equal(gate.waiting.length, 2);
});

test('a place that a client leaves is another’s', async () => {
  await using open = await listening(async () => {}, { connections: 1 });
  for (let count = 0; count < 5; count++) await untilLetIn(open);
});

test('the end of the daemon aborts requests, and their clients are told', async () => {
  const gate = new Gate();
  const open = await listening(async (request, connection) => {
    await gate.handle(request, connection);
    throw connection.signal.reason;
  });
  using waiting = await RawClient.sending(open.path, '{}\n');
  using unsent = await RawClient.sending(open.path, '{');
  await gate.arrivals(1);
  const closed = open.server.close();
  const [event, last] = await waiting.answer();
  assert.deepEqual(event, { event: 'through' });
  refusal('UNREACHABLE', /the daemon is stopping/)(last);
  refusal('UNREACHABLE', /the daemon is stopping/)((await unsent.answer())[0]);
  waiting.socket.end();
  unsent.socket.end();
  await closed;
});

test('the end of the daemon does not wait for ever', async () => {
  const gate = new Gate();
  const open = await listening(
    async (request, connection) => {
      await gate.handle(request, connection);
      await new Promise(() => {});
    },
    { lingerMillis: 20 },
  );
  using client = await RawClient.sending(open.path, '{}\n');
  await gate.arrivals(1);
  await open.server.close();
  assert.deepEqual(await client.answer(), [{ event: 'through' }]);
});
