/**
 * Builds dist/: one file for an agent's thread, one for the host process, their boot files, and the code caches for the
 * Node that runs this. Reads and writes local files only. `npm start` and `npm test` run it first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BOOT = join(ROOT, 'src/boot');
export const ENTRIES = { agent: 'src/actors/agent-worker.ts', host: 'src/supervisor/host.ts' };

/** Native code, and what is only ever loaded from its own files. */
const EXTERNAL = ['uWebSockets.js', 'esbuild', 'bindings'];

const SHARED_OPTIONS = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  external: EXTERNAL,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  charset: 'ascii',
  write: false,
  metafile: true,
  logLevel: 'warning',
  absWorkingDir: ROOT,
};

/**
 * A bundle is an expression: the function that src/boot/load-bundle.cjs calls. `import()` left in it goes through the
 * boot file's own, because one inside a `vm.Script` needs a loader that Node calls experimental and warns about.
 */
const WRAPPER = {
  banner: {
    js:
      '(function (exports, require, module, __filename, __dirname, $mport, $lazy) {"use strict";' +
      // As node:url does it, which is not loaded for that alone; a Windows path is left to it.
      'const $metaUrl = __filename.startsWith("/")' +
      ' ? "file://" + encodeURI(__filename).replace(/[?#]/g, encodeURIComponent)' +
      ' : require("node:url").pathToFileURL(__filename).href;' +
      'const $onCall = (name) => new Proxy(() => {}, { apply: (_, self, args) => require(name).apply(self, args),' +
      ' get: (_, key) =>' +
      ' key === "createRequire" ? (from) => from === $metaUrl ? require : require(name)[key](from) : require(name)[key] });',
  },
  footer: { js: '})' },
};

/**
 * Parts of Node that an agent's start has no use for, as a rule, and that take it several milliseconds: each is loaded
 * when something of it is first used. (`createRequire` gives what a bundle already has: see `WRAPPER`.)
 */
const LATE_BUILTINS = ['assert', 'child_process', 'crypto', 'fs/promises', 'module', 'net', 'os'];
const LATE_REQUIRE = new RegExp(
  `(?<!__toESM\\()\\brequire\\(("(?:node:)?(?:${LATE_BUILTINS.join('|')})")\\)`,
  'g',
);

async function packageVersion() {
  return JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).version;
}

/** zod brings its messages in fifty languages; one is spoken here. */
const oneLocale = {
  name: 'one-locale',
  setup({ onLoad }) {
    onLoad({ filter: /zod[\\/]v4[\\/]locales[\\/]index\.[cm]?js$/ }, () => ({ contents: 'export {};' }));
  },
};

/**
 * Project modules reached by `import()` go to bundles of their own, one for each room, which `$lazy(room)` runs on first
 * use: what most agents never need takes no room in the heap of each thread. A module that two bundles hold exists twice.
 */
function laterIn(rooms) {
  const indexOf = (file) => {
    const room = roomOf(file);
    const files = rooms.get(room) ?? [];
    if (!files.includes(file)) rooms.set(room, [...files, file]);
    return rooms.get(room).indexOf(file);
  };
  return {
    name: 'later',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
        if (kind !== 'dynamic-import') return undefined;
        return { path: resolve(resolveDir, path), namespace: 'later' };
      });
      onLoad({ filter: /.*/, namespace: 'later' }, ({ path }) => ({
        contents: `module.exports = $lazy("${roomOf(path)}").m${indexOf(path)};`,
      }));
    },
  };
}

/** What belongs together is loaded together; the schemas of frames alone are wanted by every agent that is talked to. */
function roomOf(file) {
  const [top, folder] = relative(ROOT, file).split('/');
  if (file.endsWith('/contract/frames.ts')) return 'frames';
  return top === 'src' && folder !== 'contract' && folder !== 'gateway' ? folder : 'wire';
}

