'use strict';
/**
 * Runs the host's bundle as its process does and writes the code V8 has compiled by then to the file it is told over
 * IPC. Only make-code-cache starts it.
 */
const { writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { runBundle } = require('./load-bundle.cjs');

const { script } = runBundle(join(__dirname, 'host.cjs'), process.env.HOST_BUNDLE_HASH, {
  require,
  importModule: (specifier) => import(specifier),
});
process.on('message', ({ codeCacheFile }) => {
  if (codeCacheFile === undefined) return;
  writeFileSync(codeCacheFile, script.createCachedData());
  process.send({ codeCacheFile });
});
