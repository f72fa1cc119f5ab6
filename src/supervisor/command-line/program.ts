/** All commands of the program as commander knows them: for parsing what is typed, and for completing it. */
import { Command } from 'commander';
import { addActCommands } from './act-commands.ts';
import { addCareCommands } from './care-commands.ts';
import type { Done } from './command-line.ts';
import { addLookCommands } from './look-commands.ts';
import { addRun } from './run-command.ts';
import { addCompletion } from './shell-commands.ts';
import { addValidate } from './validate-command.ts';

/** `commands` false: the word `run` was said, and every name is a directory's. */
export function createProgram(version: string, done: Done, options: { readonly commands: boolean }): Command {
  const program = new Command('openagent-supervisor')
    .description('Runs many LLM agents on one machine, each in its own thread or process.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .enablePositionalOptions() // else `init` would swallow options that mean nothing to it
    .showHelpAfterError('\nTry: openagent-supervisor --help');
  addRun(program, done);
  if (!options.commands) return program;
  // `--json ps` would look as if it asked `ps` for JSON.
  program.hook('preSubcommand', (_, command) => {
    const misplaced = program.options.find(
      (option) => program.getOptionValueSource(option.attributeName()) === 'cli',
    );
    if (misplaced === undefined) return;
    const name = command.name();
    program.error(
      `error: ${misplaced.long} stands before '${name}'; options of a command come after it. A directory of that name: ./${name}`,
    );
  });
  program.commandsGroup('Make and check agents:');
  program
    .command('init')
    .description('create agent directories: openagent.yaml, memories/, logs/')
    .argument('<dir...>', 'directories to create')
    .action((dirs: string[]) => done({ kind: 'init', dirs }));
  addValidate(program, done);
  addCareCommands(program, done);
  program.commandsGroup('Look at the running fleet:');
  addLookCommands(program, done);
  program.commandsGroup('Act on the running fleet:');
  addActCommands(program, done);
  program.commandsGroup('Shell:');
  addCompletion(program, done);
  for (const command of program.commands) {
    command.showHelpAfterError(`\nTry: openagent-supervisor ${command.name()} --help`);
  }
  return program;
}

/** The program and everything below it. */
export function allCommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}
