'use strict';
/** Entry of an agent's thread or process. */
const { runAgent } = require('./run-agent.cjs');

runAgent();
