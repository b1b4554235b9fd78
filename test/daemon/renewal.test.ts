// A certificate that is renewed on disk is used from then on, and one that does not fit is complained of once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MpcError } from '#src/core/errors.js';
import { Renewal } from '#src/daemon/renewal.js';

/** What is on disk: another certificate than the one in use, the same, or one that cannot be used. */
type OnDisk = 'other' | 'same' | MpcError;

function renewalOf(first: OnDisk) {
  const disk = { holds: first, looks: 0 };
  const told: (Date | string)[] = [];
  const expires = new Date(86_400_000);
  const renewal = new Renewal({
    party: {
      certificateExpires: expires,
      renew: async () => {
        disk.looks += 1;
        await new Promise(setImmediate);
        if (disk.holds instanceof MpcError) throw disk.holds;
        return disk.holds === 'other';
      },
    },
    renewed: (at) => told.push(at),
    unfit: ({ message }) => told.push(message),
  });
  return { renewal, disk, told, expires };
}

const unfit = (message: string) => new MpcError('CERTIFICATE', message);

test('a new one is told of, the one in use is not', async () => {
  const { renewal, disk, told, expires } = renewalOf('same');
  using _renewal = renewal;
  await renewal.look();
  assert.deepEqual(told, []);
  disk.holds = 'other';
  await renewal.look();
  assert.deepEqual(told, [expires]);
});

test('each cause is told once, and again after it had gone', async () => {
  const { renewal, disk, told } = renewalOf(unfit('expired'));
  using _renewal = renewal;
  for (const holds of [
    unfit('expired'),
    unfit('expired'),
    unfit('no key'),
    'same',
    unfit('no key'),
  ] as const) {
    disk.holds = holds;
    await renewal.look();
  }
  assert.deepEqual(told, ['expired', 'no key', 'no key']);
});

test('who looks while that is being done waits for it', async () => {
  const { renewal, disk } = renewalOf('same');
  using _renewal = renewal;
  await Promise.all([renewal.look(), renewal.look()]);
  assert.equal(disk.looks, 1);
  await renewal.look();
  assert.equal(disk.looks, 2);
});

test('it looks by itself, every minute, as long as it is wanted', async ({ mock }) => {
  mock.timers.enable({ apis: ['setInterval'] });
  const { renewal, disk } = renewalOf('same');
  const minute = async () => {
    mock.timers.tick(60_000);
    for (let i = 0; i < 5; i += 1) await new Promise(setImmediate);
  };
  await minute();
  await minute();
  assert.equal(disk.looks, 2);
  renewal[Symbol.dispose]();
  await minute();
  assert.equal(disk.looks, 2);
});
