'use strict';
/** Runs the agent's bundle, for its real entry and for the one that makes its code cache. */
const { join } = require('node:path');
const { runSplitBundle } = require('./load-bundle.cjs');

function runAgent() {
  const start = { file: join(__dirname, 'agent.cjs'), hash: process.env.AGENT_BUNDLE_HASH };
  const lazy = { file: join(__dirname, 'agent-lazy.cjs'), hash: process.env.AGENT_LAZY_BUNDLE_HASH };
  return runSplitBundle(start, lazy, { require, importModule: (specifier) => import(specifier) });
}

module.exports = { runAgent };
