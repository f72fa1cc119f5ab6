'use strict';
/** Entry of an agent's thread or process. */
const { join } = require('node:path');
const { runBundle } = require('./load-bundle.cjs');

runBundle(join(__dirname, 'agent.cjs'), process.env.AGENT_BUNDLE_HASH, {
  require,
  importModule: (specifier) => import(specifier),
});
