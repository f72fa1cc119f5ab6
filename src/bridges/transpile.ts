/**
 * TypeScript bridges as modules Node can import: bundled once by esbuild, kept by content under
 * `<agent>/.cache/bridges`. esbuild is a process of its own and 10 MB: an agent without a `.ts` bridge never loads it,
 * nor does one whose bridges have not changed.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BuildFailure, BuildOptions, BuildResult } from 'esbuild';
import { AppError } from '../contract/errors.ts';

export interface Transpiler {
  /** The path of a module that holds the bridge and what it imports from its own folder. */
  transpile(file: string): Promise<string>;
  /** Where in a file the syntax is wrong: Node does not say for modules. `undefined` when it is right. */
  findSyntaxError(file: string): Promise<string | undefined>;
}

/** Part of each key: raised when the options below change. */
const FORMAT = 1;
/** Last line of a cached module: what it was made of, as `[path, hash]`. */
const INPUTS_MARK = '//# bridge-inputs=';

export function createTranspiler(agentDir: string): Transpiler {
  const cacheDir = join(agentDir, '.cache', 'bridges');
  const esbuild = createEsbuild();

  const build = async (file: string, target: string): Promise<void> => {
    const result = await esbuild.build({ ...optionsFor(file, cacheDir), metafile: true });
    const output = result.outputFiles?.[0];
    if (output === undefined) throw new Error('esbuild gave no output');
    const paths = Object.keys(result.metafile?.inputs ?? {}).map((path) => resolve(dirname(file), path));
    const inputs = await Promise.all(
      paths.map(async (path) => [path, hashOf(await readFile(path))] as const),
    );
    await writeAtomically(target, `${output.text}\n${INPUTS_MARK}${JSON.stringify(inputs)}\n`);
    await removeOlder(target);
  };

  return {
    transpile: async (file) => {
      const target = join(cacheDir, await cacheName(file));
      if (!(await isFresh(target))) await build(file, target);
      // Stacks then name the user's own file and line.
      process.setSourceMapsEnabled(true);
      return target;
    },
    findSyntaxError: async (file) => {
      try {
        await esbuild.build(optionsFor(file, cacheDir));
        return undefined;
      } catch (error) {
        return isBuildFailure(error) ? toLine(error, file) : undefined;
      }
    },
  };
}

/** One esbuild for all bridges that are built at the same time; its process ends with the last of them. */
function createEsbuild() {
  let buildCount = 0;
  return {
    build: async (options: BuildOptions): Promise<BuildResult> => {
      const { build, stop } = await import('esbuild').catch((error: unknown) => {
        const message =
          'TypeScript bridges need the package esbuild, which did not load; write it as .mjs instead';
        throw new AppError('bridge.invalid', message, { cause: error });
      });
      buildCount += 1;
      try {
        return await build(options);
      } finally {
        buildCount -= 1;
        if (buildCount === 0) await stop();
      }
    },
  };
}

function optionsFor(file: string, cacheDir: string): BuildOptions {
  const url = pathToFileURL(file).href;
  return {
    entryPoints: [file],
    absWorkingDir: dirname(file),
    outfile: join(cacheDir, 'bridge.mjs'),
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    // What lies above the agent's directory must not change what the module means, or the cache would lie.
    tsconfigRaw: {},
    define: {
      'import.meta.url': JSON.stringify(url),
      'import.meta.filename': JSON.stringify(file),
      'import.meta.dirname': JSON.stringify(dirname(file)),
    },
    write: false,
    logLevel: 'silent',
  };
}

async function cacheName(file: string): Promise<string> {
  const key = `${FORMAT}\n${file}\n${hashOf(await readFile(file))}`;
  return `${nameOf(file)}-${hashOf(key)}.mjs`;
}

/** The key covers the bridge's file; the modules it imports are compared one by one. */
async function isFresh(target: string): Promise<boolean> {
  try {
    const text = await readFile(target, 'utf8');
    const mark = text.lastIndexOf(INPUTS_MARK);
    if (mark === -1) return false;
    const inputs = JSON.parse(text.slice(mark + INPUTS_MARK.length)) as [string, string][];
    const same = await Promise.all(inputs.map(async ([path, hash]) => hashOf(await readFile(path)) === hash));
    return same.every(Boolean);
  } catch {
    // Not there, torn, or one of its parts is gone: it is built again, and that tells what is wrong.
    return false;
  }
}

async function writeAtomically(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(draft, text, { mode: 0o600 });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** A bridge that is edited often must not fill the disk. */
async function removeOlder(target: string): Promise<void> {
  const prefix = basename(target).replace(/[0-9a-f]{32}\.mjs$/, '');
  const names = await readdir(dirname(target));
  const older = names.filter((name) => name !== basename(target) && isVersionOf(name, prefix));
  await Promise.all(older.map((name) => rm(join(dirname(target), name), { force: true })));
}

function isVersionOf(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && /^[0-9a-f]{32}\.mjs$/.test(name.slice(prefix.length));
}

function nameOf(file: string): string {
  return basename(file, extname(file));
}

function hashOf(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

export function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}

/** `telegram.ts:3:8: Expected ")" but found "{"`: the first error only, the others mostly follow from it. */
export function toLine(failure: BuildFailure, file: string): string {
  const [first] = failure.errors;
  if (first?.location == null) return first?.text ?? failure.message;
  const path = relative(dirname(file), resolve(dirname(file), first.location.file));
  return `${path}:${first.location.line}:${first.location.column + 1}: ${first.text}`;
}
