/** `restore` as a command: what is shown, what is still to be done, and the exit code. */
import { resolve } from 'node:path';
import type { CommandContext } from '../../commands/command-context.ts';
import type { CommandExitCode } from '../../commands/exit-codes.ts';
import { lineText } from '../../commands/terminal-text.ts';
import { told } from '../../commands/with-fleet.ts';
import { createProgressLine } from './progress-line.ts';
import { type RestoreResult, restoreBackup } from './restore-backup.ts';

export interface RestoreOptions {
  readonly file: string;
  readonly dir: string;
  /** The original is gone: go on where it stopped. */
  readonly resume: boolean;
  readonly json: boolean;
}

export function runRestore(options: RestoreOptions, context: CommandContext): Promise<CommandExitCode> {
  const { cwd, env, signal, out } = context;
  const progress = createProgressLine(context.err);
  const dir = resolve(cwd, options.dir);
  return told(options, context, async () => {
    try {
      const result = await restoreBackup({
        ...{ file: resolve(cwd, options.file), dir, resume: options.resume, signal },
        nowMs: context.wallMs(),
        onProgress: progress.show,
      });
      progress.clear();
      out.write(options.json ? toJson(dir, result, env) : toText(dir, options, result, env));
      return 0;
    } finally {
      progress.clear();
    }
  });
}

type Environment = CommandContext['env'];

function toJson(dir: string, { manifest, settled }: RestoreResult, env: Environment): string {
  const { files, directories, left_out, ...rest } = manifest;
  const variables = left_out.map((one) => ({ ...one, is_set: Boolean(env[one.variable]) }));
  const { turns: unfinished_turns, taskRuns: unfinished_task_runs, tasksMoved: tasks_moved } = settled;
  const done = { unfinished_turns, unfinished_task_runs, tasks_moved };
  return `${JSON.stringify({ restored: dir, ...rest, files: files.length, variables, ...done })}\n`;
}

function toText(
  dir: string,
  { resume }: RestoreOptions,
  { manifest, settled }: RestoreResult,
  env: Environment,
): string {
  const lines = [`${lineText(dir)}: ${lineText(manifest.agent)} as it was at ${lineText(manifest.created)}`];
  const { turns, taskRuns, tasksMoved } = settled;
  if (turns + taskRuns > 0) {
    const what = `${turns} unfinished turns and ${taskRuns} runs of tasks`;
    lines.push(resume ? `${what} go on with the start` : `${what} end as interrupted: none is repeated`);
  }
  if (tasksMoved > 0) lines.push(`${tasksMoved} tasks were due since then; they wait for their next time`);
  const missing = manifest.left_out.filter(({ variable }) => !env[variable]);
  if (missing.length > 0) {
    lines.push('', 'Set these variables first; their secrets were left out of the backup:');
    for (const { variable, key } of missing) lines.push(`  ${variable}  ${lineText(key)}`);
  }
  lines.push('', `start it: openagent-supervisor ${lineText(dir)}`);
  return `${lines.join('\n')}\n`;
}
