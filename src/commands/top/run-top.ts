/** `top` as a command: takes the terminal, puts source, store and screen together, and gives the terminal back. */
import { type Clock, systemClock } from '../../contract/clock.ts';
import type { CommandContext } from '../command-context.ts';
import type { FleetOptions } from '../command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from '../exit-codes.ts';
import { told } from '../with-fleet.ts';
import { openFleetSource } from './fleet-source.ts';
import { readKeys } from './keys.ts';
import { createPainter } from './painter.ts';
import { screenLines } from './screen-lines.ts';
import { isTerminal, openTerminal, type TerminalStreams } from './terminal.ts';
import { createTopStore } from './top-store.ts';
import { type TopSource, watchFleet } from './watch-fleet.ts';

export async function runTop(options: FleetOptions, context: CommandContext): Promise<CommandExitCode> {
  if (options.json || !isTerminal(process, context.env.TERM)) {
    const instead = `openagent-supervisor ps${options.json ? ' --json' : ''}`;
    context.err.write(`error: top needs a terminal to paint on; the same agents, once: ${instead}\n`);
    return COMMAND_EXIT_CODES.usage.code;
  }
  return told(options, context, async () => {
    const source = await openFleetSource(options.fleet, context);
    await showFleet(source, process, { ...context, clock: systemClock });
    return COMMAND_EXIT_CODES.done.code;
  });
}

/** Shows the fleet until the user has seen enough. */
export async function showFleet(
  source: TopSource,
  streams: TerminalStreams,
  { env, signal, clock }: Pick<CommandContext, 'env' | 'signal'> & { readonly clock: Clock },
): Promise<void> {
  const terminal = openTerminal(streams);
  const painter = createPainter(terminal.write, !env.NO_COLOR);
  let quit = (): void => {};
  const ending = new Promise<void>((resolve) => {
    quit = resolve;
  });
  const paint = (isNew = false): void => painter.paint(screenLines(store.state()), store.state().size, isNew);
  const store = createTopStore(terminal.size(), {
    ...{ changed: paint, repaint: () => paint(true), suspend: terminal.suspend, quit },
    act: (id, action) => watch.act(id, action),
  });
  const watch = watchFleet(source, clock, store.tell);
  terminal.onChange(() => {
    store.tell({ kind: 'resized', size: terminal.size() });
    paint(true);
  });
  const stopReading = readKeys(streams.stdin, (key) => store.press(key));
  signal.addEventListener('abort', quit);
  if (signal.aborted) quit();
  paint(true);
  try {
    await ending;
  } finally {
    watch.stop();
    stopReading();
    terminal.close();
  }
}
