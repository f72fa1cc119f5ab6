/** The token of the command line: from a file, or typed, which is warned of because `ps` shows it to everybody. */
import { readFile, stat } from 'node:fs/promises';
import { AppError } from '../contract/errors.ts';
import type { RunOptions } from './command-line/run-command.ts';
import type { ReportWarning } from './report/report.ts';

export async function readTokenOption(
  options: Pick<RunOptions, 'token' | 'tokenFile'>,
  warn: (warning: ReportWarning) => void,
): Promise<string | undefined> {
  const { token, tokenFile } = options;
  if (token !== undefined) {
    const message =
      'Every user of this machine can read --token in the list of processes; use --token-file or OPENAGENT_WS_TOKEN';
    warn({ code: 'token.on_command_line', message });
  }
  if (tokenFile === undefined) return token;
  const text = await readFile(tokenFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new AppError(
      'config.unreadable',
      `option '--token-file <file>': cannot read ${tokenFile} (${cause.code ?? cause.message})`,
      { cause },
    );
  });
  if (!/^\S+$/.test(text.trim())) {
    throw new AppError(
      'config.invalid',
      `option '--token-file <file>': expected one token without spaces in ${tokenFile}`,
    );
  }
  const { mode } = await stat(tokenFile);
  if ((mode & 0o077) !== 0) {
    const message = `Other users of this machine may open ${tokenFile}; mend it: chmod 600 ${tokenFile}`;
    warn({ code: 'token.file_open', message });
  }
  return text.trim();
}
