/** What all commands on a running fleet have in common: which fleet, in which form, and how they end. */
import { type Command, Option } from 'commander';
import { COMMAND_EXIT_CODES } from '../../commands/exit-codes.ts';

/** `program` in a command's examples: what stands before each line. */
export const PROGRAM = 'openagent-supervisor';

export function addFleetOptions(command: Command, people: string): Command {
  return command
    .addOption(
      new Option(
        '--fleet <pid|socket>',
        'which fleet: its host process, or the path of its socket (the one that runs; of several the one of this directory)',
      ),
    )
    .addOption(new Option('--json', 'one JSON object a line on stdout').default(false, people));
}

/** Examples first: they are what is read. */
export function fleetHelp(
  examples: readonly (readonly [line: string, meaning: string])[],
  more = '',
): string {
  const chars = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, meaning]) => `  ${PROGRAM} ${line.padEnd(chars)}  ${meaning}`.trimEnd());
  const codes = Object.values(COMMAND_EXIT_CODES).map(({ code, meaning }) => `  ${code}    ${meaning}`);
  return [
    '\nExamples:',
    ...lines,
    ...(more === '' ? [] : ['', more]),
    '\nExit codes:',
    ...codes,
    '  128+n  ended by signal n\n',
  ].join('\n');
}
