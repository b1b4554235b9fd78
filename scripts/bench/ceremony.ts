/** The whole ceremony: four parties as processes over TLS on loopback, as `ecdsa-mpc demo` starts them. */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DoneEvent, PartyEvent } from '#src/party/events.js';
import { millis, printTable } from './measure.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(ROOT, 'scripts', 'ecdsa-mpc.js');

/** A port that is free now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** A folder with the default cluster on free ports, and with the fields `changed`. */
export async function makeCluster(changed: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ecdsa-mpc-bench-'));
  cpSync(join(ROOT, 'cluster.json'), join(folder, 'cluster.json'));
  const cluster = JSON.parse(readFileSync(join(folder, 'cluster.json'), 'utf8'));
  for (const party of cluster.parties) party.address = `127.0.0.1:${await freePort()}`;
  writeFileSync(join(folder, 'cluster.json'), JSON.stringify({ ...cluster, ...changed }));
  await run(['certs', '--config', join(folder, 'cluster.json')]);
  return folder;
}

/** Standard output of the program, which must succeed. */
function run(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve(output) : reject(new Error(`ecdsa-mpc ${args[0]} ended with ${status}`)),
    );
  });
}

const isDone = (event: PartyEvent): event is DoneEvent => event.event === 'done';

export async function benchCeremony(): Promise<void> {
  const folder = await makeCluster();
  try {
    const start = performance.now();
    const output = await run([
      'demo',
      '--json',
      '--timeout',
      '20m',
      '--config',
      join(folder, 'cluster.json'),
    ]);
    const total = performance.now() - start;
    const events = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PartyEvent);
    const done = events.filter(isDone);
    const first = done[0];
    if (first === undefined) throw new Error('no party has finished');
    // Steps end at nearly the same time everywhere: the slowest party's time is shown.
    const steps = Object.keys(first.millis) as (keyof DoneEvent['millis'])[];
    printTable('The whole ceremony, four processes on this machine', [
      ['step', 'time'],
      ...steps.map((step) => [step, millis(Math.max(...done.map((event) => event.millis[step] ?? 0)))]),
      ['from start to exit of all processes', millis(total)],
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
