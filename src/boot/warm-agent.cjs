'use strict';
/**
 * Runs an agent's bundle as its thread does and hands out the code V8 has compiled by then, when asked for over
 * `workerData.codeCachePort`. Only make-code-cache starts it.
 */
const { join } = require('node:path');
const { workerData } = require('node:worker_threads');
const { runBundle } = require('./load-bundle.cjs');

const { script } = runBundle(join(__dirname, 'agent.cjs'), process.env.AGENT_BUNDLE_HASH, {
  require,
  importModule: (specifier) => import(specifier),
});
const port = workerData.codeCachePort;
port.once('message', () => port.postMessage(script.createCachedData()));
port.unref();
