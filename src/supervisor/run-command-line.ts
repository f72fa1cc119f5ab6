/**
 * Commands that are done by one function: it gets the options and the process's surroundings, and says the exit code.
 * Each is loaded when it is asked for, and only it. Whoever reads the output may leave (`| head`): that ends a command
 * in order, and so does Ctrl-C.
 */
import { constants, homedir } from 'node:os';
import type { CommandContext } from '../commands/command-context.ts';
import type { CommandCall, CommandOptions } from './command-line/command-line.ts';

type Commands = {
  readonly [K in keyof CommandOptions]: (
    options: CommandOptions[K],
    context: CommandContext,
  ) => Promise<number>;
};

const COMMANDS: Commands = {
  ps: async (...call) => (await import('../commands/ps.ts')).runPs(...call),
  top: async (...call) => (await import('../commands/top/run-top.ts')).runTop(...call),
  logs: async (...call) => (await import('../commands/tail/logs.ts')).runLogs(...call),
  events: async (...call) => (await import('../commands/tail/events.ts')).runEvents(...call),
  incidents: async (...call) => (await import('../commands/incidents.ts')).runIncidents(...call),
  incident: async (...call) => (await import('../commands/incidents.ts')).runIncident(...call),
  act: async (...call) => (await import('../commands/act/actions.ts')).runAct(...call),
  add: async (...call) => (await import('../commands/act/actions.ts')).runAdd(...call),
  remove: async (...call) => (await import('../commands/act/actions.ts')).runRemove(...call),
  doctor: async (...call) => (await import('./doctor/run-doctor.ts')).runDoctor(...call),
  backup: async (...call) => (await import('./backup/run-backup.ts')).runBackup(...call),
  restore: async (...call) => (await import('./backup/run-restore.ts')).runRestore(...call),
  completion: async ({ shell }, { out }) => {
    const { shellScript } = await import('../commands/completion/shell-scripts.ts');
    out.write(shellScript(shell));
    return 0;
  },
  complete: async (...call) => (await import('./command-line/run-complete.ts')).runComplete(...call),
};

/** Says the exit code. */
export function runCommand({ kind, options }: CommandCall, context: CommandContext): Promise<number> {
  const run = COMMANDS[kind] as (options: unknown, context: CommandContext) => Promise<number>;
  return run(options, context);
}

export async function runCommandLine(call: CommandCall, version: string): Promise<void> {
  const stop = new AbortController();
  let exitCode: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // Again: whatever is still waited for is not worth it.
      if (exitCode !== undefined) process.exit(exitCode);
      exitCode = 128 + constants.signals[signal];
      stop.abort();
    });
  }
  process.stdout.on('error', () => {
    exitCode ??= 0;
    stop.abort();
  });
  const done = await runCommand(call, {
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    homeDir: homedir(),
    signal: stop.signal,
    wallMs: Date.now,
    version,
  });
  process.exitCode = exitCode ?? done;
}
