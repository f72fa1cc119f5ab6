/**
 * The suite's fault, machine and property tests at full count:
 *
 *   npm run torture -- --runs 200 --seed 42
 *
 * The tests read OPENAGENT_TEST_RUNS and OPENAGENT_TEST_SEED; the same seed makes the same runs.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runTests, testFiles } from './run-tests.mjs';

const RUNS = 200;
const FILE_MS = 60 * 60_000;

function naturalNumber(text, name) {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} wants a whole number, not ${text}`);
  return Number(text);
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { runs: { type: 'string' }, seed: { type: 'string' } },
    allowPositionals: true,
  });
  const runs = naturalNumber(values.runs ?? String(RUNS), 'runs');
  const seed = naturalNumber(values.seed ?? String(randomInt(1_000_000_000)), 'seed');
  const files = testFiles()
    .filter((file) => /^test\/(fault|machine)\/|property|kill-nine|restart-under-load|host-death/.test(file))
    .filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)));
  process.stdout.write(`torture: ${runs} runs of each, seed ${seed}, ${files.length} files\n`);
  const exitCode = await runTests(files, {
    env: { OPENAGENT_TEST_RUNS: String(runs), OPENAGENT_TEST_SEED: String(seed) },
    fileMs: FILE_MS,
  });
  if (exitCode !== 0) process.stdout.write(`again: npm run torture -- --runs ${runs} --seed ${seed}\n`);
  process.exitCode = exitCode;
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
