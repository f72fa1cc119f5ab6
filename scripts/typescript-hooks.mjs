/** The hook of typescript.mjs: each source is compiled once, and kept under node_modules by what it holds. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../node_modules/.cache/typescript', import.meta.url));
const OPTIONS = { loader: 'ts', format: 'esm', target: 'node20', sourcemap: 'inline', sourcesContent: false };

export function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  return { format: 'module', source: compiled(fileURLToPath(url)), shortCircuit: true };
}

/** Many at once cost a fraction of one after the other. */
export async function compileAll(...directories) {
  const { transform } = createRequire(import.meta.url)('esbuild');
  const sources = directories.flatMap(sourcesIn).filter(({ file }) => !existsSync(file));
  await Promise.all(
    sources.map(async ({ source, name, file }) => {
      keep(file, (await transform(source, { ...OPTIONS, sourcefile: name })).code);
    }),
  );
}

function sourcesIn(directory) {
  return readdirSync(directory, { recursive: true })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .map((path) => sourceOf(join(directory, path)));
}

function compiled(path) {
  const { source, name, file } = sourceOf(path);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const { transformSync } = createRequire(import.meta.url)('esbuild');
  return keep(file, transformSync(source, { ...OPTIONS, sourcefile: name }).code);
}

function sourceOf(path) {
  const source = readFileSync(path, 'utf8');
  const name = basename(path);
  const key = `${name}\n${JSON.stringify(OPTIONS)}\n${source}`;
  return { source, name, file: join(CACHE, createHash('sha256').update(key).digest('hex')) };
}

/** Whole or not at all: other processes read it meanwhile. */
function keep(file, code) {
  try {
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(`${file}.${process.pid}`, code);
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // Not ours to write: it is compiled again, then.
  }
  return code;
}
