/** Commands that look after agents' directories, whether they run or not: `doctor`, `backup`, `restore`. */
import type { Command } from 'commander';
import { COMMAND_EXIT_CODES } from '../../commands/exit-codes.ts';
import type { BackupOptions } from '../backup/run-backup.ts';
import type { RestoreOptions } from '../backup/run-restore.ts';
import type { Done } from './command-line.ts';

export function addCareCommands(program: Command, done: Done): void {
  addDoctor(program, done);
  addBackup(program, done);
  addRestore(program, done);
}

function addDoctor(program: Command, done: Done): void {
  program
    .command('doctor')
    .description('find what is wrong with the machine and with agents, and how to mend it; changes nothing')
    .argument('[dir...]', 'agent directories; without any those of the running fleet, else this one')
    .option('--json', 'one JSON object a line: each finding, then a summary', false)
    .addHelpText(
      'after',
      help(
        [
          ['doctor', 'the running fleet, or the agent one is in'],
          ['doctor agents/*', 'before they are started'],
          [`doctor --json | jq 'select(.severity == "error")'`, 'for programs'],
        ],
        [
          [0, 'no errors; there may be warnings'],
          [1, 'errors were found'],
          [2, 'the command line is wrong, or there is nothing to look at'],
        ],
      ),
    )
    .action((dirs: string[], { json }: { json: boolean }) =>
      done({ kind: 'doctor', options: { dirs, json } }),
    );
}

const DONE_CODES = [
  [0, 'done'],
  [1, 'refused or failed; nothing was left behind'],
  [COMMAND_EXIT_CODES.usage.code, 'the command line is wrong'],
] as const;

function addBackup(program: Command, done: Done): void {
  program
    .command('backup')
    .description('one agent as one .tar.gz, also while it works: database, vault, configuration, files')
    .argument('<agent>', 'its directory, or its id in the running fleet')
    .argument('<file>', 'the archive to write; one of that name is replaced when the new one is whole')
    .option(
      '--include-secrets',
      'with the secrets of openagent.yaml; else variables stand in their places',
      false,
    )
    .option('--no-uploads', 'without uploads/ and outputs/')
    .option('--logs', 'with logs/', false)
    .option('--json', 'one JSON object on stdout', false)
    .addHelpText(
      'after',
      help(
        [
          ['backup coder /backups/coder.tar.gz', 'an agent of the running fleet'],
          ['backup ./agents/coder coder.tar.gz --logs', 'a directory, with its log'],
        ],
        DONE_CODES,
      ),
    )
    .action((agent: string, file: string, options: Omit<BackupOptions, 'agent' | 'file'>) =>
      done({ kind: 'backup', options: { ...options, agent, file } }),
    );
}

function addRestore(program: Command, done: Done): void {
  program
    .command('restore')
    .description('make a new agent directory from a backup')
    .argument('<file>', 'an archive that `backup` wrote')
    .argument('<dir>', 'the directory to make; it must not exist, or be empty')
    .option('--resume', 'go on with unfinished turns: only where the original is gone for good', false)
    .option('--json', 'one JSON object on stdout', false)
    .addHelpText(
      'after',
      help(
        [
          ['restore coder.tar.gz agents/coder-2', 'a copy beside the original, which repeats nothing'],
          ['restore coder.tar.gz agents/coder --resume', 'in place of one that is lost'],
        ],
        DONE_CODES,
      ),
    )
    .action((file: string, dir: string, options: Omit<RestoreOptions, 'file' | 'dir'>) =>
      done({ kind: 'restore', options: { ...options, file, dir } }),
    );
}

function help(
  examples: readonly (readonly [line: string, meaning: string])[],
  codes: readonly (readonly [code: number, meaning: string])[],
): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const shown = examples.map(
    ([line, meaning]) => `  openagent-supervisor ${line.padEnd(width)}   ${meaning}`,
  );
  const listed = codes.map(([code, meaning]) => `  ${code}    ${meaning}`);
  return `\nExamples:\n${shown.join('\n')}\n\nExit codes:\n${listed.join('\n')}\n  128+n  ended by signal n\n`;
}
