/**
 * Builds dist/: one file for an agent's thread, one for the host process, their boot files, and the code caches for the
 * Node that runs this. Reads and writes local files only. `npm start` and `npm test` run it first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
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
const LATE_BUILTINS = ['assert', 'child_process', 'crypto', 'module', 'net', 'os'];
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
 * Project modules reached by `import()` go to a second bundle, `files`, which `$lazy()` runs on first use: what most
 * agents never need takes no room in the heap of each thread. A module that both bundles hold exists twice.
 */
function laterIn(files) {
  return {
    name: 'later',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
        if (kind !== 'dynamic-import') return undefined;
        const file = resolve(resolveDir, path);
        if (!files.includes(file)) files.push(file);
        return { path: file, namespace: 'later' };
      });
      onLoad({ filter: /.*/, namespace: 'later' }, ({ path }) => ({
        contents: `module.exports = $lazy().m${files.indexOf(path)};`,
      }));
    },
  };
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
    .replaceAll(LATE_REQUIRE, '$$onCall($1)');
  const hash = createHash('sha256').update(code).digest('hex').slice(0, 12);
  return { name, code, hash, map: text('.map'), metafile: result.metafile };
}

/** One file with an entry and all it imports. */
export function bundle(entry, name) {
  return bundleText(name, { entryPoints: [entry] }, []);
}

/** Two files: what runs at the start, and `<name>-lazy` with what may be wanted later. */
export async function bundleSplit(entry, name) {
  const later = [];
  const start = await bundleText(name, { entryPoints: [entry] }, [laterIn(later)]);
  const contents = later.map((file, at) => `export * as m${at} from ${JSON.stringify(file)};`).join('\n');
  const input = { stdin: { contents, resolveDir: ROOT, sourcefile: `${name}-lazy.ts` } };
  return [start, await bundleText(`${name}-lazy`, input, [])];
}

/** The boot files know the bundles they belong to by hash. */
async function bundleBoot(entry, bundles) {
  const hashes = bundles.map(({ name, hash }) => [
    `process.env.${name.toUpperCase().replace('-', '_')}_BUNDLE_HASH`,
    JSON.stringify(hash),
  ]);
  const result = await build({
    ...SHARED_OPTIONS,
    entryPoints: [entry],
    outfile: 'out.cjs',
    define: {
      'import.meta.dirname': '__dirname',
      ...Object.fromEntries(hashes),
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

/** `entries`: source files of `agent` and `host`. */
export async function buildInto(dir, entries) {
  for (const [name, entry] of Object.entries(entries)) {
    if (!existsSync(join(ROOT, entry))) throw new Error(`Cannot build dist/${name}.cjs: ${entry} is missing`);
  }
  const { agent, host } = entries;
  const bundles = [...(await bundleSplit(agent, 'agent')), await bundle(host, 'host')];
  const boots = [
    'agent-boot.cjs',
    'host-boot.cjs',
    'warm-agent.cjs',
    'warm-host.cjs',
    'make-code-cache.ts',
    'agent-monitor.ts',
  ];
  const bootFiles = boots.map(async (file) => [
    `${basename(file, file.endsWith('.ts') ? '.ts' : '.cjs')}.cjs`,
    await bundleBoot(join(BOOT, file), bundles),
  ]);
  await writeFiles(dir, [
    ...bundles.flatMap(({ name, code, map }) => [
      [`${name}.cjs`, code],
      [`${name}.cjs.map`, map],
    ]),
    ...(await Promise.all(bootFiles)),
  ]);
  return bundles;
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
  const bundles = await buildInto(dir, ENTRIES);
  await buildSdk(join(ROOT, 'clients/sdk/dist'));
  makeCodeCaches(dir);
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
