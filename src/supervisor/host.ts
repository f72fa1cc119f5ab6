/**
 * The host process: reads the command line and does what it says. Only what every invocation needs is loaded here:
 * `--help` and a mistyped option answer before configuration, machines and threads are.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../contract/errors.ts';
import { parseCommandLine } from './command-line/command-line.ts';
import { EXIT_CODES } from './exit-codes.ts';

/** Filled in by the build; sources have no released version. */
const VERSION = process.env.PACKAGE_VERSION ?? '0.0.0-source';
const AGENT_ENTRY = join(import.meta.dirname, 'agent-boot.cjs');

async function main(): Promise<void> {
  // Databases, logs and uploads hold conversations: for their owner only. Threads inherit this and cannot set it.
  process.umask(0o077);
  // A reader that has gone (`| head`, a closed terminal) is no reason to stop the agents.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  const commandLine = parseCommandLine(process.argv.slice(2), VERSION);
  switch (commandLine.kind) {
    case 'print':
      process.stdout.write(commandLine.stdout);
      process.stderr.write(commandLine.stderr);
      process.exitCode = commandLine.exitCode;
      return;
    case 'init':
      return init(commandLine.dirs);
    case 'validate': {
      const { runValidate } = await import('./run-validate.ts');
      return runValidate(commandLine.url, commandLine.options, VERSION);
    }
    case 'run': {
      if (await isMistyped(commandLine.dirs[0] ?? '')) return;
      const { supervise } = await import('./supervise.ts');
      return supervise({ ...commandLine, version: VERSION, agentEntry: AGENT_ENTRY });
    }
    default: {
      const { runCommandLine } = await import('./run-command-line.ts');
      return runCommandLine(commandLine, VERSION);
    }
  }
}

/** Only a name that nothing has yet can be a slip. */
async function isMistyped(word: string): Promise<boolean> {
  if (word !== process.argv[2] || existsSync(word)) return false;
  const { meantCommand } = await import('./command-line/mistyped.ts');
  const meant = meantCommand(word);
  if (meant === undefined) return false;
  process.stderr.write(
    `error: there is no command and no directory ${word}; did you mean ${meant}? To make an agent of that name: ./${word}\n`,
  );
  process.exitCode = EXIT_CODES.usage.code;
  return true;
}

async function init(dirs: readonly string[]): Promise<void> {
  const { initDirectory } = await import('./init-directory.ts');
  for (const dir of dirs) {
    try {
      const outcome = await initDirectory(dir);
      const what = outcome === 'created' ? 'created' : 'nothing to do, an agent already:';
      process.stdout.write(`${what} ${dir}\nstart it: openagent-supervisor ${dir}\n`);
    } catch (error) {
      if (!AppError.is(error)) throw error;
      process.stderr.write(`error: ${error.message}\n`);
      process.exitCode = EXIT_CODES.usage.code;
    }
  }
}

main().catch((error: unknown) => {
  // Only before agents are there: from then on `supervise` ends the process.
  console.error(error);
  process.exitCode = EXIT_CODES.defect.code;
});