async function bundleText(name, input, plugins) {
  const result = await build({
    ...SHARED_OPTIONS,
    ...WRAPPER,
    ...input,
    plugins: [oneLocale, ...plugins],
    outfile: join(ROOT, 'dist', `${name}.cjs`),
    sourcemap: 'external',
    define: {
      'import.meta.url': '$metaUrl',
      'import.meta.dirname': '__dirname',
      'import.meta.filename': '__filename',
      'process.env.PACKAGE_VERSION': JSON.stringify(await packageVersion()),
    },
  });
  const text = (file) => result.outputFiles.find(({ path }) => path.endsWith(file)).text;
  // `$mport` is as long as `import`, `$onCall` as `require`: the source map stays true.
  const code = text('.cjs')
    .replaceAll(/(?<![\w$.])import\(/g, '$mport(')
    .replaceAll(LATE_REQUIRE, '$$onCall($1)')
    // Bundles are read as latin1. esbuild leaves what stands in a regular expression as it is.
    .replaceAll(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const hash = createHash('sha256').update(code).digest('hex').slice(0, 12);
  return { name, code, hash, map: text('.map'), metafile: result.metafile };
}

/** One file with an entry and all it imports. */
export function bundle(entry, name) {
  return bundleText(name, { entryPoints: [entry] }, []);
}

/** What runs at the start, then `<name>-<room>` for each room with what may be wanted later. */
export async function bundleSplit(entry, name) {
  const rooms = new Map();
  const start = await bundleText(name, { entryPoints: [entry] }, [laterIn(rooms)]);
  const later = [...rooms].sort().map(([room, files]) => {
    const contents = files.map((file, at) => `export * as m${at} from ${JSON.stringify(file)};`).join('\n');
    const input = { stdin: { contents, resolveDir: ROOT, sourcefile: `${name}-${room}.ts` } };
    return bundleText(`${name}-${room}`, input, []);
  });
  return [start, ...(await Promise.all(later))];
}

/** The boot files know the bundles they belong to, by name and hash. */
async function bundleBoot(entry, bundles) {
  const hashes = Object.fromEntries(bundles.map(({ name, hash }) => [name, hash]));
  const result = await build({
    ...SHARED_OPTIONS,
    entryPoints: [entry],
    outfile: 'out.cjs',
    define: {
      'import.meta.dirname': '__dirname',
      'process.env.BUNDLES': JSON.stringify(JSON.stringify(hashes)),
      'process.env.PACKAGE_VERSION': JSON.stringify(await packageVersion()),
    },
  });
  return result.outputFiles[0].text;
}

/** A running supervisor may start an agent while this runs: files appear whole, a bundle before its boot file. */
async function writeFiles(dir, files) {
  await mkdir(dir, { recursive: true });
  for (const [file, text] of files) {
    const temporary = join(dir, `.${file}.${process.pid}.tmp`);
    await writeFile(temporary, text);
    await rename(temporary, join(dir, file));
  }
}

/** `entries`: source files of `agent` and `host`. Gives back the bundles, and all files as `[name, text]`. */
async function makeFiles(entries) {
  for (const [name, entry] of Object.entries(entries)) {
    if (!existsSync(join(ROOT, entry))) throw new Error(`Cannot build dist/${name}.cjs: ${entry} is missing`);
  }
  const { agent, host } = entries;
  const bundles = [...(await bundleSplit(agent, 'agent')), await bundle(host, 'host')];
  const boots = [
    'agent-boot.cjs',
    'warm-agent.cjs',
    'warm-host.cjs',
    'make-code-cache.ts',
    'agent-monitor.ts',
    'host-boot.cjs',
  ];
  const bootFiles = boots.map(async (file) => [
    `${basename(file, file.endsWith('.ts') ? '.ts' : '.cjs')}.cjs`,
    await bundleBoot(join(BOOT, file), bundles),
  ]);
  const files = [
    ...bundles.flatMap(({ name, code, map }) => [
      [`${name}.cjs`, code],
      [`${name}.cjs.map`, map],
    ]),
    ...(await Promise.all(bootFiles)),
  ];
  return { bundles, files };
}

export async function buildInto(dir, entries) {
  const { bundles, files } = await makeFiles(entries);
  await writeFiles(dir, files);
  return bundles;
}

/**
 * Into a folder of its own named by what is in it, `<dist>/<id>`; `<dist>/host-boot.cjs` leads to the newest. A host that
 * runs goes on with the folder it was started from, for its agents' restarts and for what they load later.
 */
export async function buildRelease(dist, entries, warm = makeCodeCaches) {
  const { bundles, files } = await makeFiles(entries);
  const id = createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 12);
  const dir = join(dist, id);
  // The last one written: where it is, all are.
  if (!existsSync(join(dir, 'host-boot.cjs'))) await writeFiles(dir, files);
  else await utimes(dir, new Date(), new Date());
  warm(dir);
  await writeFiles(dist, [['host-boot.cjs', `'use strict';\nrequire('./${id}/host-boot.cjs');\n`]]);
  await removeOldReleases(dist);
  return bundles;
}

/** Of a fleet that was started long ago the folder must still be there. */
const RELEASES_KEPT = 5;

async function removeOldReleases(dist) {
  const entries = await readdir(dist, { withFileTypes: true });
  const releases = await Promise.all(
    entries
      .filter((entry) => entry.isDirectory() && /^[0-9a-f]{12}$/.test(entry.name))
      .map(async ({ name }) => ({ dir: join(dist, name), usedMs: (await stat(join(dist, name))).mtimeMs })),
  );
  releases.sort((a, b) => b.usedMs - a.usedMs);
  for (const { dir } of releases.slice(RELEASES_KEPT)) await rm(dir, { recursive: true, force: true });
}

/** The client library, once for browsers and once for Node; gives back what each file imports. */
export async function buildSdk(dir) {
  const sdk = join(ROOT, 'clients/sdk');
  const options = {
    bundle: true,
    format: 'esm',
    charset: 'utf8',
    logLevel: 'warning',
    metafile: true,
    absWorkingDir: sdk,
  };
  const built = await Promise.all([
    build({ ...options, entryPoints: ['src/index.ts'], outfile: join(dir, 'index.js'), platform: 'browser' }),
    build({
      ...options,
      ...{ entryPoints: ['src/node.ts'], outfile: join(dir, 'node.js') },
      ...{ platform: 'node', target: 'node20', external: ['ws'] },
    }),
  ]);
  return built.map(({ metafile }) => Object.values(metafile.outputs)[0].imports.map(({ path }) => path));
}

/** In a process of its own: it runs an agent. Without a cache everything works, so its failure is only told. */
export function makeCodeCaches(dir) {
  const maker = spawnSync(process.execPath, [join(dir, 'make-code-cache.cjs')], {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: 30_000,
  });
  if (maker.error) process.stderr.write(`No code cache was made: ${maker.error.message}\n`);
}

async function main() {
  const dir = join(ROOT, 'dist');
  const [bundles] = await Promise.all([buildRelease(dir, ENTRIES), buildSdk(join(ROOT, 'clients/sdk/dist'))]);
  const sizes = bundles.map(
    ({ name, code }) => `${basename(dir)}/${name}.cjs ${Math.round(code.length / 1024)} KiB`,
  );
  if (process.argv.includes('--verbose')) process.stdout.write(`${sizes.join(', ')} in ${dirname(dir)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main().catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
