import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes } from '#src/core/bytes.js';
import { Connection } from '#src/transport/connection.js';
import { encodeFrame, type Frame } from '#src/transport/frame.js';
import { StuckSocket } from './stuck-socket.js';

const HELLO: Frame = { kind: 'hello', body: Uint8Array.of(1) };
const message = (number: number, length = 1): Frame => ({
  kind: 'message',
  number,
  body: new Uint8Array(length),
});
const bytesOf = (...frames: readonly Frame[]): Uint8Array => concatBytes(...frames.flatMap(encodeFrame));

const user = (frames: Frame[], drained = () => {}) => ({
  frame: (frame: Frame) => frames.push(frame),
  heard: () => {},
  drained,
});

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('asks for no more to be written while the socket is full, and says when it has drained', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  let drained = 0;
  connection.use(user([], () => (drained += 1)));
  let written = 0;
  while (connection.writable) {
    written += 1;
    connection.write(message(written, 400));
  }
  assert.ok(written <= 3, `${written} messages of 400 bytes into 1000`);
  for (let turn = 0; turn < 20 && drained === 0; turn += 1) {
    socket.release();
    await settle();
  }
  assert.equal(drained, 1);
  assert.ok(connection.writable);
  connection.destroy('done');
  assert.equal(await connection.closed, 'done');
  assert.ok(!connection.writable);
});

test('gives the first frame to whoever asks, and the rest to the user that follows', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  socket.push(bytesOf(HELLO, message(1), message(2)));
  assert.deepEqual(await connection.next(), HELLO);
  await settle();
  const frames: Frame[] = [];
  connection.use(user(frames));
  assert.deepEqual(frames, [message(1), message(2)]);
  socket.push(bytesOf(message(3)));
  await settle();
  assert.deepEqual(frames.at(-1), message(3));
  connection.destroy('done');
});

test('closes on the first bytes that are no frame, with the reason', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  const frames: Frame[] = [];
  connection.use(user(frames));
  socket.push(concatBytes(bytesOf(HELLO, message(1)), Uint8Array.of(0, 0, 0, 1, 99), bytesOf(message(2))));
  assert.equal(await connection.closed, 'a frame of unknown kind 99');
  assert.deepEqual(frames, [HELLO, message(1)]);
});

test('whoever waits for a frame learns that the connection has ended', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  const waiting = connection.next();
  socket.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
  await assert.rejects(waiting, /ECONNRESET/);
  assert.equal(await connection.closed, 'ECONNRESET');
});

test('after its own end it takes nothing more, but keeps reading until the other side has closed', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  const frames: Frame[] = [];
  connection.use(user(frames));
  socket.push(bytesOf(HELLO));
  await settle();
  connection.end('enough', { kind: 'bye' });
  connection.write(message(1));
  socket.push(bytesOf(message(1)));
  socket.push(null);
  for (let turn = 0; turn < 5; turn += 1) {
    socket.release();
    await settle();
  }
  assert.equal(await connection.closed, 'enough');
  assert.deepEqual(frames, [HELLO]);
  assert.equal(socket.taken, bytesOf({ kind: 'bye' }).length);
});

test('an end without ever having read still reads what comes, until the other side has closed', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  connection.end('enough', { kind: 'bye' });
  socket.push(bytesOf(HELLO));
  socket.push(null);
  for (let turn = 0; turn < 5; turn += 1) {
    socket.release();
    await settle();
  }
  assert.equal(await connection.closed, 'enough');
  assert.ok(socket.readableEnded, 'closed with nothing unread');
});

test('an end that the other side ignores is final all the same', async () => {
  const socket = new StuckSocket();
  const connection = new Connection(socket);
  const keepAlive = setTimeout(() => {}, 60_000);
  connection.end('enough', { kind: 'bye' });
  assert.equal(await connection.closed, 'enough');
  clearTimeout(keepAlive);
});
