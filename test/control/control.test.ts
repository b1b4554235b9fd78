/** The control socket with its own client: who can reach it, where it stands, and how errors come through. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ask, type DaemonEvent, isDaemonUp } from '#src/control/client.js';
import { type ControlHandler, type ControlOptions, ControlServer } from '#src/control/server.js';
import { checkPlace, judgeConnect, MAX_PATH_BYTES, MAX_REQUEST_BYTES } from '#src/control/socket.js';
import { ERROR_CODES, type ErrorCode, MpcError } from '#src/core/errors.js';
import { start } from '../support/command.js';
import { RawClient } from './raw-client.js';

const folder = mkdtempSync(join(tmpdir(), 'mpc-control-'));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;
const freshPath = (): string => join(folder, `${++sockets}.sock`);

const LISTENING_PROCESS = fileURLToPath(new URL('./listening-process.js', import.meta.url));

/** A daemon's socket in another process, which listens already. */
async function listeningProcess(path: string) {
  const running = start(process.execPath, [LISTENING_PROCESS, path]);
  await running.prints(/listening/);
  return running;
}

/** Runs `body` with a server at a fresh path. */
async function withServer(
  handle: ControlHandler,
  body: (path: string, server: ControlServer) => Promise<void>,
  options: Partial<ControlOptions> = {},
): Promise<void> {
  const path = freshPath();
  const server = await ControlServer.listen({ path, party: 'alice', handle, ...options });
  try {
    await body(path, server);
  } finally {
    await server.close();
  }
}

/** The events of an answer. */
async function eventsOf(path: string, request: object): Promise<DaemonEvent[]> {
  const events: DaemonEvent[] = [];
  await ask(path, request, (event) => events.push(event));
  return events;
}

const nothing: ControlHandler = async () => {};

test('a request is answered with events, and its end is not one of them', () =>
  withServer(
    async (request, { emit }) => {
      emit({ event: 'first', request });
      await new Promise((resolve) => setImmediate(resolve));
      emit({ event: 'second', text: 'ü\n'.repeat(100_000) });
    },
    async (path) => {
      const request = { do: 'sign', message: 'A'.repeat(MAX_REQUEST_BYTES - 100) };
      const [first, second, ...others] = await eventsOf(path, request);
      assert.deepEqual(first, { event: 'first', request });
      assert.deepEqual(second, { event: 'second', text: 'ü\n'.repeat(100_000) });
      assert.deepEqual(others, []);
    },
  ));

