/**
 * Where the passphrase of a state folder comes from: a file that is named, one that the environment names, a
 * credential of systemd, or a prompt. Never the command line or the environment itself, which others can see.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { equalBytes, Secret } from '../core/bytes.js';
import { MpcError } from '../core/errors.js';
import { displayPath, fileError, readBounded } from '../files/files.js';
import { isOpenToOthers } from '../files/private.js';

export const PASSPHRASE_VARIABLE = 'ECDSA_MPC_PASSPHRASE_FILE';
export const CREDENTIAL = 'ecdsa-mpc-passphrase';
/** In which variable systemd names the folder of the credentials. */
export const CREDENTIALS_FOLDER = 'CREDENTIALS_DIRECTORY';
const MAX_BYTES = 4096;
/** Fewest characters for a new folder. */
const MIN_CHARACTERS = 8;

export interface PassphraseSources {
  /** What `--passphrase-file` names. */
  readonly file?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Asks on the terminal, without echo; absent where there is none. The caller disposes what it gives. */
  readonly prompt?: (question: string) => Promise<Secret>;
  /** Whether it is for a folder that is made now: then it is asked for twice, and must not be too short. */
  readonly isNew: boolean;
}

/**
 * The passphrase of the first source that there is; the caller disposes it.
 * Throws `USAGE` when there is none, and `FILE` when its file cannot be used.
 */
export async function readPassphrase(sources: PassphraseSources): Promise<Secret> {
  const passphrase = fromFile(sources) ?? (await fromPrompt(sources));
  try {
    if (sources.isNew) checkNewPassphrase(passphrase);
    return passphrase;
  } catch (error) {
    passphrase.dispose();
    throw error;
  }
}

/** Throws `USAGE` for a passphrase that is too short for a new folder. */
export function checkNewPassphrase(passphrase: Secret): void {
  // In UTF-8 every character has one byte that does not continue another.
  const characters = passphrase.bytes.reduce((count, byte) => count + ((byte & 0xc0) === 0x80 ? 0 : 1), 0);
  if (characters >= MIN_CHARACTERS) return;
  throw new MpcError('USAGE', `the passphrase has fewer than ${MIN_CHARACTERS} characters`, {
    hint: 'choose a longer one: whoever gets the folder can try as many as they like',
  });
}

function fromFile({ file, environment }: PassphraseSources): Secret | undefined {
  const named = file ?? (environment[PASSPHRASE_VARIABLE] || undefined);
  if (named !== undefined) return readPassphraseFile(named);
  const folder = environment[CREDENTIALS_FOLDER] || undefined;
  const credential = folder === undefined ? undefined : join(folder, CREDENTIAL);
  // The service manager sees to who can read it, by means that modes do not show.
  return credential !== undefined && fs.existsSync(credential) ? readCredential(credential) : undefined;
}

function readPassphraseFile(path: string): Secret {
  return withHandle(path, (handle) => {
    if (isOpenToOthers(handle))
      throw new MpcError('FILE', `${displayPath(path)} is open to other users`, {
        hint: `run: chmod 600 ${displayPath(path)}`,
      });
    return readLine(handle, path);
  });
}

const readCredential = (path: string): Secret => withHandle(path, (handle) => readLine(handle, path));

function withHandle<T>(path: string, use: (handle: number) => T): T {
  let handle: number | undefined;
  try {
    handle = fs.openSync(path, 'r');
    return use(handle);
  } catch (error) {
    if (error instanceof MpcError) throw error;
    throw fileError(path, error, 'FILE', 'name a file that holds the passphrase and that this user may read');
  } finally {
    if (handle !== undefined) fs.closeSync(handle);
  }
}

/** What the file holds, without the newline at its end. */
function readLine(handle: number, path: string): Secret {
  const bytes = readBounded(handle, MAX_BYTES);
  const fault = (what: string, hint: string) =>
    new MpcError('FILE', `${displayPath(path)} ${what}`, { hint });
  if (bytes === undefined) throw fault(`has more than ${MAX_BYTES} bytes`, 'name the file of the passphrase');
  try {
    const content = bytes.subarray(0, bytes.length - newlineAtEnd(bytes));
    if (content.length === 0) throw fault('is empty', 'write the passphrase into it');
    return Secret.own(content.slice());
  } finally {
    bytes.fill(0);
  }
}

/** How many bytes the newline at the end of `bytes` has. */
function newlineAtEnd(bytes: Uint8Array): number {
  if (bytes.at(-1) !== 0x0a) return 0;
  return bytes.at(-2) === 0x0d ? 2 : 1;
}

async function fromPrompt({ prompt, isNew }: PassphraseSources): Promise<Secret> {
  if (prompt === undefined)
    throw new MpcError(
      'USAGE',
      'the passphrase of the stored keys is needed, and there is no terminal to ask on',
      {
        hint: `write it into a file and name that with --passphrase-file or $${PASSPHRASE_VARIABLE}, or give the service a credential ${CREDENTIAL}`,
      },
    );
  if (!isNew) return await prompt('passphrase of the stored keys');
  const first = await prompt('new passphrase for the stored keys');
  try {
    using second = await prompt('the same again');
    if (equalBytes(first.bytes, second.bytes)) return first;
    throw new MpcError('USAGE', 'the two passphrases differ', { hint: 'run the command again' });
  } catch (error) {
    first.dispose();
    throw error;
  }
}
