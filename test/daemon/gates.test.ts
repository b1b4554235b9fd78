// Who may use a key at a time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyError, Gate, Gates } from '#src/daemon/gates.js';

const never = new AbortController().signal;
const ticks = async (): Promise<void> => {
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate);
};
/** Whether `promise` has settled once everything that could happen has. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await ticks();
  return settled;
}

test('operations run side by side', async () => {
  const gate = new Gate();
  using _one = await gate.start(never);
  using _other = await gate.start(never);
  using _peers = gate.join();
});

test('a held key lets nothing of this party start, and still what others have started', async () => {
  const gate = new Gate();
  const running = await gate.start(never);
  const held = gate.hold('r', never);
  const late = gate.start(never);
  assert.equal(await isSettled(held), false);
  using joined = gate.join();
  running[Symbol.dispose]();
  await held;
  assert.equal(await isSettled(late), false);
  const alone = gate.alone('r', never);
  assert.equal(await isSettled(alone), false);
  joined[Symbol.dispose]();
  const inside = await alone;
  assert.throws(() => gate.join(), BusyError);
  inside[Symbol.dispose]();
  assert.equal(await isSettled(late), false);
  gate.release('r');
  (await late)[Symbol.dispose]();
});

test('one request holds a key at a time', async () => {
  const gate = new Gate();
  await gate.hold('r', never);
  await gate.hold('r', never);
  await assert.rejects(gate.hold('s', never), BusyError);
  await assert.rejects(gate.alone('s', never), BusyError);
  gate.release('s');
  await assert.rejects(gate.hold('s', never), BusyError);
  gate.release('r');
  await gate.hold('s', never);
});

test('a request that holds its key no longer does not come in, and one that is next lets nobody else in', async () => {
  const gate = new Gate();
  await gate.hold('r', never);
  gate.release('r');
  await assert.rejects(gate.alone('r', never), BusyError);
  const running = gate.join();
  await gate.hold('r', never);
  const alone = gate.alone('r', never);
  assert.throws(() => gate.join(), BusyError);
  running[Symbol.dispose]();
  (await alone)[Symbol.dispose]();
  gate.join();
});

test('whoever waits hears of the end of its signal', async () => {
  const gate = new Gate();
  await gate.hold('r', never);
  using _running = gate.join();
  const ends = new AbortController();
  const waiting = [gate.start(ends.signal), gate.alone('r', ends.signal)];
  ends.abort(new Error('over'));
  for (const each of waiting) await assert.rejects(each, /over/);
  await assert.rejects(gate.start(ends.signal), /over/);
});

test('every key has its gate, and a request leaves all of them', async () => {
  const gates = new Gates();
  assert.equal(gates.of('a'), gates.of('a'));
  assert.notEqual(gates.of('a'), gates.of(undefined));
  await gates.of('a').hold('r', never);
  await gates.of(undefined).hold('r', never);
  gates.release('r');
  await gates.of('a').hold('s', never);
  await gates.of(undefined).hold('s', never);
});
