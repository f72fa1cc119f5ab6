'use strict';
/** Runs the agent's bundle, for its real entry and for the one that makes its code cache. */
const { join } = require('node:path');
const { runSplitBundle } = require('./load-bundle.cjs');

const HASHES = JSON.parse(process.env.BUNDLES);
const bundle = (name) => ({ file: join(__dirname, `${name}.cjs`), hash: HASHES[name] });

function runAgent() {
  const loaders = { require, importModule: (specifier) => import(specifier) };
  return runSplitBundle(bundle('agent'), (room) => bundle(`agent-${room}`), loaders);
}

/** Of the bundles with what may be wanted later. */
const ROOMS = Object.keys(HASHES).flatMap((name) => /^agent-(.+)$/.exec(name)?.[1] ?? []);

module.exports = { runAgent, ROOMS };
