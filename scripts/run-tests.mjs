/**
 * Runs test/<kind>/<name>.test.ts, four processes at once, each with one file or with several small ones.
 *
 *   npm test                        everything
 *   npm test -- storage e2e/ports   only files whose path holds one of these words
 *   npm test -- --transport node    the agents of the suite serve over node:http
 *   npm test -- --test-name-pattern=drain   any option of `node --test`
 */
import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { toBatches } from './test-batches.mjs';
import { compileAll } from './typescript-hooks.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LOADER = new URL('typescript.mjs', import.meta.url).href;
const REPORTER = new URL('test-reporter.mjs', import.meta.url).href;
/**
 * The longest go first, so that none of them is left for the end, when nothing else is to be run beside it; before them
 * the one that saturates all cores for a while, far from those that look at agents that hang.
 */
const ORDER = [/fault\/not-judged/, /^test\/(fault|e2e|uploads|mcp)\/|\/ws-/, /^/];
const rankOf = (file) => ORDER.findIndex((pattern) => pattern.test(file));
const FILE_MS = 150_000;
const BATCHES = join(ROOT, 'node_modules/.cache', `test-batches-${process.pid}`);

export function testFiles() {
  const kinds = readdirSync(join(ROOT, 'test'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  return kinds
    .flatMap(({ name }) => readdirSync(join(ROOT, 'test', name)).map((file) => `test/${name}/${file}`))
    .filter((file) => file.endsWith('.test.ts'))
    .sort((one, other) => rankOf(one) - rankOf(other) || (one < other ? -1 : 1));
}

/** Resolves with the exit code of `node --test`. `areBatched`: small files share a process. */
export async function runTests(files, options = {}) {
  const { env = {}, nodeOptions = [], fileMs = FILE_MS, areBatched = false } = options;
  // Without a file `node --test` would run whatever looks like a test to it.
  if (files.length === 0) throw new Error('No test file matches');
  await compileAll(...['src', 'test', 'clients'].map((name) => join(ROOT, name)));
  const args = [
    ...['--import', LOADER, '--conditions=development', '--test', '--test-concurrency=4'],
    ...[`--test-timeout=${fileMs}`, `--test-reporter=${REPORTER}`, '--test-reporter-destination=stdout'],
    ...nodeOptions,
    ...(areBatched ? toBatches(files, ROOT, BATCHES) : files),
  ];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  // Ctrl-C reaches the whole group: the runner waits for its files, and we for the runner.
  process.on('SIGINT', () => {});
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (exitCode) => resolve(exitCode ?? 1));
  }).finally(() => rmSync(BATCHES, { recursive: true, force: true }));
}

async function main() {
  const own = process.argv.slice(2).filter((arg) => !arg.startsWith('--test-'));
  const { values, positionals } = parseArgs({
    args: own,
    options: { transport: { type: 'string' } },
    allowPositionals: true,
  });
  const files = testFiles().filter(
    (file) => positionals.length === 0 || positionals.some((word) => file.includes(word)),
  );
  process.exitCode = await runTests(files, {
    env: values.transport === undefined ? {} : { OPENAGENT_TEST_TRANSPORT: values.transport },
    nodeOptions: process.argv.slice(2).filter((arg) => arg.startsWith('--test-')),
    areBatched: true,
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main().catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
