/** `completion`: what makes a shell complete commands, options and the ids of running agents. */
import { Argument, type Command } from 'commander';
import { SHELLS, type Shell } from '../../commands/command-options.ts';
import type { Done } from './command-line.ts';

const HELP = `
Put the line for your shell where it reads its settings:
  bash   ~/.bashrc                                          source <(openagent-supervisor completion bash)
  zsh    ~/.zshrc, after compinit                           source <(openagent-supervisor completion zsh)
  fish   ~/.config/fish/completions/openagent-supervisor.fish   openagent-supervisor completion fish | source
`;

export function addCompletion(program: Command, done: Done): void {
  program
    .command('completion')
    .description('print the script that makes a shell complete commands, options and agents')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', HELP)
    .action((shell: Shell) => done({ kind: 'completion', options: { shell } }));
}
