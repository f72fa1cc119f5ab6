/** What every command on a running fleet does first and last: find it, and say in words why something did not work. */
import { AppError } from '../contract/errors.ts';
import { colorsOf } from './colors.ts';
import type { CommandContext } from './command-context.ts';
import type { FleetOptions } from './command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from './exit-codes.ts';
import { findFleet } from './find-fleet.ts';
import { type FleetClient, openFleetClient } from './fleet-client.ts';
import { lineText } from './terminal-text.ts';

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
    else context.err.write(`${colorsOf(context.err, context.env).red('error')}: ${lines(message)}\n`);
    return code === 'fleet.not_found' || code === 'fleet.ambiguous' ? usage.code : failed.code;
  }
}

/** A message may list things, one a line. */
function lines(message: string): string {
  return message.split('\n').map(lineIndented).join('\n');
}

function lineIndented(line: string): string {
  const indent = /^ */.exec(line)?.[0] ?? '';
  return indent + lineText(line.slice(indent.length));
}

/** To a terminal, how wide it is; undefined: nothing needs to be cut. */
export function widthOf({ out }: CommandContext): number | undefined {
  return out.isTTY === true ? out.columns : undefined;
}
