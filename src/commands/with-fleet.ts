/** What every command on a running fleet does first and last: find it, and say in words why something did not work. */
import { AppError } from '../contract/errors.ts';
import { colorsOf } from './colors.ts';
import type { CommandContext } from './command-context.ts';
import type { FleetOptions } from './command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from './exit-codes.ts';
import { findFleet } from './find-fleet.ts';
import { type FleetClient, openFleetClient } from './fleet-client.ts';
import { lineText } from './terminal-text.ts';
import { wrapWords } from './wrap-words.ts';

const { failed, usage } = COMMAND_EXIT_CODES;

/** `work` says the exit code. */
export async function withFleet(
  options: FleetOptions,
  context: CommandContext,
  work: (client: FleetClient) => Promise<CommandExitCode>,
): Promise<CommandExitCode> {
  return told(options, context, async () => {
    const { socket } = await findFleet(options.fleet, context);
    return work(openFleetClient(socket));
  });
}

/** A foreseen failure becomes words on stderr and an exit code. */
export async function told(
  { json }: Pick<FleetOptions, 'json'>,
  context: CommandContext,
  work: () => Promise<CommandExitCode>,
): Promise<CommandExitCode> {
  try {
    return await work();
  } catch (error) {
    if (context.signal.aborted) return failed.code; // nobody waits for an answer any more
    if (!AppError.is(error)) throw error;
    const { code, message } = error;
    if (json) context.err.write(`${JSON.stringify({ error: message, code })}\n`);
    else
      context.err.write(
        `${colorsOf(context.err, context.env).red('error')}: ${lines(message, context.err)}\n`,
      );
    return code === 'fleet.not_found' || code === 'fleet.ambiguous' ? usage.code : failed.code;
  }
}

/** A message may list things, one a line, and says what to do as commands that are copied. */
function lines(message: string, err: CommandContext['err']): string {
  const width = err.isTTY === true ? (err.columns ?? 80) - 'error'.length : undefined;
  const wrap = (line: string): readonly string[] => {
    const indent = /^ */.exec(line)?.[0] ?? '';
    return wrapWords(indent + lineText(line.slice(indent.length)), width, `${indent}  `);
  };
  return message.split('\n').flatMap(wrap).join('\n');
}

/** To a terminal, how wide it is; undefined: nothing needs to be cut. */
export function widthOf({ out }: CommandContext): number | undefined {
  return out.isTTY === true ? out.columns : undefined;
}
