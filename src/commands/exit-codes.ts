/** Exit codes of the commands on a running fleet, in one table: `--help` and `docs/command-line.md` print it. */
export const COMMAND_EXIT_CODES = {
  done: { code: 0, meaning: 'done; agents are as they were asked to be' },
  failed: { code: 1, meaning: 'refused, or an agent did not come to the state it was asked for' },
  usage: { code: 2, meaning: 'the command line is wrong, or there is no fleet to talk to' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type CommandExitCode = (typeof COMMAND_EXIT_CODES)[keyof typeof COMMAND_EXIT_CODES]['code'];
