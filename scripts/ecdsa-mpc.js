#!/usr/bin/env node
// The command `ecdsa-mpc`. This file is committed while the program it starts is built: it says how to build it.
try {
  await import('../dist/cli/main.js');
} catch (error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.error('ecdsa-mpc: the program has not been built yet');
  console.error('hint: run `make build` in the repository (or `npm ci && npm run build`), then try again');
  process.exitCode = 2;
}
