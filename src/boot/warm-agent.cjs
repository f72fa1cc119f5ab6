'use strict';
/**
 * Runs an agent's bundle as its thread does and hands out the code V8 has compiled by then, when asked for over
 * `workerData.codeCachePort`. Only make-code-cache starts it.
 */
const { workerData } = require('node:worker_threads');
const { ROOMS, runAgent } = require('./run-agent.cjs');

const { script, loadLazy } = runAgent();
const port = workerData.codeCachePort;
port.once('message', () => {
  const start = script.createCachedData();
  const later = ROOMS.map((room) => [`agent-${room}`, loadLazy(room).script.createCachedData()]);
  port.postMessage(Object.fromEntries([['agent', start], ...later]));
});
port.unref();
