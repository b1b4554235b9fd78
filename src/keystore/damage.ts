/** What a user can do about a file of the state folder that cannot be used. */
export const RESTORE_HINT =
  'nothing was changed: restore the folder from a copy, or recover the share from a backup into a new folder';

/** The same for a set-up: of a key's secrets the ones that the parties can make anew. */
export const SETUP_HINT =
  'nothing was changed: restore the folder from a copy, or delete this file, and a new set-up will be made';
