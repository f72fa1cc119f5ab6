import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import {
  type Bundle,
  buildInto,
  buildRelease,
  bundleSplit,
  ENTRIES,
  makeCodeCaches,
} from '../../scripts/build.mjs';
import { cacheFileOf, compileBundle, runSplitBundle } from '../../src/boot/load-bundle.cjs';

const FIXTURES = { agent: 'test/fixtures/boot/agent.ts', host: 'test/fixtures/boot/host.ts' };
const START = fileURLToPath(new URL('../fixtures/boot/start.cjs', import.meta.url));
const execute = promisify(execFile);
const require = createRequire(import.meta.url);

let dist: string;
let agent: Bundle;
let lazy: Bundle;

before(async () => {
  dist = await mkdtemp(join(tmpdir(), 'openagent-dist-'));
  const bundles = await buildInto(dist, FIXTURES);
  agent = bundles.find(({ name }) => name === 'agent') as Bundle;
  lazy = bundles.find(({ name }) => name === 'agent-wire') as Bundle;
  makeCodeCaches(dist);
});
after(() => rm(dist, { recursive: true, force: true }));
beforeEach(() => {
  globalThis.heavyModuleLoads = undefined;
});

function bundleFile(): string {
  return join(dist, 'agent.cjs');
}

function run() {
  const start = { file: bundleFile(), hash: agent.hash };
  const laterOf = (room: string) => ({ file: join(dist, `agent-${room}.cjs`), hash: lazy.hash });
  return runSplitBundle(start, laterOf, { require, importModule: (specifier) => import(specifier) });
}

interface Start {
  readonly isCached: boolean;
  readonly exported: readonly string[];
}

/** In a process of its own: within one V8 a second compilation of the same source never reads the cache file. */
async function start(): Promise<Start> {
  const { stdout } = await execute(process.execPath, [START, bundleFile(), agent.hash]);
  return JSON.parse(stdout) as Start;
}

test('the build leaves a code cache that this Node takes', async () => {
  assert.equal((await start()).isCached, true);
});

test('the cache holds what an agent compiles while it starts, not only its outermost function', async (t) => {
  const cacheFile = cacheFileOf(bundleFile(), agent.hash);
  const warm = await stat(cacheFile);
  await rename(cacheFile, `${cacheFile}.away`);
  t.after(() => rename(`${cacheFile}.away`, cacheFile));
  const cold = compileBundle(bundleFile(), agent.hash).script.createCachedData();
  assert.ok(warm.size > cold.byteLength, `${warm.size} > ${cold.byteLength}`);
});

test('a torn cache is passed over, and removed so that the host makes it anew', async () => {
  const cacheFile = cacheFileOf(bundleFile(), agent.hash);
  await truncate(cacheFile, 100);
  const { isCached, exported } = await start();
  assert.equal(isCached, false);
  assert.ok(exported.includes('loadHeavy'), 'it runs all the same');
  await assert.rejects(truncate(cacheFile), { code: 'ENOENT' });
  makeCodeCaches(dist);
  assert.equal((await start()).isCached, true);
});

test('the cache of another Node, processor or bundle is not even looked at', async () => {
  const cacheFile = cacheFileOf(bundleFile(), agent.hash);
  for (const part of [process.version, process.arch, agent.hash]) assert.ok(cacheFile.includes(part), part);
  await rename(cacheFile, `${cacheFile}.away`);
  assert.equal((await start()).isCached, false);
  await rename(`${cacheFile}.away`, cacheFile);
});

test('a module imported dynamically runs on first use, from the second bundle and its cache', async () => {
  const { exports, loadLazy } = run();
  const { loadHeavy } = exports as { loadHeavy: () => Promise<string> };
  assert.equal(globalThis.heavyModuleLoads, undefined);
  assert.equal(await loadHeavy(), 'loaded on first use');
  await loadHeavy();
  assert.equal(globalThis.heavyModuleLoads, 1);
  assert.equal(loadLazy('wire').isCached, true);
  assert.ok(!agent.code.includes('heavyModuleLoads'), 'the start does not carry it');
});

test('a module of the user is imported from its own file', async () => {
  const file = join(dist, 'bridge.mjs');
  await writeFile(file, 'export const name = "mine"; export const url = import.meta.url;');
  const { loadByUrl } = run().exports as {
    loadByUrl: (url: string) => Promise<{ name: string; url: string }>;
  };
  const loaded = await loadByUrl(pathToFileURL(file).href);
  assert.equal(loaded.name, 'mine');
  assert.equal(loaded.url, pathToFileURL(file).href);
});

test('import.meta.url is the bundle itself', () => {
  const { whereAmI } = run().exports as { whereAmI: () => string };
  assert.equal(whereAmI(), pathToFileURL(bundleFile()).href);
});

test('a missing entry is named', async () => {
  await assert.rejects(
    buildInto(dist, { ...FIXTURES, host: 'src/nowhere.ts' }),
    /src\/nowhere\.ts is missing/,
  );
});

test("an agent's thread starts without the libraries that only the host or a later use needs", async () => {
  const [start, ...later] = await bundleSplit(ENTRIES.agent, 'agent');
  const packagesOf = ({ metafile }: Bundle) =>
    new Set(Object.keys(metafile.inputs).flatMap((file) => /node_modules\/([^/]+)/.exec(file)?.[1] ?? []));
  const started = packagesOf(start);
  assert.ok(started.has('xstate'), [...started].join(' '));
  const heavy = ['zod', 'yaml', 'commander', 'cli-table3', 'fastest-levenshtein', 'picocolors'];
  assert.deepEqual(
    heavy.filter((name) => started.has(name)),
    [],
  );
  const frames = later.find(({ name }) => name === 'agent-frames') as Bundle;
  assert.deepEqual(
    [...packagesOf(frames)],
    ['zod'],
    'the first frame brings the schemas of frames and no more',
  );
});

test('a new build leaves the files of a running host alone; the oldest builds go', async (t) => {
  const place = await mkdtemp(join(tmpdir(), 'openagent-releases-'));
  t.after(() => rm(place, { recursive: true, force: true }));
  const releases = async () => (await readdir(place)).filter((name) => name !== 'host-boot.cjs');
  const newest = async () =>
    /\.\/(\w+)\//.exec(await readFile(join(place, 'host-boot.cjs'), 'utf8'))?.[1] ?? '';
  const cold = () => {};
  await buildRelease(place, FIXTURES, cold);
  const [first = ''] = await releases();
  assert.equal(await newest(), first);
  for (const [age, name] of ['0'.repeat(12), '1'.repeat(12), '2'.repeat(12), '3'.repeat(12)].entries()) {
    await mkdir(join(place, name));
    await utimes(join(place, name), age + 1, age + 1);
  }
  await buildRelease(place, { ...FIXTURES, agent: FIXTURES.host }, cold);
  const left = await releases();
  assert.ok(left.includes(first) && left.includes(await newest()) && (await newest()) !== first, left.join());
  assert.equal(left.length, 5);
  assert.ok(!left.includes('0'.repeat(12)), 'the oldest one');
});
