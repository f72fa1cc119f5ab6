'use strict';
/**
 * Runs a bundle of dist/ with V8's code cache, so that fifty threads do not compile the same file fifty times. The cache
 * is an accelerator and nothing else: when it is missing, torn, or another Node's, the bundle runs from its source.
 */
const { readFileSync, rmSync } = require('node:fs');
const { dirname } = require('node:path');
const { Script, constants } = require('node:vm');
const { getEnvironmentData, setEnvironmentData } = require('node:worker_threads');

/** The process works it out for its threads: node:v8 costs each of them a part of its start. */
function versionTag() {
  const known = getEnvironmentData('openagent.v8-tag');
  if (known !== undefined) return known;
  const tag = require('node:v8').cachedDataVersionTag().toString(16);
  setEnvironmentData('openagent.v8-tag', tag);
  return tag;
}

/** Its name carries all that decides whether V8 would take it: another Node, processor, flag or bundle just misses. */
function cacheFileOf(bundleFile, bundleHash) {
  return `${bundleFile}.${bundleHash}.${process.version}-${process.arch}-${versionTag()}.cache`;
}

function readCache(cacheFile) {
  try {
    return readFileSync(cacheFile);
  } catch {
    return undefined; // not there or not readable: the same to us, the bundle is compiled
  }
}

/** V8 will never take this one; once it is gone the host makes it anew. */
function forget(cacheFile) {
  try {
    rmSync(cacheFile, { force: true });
  } catch {
    // dist/ is read-only: every start compiles, and works
  }
}

/** `isCached` is false when V8 compiled the source; `script` can then make the cache that was missing. */
function compileBundle(bundleFile, bundleHash) {
  const cacheFile = cacheFileOf(bundleFile, bundleHash);
  const cachedData = readCache(cacheFile);
  // The build writes ASCII only: read as latin1 the source needs one byte a character in each thread's heap.
  const script = new Script(readFileSync(bundleFile, 'latin1'), {
    filename: bundleFile,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  if (script.cachedDataRejected) forget(cacheFile);
  return { script, cacheFile, isCached: cachedData !== undefined && !script.cachedDataRejected };
}

/**
 * `require` and `importModule` belong to a real file beside the bundle, so that both resolve as the bundle expects;
 * `loadLazy` gives the exports of one of the bundle's later parts.
 */
function runBundle(bundleFile, bundleHash, { require, importModule, loadLazy }) {
  const compiled = compileBundle(bundleFile, bundleHash);
  const module = { exports: {} };
  const run = compiled.script.runInThisContext();
  run(module.exports, require, module, bundleFile, dirname(bundleFile), importModule, loadLazy);
  return { ...compiled, exports: module.exports };
}

/** Runs a bundle and, when it first asks for them, its later parts; `loadLazy` is for who wants to ask in its place. */
function runSplitBundle(start, laterOf, loaders) {
  const loaded = new Map();
  const load = (room) => {
    const known = loaded.get(room);
    if (known) return known;
    const { file, hash } = laterOf(room);
    const ran = runBundle(file, hash, loaders);
    loaded.set(room, ran);
    return ran;
  };
  const loadLazy = (room) => load(room).exports;
  return { ...runBundle(start.file, start.hash, { ...loaders, loadLazy }), loadLazy: load };
}

module.exports = { cacheFileOf, compileBundle, runBundle, runSplitBundle };
