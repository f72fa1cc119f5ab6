/**
 * Every exit code of the program, in one table: `--help` and `docs/command-line.md` print it, scripts and service
 * managers decide by it. A code that is not here is a signal's (128 + its number) and came from outside.
 */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'stopped as asked; every agent ended in order' },
  defect: { code: 1, meaning: 'a defect of this program; its stack is on stderr' },
  usage: { code: 2, meaning: 'the command line is wrong; nothing was started' },
  noAgent: { code: 3, meaning: 'no agent could be started, or none is left running' },
  forced: { code: 4, meaning: 'agents were ended by force, or one could not be ended at all' },
  hostLost: { code: 5, meaning: 'the host process died again and again; it is not started any more' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type ExitReason = keyof typeof EXIT_CODES;
export type ExitCode = (typeof EXIT_CODES)[ExitReason]['code'];