test('several requests at once do not get in each other’s way', () =>
  withServer(
    async (request, { emit }) => {
      for (let count = 0; count < 5; count++) {
        emit({ event: 'mine', request });
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async (path) => {
      const numbers = Array.from({ length: 40 }, (_, number) => number);
      await Promise.all(
        numbers.map(async (number) => {
          const expected = Array.from({ length: 5 }, () => ({ event: 'mine', request: { number } }));
          assert.deepEqual(await eventsOf(path, { number }), expected);
        }),
      );
    },
  ));

test('an error comes through with its code, hint and culprits, after the events before it', () =>
  withServer(
    async (request, { emit }) => {
      emit({ event: 'before' });
      const { code } = request as { code: ErrorCode };
      throw new MpcError(code, 'it failed', { hint: 'do so', culprits: ['bob'] });
    },
    async (path) => {
      for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
        const events: DaemonEvent[] = [];
        await assert.rejects(
          ask(path, { code }, (event) => events.push(event)),
          { name: 'MpcError', code, message: 'it failed', hint: 'do so', culprits: ['bob'] },
        );
        assert.deepEqual(events, [{ event: 'before' }]);
      }
      using client = await RawClient.sending(path, '{"code":"TIMEOUT"}\n');
      assert.deepEqual((await client.answer())[1], {
        ...{ event: 'error', party: 'alice', code: 'TIMEOUT', message: 'it failed', hint: 'do so' },
        ...{ culprits: ['bob'], exit: 3 },
      });
    },
  ));

test('a fault of the daemon is for its log, not for its clients', async () => {
  const notices: unknown[] = [];
  const fault = new TypeError('x is not a function');
  await withServer(
    async () => {
      throw fault;
    },
    async (path) => {
      using client = await RawClient.sending(path, '{}\n');
      await client.answer();
      assert.doesNotMatch(client.text, /not a function|control\.test/);
      await assert.rejects(eventsOf(path, {}), {
        code: 'BUG',
        message: 'the daemon has failed at this request',
      });
    },
    { notice: (what, error) => notices.push(what, error) },
  );
  assert.deepEqual(notices.slice(0, 2), ['a request has failed', fault]);
});

test('the events that say how a request ended are not its handler’s to send', async () => {
  for (const event of ['end', 'error'])
    await withServer(
      async (_request, { emit }) => emit({ event }),
      (path) => assert.rejects(eventsOf(path, {}), { code: 'BUG', message: /by the end of its handler/ }),
    );
});

test('the socket is closed to others whatever the user’s mask, which stays as it was', async () => {
  const mask = process.umask(0);
  try {
    await withServer(nothing, async (path) => {
      assert.equal(lstatSync(path).mode & 0o777, 0o600);
      assert.equal(process.umask(), 0);
    });
  } finally {
    process.umask(mask);
  }
});

test('there is no socket in a folder that others may enter', async () => {
  const open = join(folder, 'open');
  mkdirSync(open);
  chmodSync(open, 0o711);
  const path = join(open, 'control.sock');
  await assert.rejects(ControlServer.listen({ path, party: 'alice', handle: nothing }), {
    code: 'FILE',
    message: `${open} is open to other users`,
  });
  assert.equal(existsSync(path), false);
  chmodSync(open, 0o700);
  const server = await ControlServer.listen({ path, party: 'alice', handle: nothing });
  chmodSync(open, 0o777);
  // Nor is one believed that others could have put there.
  await assert.rejects(eventsOf(path, {}), { code: 'FILE', message: `${open} is open to other users` });
  await assert.rejects(isDaemonUp(path), { code: 'FILE' });
  await server.close();
});

test('a name that is too long for a socket is refused, and the longest is not', async () => {
  const longest = join(folder, 'n'.repeat(MAX_PATH_BYTES - folder.length - 1));
  const server = await ControlServer.listen({ path: longest, party: 'alice', handle: nothing });
  assert.deepEqual(await eventsOf(longest, {}), []);
  assert.ok(existsSync(longest));
  await server.close();
  for (const path of [`${longest}n`, `${longest.slice(0, -1)}ü`]) {
    await assert.rejects(ControlServer.listen({ path, party: 'alice', handle: nothing }), {
      code: 'FILE',
      message: `the name of the control socket, ${path}, has more than ${MAX_PATH_BYTES} bytes`,
      hint: /`control` in the settings/,
    });
    assert.equal(await isDaemonUp(path), false);
  }
});

test('the socket goes with its server', async () => {
  let place = '';
  await withServer(nothing, async (path, server) => {
    place = path;
    assert.equal(await isDaemonUp(path), true);
    await Promise.all([server.close(), server.close()]);
    assert.equal(existsSync(path), false);
    assert.equal(await isDaemonUp(path), false);
  });
  await assert.rejects(eventsOf(place, {}), {
    code: 'UNREACHABLE',
    message: `no daemon of this party answers at ${place}`,
    hint: /serve/,
  });
  assert.equal(await isDaemonUp(join(folder, 'nowhere', 'control.sock')), false);
});

test('a second daemon finds the first, and leaves it alone', async () => {
  const path = freshPath();
  const other = await listeningProcess(path);
  const listen = () => ControlServer.listen({ path, party: 'alice', handle: nothing });
  const refusal = { code: 'FILE', message: /^a daemon of this party is running already: it answers at / };
  await assert.rejects(listen(), refusal);
  // One that is stopped does not answer, but may go on.
  other.child.kill('SIGSTOP');
  await assert.rejects(listen(), refusal);
  other.child.kill('SIGCONT');
  assert.equal(await isDaemonUp(path), true);

  other.child.kill('SIGKILL');
  await other.ended;
  assert.equal(existsSync(path), true);
  assert.equal(await isDaemonUp(path), false);
  await assert.rejects(eventsOf(path, {}), { code: 'UNREACHABLE', message: /^no daemon/ });
  const server = await listen();
  assert.deepEqual(await eventsOf(path, {}), []);
  await server.close();
});

test('a daemon whose queue of callers is full is none that has died', {
  skip: process.platform !== 'linux',
}, async () => {
  const path = freshPath();
  const program = `require('net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
    process.stdout.write('listening');
    process.kill(process.pid, 'SIGSTOP');
  })`;
  const other = start(process.execPath, ['-e', program]);
  await other.prints(/listening/);
  const waiting: RawClient[] = [];
  try {
    for (;;) waiting.push(await RawClient.open(path));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
  }
  assert.equal(await isDaemonUp(path), true);
  await assert.rejects(eventsOf(path, {}), { code: 'UNREACHABLE', message: /too many clients/ });
  await assert.rejects(ControlServer.listen({ path, party: 'alice', handle: nothing }), {
    message: /is running already/,
  });
  for (const client of waiting) client.socket.destroy();
  other.child.kill('SIGKILL');
  await other.ended;
});

test('what is not a socket is never removed nor spoken to', async () => {
  const path = freshPath();
  const target = freshPath();
  const listen = () => ControlServer.listen({ path, party: 'alice', handle: nothing });
  const refusal = { code: 'FILE', message: `${path} is not a socket`, hint: /`control` in the settings/ };
  const kinds: readonly (() => void)[] = [
    () => writeFileSync(path, 'precious'),
    () => mkdirSync(path),
    () => symlinkSync(target, path),
  ];
  await withServer(nothing, async (live) => {
    for (const make of [...kinds, () => symlinkSync(live, path)]) {
      make();
      await assert.rejects(listen(), refusal);
      await assert.rejects(isDaemonUp(path), refusal);
      await assert.rejects(eventsOf(path, {}), refusal);
      if (lstatSync(path).isFile()) assert.equal(readFileSync(path, 'utf8'), 'precious');
      rmSync(path, { recursive: true });
    }
  });
});

test('a socket that cannot be connected to is judged by the reason', () => {
  const judge = (code: string) => judgeConnect('/x/control.sock', Object.assign(new Error(), { code }));
  assert.equal(judge('ENOENT'), 'left behind');
  assert.throws(() => judge('EACCES'), { code: 'FILE', message: /may not be accessed by this user/ });
  assert.throws(() => judge('EPROTOTYPE'), {
    code: 'FILE',
    message: /a socket of another kind \(EPROTOTYPE\)/,
  });
  assert.throws(() => checkPlace('/x\0y'), { code: 'FILE' });
});

test('a daemon that dies in the middle is not taken for one that is done', async () => {
  const path = freshPath();
  const other = await listeningProcess(path);
  const events: DaemonEvent[] = [];
  await assert.rejects(
    ask(path, { do: 'die' }, (event) => events.push(event)),
    { code: 'UNREACHABLE', message: /gone before its answer was complete/, hint: /log.*audit show/ },
  );
  await other.ended;
  assert.deepEqual(events, [{ event: 'begun' }]);
});

test('answers of another version, or of no daemon at all, are said to be such', async () => {
  let text = '';
  const sockets = new Set<Socket>();
  const path = freshPath();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.once('data', () => socket.end(text));
  });
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  const answer = (given: string) => {
    text = given;
    return eventsOf(path, {});
  };
  const strange = { code: 'BUG', message: /this version does not understand/, hint: /restart it/ };
  await assert.rejects(answer('hello\n'), strange);
  await assert.rejects(answer('null\n'), strange);
  await assert.rejects(answer('7\n'), strange);
  await assert.rejects(answer('{"event":"error"}\n'), strange);
  await assert.rejects(
    answer('{"event":"error","party":"a","code":"TOMORROW","message":"m","culprits":[],"exit":9}\n'),
    { code: 'BUG', message: 'm' },
  );
  await assert.rejects(answer(''), { code: 'UNREACHABLE' });
  await assert.rejects(answer('{"event":"end"}'), { code: 'UNREACHABLE' });
  // What comes after the end is nobody's.
  assert.deepEqual(await answer('{"event":"a"}\n\n{"event":"end"}\n{"event":"b"}\nx\n'), [{ event: 'a' }]);
  server.close();
  for (const socket of sockets) socket.destroy();
});

test('a request that is too long is not sent', async () => {
  await assert.rejects(eventsOf(freshPath(), { message: 'A'.repeat(MAX_REQUEST_BYTES) }), {
    code: 'USAGE',
    message: /has more than/,
  });
});

test('who asks can stop waiting: the daemon learns it', async () => {
  let gone: Promise<unknown> | undefined;
  await withServer(
    async (_request, { emit, signal }) => {
      gone = new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));
      emit({ event: 'begun' });
      await gone;
    },
    async (path) => {
      const controller = new AbortController();
      const reason = new MpcError('INTERRUPTED', 'interrupted');
      const asked = ask(path, {}, () => controller.abort(reason), controller.signal);
      await assert.rejects(asked, reason);
      assert.match(String(await gone), /the client has gone/);
      await assert.rejects(
        ask(path, {}, () => assert.fail('it was asked'), controller.signal),
        reason,
      );
    },
  );
});

test('what the taker of events throws ends the asking', () =>
  withServer(
    async (_request, { emit }) => emit({ event: 'a' }),
    (path) =>
      assert.rejects(
        ask(path, {}, () => {
          throw new MpcError('FILE', 'no room');
        }),
        { code: 'FILE', message: 'no room' },
      ),
  ));
