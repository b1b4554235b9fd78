/** The command `ecdsa-mpc` as users run it: the launcher, in a process of its own. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The folder of the repository, and the launcher in it. */
export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
export const LAUNCHER = fileURLToPath(new URL('../../../scripts/ecdsa-mpc.js', import.meta.url));
const STORED_PRIMES_LAUNCHER = fileURLToPath(new URL('./stored-primes-launcher.js', import.meta.url));

/** In the environment of a party with stored primes: the step in which its work stops for ever, while it stays alive. */
export const STUCK_IN = 'ECDSA_MPC_TEST_STUCK_IN';

export interface Ended {
  /** Exit status, or `null` when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** All of standard output so far. */
  readonly stdout: () => string;
  /** Settles when standard output matches, or rejects when the process ends before it does. */
  readonly prints: (pattern: RegExp) => Promise<void>;
}

/** Starts a program; its standard input is empty. */
export function start(program: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  child.stdout?.setEncoding('utf8').on('data', (part) => {
    text.stdout += part;
    for (const watcher of watchers) watcher();
  });
  child.stderr?.setEncoding('utf8').on('data', (part) => {
    text.stderr += part;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, ...text }));
  });
  const prints = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const watcher = () => pattern.test(text.stdout) && resolve();
      watchers.add(watcher);
      watcher();
      void ended.then(() =>
        reject(new Error(`ended without printing ${pattern}:\n${text.stdout}${text.stderr}`)),
      );
    });
  return { child, ended, stdout: () => text.stdout, prints };
}

export interface CommandOptions extends SpawnOptions {
  /**
   * The party, called alice, bob, charlie or dave, takes stored primes instead of searching its own: a ceremony costs
   * a quarter. Not for `demo`, which starts its parties itself.
   */
  readonly storedPrimes?: boolean;
}

/** Starts `ecdsa-mpc` with `args`. */
export const startCommand = (
  args: readonly string[],
  { storedPrimes = false, ...options }: CommandOptions = {},
): Running => start(process.execPath, [storedPrimes ? STORED_PRIMES_LAUNCHER : LAUNCHER, ...args], options);

/** Runs `ecdsa-mpc` with `args` to its end. */
export const command = (args: readonly string[], options?: CommandOptions): Promise<Ended> =>
  startCommand(args, options).ended;
