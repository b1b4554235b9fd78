/**
 * The place of a daemon's control socket, and whether a daemon answers there.
 *
 * Whoever can connect to it gives the daemon orders, so it stands in a folder that only its user may enter, and is
 * itself closed to others from the moment in which it exists.
 */
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { MpcError } from '../core/errors.js';
import { displayPath, exists, fileError } from '../files/files.js';
import { checkPrivateFolder, type SocketFile, socketAt } from '../files/private.js';

/** Largest request: a message to sign, in base64, and some fields. */
export const MAX_REQUEST_BYTES = 3 * 1024 * 1024;

/** Longest name of a socket, bytes: sockaddr_un has 108 on Linux and 104 elsewhere, with the zero at its end. */
export const MAX_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

export const OTHER_PATH_HINT = 'name another path as `control` in the settings';

/** Whether the system can have a socket of that name. */
const fits = (path: string): boolean => Buffer.byteLength(path) <= MAX_PATH_BYTES;

/** Throws `FILE` unless a socket at `path` could be reached by this user, and by nobody else. */
export function checkPlace(path: string): void {
  if (!fits(path))
    throw new MpcError(
      'FILE',
      `the name of the control socket, ${displayPath(path)}, has more than ${MAX_PATH_BYTES} bytes`,
      { hint: `${OTHER_PATH_HINT}: the system allows no longer ones` },
    );
  checkPrivateFolder(dirname(path));
}

/**
 * The socket at `path`, or `undefined` when nothing is there. Throws `FILE` when it is something else, or when others
 * could have put it there.
 */
export function socketOf(path: string): SocketFile | undefined {
  if (!fits(path) || !exists(dirname(path))) return undefined;
  const socket = socketAt(path, OTHER_PATH_HINT);
  if (socket !== undefined) checkPrivateFolder(dirname(path));
  return socket;
}

/** Why there is no connection to a socket: it has no daemon any more, or one that has too many clients. */
export function judgeConnect(path: string, { code }: NodeJS.ErrnoException): 'left behind' | 'busy' {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return 'left behind';
    case 'EAGAIN':
      return 'busy';
    case 'EACCES':
    case 'EPERM':
      throw fileError(path, { code }, 'FILE', 'run as the user that the daemon runs as');
    default:
      throw new MpcError('FILE', `${displayPath(path)} is a socket of another kind (${code})`, {
        hint: OTHER_PATH_HINT,
      });
  }
}

/** Whether a daemon answers at the socket at `path`; throws `FILE` when it cannot be a daemon's. */
export async function isAnswered(path: string): Promise<boolean> {
  const error = await connectError(path);
  return error === undefined || judgeConnect(path, error) === 'busy';
}

/** Connects and leaves; the system's reason why that failed. */
function connectError(path: string): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', resolve);
  });
}
