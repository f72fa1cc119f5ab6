/**
 * The suite's fault, machine and property tests at full count:
 *
 *   npm run torture -- --runs 200 --seed 42
 *   npm run torture -- --transport node crashes   one transport, and files whose path holds one of these words
 *
 * The tests read OPENAGENT_TEST_RUNS and OPENAGENT_TEST_SEED; the same seed makes the same runs. Every fault is tried in
 * a thread and in a process (OPENAGENT_TEST_MATRIX), and over both transports; the machines know of neither.
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { runTests, testFiles } from './run-tests.mjs';

const RUNS = 200;
const FILE_MS = 60 * 60_000;
const FILES =
  /^test\/(fault|machine|fuzz)\/|property|contract\/ws-|kill-nine|restart-under-load|host-death|crashes|watchdog|storage-faults|refusals/;
/** Nothing of them serves. */
const WITHOUT_TRANSPORT = /^test\/machine\/|property/;

function naturalNumber(text, name) {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} wants a whole number, not ${text}`);
  return Number(text);
}

function loadableTransports() {
  try {
    createRequire(import.meta.url)('uWebSockets.js');
    return ['uws', 'node'];
  } catch {
    return ['node']; // An optional dependency: it has no build for every system.
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { runs: { type: 'string' }, seed: { type: 'string' }, transport: { type: 'string' } },
    allowPositionals: true,
  });
  const runs = naturalNumber(values.runs ?? String(RUNS), 'runs');
  const seed = naturalNumber(values.seed ?? String(randomInt(1_000_000_000)), 'seed');
  const transports = values.transport === undefined ? loadableTransports() : [values.transport];
  const files = testFiles()
    .filter((file) => FILES.test(file) || readFileSync(file, 'utf8').includes('OPENAGENT_TEST_RUNS'))
    .filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)));
  process.exitCode = 0;
  for (const [index, transport] of transports.entries()) {
    const chosen = index === 0 ? files : files.filter((file) => !WITHOUT_TRANSPORT.test(file));
    if (index > 0 && chosen.length === 0) continue;
    process.stdout.write(
      `torture: ${runs} runs of each, seed ${seed}, ${chosen.length} files over ${transport}\n`,
    );
    const exitCode = await runTests(chosen, {
      env: {
        OPENAGENT_TEST_RUNS: String(runs),
        OPENAGENT_TEST_SEED: String(seed),
        OPENAGENT_TEST_MATRIX: 'whole',
        OPENAGENT_TEST_TRANSPORT: transport,
      },
      fileMs: FILE_MS,
    });
    if (exitCode === 0) continue;
    const again = ['--runs', runs, '--seed', seed, '--transport', transport, ...positionals].join(' ');
    process.stdout.write(`again: npm run torture -- ${again}\n`);
    process.exitCode = exitCode;
  }
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
