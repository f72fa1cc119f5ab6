/** `backup` as a command: which agent is meant, what is shown, and the exit code. */
import { join, resolve } from 'node:path';
import prettyBytes from 'pretty-bytes';
import type { CommandContext } from '../../commands/command-context.ts';
import type { CommandExitCode } from '../../commands/exit-codes.ts';
import { lineText } from '../../commands/terminal-text.ts';
import { told } from '../../commands/with-fleet.ts';
import { type BackupResult, createBackup } from './create-backup.ts';
import { locateAgent } from './locate-agent.ts';
import { createProgressLine } from './progress-line.ts';

export interface BackupOptions {
  /** A directory, or the id of an agent of the running fleet. */
  readonly agent: string;
  readonly file: string;
  readonly includeSecrets: boolean;
  readonly uploads: boolean;
  readonly logs: boolean;
  readonly json: boolean;
}

export function runBackup(options: BackupOptions, context: CommandContext): Promise<CommandExitCode> {
  const { env, homeDir, cwd, version, signal, out } = context;
  const progress = createProgressLine(context.err);
  const file = resolve(cwd, options.file);
  return told(options, context, async () => {
    try {
      const result = await createBackup({
        ...{ dir: await locateAgent(options.agent, context), file, version, env, homeDir, signal },
        nowMs: context.wallMs(),
        selection: { secrets: options.includeSecrets, uploads: options.uploads, logs: options.logs },
        onProgress: progress.show,
      });
      progress.clear();
      out.write(options.json ? toJson(file, result) : toText(file, result));
      return 0;
    } finally {
      progress.clear();
    }
  });
}

function toJson(file: string, { manifest, bytes, skipped }: BackupResult): string {
  const { files, directories, ...rest } = manifest;
  const size = files.reduce((sum, one) => sum + one.size, 0);
  return `${JSON.stringify({ file, bytes, ...rest, files: files.length, content_bytes: size, skipped })}\n`;
}

const SHOWN_MAX = 20;

function toText(file: string, { manifest, bytes, skipped }: BackupResult): string {
  const lines = [
    `${lineText(manifest.agent)}: ${manifest.files.length} files, ${prettyBytes(bytes)} in ${lineText(file)}`,
  ];
  if (manifest.left_out.length > 0) {
    lines.push('', 'Secrets were left out (--include-secrets takes them). A restored agent asks for:');
    for (const { variable, key } of manifest.left_out) lines.push(`  ${variable}  ${lineText(key)}`);
  }
  if (skipped.length > 0) {
    lines.push('', 'Not in it, because they are links or no files:');
    for (const path of skipped.slice(0, SHOWN_MAX)) lines.push(`  ${lineText(path)}`);
    if (skipped.length > SHOWN_MAX) lines.push(`  and ${skipped.length - SHOWN_MAX} more`);
  }
  lines.push('', `restore it: openagent-supervisor restore ${lineText(file)} ${join('.', 'new-directory')}`);
  return `${lines.join('\n')}\n`;
}
