'use strict';
/**
 * Runs an agent's bundle as its thread does and hands out the code V8 has compiled by then, when asked for over
 * `workerData.codeCachePort`. Only make-code-cache starts it.
 */
const { workerData } = require('node:worker_threads');
const { runAgent } = require('./run-agent.cjs');

const { script, loadLazy } = runAgent();
const port = workerData.codeCachePort;
port.once('message', () => {
  const start = script.createCachedData();
  port.postMessage({ start, lazy: loadLazy().script.createCachedData() });
});
port.unref();
