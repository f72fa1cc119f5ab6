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

runBundle(join(__dirname, 'host.cjs'), process.env.HOST_BUNDLE_HASH, {
  require,
  importModule: (specifier) => import(specifier),
});
setTimeout(makeMissingCaches, AFTER_START_MS).unref();

function makeMissingCaches() {
  const bundles = {
    host: process.env.HOST_BUNDLE_HASH,
    agent: process.env.AGENT_BUNDLE_HASH,
    'agent-lazy': process.env.AGENT_LAZY_BUNDLE_HASH,
  };
  const caches = Object.entries(bundles).map(([name, hash]) =>
    cacheFileOf(join(__dirname, `${name}.cjs`), hash),
  );
  if (caches.every((file) => existsSync(file))) return;
  const maker = spawn(process.execPath, [...process.execArgv, join(__dirname, 'make-code-cache.cjs')], {
    stdio: 'ignore',
  });
  maker.on('error', () => {}); // without a cache everything works, only slower
  maker.unref();
}
