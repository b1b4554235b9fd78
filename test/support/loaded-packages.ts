/** Reading what `loaded-modules.ts` has written. */

/** The packages among what `stdout` says was loaded. */
export const packagesIn = (stdout: string): string[] =>
  [
    ...new Set(
      [...stdout.matchAll(/^loads .*\/node_modules\/((?:@[^/\s]+\/)?[^/\s]+)/gm)].map(([, name]) => name!),
    ),
  ].sort();

/** The program's own modules among what `stdout` says was loaded, without their endings. */
export const modulesIn = (stdout: string): string[] =>
  [...stdout.matchAll(/^loads \S*\/dist\/(\S+)\.js$/gm)].map(([, name]) => name!);
