'use strict';
/**
 * Entry of the host process. When this Node has no code cache yet (dist/ was built by another one), it lets a child
 * process make both caches once the start is over: the next start is the fast one.
 */
const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { cacheFileOf, runBundle } = require('./load-bundle.cjs');

const AFTER_START_MS = 5_000;

const HASHES = JSON.parse(process.env.BUNDLES);

runBundle(join(__dirname, 'host.cjs'), HASHES.host, {
  require,
  importModule: (specifier) => import(specifier),
});
setTimeout(makeMissingCaches, AFTER_START_MS).unref();

function makeMissingCaches() {
  const caches = Object.entries(HASHES).map(([name, hash]) =>
    cacheFileOf(join(__dirname, `${name}.cjs`), hash),
  );
  if (caches.every((file) => existsSync(file))) return;
  const maker = spawn(process.execPath, [...process.execArgv, join(__dirname, 'make-code-cache.cjs')], {
    stdio: 'ignore',
  });
  maker.on('error', () => {}); // without a cache everything works, only slower
  maker.unref();
}
