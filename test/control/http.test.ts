import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { type MonitorOptions, MonitorServer } from '#src/control/http.js';

interface Open extends AsyncDisposable {
  readonly monitor: MonitorServer;
  readonly notices: unknown[];
}

const pages: MonitorOptions['pages'] = {
  '/healthz': () => ({ status: 503, contentType: 'application/json', body: '{"ü":1}' }),
  '/metrics': async () => ({ status: 200, contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
  '/faulty': async () => {
    throw new Error('a secret');
  },
};

async function listening(options: Partial<MonitorOptions> = {}): Promise<Open> {
  const notices: unknown[] = [];
  const notice = (...said: unknown[]) => void notices.push(...said);
  const monitor = await MonitorServer.listen({ host: '127.0.0.1', port: 0, pages, notice, ...options });
  return { monitor, notices, [Symbol.asyncDispose]: () => monitor.close() };
}

/** What comes back for `text`, until the server ends the connection. */
async function send({ monitor }: Open, text: string, host = '127.0.0.1'): Promise<string> {
  const socket = connect({ host, port: monitor.port, allowHalfOpen: true });
  socket.setEncoding('utf8').on('error', () => {});
  let answer = '';
  socket.on('data', (part: string) => {
    answer += part;
  });
  socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve).once('end', resolve));
  socket.destroy();
  return answer;
}

const get = (path: string, host = 'localhost', version = '1.1'): string =>
  `GET ${path} HTTP/${version}\r\nHost: ${host}\r\n\r\n`;

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);

test('the pages are given as their handlers make them, and the connection ended', async () => {
  await using open = await listening();
  const health = await send(open, get('/healthz') + get('/metrics'));
  assert.equal(statusOf(health), 503);
  assert.match(health, /\r\nContent-Type: application\/json\r\nContent-Length: 8\r\n/);
  assert.match(health, /\r\nConnection: close\r\n/);
  assert.match(health, /\r\n\r\n\{"ü":1\}$/);
  const metrics = await send(open, get('/metrics?x=1'));
  assert.equal(statusOf(metrics), 200);
  assert.match(metrics, /\r\n\r\nup 1\n$/);
});

test('IPv6 loopback is listened on, too', async (context) => {
  const open = await listening({ host: '::1' }).catch((error) => {
    if (error.code !== 'PORT') throw error;
    context.skip('this machine has no IPv6');
  });
  if (open === undefined) return;
  assert.equal(statusOf(await send(open, get('/metrics', `[::1]:${open.monitor.port}`), '::1')), 200);
  await open.monitor.close();
});

test('no address but a loopback address is listened on', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'localhost', '127.0.0.1.example.org', ''])
    await assert.rejects(MonitorServer.listen({ host, port: 0, pages }), {
      code: 'USAGE',
      message: /where others could reach it/,
    });
});

test('an address in use is an error that says so', async () => {
  await using open = await listening();
  const { port } = open.monitor;
  await assert.rejects(MonitorServer.listen({ host: '127.0.0.1', port, pages }), {
    code: 'PORT',
    message: `the monitor cannot listen on 127.0.0.1, port ${port} (EADDRINUSE)`,
    hint: /`monitor` in the settings/,
  });
});

test('who asks for another host than this machine gets nothing', async () => {
  await using open = await listening();
  for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:9464', '[::1]', '[::1]:65535'])
    assert.equal(statusOf(await send(open, get('/metrics', host))), 200, host);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    'evil.example:127',
    '127.0.0.1@x',
    '127.0.0.2',
    '',
  ])
    assert.equal(statusOf(await send(open, get('/metrics', host))), 403, host);
  assert.equal(statusOf(await send(open, 'GET /metrics HTTP/1.0\r\n\r\n')), 403);
  assert.equal(statusOf(await send(open, 'GET /metrics HTTP/1.1\r\n\r\n')), 400);
});

test('other paths and methods are refused', async () => {
  await using open = await listening();
  for (const path of [
    '/',
    '/metrics/',
    '/../metrics',
    '/constructor',
    '/__proto__',
    'http://localhost/metrics',
  ])
    assert.equal(statusOf(await send(open, get(path))), 404, path);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
    const answer = await send(open, get('/metrics').replace('GET', method));
    assert.equal(statusOf(answer), 405, method);
    assert.match(answer, /\r\nAllow: GET\r\n/);
  }
  assert.equal(statusOf(await send(open, get('/metrics').replace('GET', 'NONSENSE'))), 400);
  assert.equal(await send(open, 'CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n'), '');
});

test('a body is not waited for', async () => {
  await using open = await listening();
  const request = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx';
  assert.equal(statusOf(await send(open, request)), 200);
});

test('a page that fails says nothing of why, but the log does', async () => {
  await using open = await listening();
  const answer = await send(open, get('/faulty'));
  assert.equal(statusOf(answer), 500);
  assert.doesNotMatch(answer, /secret/);
  assert.deepEqual(open.notices, ['a page of the monitor has failed', new Error('a secret')]);
});

test('headers are bounded, in length and in time', async () => {
  await using open = await listening({ limits: { headerBytes: 1_000 } });
  assert.equal(statusOf(await send(open, get(`/${'a'.repeat(2_000)}`))), 431);
  assert.equal(statusOf(await send(open, get('/metrics'))), 200);
  await using hurried = await listening({ limits: { requestMillis: 30 } });
  assert.equal(statusOf(await send(hurried, 'GET /metrics HTTP/1.1\r\nHost: local')), 408);
});

test('a connection on which nothing moves is dropped', async () => {
  const body = 'x'.repeat(20_000_000);
  const large = { ...pages, '/large': () => ({ status: 200, contentType: 'text/plain', body }) };
  await using open = await listening({ pages: large, limits: { idleMillis: 50, connections: 1 } });
  assert.equal(await send(open, ''), '');
  const reader = connect({ host: '127.0.0.1', port: open.monitor.port }).on('error', () => {});
  await new Promise((resolve) => reader.once('connect', resolve));
  reader.write(get('/large'));
  // It does not read, and its place is another's after a while.
  for (let tries = 1; statusOf(await send(open, get('/metrics'))) !== 200; tries++) {
    assert.ok(tries < 1_000, 'it is still connected');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  let read = 0;
  reader.on('data', (part: Buffer) => {
    read += part.length;
  });
  await new Promise((resolve) => reader.once('close', resolve));
  assert.ok(read < body.length);
});

test('so many connections at a time', async () => {
  await using open = await listening({ limits: { connections: 2 } });
  const opened: Socket[] = [];
  for (let count = 0; count < 2; count++) {
    const socket = connect({ host: '127.0.0.1', port: open.monitor.port }).on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    opened.push(socket);
  }
  assert.equal(await send(open, get('/metrics')), '');
  for (const socket of opened) socket.destroy();
});

test('the end of the server is the end of its connections', async () => {
  const forever = { '/metrics': () => new Promise<never>(() => {}) };
  const open = await listening({ pages: forever, limits: { idleMillis: 0 } });
  const silent = send(open, '');
  const waiting = send(open, get('/metrics'));
  // Both are connected once a third is answered.
  assert.equal(statusOf(await send(open, get('/nothing'))), 404);
  await open.monitor.close();
  assert.deepEqual(await Promise.all([silent, waiting]), ['', '']);
});
